import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import cast

import anyio
import pytest

from hames.core.errors import ExitCode, ModelError
from hames.core.events import AnyEvent, CallFinished, LimitReached, TurnEnded
from hames.core.messages import Text
from hames.core.ports import CallContext, ToolResult, Words
from hames.loop.endings import exit_code
from hames.loop.kit import TurnLimits
from hames.loop.time_limit import clock_words, minute_of_day, stops_at
from hames.testing.clock import VirtualClock
from hames.testing.scripted import Scripted
from tests.rig import BenchGate, CountingStore, Rig, asks, check_the_log, ok

pytestmark = pytest.mark.anyio

GO = [Words((Text("go"),))]


class Slow(Rig):
    """A session whose clock moves when the test says so, with a call that never ends by itself."""

    def __init__(self, *answers: Scripted | ModelError, limits: TurnLimits) -> None:
        super().__init__(*answers, tools={"wait": ("pure", self.wait)}, limits=limits)
        self.clock = VirtualClock()
        self.store = CountingStore(self.clock)
        self.gate = BenchGate(self.clock, self.chance)
        self.running = anyio.Event()
        self.stopped = False

    async def wait(self, arguments: str, context: CallContext) -> ToolResult:
        self.running.set()
        try:
            await self.clock.sleep(10**9)
        finally:
            self.stopped = True
        return ok("never")


async def over(rig: Slow, work: Callable[[], Awaitable[TurnEnded]], after_s: float) -> TurnEnded:
    """How the turn ends, so long after its call has begun to run."""
    ended: list[TurnEnded] = []

    async def turn() -> None:
        ended.append(await work())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(turn)
        await rig.running.wait()
        await rig.clock.advance(after_s - 1)
        assert not ended
        await rig.clock.advance(2)
    return ended[0]


async def test_what_runs_is_stopped_when_the_time_of_the_turn_is_over() -> None:
    rig = Slow(asks(("wait", "")), limits=TurnLimits(max_time_s=100.0))
    session = await rig.open()
    ended = await over(rig, lambda: session.say(GO), 100)
    assert (ended.ending, ended.code) == ("time_limit", "max_time_s")
    assert ended.reason == "the time limit of 100 s was reached"
    assert exit_code(ended) is ExitCode.TIME_LIMIT
    assert rig.stopped
    logged = await rig.logged(session)
    (call,) = [event for event in logged if isinstance(event, CallFinished)]
    assert (call.outcome, call.parts) == ("cancelled", (Text(f"[stopped: {ended.reason}]"),))
    assert LimitReached(limit="max_time_s", value=100.0) in logged
    await check_the_log(rig, session)
    assert (await session.say(GO)).ending == "done"


async def test_a_turn_ends_at_the_time_of_the_day_that_was_said() -> None:
    rig = Slow(asks(("wait", "")), limits=TurnLimits())
    minute = minute_of_day(rig.clock.now() + 600)
    rig.limits = TurnLimits(stop_at=minute, max_time_s=10**6)
    session = await rig.open()
    ended = await over(rig, lambda: session.say(GO), stops_at(minute, rig.clock.now()) - rig.clock.now())
    assert (ended.ending, ended.code) == ("time_limit", "stop_at")
    assert ended.reason == f"it is {clock_words(minute)}, the time to stop"


async def test_time_that_is_worked_before_a_restart_counts_and_time_between_does_not() -> None:
    rig = Slow(asks(("wait", "")), limits=TurnLimits(max_time_s=100.0))
    session = await rig.open()
    events: list[AnyEvent] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session.say, GO)
        await rig.running.wait()
        events = cast("list[AnyEvent]", await rig.logged(session))
        tasks.cancel_scope.cancel()
    # What a process leaves that was killed in its call, 60 s after the first event.
    again = Slow(limits=TurnLimits(max_time_s=100.0))
    claim, _ = await again.store.append(await again.store.claim(session.id), events[:-1], rig.store.brought)
    await again.clock.advance(60)
    await again.store.append(claim, events[-1:])
    await again.store.release(claim)
    await again.clock.advance(5000)
    resumed = await again.host.resume(session.id)
    assert resumed.view.pace.worked_ms == 60_000
    ended = await over(again, resumed.go_on, 40)
    assert (ended.ending, again.stopped) == ("time_limit", True)


async def test_a_turn_within_its_time_ends_as_it_would_without_a_limit() -> None:
    rig = Slow(Scripted(text="quick"), limits=TurnLimits(max_time_s=100.0))
    assert (await (await rig.open()).say(GO)).ending == "done"
    rig = Slow(ModelError("auth", "no key"), limits=TurnLimits(max_time_s=100.0))
    ended = await (await rig.open()).say(GO)
    assert (ended.ending, ended.code) == ("failed", "auth")


async def test_a_signal_is_no_time_limit() -> None:
    rig = Slow(asks(("wait", "")), limits=TurnLimits(max_time_s=100.0))
    session = await rig.open()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session.say, GO)
        await rig.running.wait()
        tasks.cancel_scope.cancel()
    assert session.view.ended is not None
    assert session.view.ended.ending == "cancelled"


def test_the_time_to_stop_is_today_or_tomorrow() -> None:
    noon = time.mktime((2025, 6, 2, 12, 0, 0, -1, -1, -1))
    assert datetime.fromtimestamp(stops_at(18 * 60, noon)) == datetime(2025, 6, 2, 18)
    assert datetime.fromtimestamp(stops_at(12 * 60, noon)) == datetime(2025, 6, 3, 12)
    assert datetime.fromtimestamp(stops_at(0, noon)) == datetime(2025, 6, 3)
    assert (clock_words(minute_of_day(noon)), clock_words(9 * 60 + 5)) == ("12:00", "09:05")
