from collections.abc import Callable, Sequence
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.core.events import Labelled, TurnEnded, UserSpoke
from hames.core.limits import (
    SEEN_STEPS,
    STUCK_CYCLE,
    STUCK_PATIENCE,
    STUCK_ROUNDS,
    STUCK_SAME,
    STUCK_STEPS,
    STUCK_WAIT_S,
)
from hames.core.messages import Text, plain
from hames.core.ports import CallContext, ToolResult, Words
from hames.loop.endings import exit_code
from hames.loop.kit import Guards, OnStuck
from hames.loop.stuck import Stuck, find
from hames.session.session import Session
from hames.testing.scripted import Answer, Scripted
from tests.context.walk import Walk
from tests.rig import BenchTrees, Rig, asks, check_the_log, ok


def level(walk: Walk) -> int:
    found = find(walk.steps)
    return 0 if found is None else found.level


def found(walk: Walk) -> Stuck:
    stuck = find(walk.steps)
    assert stuck is not None
    return stuck


def levels(thresholds: Sequence[int], most: int) -> list[int]:
    """The level after each of so many rounds."""
    return [sum(count >= each for each in thresholds) for count in range(1, most + 1)]


# Circles


def test_the_same_call_with_the_same_result_is_a_circle() -> None:
    walk, seen = Walk(), list[int]()
    for _ in range(STUCK_SAME[-1]):
        walk.step('{"command": "pytest -q"}', "1 failed in 0.12s", failed=True)
        seen.append(level(walk))
    assert seen == levels(STUCK_SAME, STUCK_SAME[-1])
    assert found(walk).evidence == (
        "the same step was made 8 times in a row with the same result: "
        'bash {"command": "pytest -q"}, ending "1 failed in 0.12s"'
    )
    assert found(walk).since == 1


def test_a_step_between_breaks_the_circle() -> None:
    walk = Walk()
    for _ in range(4):
        walk.step("a", "same")
        walk.step("a", "same")
        walk.step(f"b{walk.number}", f"other {walk.number}")
        assert level(walk) == 0


@pytest.mark.parametrize("length", range(2, STUCK_CYCLE + 1))
def test_whole_rounds_of_a_longer_cycle_are_counted(length: int) -> None:
    walk, seen = Walk(), list[int]()
    walk.step("before", "something else")
    for _ in range(STUCK_ROUNDS[-1]):
        for at in range(length):
            walk.step(f"call {at}", "result")
        seen.append(level(walk))
    assert seen == levels(STUCK_ROUNDS, STUCK_ROUNDS[-1])
    assert f"the same {length} steps were made 5 times in a row" in found(walk).evidence
    assert found(walk).since == 2


@given(
    length=st.integers(1, STUCK_CYCLE),
    acts=st.lists(st.integers(0, 3), min_size=STUCK_CYCLE, max_size=STUCK_CYCLE),
    before=st.lists(st.integers(0, 5), max_size=12),
    writes=st.booleans(),
)
def test_any_cycle_is_found_whatever_came_before(
    length: int, acts: list[int], before: list[int], writes: bool
) -> None:
    walk = Walk()

    def step(act: int) -> None:
        if writes:
            walk.write(f"call {act}", "result", f"tree {walk.number}", f"tree {walk.number + 1}")
        else:
            walk.step(f"call {act}", f"result {act}")

    for act in before:
        step(act)
    most = STUCK_SAME[-1] * (STUCK_PATIENCE if writes else 1)
    seen = 0
    for _ in range(most):
        for act in acts[:length]:
            step(act)
            seen = max(seen, level(walk))
    assert seen == len(STUCK_SAME)


def test_a_thousand_polls_whose_output_differs_are_no_circle() -> None:
    walk = Walk()
    for number in range(1000):
        walk.step('{"command": "tail -1 log"}', f"batch {number} of 1000 done in 0.01s")
        assert level(walk) == 0


@given(st.lists(st.integers(0, 10**6), min_size=100, max_size=200, unique=True), st.sampled_from([0.0, 60.0]))
def test_polls_whose_output_differs_are_never_a_circle(outputs: list[int], took_s: float) -> None:
    walk = Walk()
    for number in outputs:
        walk.step("poll", f"at {number}", took_s=took_s)
        assert level(walk) == 0


