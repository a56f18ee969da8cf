"""What the modes say where no rule speaks."""

import pytest

from hames.core.errors import ConfigError
from hames.core.events import Effect, Verdict
from hames.core.ports import Subject
from hames.policies.modes import MODES, Mode, judge_by_mode, read_mode, stricter
from hames.policies.specifier import Ground

BOXED = Ground("/ws", "/home/u", sandboxed=True, writable=("/data",), protected=("/ws/.git/hooks",))
BARE = Ground("/ws", "/home/u", sandboxed=False)

READ = Subject("read", reads=("/etc/hosts",))
EDIT = Subject("edit", reads=("/ws/a",), writes=("/ws/a",))
COMMAND = Subject("bash", command="make")
STOP = Subject("job")
FETCH = Subject("web_fetch", hosts=("example.com",))
SEND = Subject("mcp__mail__send")

TABLE: list[tuple[Subject, Effect, dict[Mode, Verdict]]] = [
    (READ, "pure", dict.fromkeys(MODES, "allow_in_sandbox")),
    (
        EDIT,
        "reconcilable",
        {"plan": "deny", "ask": "ask", "accept_edits": "allow_in_sandbox", "auto": "allow_in_sandbox"},
    ),
    (
        COMMAND,
        "effectful",
        {"plan": "deny", "ask": "ask", "accept_edits": "ask", "auto": "allow_in_sandbox"},
    ),
    (
        STOP,
        "idempotent",
        {"plan": "deny", "ask": "ask", "accept_edits": "ask", "auto": "allow_in_sandbox"},
    ),
    (FETCH, "pure", dict.fromkeys(MODES, "ask")),
    (SEND, "effectful", {"plan": "deny", "ask": "ask", "accept_edits": "ask", "auto": "ask"}),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("subject", "effect", "verdicts"), TABLE)
def test_each_mode_has_its_verdict(
    subject: Subject, effect: Effect, verdicts: dict[Mode, Verdict], mode: Mode
) -> None:
    judgement = judge_by_mode(mode, subject, effect, BOXED)
    assert judgement.verdict == verdicts[mode]
    assert judgement.rule == f"mode {mode}"
    assert bool(judgement.why) == (judgement.verdict in ("deny", "ask"))


@pytest.mark.parametrize(("subject", "effect", "verdicts"), TABLE)
def test_without_a_sandbox_only_auto_runs_unasked_what_is_not_pure(
    subject: Subject, effect: Effect, verdicts: dict[Mode, Verdict]
) -> None:
    for mode in ("plan", "ask", "accept_edits"):
        expected = "allow" if verdicts[mode] == "allow_in_sandbox" else verdicts[mode]
        if subject is EDIT and mode == "accept_edits":
            expected = "ask"
        assert judge_by_mode(mode, subject, effect, BARE).verdict == expected
    judgement = judge_by_mode("auto", subject, effect, BARE)
    assert (judgement.verdict, judgement.why) == ("allow", "there is no sandbox, by the user's own choice")


@pytest.mark.parametrize("mode", ["ask", "accept_edits", "auto"])
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/etc/hosts", "outside the workspace"),
        ("/ws/../etc/x", "outside the workspace"),
        ("relative", "outside the workspace"),
        ("/ws/.git/hooks/pre-commit", "is protected"),
    ],
)
def test_a_write_that_the_sandbox_would_refuse_is_denied_with_the_reason(
    mode: Mode, path: str, words: str
) -> None:
    judgement = judge_by_mode(mode, Subject("write", writes=("/ws/ok", path)), "reconcilable", BOXED)
    assert judgement.verdict == "deny"
    assert words in judgement.why


def test_an_added_directory_may_be_written() -> None:
    subject = Subject("write", writes=("/data/x",))
    assert judge_by_mode("auto", subject, "reconcilable", BOXED).verdict == "allow_in_sandbox"


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("default", "ask"),
        ("acceptEdits", "accept_edits"),
        ("accept-edits", "accept_edits"),
        ("plan", "plan"),
        ("auto", "auto"),
    ],
)
def test_known_names_of_modes_are_accepted(name: str, mode: Mode) -> None:
    assert read_mode(name) == mode


def test_a_mode_that_goes_around_the_sandbox_is_refused_with_the_way_to_say_it() -> None:
    with pytest.raises(ConfigError, match="--sandbox none"):
        read_mode("bypassPermissions")


def test_an_unknown_mode_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match='did you mean "plan"'):
        read_mode("plann")


def test_the_stricter_mode_is_the_earlier_one() -> None:
    assert stricter("auto", "plan") == stricter("plan", "auto") == "plan"
