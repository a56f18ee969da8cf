from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from hames.context.rewinding import taken_back
from hames.context.view import fold
from hames.core.events import (
    AnyEvent,
    CallFinished,
    CallLost,
    CommandFact,
    Entry,
    FilesRestored,
    GoalChecked,
    GoalCheckStarted,
    ModelFailed,
    ModelReplied,
    RequestSent,
    RestoreStarted,
    Rewound,
    SessionOpened,
    SettingsPinned,
    TakenBack,
    TurnEnded,
    TurnStarted,
    Usage,
    UserSpoke,
)
from hames.core.ids import BlobId, CallId, call_id
from hames.core.messages import AssistantMessage, Call, Text, UserMessage, plain
from hames.session.points import Point, boundary, first_point, redo_point, undo_point, words_after
from hames.testing.entries import SESSION, entries

BLOB = BlobId("b" * 64)
OPENING: list[AnyEvent] = [
    SessionOpened(session=SESSION, format=1, hames="0", workspace="/w"),
    SettingsPinned(
        segment=1, model="m", provider="p", wire="chat", system=BLOB, tools=BLOB, sandbox="none", mode="auto"
    ),
    UserSpoke(parts=(Text("[the workspace]"),), source="context"),
]


def said(text: str) -> UserSpoke:
    return UserSpoke(parts=(Text(text),))


def sent(step: int) -> RequestSent:
    return RequestSent(step=step, attempt=1, segment=1, head=BLOB, added=(), tail=BLOB, sha256="", size=1)


def replied(step: int, *names: str) -> ModelReplied:
    calls = tuple(Call(call_id(step, index), "", name, "") for index, name in enumerate(names))
    message = AssistantMessage("", calls=calls)
    return ModelReplied(
        step=step, attempt=1, message=message, finish="stop", model="m", raw=BLOB, usage=Usage()
    )


def done(step: int, index: int) -> CallFinished:
    return CallFinished(call=call_id(step, index), outcome="ok", parts=())


def turn(number: int, *words: str) -> list[AnyEvent]:
    """A whole turn of one step."""
    spoken = [said(text) for text in words]
    return [
        *spoken,
        TurnStarted(turn=number),
        sent(number),
        replied(number),
        TurnEnded(turn=number, ending="done", reason=""),
    ]


def restored(through: int, what: TakenBack, *, context: bool = True) -> list[AnyEvent]:
    """A whole restore, of the view too with `context`."""
    start = RestoreStarted(now=BLOB, was=BLOB, to=BLOB, through=through, what=what, context=context)
    end: list[AnyEvent] = [Rewound(through=through, what=what)] if context else []
    return [start, FilesRestored(tree=BLOB), *end]


def log_of(*events: AnyEvent) -> list[Entry]:
    return entries(*OPENING, *events)


def test_undo_goes_back_to_before_the_words_of_the_last_turn() -> None:
    log = log_of(*turn(1, "one"), *turn(2, "two", "and more"))
    assert undo_point(log) == Point(8)
    assert undo_point([*log, *entries(Rewound(through=8, what="undo"), first=len(log) + 1)]) == Point(3)
    assert undo_point(log_of()) is None


def test_a_turn_without_words_of_its_own_is_undone_by_itself() -> None:
    note = UserSpoke(parts=(Text("[note]"),), source="harness")
    assert undo_point(log_of(*turn(1, "one"), note, *turn(2))) == Point(9)
    assert undo_point(entries(SessionOpened(SESSION, 1, "0", "/w"), *turn(1))) == Point(1)


def test_files_that_went_back_alone_are_further_back_than_the_view() -> None:
    log = log_of(*turn(1, "one"), *turn(2, "two"), *restored(8, "undo", context=False))
    assert undo_point(log) == Point(8)
    assert undo_point(log, RestoreStarted) == Point(3)


def test_the_first_point_is_before_the_first_words() -> None:
    assert first_point(log_of(*turn(1, "one"), *turn(2, "two"))) == 3
    assert first_point(log_of()) == 3


def test_redo_goes_back_to_before_the_last_undo_until_a_turn_is_started() -> None:
    log = [*turn(1, "one"), *turn(2, "two"), Rewound(through=8, what="undo")]
    assert redo_point(log_of(*log)) == Point(13)
    assert redo_point(log_of(*log, Rewound(through=13, what="redo"))) is None
    assert redo_point(log_of(*log, *turn(3, "three"))) is None
    assert redo_point(log_of()) is None


