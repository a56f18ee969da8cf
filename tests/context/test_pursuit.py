from hames.context.pursuit import Pursuit, Streak
from hames.core.events import (
    AnyEvent,
    CallStarted,
    CommandFact,
    GoalChecked,
    GoalCheckStarted,
    GoalSet,
    TurnStarted,
    UserSpoke,
)
from hames.core.ids import BlobId, CallId, call_id

CHECK = CallId("check.1")
TREE = BlobId("c" * 64)
GOAL = GoalSet(command="make", by="test", timeout_s=5.0)


def checked(likeness: str = "", exit_code: int | None = 1, *, changed: bool = False) -> GoalChecked:
    passed = exit_code == 0
    return GoalChecked(
        check=CHECK,
        command="make",
        passed=passed,
        fact=CommandFact(exit_code=exit_code, stopped=exit_code is None),
        likeness=likeness,
        changed=changed,
        tree_after=TREE,
    )


def pursuit(*events: AnyEvent) -> Pursuit:
    made = Pursuit()
    for seq, event in enumerate(events, 1):
        made.take(event, seq)
    return made


def test_a_goal_stands_until_it_is_lifted() -> None:
    assert pursuit(GOAL).goal == GOAL
    assert pursuit(GOAL, GoalSet(command="", by="test")).goal is None
    assert pursuit(UserSpoke(parts=())).goal is None


def test_a_check_runs_from_its_start_to_its_end() -> None:
    begun = pursuit(GOAL, GoalCheckStarted(check=CHECK))
    assert (begun.running, begun.checks) == (CHECK, 1)
    ended = pursuit(GOAL, GoalCheckStarted(check=CHECK), checked("a"))
    assert (ended.running, ended.checks, ended.checked_seq) == (None, 1, 3)


def test_failures_that_look_the_same_are_counted_while_files_stay() -> None:
    assert pursuit(GOAL, checked("a"), checked("a")).streak == Streak("a", same=2, idle=2)
    assert pursuit(GOAL, checked("a"), checked("a", changed=True)).streak == Streak("a", same=2, idle=1)
    assert pursuit(GOAL, checked("a"), checked("b")).streak == Streak("b", same=1, idle=1)
    assert pursuit(GOAL, checked("a"), checked(exit_code=0)).streak == Streak()


def test_a_check_that_cannot_run_is_counted_by_itself() -> None:
    assert pursuit(GOAL, checked("a", 127), checked("b", 126)).streak.unrunnable == 2
    assert pursuit(GOAL, checked("a", 127), checked("b", 1)).streak.unrunnable == 0


def test_a_check_that_was_stopped_says_nothing() -> None:
    assert pursuit(GOAL, checked("a"), checked(exit_code=None)).streak == Streak("a", same=1, idle=1)


def test_a_new_turn_and_a_new_goal_begin_again() -> None:
    assert pursuit(GOAL, checked("a"), TurnStarted(turn=2)).streak == Streak()
    assert pursuit(GOAL, checked("a"), GOAL).streak == Streak()


def test_a_goal_is_reached_until_something_runs_that_may_write() -> None:
    passed = (GOAL, checked(exit_code=0))
    looked = CallStarted(call=call_id(1, 0))
    assert pursuit(*passed, looked, TurnStarted(turn=2)).passed == TREE
    assert pursuit(*passed, CallStarted(call=call_id(1, 0), tree_before=TREE)).passed is None
    assert pursuit(*passed, checked("a")).passed is None
    assert pursuit(*passed, GOAL).passed is None
