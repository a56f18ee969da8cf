import msgspec
import pytest

from hames.channels.listing import export_lines, find_session, latest_in, rows_json, size, story, table
from hames.core.errors import SessionMissing
from hames.core.events import (
    AnyEvent,
    CommandFact,
    Entry,
    FilesRestored,
    GoalChecked,
    GoalCheckStarted,
    GoalSet,
    Labelled,
    LimitReached,
    Ran,
    RestoreStarted,
    Rewound,
    SettingsPinned,
    SnapshotTaken,
    TurnEnded,
    TurnStarted,
    UserSpoke,
    WaitEnded,
    WaitStarted,
)
from hames.core.ids import BlobId, CallId, SessionId
from hames.core.messages import Text
from hames.core.ports import SessionRow
from hames.testing.entries import SESSION, entries
from hames.testing.samples import SAMPLES


def row(session: str, workspace: str = "/w") -> SessionRow:
    return SessionRow(SessionId(session), workspace, 0, 60_000, 3, 1500, "fix \x1b[31mit", "done")


ROWS = [row("0aaa", "/w"), row("0aab", "/v"), row("0b", "/w")]


def test_a_session_is_found_by_its_id_or_the_start_of_it() -> None:
    assert find_session(ROWS, "0b") == "0b"
    assert find_session(ROWS, "0aaa") == "0aaa"
    assert find_session([row("0"), row("01")], "0") == "0"


@pytest.mark.parametrize(("wanted", "words"), [("0a", "2 sessions start"), ("zz", "no session zz")])
def test_an_id_that_names_none_or_several_is_refused(wanted: str, words: str) -> None:
    with pytest.raises(SessionMissing, match=words):
        find_session(ROWS, wanted)


def test_the_newest_session_of_a_workspace_comes_first_in_the_list() -> None:
    assert latest_in(ROWS, "/w") == "0aaa"
    with pytest.raises(SessionMissing, match="/nowhere"):
        latest_in(ROWS, "/nowhere")


def test_the_table_has_a_line_each_and_obeys_no_control_codes() -> None:
    lines = list(table(ROWS))
    assert len(lines) == 4
    assert "1970-01-01 00:01" in lines[1]
    assert "1.5 kB" in lines[1]
    assert not any("\x1b" in line for line in lines)
    assert list(table([])) == ["no sessions yet"]


def test_rows_are_json_lines_too() -> None:
    assert [msgspec.json.decode(line)["session"] for line in rows_json(ROWS)] == ["0aaa", "0aab", "0b"]


@pytest.mark.parametrize(
    ("count", "words"),
    [(999, "999 B"), (1000, "1.0 kB"), (2_500_000, "2.5 MB"), (3 * 10**9, "3.0 GB"), (4 * 10**12, "4.0 TB")],
)
def test_sizes_are_for_the_eye(count: int, words: str) -> None:
    assert size(count) == words


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
def test_every_event_can_be_told(event: AnyEvent) -> None:
    lines = list(story(entries(event)))
    assert lines[0].startswith("     1   ")
    assert all(len(line) < 400 for line in lines)


def told_of(*events: AnyEvent) -> list[str]:
    return list(story(entries(*events)))


def test_a_turn_says_how_to_go_back_to_before_its_words() -> None:
    lines = told_of(
        SAMPLES[0],
        UserSpoke((Text("the place"),), source="context"),
        UserSpoke((Text("one"),)),
        TurnStarted(1),
        TurnEnded(1, "done", ""),
        UserSpoke((Text("[a note]"),), source="harness"),
        UserSpoke((Text("two"),)),
        UserSpoke((Text("and three"),)),
        TurnStarted(2),
    )
    assert lines[3] == f"     4   turn 1   (to before it: hames rewind {SESSION}@2)"
    assert lines[8] == f"     9   turn 2   (to before it: hames rewind {SESSION}@6)"


