from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.context.rewinding import taken_back
from hames.context.view import View, fold
from hames.core.events import (
    AnyEvent,
    CommandFact,
    ContextShrunk,
    Entry,
    JobFinished,
    JobStarted,
    ModeChanged,
    RequestSent,
    RestoreStarted,
    Rewound,
    SnapshotTaken,
    TurnEnded,
    TurnStarted,
)
from hames.core.ids import BlobId, JobId, call_id
from hames.core.messages import Text, ToolMessage, UserMessage, plain
from hames.testing.entries import entries
from tests.context.test_view import BLOB, OPENED, PINNED, done, reply, said, sent, view_of

BACK = "undo"


def rewound(through: int) -> Rewound:
    return Rewound(through=through, what=BACK)


def texts(view: View) -> list[str]:
    return [plain(message.parts) for message in view.messages if isinstance(message, UserMessage)]


def test_a_view_goes_back_to_what_it_was_and_the_log_goes_on() -> None:
    view = view_of(said("one"), sent(1), reply(1, text="1"), said("two"), sent(2), reply(2), rewound(5))
    assert texts(view) == ["one"]
    assert (view.head, view.step, view.totals.requests, view.totals.replies) == (9, 2, 2, 2)
    assert view.last_request is not None
    assert (view.last_request.seq, view.last_request.messages) == (4, 1)


def test_what_was_rewound_can_be_come_back_to() -> None:
    log = [said("one"), said("two"), rewound(3), said("three"), rewound(4)]
    assert texts(view_of(*log)) == ["one", "two"]
    assert texts(view_of(*log, rewound(6))) == ["one", "three"]


def test_words_stay_heard_and_snapshots_and_the_mode_stay() -> None:
    view = view_of(
        said("one", "k"),
        SnapshotTaken(tree=BLOB),
        ModeChanged(mode="plan", by="user"),
        said("two"),
        rewound(2),
    )
    assert view.has_heard("k")
    assert (view.tree, view.mode, view.messages) == (BLOB, "plan", [])


def test_turns_and_segments_get_numbers_that_no_other_had() -> None:
    view = view_of(
        TurnStarted(turn=1),
        sent(1),
        reply(1),
        TurnEnded(turn=1, ending="done", reason=""),
        ContextShrunk(segment=2, reason="full"),
        TurnStarted(turn=2),
        rewound(5),
    )
    assert (view.turn, view.turns, view.segment, view.segments) == (1, 2, 1, 2)
    assert view.turn_open
    assert view.turn_steps == 1
    assert view.ended is None


def test_the_end_of_a_job_that_the_model_knows_is_not_taken_back() -> None:
    job = JobStarted(job=JobId("1.0"), call=call_id(1, 0), command="make")
    other = JobStarted(job=JobId("2.0"), call=call_id(2, 0), command="serve")
    over = JobFinished(job=JobId("1.0"), command=CommandFact(), output=None, told="[made]")
    gone = JobFinished(job=JobId("2.0"), command=CommandFact(), output=None, told="[served]")
    view = view_of(job, said("two"), over, other, gone, rewound(3))
    assert texts(view) == ["[made]"]
    assert not view.jobs
    assert texts(view_of(job, over, said("two"), rewound(4))) == ["[made]"]
    assert list(view_of(job, other, rewound(3)).jobs) == ["1.0", "2.0"]


def test_calls_that_are_open_where_somebody_goes_back_to_get_an_end() -> None:
    view = view_of(reply(1, "a"), done(1, 0), rewound(3))
    assert not view.open_calls
    assert isinstance(view.messages[-1], ToolMessage)
    assert view.messages[-1].parts != (Text("ok"),)


def test_a_view_alone_cannot_go_back() -> None:
    view = view_of(said("one"))
    with pytest.raises(ValueError, match="fold the log again"):
        view.fold(entries(rewound(1), first=view.head + 1)[0])


def test_restores_make_a_tree_of_their_own() -> None:
    restored = RestoreStarted(now=BLOB, was=BLOB, to=BLOB, through=1, what=BACK)
    log = entries(OPENED, said("one"), restored, said("two"), rewound(2))
    assert taken_back(log, RestoreStarted) == {2, 3}
    assert taken_back(log) == {3, 4, 5}


@given(st.lists(st.tuples(st.sampled_from(["turn", "words", "back"]), st.integers(0, 40)), max_size=12))
def test_a_view_is_that_of_the_entries_that_still_count(does: list[tuple[str, int]]) -> None:
    log: list[Entry] = []
    counts: dict[int, list[Entry]] = {}

    def add(*events: AnyEvent, after: Sequence[Entry] | None = None) -> None:
        for event in events:
            (entry,) = entries(event, first=len(log) + 1)
            before = counts[len(log)] if log else []
            counts[entry.seq] = [*before, entry] if after is None else list(after)
            log.append(entry)

    add(OPENED, PINNED)
    points, step = [2], 0
    for do, number in does:
        if do == "turn":
            step += 1
            add(said(f"go {number}"), sent(step), reply(step, "a"), done(step, 0))
            points.append(len(log))
        elif do == "words":
            add(said(f"note {number}"), SnapshotTaken(tree=BlobId(f"{number:064}")))
            points.append(len(log))
        else:
            through = points[number % len(points)]
            add(rewound(through), after=counts[through])
    view, alone = fold(log), fold(counts[len(log)])
    assert view.messages == alone.messages
    assert view.last_request == alone.last_request
    assert (view.segment, view.pinned, view.reply) == (alone.segment, alone.pinned, alone.reply)
    sends = [entry.event for entry in log if isinstance(entry.event, RequestSent)]
    assert (view.head, view.step, view.totals.requests) == (len(log), step, len(sends))
    again = fold([*log, *entries(said("on"), first=len(log) + 1)])
    assert again.messages[:-1] == view.messages
