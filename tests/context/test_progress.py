import pytest

from hames.context.progress import HELD_STEPS
from hames.core.events import (
    CallFinished,
    CallLost,
    CallStarted,
    ChildReported,
    FileFact,
    Todo,
)
from hames.core.ids import CallId, SessionId, call_id
from hames.core.limits import SEEN_STEPS, STUCK_WAIT_S
from hames.core.messages import Text
from tests.context.walk import Walk


@pytest.fixture
def walk() -> Walk:
    return Walk()


def test_the_same_call_with_the_same_result_is_the_same_act(walk: Walk) -> None:
    walk.step('{"command": "make", "timeout": 5}', "1 error in 0.10s")
    walk.step('{"timeout":5,"command":"make"}', "1 error in 0.20s")
    walk.step('{"timeout":6,"command":"make"}', "1 error in 0.20s")
    walk.step('{"timeout":5,"command":"make"}', "2 errors in 0.20s")
    first, second, third, fourth = walk.steps
    assert first.acts == second.acts
    assert len({first.acts, third.acts, fourth.acts}) == 3
    assert [step.new for step in walk.steps] == [True, False, False, True]


def test_arguments_that_cannot_be_read_are_compared_as_they_are(walk: Walk) -> None:
    walk.step('{"command": ', "no JSON")
    walk.step('{"command": ', "no JSON")
    walk.step('{"command":', "no JSON")
    walk.step('"\ud800"', "no JSON")
    first, second, third, fourth = walk.steps
    assert first.acts == second.acts != third.acts
    assert fourth.said == 'bash "\ud800"'


def test_a_failure_and_a_success_with_the_same_words_are_not_the_same(walk: Walk) -> None:
    walk.step("a", "at 10:00:01")
    walk.step("a", "at 10:00:01", failed=True)
    walk.step("a", "at 10:00:02", failed=True)
    assert [step.new for step in walk.steps] == [True, True, False]


def test_what_has_become_of_files_is_new_once(walk: Walk) -> None:
    walk.write("one", "edited", "A", "B")
    walk.write("two", "edited", "B", "C")
    walk.write("back", "edited", "C", "A")
    walk.write("nothing", "edited", "A", "A")
    assert [step.new for step in walk.steps] == [True, True, False, False]
    assert walk.steps[0].after == walk.steps[1].before
    assert walk.last.before == walk.last.after == walk.steps[0].before


def test_what_somebody_else_has_changed_is_new(walk: Walk) -> None:
    walk.write("one", "edited", "A", "B")
    walk.write("one", "edited", "A", "B")
    assert walk.last.new  # Somebody has put it back.
    walk.write("one", "edited", "B", "B")
    assert not walk.last.new


def test_without_snapshots_the_files_are_what_was_written(walk: Walk) -> None:
    def wrote(content: str, did: str = "wrote") -> None:
        walk.reply(("write", content))
        fact = FileFact("/w/a", content, "wrote") if did == "wrote" else FileFact("/w/b", content, "read")
        walk.end("done", files=(fact,))

    for content in ("1", "2", "1", "3"):
        wrote(content)
    wrote("9", did="read")
    assert [step.new for step in walk.steps] == [True, True, False, True, False]
    assert walk.steps[2].after == walk.steps[0].after
    assert walk.last.before == walk.last.after


def test_a_plan_is_new_when_it_differs(walk: Walk) -> None:
    for content in ("a", "b", "a"):
        walk.reply(("todo_write", content))
        walk.end("the plan has 1 lines", todos=(Todo(content, "pending"),))
    assert [step.new for step in walk.steps] == [True, True, False]


def test_a_result_is_forgotten_after_many_steps(walk: Walk) -> None:
    walk.step("a", "first")
    for number in range(SEEN_STEPS):
        walk.step("b", f"other {number}")
    walk.step("a", "first")
    assert walk.last.new
    walk.step("a", "first")
    assert not walk.last.new


def test_only_the_last_steps_are_held_and_they_are_judged_alike_when_read_again() -> None:
    watched, read = Walk(), Walk()
    for number in range(3 * HELD_STEPS):
        for walk in (watched, read):
            walk.step("a", f"result {number % (SEEN_STEPS - 1)}")
        assert watched.last.step == number + 1
    decide = -(HELD_STEPS - SEEN_STEPS)
    assert len(read.steps) == HELD_STEPS
    assert read.steps[decide:] == watched.steps[decide:]


def test_words_of_the_user_begin_anew(walk: Walk) -> None:
    walk.step("a", "first")
    walk.tell()
    assert list(walk.progress.told) == [1]
    walk.user()
    assert (list(walk.steps), list(walk.progress.told)) == ([], [])
    walk.step("a", "first")
    assert walk.last.new


def test_what_is_told_of_jobs_and_children_belongs_to_the_step_after_it(walk: Walk) -> None:
    walk.job_over("job 1.0 over after 0.12s")
    walk.step("a", "same")
    walk.job_over("job 2.0 over after 0.19s")
    walk.step("a", "same")
    walk.progress.take(ChildReported(child=SessionId("c"), ending="done", parts=(Text("found it"),)))
    walk.step("a", "same")
    first, second, third = walk.steps
    assert first.acts == second.acts != third.acts
    assert [step.new for step in walk.steps] == [True, False, True]


def test_a_lost_call_has_a_result_too(walk: Walk) -> None:
    for _ in range(2):
        walk.reply(("bash", "x"))
        walk.progress.take(CallLost(call=call_id(walk.number, 0), parts=(Text("not known"),), why="killed"))
    first, second = walk.steps
    assert first.acts == second.acts
    assert not second.new


def test_words_without_calls_are_compared_by_what_they_say(walk: Walk) -> None:
    for text in ("I go on.", "I go on.", "Done."):
        walk.reply(text=text)
    first, second, third = walk.steps
    assert first.acts == second.acts != third.acts
    assert first.said == "words alone"
    assert first.end == ""


@pytest.mark.parametrize(
    ("took_s", "failed", "waits"), [(0, False, False), (1, False, True), (1, True, False)]
)
def test_a_long_step_that_went_well_may_wait_for_something(
    walk: Walk, took_s: int, failed: bool, waits: bool
) -> None:
    walk.step("a", "b", took_s=took_s * STUCK_WAIT_S, failed=failed)
    assert walk.last.waits == waits


def test_a_step_says_what_it_did_and_how_that_ended(walk: Walk) -> None:
    walk.reply(("bash", '{"command":\n"x"}'), ("read", "{}"))
    walk.end("first\n")
    walk.end("second\n1 failed\n\n", 1)
    assert (walk.last.said, walk.last.end) == ('bash {"command": "x"}; read {}', "1 failed")


def test_what_belongs_to_no_reply_is_passed_over(walk: Walk) -> None:
    walk.progress.take(CallFinished(call=CallId("1.0"), outcome="ok", parts=()))
    walk.progress.take(CallStarted(call=CallId("1.0")))
    assert list(walk.steps) == []