def test_who_waits_long_for_the_same_answer_is_given_time() -> None:
    walk, seen = Walk(), list[int]()
    for _ in range(STUCK_STEPS[-1] + 1):
        walk.step("wait", "[job 1.0 is still running after 60 s]", took_s=60.0)
        seen.append(level(walk))
    assert seen == [0, *levels(STUCK_STEPS, STUCK_STEPS[-1])]


def test_who_waits_for_what_fails_is_not() -> None:
    walk = Walk()
    for _ in range(STUCK_SAME[0]):
        walk.step("make", "error", took_s=2 * STUCK_WAIT_S, failed=True)
    assert level(walk) == 1


def test_a_silent_program_that_changes_files_each_time_is_given_more_time() -> None:
    walk, seen = Walk(), list[int]()
    for number in range(STUCK_SAME[-1] * STUCK_PATIENCE):
        walk.write("do the next", "(no output)", f"tree {number}", f"tree {number + 1}")
        seen.append(level(walk))
    assert seen == levels([count * STUCK_PATIENCE for count in STUCK_SAME], len(seen))


# Edits that undo each other


def toggled(walk: Walk, between: Callable[[int], str], rounds: int) -> list[int]:
    """An edit that is made, looked at and undone, so many times; the level after each time it is made."""
    seen: list[int] = []
    for number in range(rounds):
        walk.write(f"make, for the {number}th time", "edited", "A", "B")
        seen.append(level(walk))
        walk.step(f"test {number}", between(number), failed=True)
        walk.write(f"undo, for the {number}th time", "edited", "B", "A")
    return seen


def test_edits_that_undo_each_other_are_a_circle_though_their_words_differ() -> None:
    walk = Walk()
    assert toggled(walk, lambda _: "still broken", 5) == levels(STUCK_ROUNDS, 5)
    assert "the same change of the files was made 5 times, and undone in between" in found(walk).evidence


def test_where_each_time_teaches_something_edits_may_be_undone_more_often() -> None:
    walk, most = Walk(), STUCK_ROUNDS[0] * STUCK_PATIENCE
    assert toggled(walk, lambda number: f"{number} requests served", most) == [0] * (most - 1) + [1]


def test_a_different_change_each_time_that_is_undone_is_no_circle() -> None:
    walk = Walk()
    for number in range(30):
        walk.write("mutate", "edited", "A", f"mutant {number}")
        walk.step("test", f"mutant {number} found")
        walk.write("restore", "edited", f"mutant {number}", "A")
        assert level(walk) == 0


# Steps that bring nothing


def test_many_steps_without_anything_new_are_a_circle() -> None:
    walk, seen = Walk(), list[int]()
    for number in range(12):
        walk.step(f"read {number}", f"file {number}")
    order = [7 * number * number % 13 % 12 for number in range(STUCK_STEPS[-1])]
    for number in order:
        walk.step(f"read {number}", f"file {number}")
        seen.append(level(walk))
    # Where the order happens to repeat, that is found earlier; never later.
    assert all(got >= least for got, least in zip(seen, levels(STUCK_STEPS, STUCK_STEPS[-1]), strict=True))


def test_reading_one_new_file_after_the_other_is_no_circle() -> None:
    walk = Walk()
    for number in range(300):
        walk.step(f"read {number}", f"file {number}")
        assert level(walk) == 0


def test_going_through_more_than_can_be_remembered_is_no_circle() -> None:
    walk = Walk()
    for number in range(3 * SEEN_STEPS):
        walk.step(f"read {number % (SEEN_STEPS + 1)}", f"file {number % (SEEN_STEPS + 1)}")
    assert level(walk) == 0


# What is done about it


def words(text: str = "go") -> list[Words]:
    return [Words((Text(text),))]


async def same(arguments: str, context: CallContext) -> ToolResult:
    return ok("as before")


def circling(number: int, body: bytes) -> Answer:
    return asks(("look", '{"at": 1}'))


async def run(rig: Rig) -> tuple[Session, TurnEnded]:
    session = await rig.open()
    return session, await session.say(words())


def notes(logged: Sequence[object]) -> list[str]:
    return [plain(e.parts) for e in logged if isinstance(e, UserSpoke) and e.source == "harness"]


