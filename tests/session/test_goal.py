"""Goals over kills: the log is cut where a check ran, and somebody goes on with it."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from hames.channels.headless import NobodyHere
from hames.core.events import (
    AnyEvent,
    CallFinished,
    GoalChecked,
    GoalCheckStarted,
    ModelReplied,
    RequestSent,
    TurnEnded,
)
from hames.core.ids import CallId
from hames.core.ports import Judgement, ToolResult
from hames.loop.goal import goal_set
from hames.session.session import Session
from hames.testing.scripted import Scripted
from hames.tools.bash import Shell
from hames.tools.check import ShellChecker
from tests.rig import BenchPolicy, Rig, asks, checked, ok
from tests.session.test_attach import ENV, GO, world

pytestmark = pytest.mark.anyio


async def cut(rig: Rig, last: type, *, nth: int = 0, goal: str = "make") -> tuple[Rig, Session]:
    """The session of a turn that somebody else goes on with after an event of this kind."""
    session = await rig.open()
    if goal:
        await session.set_goal(goal_set(goal, "test", 30.0))
    await session.say(GO)
    events: list[AnyEvent] = [e.event for e in await rig.store.read(session.id) if e.event is not None]
    places = [at for at, event in enumerate(events) if isinstance(event, last)]
    again = Rig(Scripted(text="went on"), Scripted(text="and on"))
    claim = await again.store.claim(session.id)
    await again.store.append(claim, events[: places[nth] + 1], rig.store.brought)
    return again, await again.host.resume(session.id)


def kinds(events: Sequence[object]) -> list[type]:
    return [type(event) for event in events]


async def test_a_check_that_was_cut_short_is_ended_and_run_again_without_asking_the_model() -> None:
    rig, session = await cut(Rig(Scripted(text="done")), GoalCheckStarted)
    ended = await session.go_on()
    assert (ended.ending, ended.code) == ("done", "goal")
    assert rig.checker.stopped == ["check.1"]
    assert [order.check for order in rig.checker.orders] == ["check.2"]
    assert rig.model.bodies == []
    checks = [e for e in await rig.logged(session) if isinstance(e, GoalChecked)]
    assert [(e.check, e.passed, e.fact.stopped) for e in checks] == [
        ("check.1", False, True),
        ("check.2", True, False),
    ]


async def test_with_new_words_a_check_that_was_cut_short_is_only_ended() -> None:
    rig, session = await cut(Rig(Scripted(text="done")), GoalCheckStarted)
    await session.say(GO)
    events = await rig.logged(session)
    assert rig.checker.stopped == ["check.1"]
    at = kinds(events).index(GoalChecked)
    assert kinds(events)[at + 1] is TurnEnded
    assert len(rig.checker.orders) == 1


async def test_a_last_word_that_was_kept_is_not_asked_for_again() -> None:
    """Also without a goal."""
    first = Rig(Scripted(text="done"))
    rig, session = await cut(first, ModelReplied, goal="")
    ended = await session.go_on()
    assert ended.ending == "done"
    assert rig.model.bodies == []


async def test_failures_are_counted_on_after_a_kill() -> None:
    first = Rig()
    first.checker.results = [checked(1, "FAILED") for _ in range(5)]
    rig, session = await cut(first, RequestSent, nth=2)
    rig.checker.results = [checked(1, "FAILED") for _ in range(5)]
    ended = await session.go_on()
    assert (ended.ending, ended.code) == ("blocked", "goal_stuck")
    assert len(rig.checker.orders) == 1


async def test_the_want_of_a_person_is_remembered_over_a_kill() -> None:
    async def edit(arguments: str, context: object) -> ToolResult:
        return ok("edited")

    first = Rig(asks(("edit", "1")), Scripted(text="I may not"), tools={"edit": ("effectful", edit)})
    first.person = NobodyHere()
    first.policy = BenchPolicy({"edit": Judgement("ask", "test", "a write")})
    _, session = await cut(first, CallFinished, goal="")
    ended = await session.go_on()
    assert (ended.ending, ended.code, ended.reason) == ("blocked", "approval", "a person is needed: a write")


async def test_a_goal_is_kept_by_the_session() -> None:
    rig = Rig(Scripted(text="done"))
    session = await rig.open()
    goal = goal_set("make", "test", 30.0)
    await session.set_goal(goal)
    assert await rig.store.sessions() == []
    await session.say(GO)
    await session.set_goal(goal_set("make more", "test", 30.0))
    again = await rig.host.resume(session.id)
    assert again.view.pursuit.goal == goal_set("make more", "test", 30.0)


async def test_a_check_that_still_runs_is_gone_before_it_is_run_again(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        await made.killed_in("echo $$ >> pids; echo > ready; read < go")
        pid = int((made.place / "pids").read_text())
        os.kill(pid, 0)
        shell = Shell("/bin/bash", ENV, str(made.place))
        checker = ShellChecker(await made.launcher(), Rig().store, shell)
        await checker.stop(CallId("1.0"))
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        await checker.stop(CallId("1.0"))
        await checker.stop(CallId("check.2"))