def test_what_was_taken_back_has_a_mark_and_what_took_it_back_has_words() -> None:
    lines = told_of(
        SAMPLES[0],
        UserSpoke((Text("one"),)),
        TurnStarted(1),
        SnapshotTaken(BlobId("a" * 64)),
        TurnEnded(1, "done", ""),
        RestoreStarted(BlobId("a" * 64), BlobId("b" * 64), BlobId("c" * 64), 1, "undo", ("x", "y\x1b[2J")),
        FilesRestored(BlobId("a" * 64), tuple("abcdefg"), ("z",)),
        Rewound(1, "undo"),
        UserSpoke((Text("two"),)),
    )
    assert lines[0].startswith("     1   opened")
    assert lines[1] == "     2 - user: one"
    assert lines[2].startswith("     3 - turn 1")
    assert lines[3] == "     4   snapshot aaaaaaaaaaaa"
    assert lines[4].startswith("     5 - turn 1 ended")
    assert lines[5] == "     6   undo: files go back to entry 1, forced: x, y [2J"
    assert lines[6] == "     7   files went back, kept: a, b, c, d, e, and 2 more, failed: z"
    assert lines[7:] == [
        "     8   undo: words go back to entry 1",
        "     9   user: two",
        "- taken back: the model does not know of it",
    ]


def test_an_event_of_a_newer_version_is_named_as_such() -> None:
    assert "newer" in next(story([Entry(SESSION, 1, 1, 0, None, "")]))


def test_an_export_has_every_event_with_its_hash() -> None:
    (line,) = export_lines(entries(SAMPLES[0]))
    read = msgspec.json.decode(line)
    assert (read["seq"], read["event"]["type"], len(read["hash"])) == (1, type(SAMPLES[0]).__name__, 64)


def test_waits_limits_and_rules_that_were_learnt_are_told_in_words() -> None:
    pinned = SettingsPinned(
        segment=2,
        model="m",
        provider="p",
        wire="chat",
        system=BlobId("0" * 64),
        tools=BlobId("0" * 64),
        sandbox="none",
        mode="auto",
        mends=("pictures_left_out",),
    )
    wait = WaitStarted(until_ms=61_500, reason="slow\x1b[2J down")
    limit = LimitReached(limit="patience_s", value=1800.25)
    near = LimitReached(limit="max_steps", value=50, used=40, warned=True)
    label = Labelled(step=3, label="stuck", source="rule", evidence="the same\x1b")
    lines = list(story(entries(pinned, wait, WaitEnded(reason="x"), near, limit, label)))
    assert [line[9:] for line in lines] == [
        "model p/m, mended: pictures_left_out, sandbox none, mode auto",
        "waits until 1970-01-01 00:01:01 UTC: slow [2J down",
        "the wait is over",
        "most of a limit is used: max_steps (40 of 50)",
        "limit reached: patience_s (1800.25)",
        "label stuck of step 3: the same ",
    ]


def test_goals_and_their_checks_are_told_in_words() -> None:
    check = CallId("check.1")
    fact = CommandFact(exit_code=1, elapsed_s=0.5)
    ended = TurnEnded(1, "blocked", "it fails", verified=(Ran("make", 1, 3),))
    log = entries(
        GoalSet(command="make\x1b[2J", by="terminal", told="not shown"),
        GoalCheckStarted(check=check),
        GoalChecked(check=check, command="make", passed=False, fact=fact, told="it fails\nsomewhere"),
        ended,
        GoalSet(command="", by="terminal"),
    )
    assert [line[9:] for line in story(log)] == [
        "goal (terminal): make [2J",
        "check.1: started",
        "check.1: goal: `make` failed, exit 1, 500 ms",
        "  it fails",
        "  somewhere",
        "turn 1 ended: blocked, 0 steps. it fails (not verified after the last change: `make` exit 1)",
        "the goal was lifted (terminal)",
    ]
