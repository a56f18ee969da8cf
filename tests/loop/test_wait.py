from typing import cast

import pytest

from hames.core.errors import ExitCode, FailureKind, ModelError
from hames.core.events import (
    AnyEvent,
    LimitReached,
    ModelFailed,
    RequestSent,
    TurnEnded,
    WaitEnded,
    WaitStarted,
)
from hames.core.messages import Text
from hames.core.ports import CallContext, Closed, Notice, ToolResult, Words
from hames.loop.endings import exit_code
from hames.loop.kit import TurnLimits
from hames.loop.wait import LOOK_S
from hames.session.session import Session
from hames.testing.clock import VirtualClock
from hames.testing.scripted import Answer, Scripted
from tests.rig import BenchGate, Rig, asks, check_the_log, ok

pytestmark = pytest.mark.anyio

BUSY = ModelError("overload", "busy")
GO = [Words((Text("go"),))]


async def say(rig: Rig) -> tuple[Session, TurnEnded]:
    session = await rig.open()
    return session, await session.say(GO)


async def look(arguments: str, context: CallContext) -> ToolResult:
    return ok("seen")


def of_type(events: list[object], kind: type) -> list[object]:
    return [event for event in events if type(event) is kind]


@pytest.mark.parametrize("kind", ["rate", "overload", "transport"])
async def test_an_outage_of_ten_minutes_is_waited_out(kind: FailureKind) -> None:
    def script(number: int, body: bytes) -> Answer:
        return ModelError(kind, "not now") if rig.clock.elapsed() < 600 else Scripted(text="there")

    rig = Rig(script=script)
    session, ended = await say(rig)
    assert ended.ending == "done"
    assert 600 <= rig.clock.elapsed() < 630
    assert len(rig.model.bodies) < 80
    assert len(set(rig.model.bodies)) == 1
    assert len(of_type(await rig.logged(session), WaitStarted)) == len(rig.model.bodies) - 1
    await check_the_log(rig, session)


async def test_patience_ends_and_the_session_can_be_gone_on_with() -> None:
    rig = Rig(script=lambda number, body: BUSY if rig.clock.elapsed() < 1801 else Scripted(text="there"))
    session, ended = await say(rig)
    assert (ended.ending, ended.code) == ("failed", "overload")
    assert ended.reason.startswith("busy. It was waited for, 30 min in all; go on later with --resume")
    assert exit_code(ended) is ExitCode.UNAVAILABLE
    assert 1799 <= rig.clock.elapsed() <= 1800
    limits = [e for e in await rig.logged(session) if isinstance(e, LimitReached)]
    assert [limit.limit for limit in limits] == ["patience_s"]
    await rig.clock.sleep(60)
    assert (await session.say(GO)).ending == "done"


async def test_a_wait_that_patience_does_not_allow_is_not_begun() -> None:
    rig = Rig(ModelError("rate", "come back tomorrow", wait_s=86_400.0))
    _, ended = await say(rig)
    assert (ended.ending, ended.code) == ("failed", "rate")
    assert rig.clock.elapsed() == 0


async def test_who_has_no_end_of_patience_waits_until_tomorrow() -> None:
    rig = Rig(ModelError("rate", "come back tomorrow", wait_s=86_400.0), Scripted(text="there"))
    rig.limits = TurnLimits(patience_s=None)
    _, ended = await say(rig)
    assert ended.ending == "done"
    assert 86_400 <= rig.clock.elapsed() < 86_401


async def test_a_reply_restores_all_patience() -> None:
    busy = ModelError("rate", "slow down", wait_s=60.0)
    rig = Rig(
        busy,
        asks(("look", "1")),
        busy,
        asks(("look", "2")),
        busy,
        Scripted(text="there"),
        tools={"look": ("pure", look)},
    )
    rig.limits = TurnLimits(patience_s=70.0)
    _, ended = await say(rig)
    assert ended.ending == "done"
    assert rig.clock.elapsed() >= 180


async def cut_after(rig: Rig, session: Session, last: type[AnyEvent], *answers: Answer) -> Rig:
    """What a process leaves that was killed after its first event of that kind."""
    events = await rig.logged(session)
    upto = next(index for index, event in enumerate(events) if isinstance(event, last))
    left = Rig(*answers)
    claim = await left.store.claim(session.id)
    await left.store.append(claim, cast("list[AnyEvent]", events[: upto + 1]), rig.store.brought)
    await left.store.release(claim)
    return left


