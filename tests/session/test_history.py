from typing import Literal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hames.core.events import (
    AnyEvent,
    CallFinished,
    CallIntended,
    CallLost,
    CallStarted,
    CommandFact,
    Effect,
    FilesRestored,
    GoalChecked,
    GoalCheckStarted,
    JobFinished,
    JobStarted,
    RestoreStarted,
    SnapshotTaken,
    TakenBack,
)
from hames.core.ids import BlobId, CallId, JobId
from hames.session.history import (
    Mark,
    UserChange,
    course_since,
    course_without,
    is_unseen,
    timeline,
)
from hames.testing.entries import entries


def tree(number: int) -> BlobId:
    return BlobId(f"{number:064x}")


def taken(number: int) -> SnapshotTaken:
    return SnapshotTaken(tree=tree(number))


def intended(call: str, effect: Effect = "effectful") -> CallIntended:
    return CallIntended(call=CallId(call), step=1, tool="bash", args_hash="", effect=effect)


def started(call: str, before: int | None = None) -> CallStarted:
    return CallStarted(call=CallId(call), tree_before=None if before is None else tree(before))


def finished(call: str, after: int | None = None) -> CallFinished:
    found = None if after is None else tree(after)
    return CallFinished(call=CallId(call), outcome="ok", parts=(), tree_after=found)


def job_started(job: str) -> JobStarted:
    return JobStarted(job=JobId(job), call=CallId(job), command="make")


def job_finished(job: str, after: int | None = None) -> JobFinished:
    found = None if after is None else tree(after)
    return JobFinished(job=JobId(job), command=CommandFact(), output=None, told="", tree_after=found)


def restoring(now: int, to: int, through: int, what: TakenBack = "undo") -> RestoreStarted:
    return RestoreStarted(now=tree(now), was=tree(now), to=tree(to), through=through, what=what)


def by(*events: AnyEvent) -> str:
    """Who changed the workspace before each mark: `a` or `u`."""
    return "".join(mark.by[0] for mark in timeline(entries(*events)))


def test_what_changes_while_a_call_runs_is_the_agents_and_else_the_users() -> None:
    log = entries(started("1.0", 1), taken(2), finished("1.0", 2), taken(3), started("2.0", 3))
    assert timeline(log) == [
        Mark(1, tree(1), "user"),
        Mark(2, tree(2), "agent"),
        Mark(3, tree(2), "agent"),
        Mark(4, tree(3), "user"),
        Mark(5, tree(3), "user"),
    ]


def test_a_lost_call_is_at_work_until_it_is_given_up() -> None:
    lost = CallLost(call=CallId("1.0"), parts=(), why="", tree_after=tree(2))
    assert by(started("1.0", 1), lost, taken(3)) == "uau"


def test_a_call_that_was_not_looked_at_is_at_work_if_it_may_write() -> None:
    assert by(taken(1), intended("1.0"), started("1.0"), finished("1.0"), taken(2)) == "ua"
    assert by(taken(1), intended("1.0", "pure"), started("1.0"), finished("1.0"), taken(2)) == "uu"


def test_a_background_command_is_at_work_until_its_end() -> None:
    assert by(job_started("1.0"), taken(1), taken(2), job_finished("1.0", 3), taken(4)) == "aaau"


def test_a_restore_is_at_work_until_its_end() -> None:
    assert by(taken(1), restoring(1, 2, 1), taken(2), FilesRestored(tree=tree(2)), taken(3)) == "uaau"


def test_what_a_fork_leaves_is_the_users_and_what_the_other_session_had_done_is_not_seen() -> None:
    log = entries(
        taken(1),
        job_started("1.0"),
        taken(2),
        restoring(2, 1, 1, "fork"),
        taken(3),
        FilesRestored(tree=tree(3)),
        taken(4),
    )
    assert timeline(log) == [Mark(1, tree(1), "user"), Mark(6, tree(3), "user"), Mark(7, tree(4), "user")]


def test_the_course_begins_with_the_last_look_at_or_before_the_point() -> None:
    log = entries(taken(1), taken(2), started("1.0", 2), finished("1.0", 3), taken(4), taken(5))
    course = course_since(log, 3)
    assert course is not None
    assert (course.start, course.was) == (tree(2), tree(5))
    assert course.changes == (UserChange(tree(3), tree(5)),)


def test_the_course_of_a_point_before_the_first_look_begins_with_that() -> None:
    course = course_since(entries(job_started("0.0"), taken(1), taken(2)), 1)
    assert course is not None
    assert (course.start, course.was, course.changes) == (tree(1), tree(2), ())
    assert course_since(entries(started("1.0")), 1) is None


