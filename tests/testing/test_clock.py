"""Clocks of tests."""

import anyio
import pytest

from hames.core.ports import Clock
from hames.testing.clock import QuickClock, VirtualClock

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_sleepers_wake_in_the_order_of_their_times() -> None:
    clock = VirtualClock(100.0)
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.now()))

    async with anyio.create_task_group() as tasks:
        for name, seconds in (("late", 3600.0), ("early", 2.0), ("never", 7200.0), ("middle", 30.0)):
            tasks.start_soon(sleeper, name, seconds)
        await clock.advance(3600)
        assert woken == [("early", 102.0), ("middle", 130.0), ("late", 3700.0)]
        assert clock.sleeping == 1
        tasks.cancel_scope.cancel()

    assert clock.sleeping == 0
    assert clock.elapsed() == 3600.0


async def test_a_sleeper_that_sleeps_again_wakes_again_within_one_advance() -> None:
    clock = VirtualClock()
    ticks: list[float] = []

    async def ticker() -> None:
        while True:
            await clock.sleep(10)
            ticks.append(clock.elapsed())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ticker)
        await clock.advance(35)
        tasks.cancel_scope.cancel()

    assert ticks == [10.0, 20.0, 30.0]
    assert clock.elapsed() == 35.0


async def test_a_cancelled_sleeper_does_not_disturb_the_others() -> None:
    clock = VirtualClock()
    woken: list[float] = []

    async def sleeper(seconds: float, scope: anyio.CancelScope) -> None:
        with scope:
            await clock.sleep(seconds)
            woken.append(seconds)

    scopes = [anyio.CancelScope() for _ in range(5)]
    async with anyio.create_task_group() as tasks:
        for seconds, scope in zip((5.0, 1.0, 4.0, 2.0, 3.0), scopes, strict=True):
            tasks.start_soon(sleeper, seconds, scope)
        await anyio.wait_all_tasks_blocked()
        scopes[1].cancel()
        scopes[3].cancel()
        await clock.advance(10)

    assert woken == [3.0, 4.0, 5.0]


async def test_a_jumping_clock_moves_by_what_is_slept() -> None:
    clock: Clock = VirtualClock(50.0, jump=True)
    await clock.sleep(3600)
    await clock.sleep(-1)
    await clock.sleep(0.5)
    assert (clock.now(), clock.elapsed()) == (3650.5, 3600.5)


async def test_time_that_nobody_moves_stands_still() -> None:
    clock = VirtualClock(50.0)
    await clock.sleep(0)
    assert (clock.now(), clock.elapsed()) == (50.0, 0.0)


async def test_a_quick_clock_lets_an_hour_pass_in_a_moment_of_real_time() -> None:
    clock: Clock = QuickClock(100_000, 50.0)
    begun_s = anyio.current_time()
    await clock.sleep(3600)
    assert 3600 <= clock.elapsed() <= clock.now() - 50.0
    assert 0.036 <= anyio.current_time() - begun_s < 30