def test_a_restore_and_its_view_are_redone_together() -> None:
    log = [*turn(1, "one"), *turn(2, "two"), *restored(8, "undo")]
    assert redo_point(log_of(*log)) == Point(13, 14)
    assert redo_point(log_of(*log, *restored(3, "rewind"))) == Point(16, 17)
    both = log_of(*log, *restored(3, "rewind"), *restored(16, "redo"))
    assert redo_point(both) == Point(13, 14)
    assert redo_point(log_of(*log, Rewound(through=3, what="undo"))) == Point(16)


def test_the_last_entry_with_nothing_under_way_is_a_boundary() -> None:
    log = log_of(
        said("one"),
        TurnStarted(turn=1),
        sent(1),
        ModelFailed(step=1, attempt=1, kind="rate", message=""),
        replied(1, "a", "b"),
        done(1, 0),
        CallLost(call=call_id(1, 1), parts=(), why=""),
        sent(2),
        TurnEnded(turn=1, ending="cancelled", reason=""),
    )
    assert [boundary(log, seq) for seq in range(1, 14)] == [3, 3, 3, 4, 5, 5, 5, 5, 5, 10, 10, 12, 12]


def test_nothing_is_a_boundary_in_the_midst_of_a_check_of_a_goal() -> None:
    check = CallId("check.1")
    over = GoalChecked(check=check, command="make", passed=True, fact=CommandFact())
    log = log_of(said("one"), TurnStarted(turn=1), GoalCheckStarted(check=check), over)
    assert [boundary(log, seq) for seq in range(4, 8)] == [4, 5, 5, 7]


def test_nothing_is_a_boundary_in_the_midst_of_a_restore() -> None:
    log = log_of(*restored(3, "undo"), *restored(3, "undo", context=False))
    assert [boundary(log, seq) for seq in range(3, 9)] == [3, 3, 3, 6, 6, 8]


def test_the_users_words_that_are_given_up_are_those_the_view_holds_no_more() -> None:
    steered = UserSpoke(parts=(Text("hurry"),), source="steer")
    log = log_of(*turn(1, "one"), *turn(2, "two"), steered)
    assert words_after(log, 8) == ("two", "hurry")
    back = [*log, *entries(Rewound(through=3, what="undo"), first=len(log) + 1)]
    assert words_after(back, 3) == ()
    assert words_after(back, 8) == ()


DOES = ["turn", "undo", "redo", "rewind", "undo files"]


class Past:
    """An undo stack as anybody would write it, beside the log."""

    def __init__(self) -> None:
        self.log = log_of()
        self.state: tuple[str, ...] = ()
        self.stack: list[tuple[str, ...]] = []
        self.states: list[tuple[int, tuple[str, ...]]] = [(3, ())]
        self.turns = 0

    def add(self, *events: AnyEvent) -> None:
        self.log.extend(entries(*events, first=len(self.log) + 1))

    def do(self, do: str, number: int) -> None:
        match do:
            case "turn":
                self.turns += 1
                self.state = (*self.state, f"go {self.turns}")
                self.add(*turn(self.turns, self.state[-1]))
                self.stack.clear()
            case "undo":
                point = undo_point(self.log)
                assert (point is None) == (self.state == ())
                if point is not None:
                    self.stack.append(self.state)
                    self._go(point, "undo", self.state[:-1], with_files=number % 2 == 0)
            case "redo":
                point = redo_point(self.log)
                assert (point is None) == (not self.stack)
                if point is not None:
                    self._go(point, "redo", self.stack.pop(), with_files=number % 3 == 0)
            case "rewind":
                seq, state = self.states[number % len(self.states)]
                self.stack.append(self.state)
                self._go(Point(boundary(self.log, seq)), "rewind", state, with_files=number % 2 == 0)
            case _:
                if self.state:
                    self.stack.append(self.state)
                    self.add(*restored(3, "undo", context=False))
        self.states.append((len(self.log), self.state))

    def _go(self, point: Point, what: TakenBack, state: tuple[str, ...], *, with_files: bool) -> None:
        self.state = state
        self.add(
            *(restored(point.through, what) if with_files else [Rewound(through=point.through, what=what)])
        )


def words_in(log: Sequence[Entry]) -> tuple[str, ...]:
    return tuple(plain(m.parts) for m in fold(log).messages if isinstance(m, UserMessage))[1:]


@given(st.lists(st.tuples(st.sampled_from(DOES), st.integers(0, 30)), max_size=20))
def test_undo_and_redo_are_those_of_an_undo_stack(does: list[tuple[str, int]]) -> None:
    past = Past()
    for do, number in does:
        past.do(do, number)
        assert words_in(past.log) == past.state
        assert len(taken_back(past.log)) < len(past.log)
    for seq, state in past.states:
        assert words_after(past.log, seq) == tuple(word for word in past.state if word not in state)