def test_the_course_without_a_restore_goes_on_from_what_was_before_it() -> None:
    log = entries(
        taken(1), taken(2), restoring(2, 1, 1), taken(3), FilesRestored(tree=tree(3)), taken(4), taken(5)
    )
    course = course_without(log, 3)
    assert course is not None
    assert (course.start, course.was) == (tree(2), tree(5))
    assert course.changes == (UserChange(tree(3), tree(5)),)
    assert course_without(log, 2) is None
    assert course_without(log[:3], 3) is None


def test_a_fork_can_be_taken_back_to_what_the_other_session_had_left() -> None:
    fork = restoring(2, 1, 1, "fork")
    course = course_without(entries(taken(1), fork, FilesRestored(tree=tree(3)), taken(4)), 2)
    assert course is not None
    assert (course.start, course.changes) == (tree(2), (UserChange(tree(3), tree(4)),))


def test_a_call_before_the_first_look_is_unseen() -> None:
    assert is_unseen(entries(intended("1.0"), started("1.0")), 0)
    assert not is_unseen(entries(intended("1.0"), started("1.0")), 2)
    assert not is_unseen(entries(intended("1.0", "pure"), started("1.0")), 0)
    assert not is_unseen(entries(taken(1), intended("1.0"), started("1.0")), 0)


Do = Literal["begin", "end", "look", "job", "job over", "change"]


class Ran(msgspec.Struct):
    """Something of the agent's that was at work from one entry to another."""

    name: str
    begin: int
    end: int = 10**9


class Story:
    """A random log, and the spans in which the agent was at work, kept apart from it."""

    def __init__(self) -> None:
        self.events: list[AnyEvent] = []
        self.ran: list[Ran] = []
        self.marks: list[tuple[int, int]] = []
        self.tree = 0

    def do(self, do: Do) -> None:
        live = [ran for ran in self.ran if ran.end == 10**9]
        calls = [ran for ran in live if not ran.name.startswith("j")]
        jobs = [ran for ran in live if ran.name.startswith("j")]
        match do:
            case "begin" if not calls:
                self._add(started(f"{len(self.ran)}", self.tree), mark=True)
                self.ran.append(Ran(f"{len(self.ran)}", len(self.events)))
            case "end" if calls:
                self._add(finished(calls[0].name, self.tree), mark=True)
                calls[0].end = len(self.events)
            case "look":
                self._add(taken(self.tree), mark=True)
            case "job":
                self._add(job_started(f"j{len(self.ran)}"))
                self.ran.append(Ran(f"j{len(self.ran)}", len(self.events)))
            case "job over" if jobs:
                self._add(job_finished(jobs[0].name))
                jobs[0].end = len(self.events)
            case "change":
                self.tree += 1
            case _:
                pass

    def _add(self, event: AnyEvent, *, mark: bool = False) -> None:
        self.events.append(event)
        if mark:
            self.marks.append((len(self.events), self.tree))

    def is_agents(self, one: int, other: int) -> bool:
        return any(ran.begin < other and ran.end > one for ran in self.ran)


def test_what_a_check_of_a_goal_changes_is_the_agents() -> None:
    check = CallId("check.1")
    over = GoalChecked(check=check, command="make", passed=True, fact=CommandFact(), tree_after=tree(2))
    log = entries(taken(1), GoalCheckStarted(check=check, tree_before=tree(1)), taken(2), over, taken(3))
    assert [mark.by for mark in timeline(log)] == ["user", "user", "agent", "agent", "user"]
    course = course_since(log, 0)
    assert course is not None
    assert course.changes == (UserChange(tree(2), tree(3)),)


def test_a_check_of_a_goal_before_any_look_may_have_changed_anything() -> None:
    log = entries(GoalCheckStarted(check=CallId("check.1")), taken(1))
    assert is_unseen(log, 0)
    assert not is_unseen(log, 1)


STEPS: list[Do] = ["begin", "end", "look", "job", "job over", "change"]


@given(st.lists(st.sampled_from(STEPS), max_size=30), st.integers(0, 30))
def test_the_users_changes_are_those_between_looks_with_nobody_at_work(does: list[Do], through: int) -> None:
    story = Story()
    for do in does:
        story.do(do)
    if not story.marks:
        return
    log = entries(*story.events)
    expected: list[tuple[int, int]] = []
    start = max([mark for mark in story.marks if mark[0] <= through], default=story.marks[0])
    for (one, before), (other, after) in zip(story.marks, story.marks[1:], strict=False):
        if one >= start[0] and before != after and not story.is_agents(one, other):
            if expected and expected[-1][1] == before:
                expected[-1] = (expected[-1][0], after)
            else:
                expected.append((before, after))
    course = course_since(log, through)
    assert course is not None
    assert course.start == tree(start[1])
    assert course.was == tree(story.marks[-1][1])
    assert list(course.changes) == [UserChange(tree(before), tree(after)) for before, after in expected]