@pytest.mark.anyio
async def test_the_model_is_told_twice_and_then_the_turn_is_blocked() -> None:
    rig = Rig(script=circling, tools={"look": ("pure", same)})
    session, ended = await run(rig)
    evidence = 'times in a row with the same result: look {"at": 1}, ending "as before"'
    assert (ended.ending, ended.code, ended.steps) == ("blocked", "stuck", STUCK_SAME[2])
    assert ended.reason == f"it goes round in circles: the same step was made 8 {evidence}"
    assert exit_code(ended) == 3
    logged = await rig.logged(session)
    assert notes(logged) == [
        f"[You are going in circles: the same step was made 3 {evidence}. It will not come out differently. "
        "Change something first, look elsewhere, or say what you need; to wait for something, wait longer in "
        "one call.]",
        f"[You are still going in circles: the same step was made 5 {evidence}. If this goes on, the turn "
        "ends as blocked. Do something that you have not done yet, or stop and say what is missing and what "
        "you have tried.]",
    ]
    labels = [event for event in logged if isinstance(event, Labelled)]
    assert [(each.step, each.label, each.source) for each in labels] == [
        (3, "stuck", "rule"),
        (5, "stuck", "rule"),
    ]
    assert f"was made 3 {evidence}" in labels[0].evidence
    await check_the_log(rig, session)


@pytest.mark.anyio
async def test_something_new_resets_it() -> None:
    def answer(number: int, body: bytes) -> Answer:
        if number < 20:
            return asks(("look", f'{{"at": {number // 4}}}'))
        return Scripted(text="found it")

    rig = Rig(script=answer, tools={"look": ("pure", same)})
    session, ended = await run(rig)
    assert ended.ending == "done"
    assert len(notes(await rig.logged(session))) == 5


@pytest.mark.anyio
@pytest.mark.parametrize("on_stuck", get_args(OnStuck))
async def test_it_can_be_told_only_or_left_alone(on_stuck: OnStuck) -> None:
    def answer(number: int, body: bytes) -> Answer:
        return circling(number, body) if number < 12 else Scripted(text="enough")

    rig = Rig(script=answer, tools={"look": ("pure", same)})
    rig.guards = Guards(on_stuck=on_stuck)
    session, ended = await run(rig)
    assert ended.ending == ("blocked" if on_stuck == "stop" else "done")
    assert len(notes(await rig.logged(session))) == (0 if on_stuck == "off" else 2)


@pytest.mark.anyio
async def test_words_of_the_user_give_it_another_chance() -> None:
    rig = Rig(script=circling, tools={"look": ("pure", same)})
    session, ended = await run(rig)
    again = await session.say(words("try once more"))
    assert (ended.ending, again.ending) == ("blocked", "blocked")
    assert again.steps == STUCK_SAME[2]


@pytest.mark.anyio
@pytest.mark.parametrize("cut", range(1, STUCK_SAME[2]))
async def test_a_resumed_turn_decides_like_one_that_was_not_interrupted(cut: int) -> None:
    rig = Rig(script=circling, tools={"look": ("pure", same)})
    rig.trees = lambda _: BenchTrees()
    session, ended = await run(rig)
    whole = await rig.store.read(session.id)
    replies = [entry.seq for entry in whole if type(entry.event).__name__ == "ModelReplied"]

    second = Rig(script=circling, tools={"look": ("pure", same)})
    claim = await second.store.claim(session.id)
    kept = [entry.event for entry in whole if entry.seq <= replies[cut] and entry.event is not None]
    await second.store.append(claim, kept, rig.store.brought)
    await second.store.release(claim)
    resumed = await second.host.resume(session.id)
    again = await resumed.go_on()
    assert (again.ending, again.reason, again.steps) == (ended.ending, ended.reason, ended.steps)
    assert notes(await second.logged(resumed)) == notes(await rig.logged(session))


@pytest.mark.anyio
async def test_a_reply_that_is_cut_again_and_again_is_a_circle_too() -> None:
    rig = Rig(script=lambda number, body: Scripted(text="I begin", finish="length"))
    _, ended = await run(rig)
    assert (ended.ending, ended.code, ended.steps) == ("blocked", "stuck", STUCK_SAME[2])