@pytest.mark.parametrize(("away_s", "rest_s"), [(40.0, 60.0), (500.0, 0.0)])
async def test_a_kill_in_the_middle_of_a_wait_goes_on_with_what_is_left_of_it(
    away_s: float, rest_s: float
) -> None:
    rig = Rig(ModelError("rate", "slow down", wait_s=100.0), Scripted(text="there"))
    session, _ = await say(rig)
    left = await cut_after(rig, session, WaitStarted, Scripted(text="there"))
    await left.clock.sleep(away_s)
    resumed = await left.host.resume(session.id)
    assert resumed.unfinished
    assert (await resumed.go_on()).ending == "done"
    assert left.clock.elapsed() == away_s + rest_s
    assert left.model.bodies == rig.model.bodies[1:]
    told = [delta.words for _, delta in left.watcher.deltas if isinstance(delta, Notice)]
    assert [f"({rest_s:.0f} s): slow down" in words for words in told] == [True] * (rest_s > 0)
    logged = await left.logged(resumed)
    assert [(e.step, e.attempt) for e in logged if isinstance(e, RequestSent)] == [(1, 1), (1, 2)]
    assert len(of_type(logged, WaitStarted)) == len(of_type(logged, WaitEnded)) == 1
    assert kinds(logged) == kinds(await rig.logged(session))


def kinds(events: list[object]) -> list[type]:
    return [type(event) for event in events]


class Back(VirtualClock):
    """A wall clock that somebody sets back by a day."""

    set_back = False

    def now(self) -> float:
        return super().now() - (86_400 if self.set_back else 0)


async def test_a_wall_clock_that_is_set_back_makes_no_wait_longer() -> None:
    rig = Rig(ModelError("rate", "slow down", wait_s=100.0), Scripted(text="there"))
    clock = rig.clock = Back(jump=True)
    rig.gate = BenchGate(clock, rig.chance)
    session, _ = await say(rig)
    left = await cut_after(rig, session, WaitStarted, Scripted(text="there"))
    clock = left.clock = Back(jump=True)
    left.gate = BenchGate(clock, left.chance)
    clock.set_back = True
    resumed = await left.host.resume(session.id)
    assert (await resumed.go_on()).ending == "done"
    assert clock.elapsed() == 100.0


class Asleep(VirtualClock):
    """A machine that sleeps for a night as soon as somebody waits: no timer goes on meanwhile."""

    slept_s = 0.0

    def now(self) -> float:
        return super().now() + self.slept_s

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        self.slept_s = 30_000.0


async def test_after_a_night_with_the_lid_closed_it_is_tried_at_once_and_with_all_patience() -> None:
    rig = Rig(*[ModelError("rate", "slow down", wait_s=900.0)] * 2, Scripted(text="there"))
    clock = rig.clock = Asleep(jump=True)
    rig.gate = BenchGate(clock, rig.chance)
    _, ended = await say(rig)
    assert ended.ending == "done"
    assert clock.elapsed() <= LOOK_S + 900 + LOOK_S


async def test_words_wait_behind_a_gate_that_others_have_closed() -> None:
    rig = Rig(Scripted(text="there"))
    now = rig.clock.now()
    rig.gate.closed = [Closed(now + 30, "others were told to wait"), Closed(now + 30.5, "somebody tries")]
    session, ended = await say(rig)
    assert ended.ending == "done"
    assert rig.clock.elapsed() == 30.5
    waits = [e for e in await rig.logged(session) if isinstance(e, WaitStarted)]
    assert [wait.reason for wait in waits] == ["others were told to wait"]
    assert rig.gate.open_passes == 0


async def test_short_waits_for_others_are_told_once_and_are_not_on_the_log() -> None:
    rig = Rig(Scripted(text="there"))
    now = rig.clock.now()
    rig.gate.closed = [Closed(now + 0.5 * at, "2 requests are under way") for at in range(1, 9)]
    session, ended = await say(rig)
    assert ended.ending == "done"
    assert rig.clock.elapsed() == 4.0
    assert not of_type(await rig.logged(session), WaitStarted)
    told = [delta for _, delta in rig.watcher.deltas if isinstance(delta, Notice)]
    assert told == [Notice("waiting: 2 requests are under way")]


@pytest.mark.parametrize("by_s", [0.5, 20.0])
async def test_patience_ends_behind_a_closed_gate_too(by_s: float) -> None:
    rig = Rig()
    now = rig.clock.now()
    rig.limits = TurnLimits(patience_s=30.0)
    rig.gate.closed = [Closed(now + by_s * at, "others try") for at in range(1, 100)]
    session, ended = await say(rig)
    assert (ended.ending, ended.code) == ("failed", "overload")
    assert exit_code(ended) is ExitCode.UNAVAILABLE
    assert rig.clock.elapsed() <= 30.0
    assert rig.model.bodies == []
    assert not of_type(await rig.logged(session), ModelFailed)


async def test_leave_to_send_is_given_back_whatever_happens() -> None:
    rig = Rig(ModelError("auth", "no"))
    await say(rig)
    assert rig.gate.open_passes == 0
