"""The time limit of a turn: what runs when it is over is stopped."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from hames.core.errors import OverLimit
from hames.loop.kit import Kit
from hames.loop.wait import LOOK_S

T = TypeVar("T")


async def within_time(kit: Kit, work: Callable[[], Awaitable[T]]) -> T:
    """Do `work`. Raises `OverLimit` when the time of the turn is over first: `work` was cancelled then, and
    has ended."""
    kit.stopwatch.start(kit.clock.elapsed(), kit.view.pace.worked_ms / 1000)
    if kit.limits.max_time_s is None and kit.limits.stop_at is None:
        return await work()
    outcome: list[T] = []
    failures: list[Exception] = []
    over: list[OverLimit] = []

    async def watch() -> None:
        try:
            while True:
                check_time(kit)
                await kit.clock.sleep(min(_left_s(kit), LOOK_S))
        except OverLimit as error:
            over.append(error)
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        try:
            outcome.append(await work())
        except Exception as error:  # noqa: BLE001 - raised below, without the group around it
            failures.append(error)
        tasks.cancel_scope.cancel()
    if failures:
        raise failures[0]
    if not outcome:
        raise over[0]
    return outcome[0]


def check_time(kit: Kit) -> None:
    """Raises `OverLimit` when the time of the turn is over."""
    limits = kit.limits
    if limits.max_time_s is not None and _worked_left_s(kit, limits.max_time_s) <= 0:
        words = f"the time limit of {limits.max_time_s:g} s was reached"
        raise OverLimit("max_time_s", limits.max_time_s, words)
    if limits.stop_at is not None and _clock_left_s(kit, limits.stop_at) <= 0:
        raise OverLimit("stop_at", limits.stop_at, f"it is {clock_words(limits.stop_at)}, the time to stop")


def _left_s(kit: Kit) -> float:
    limits = kit.limits
    left: list[float] = []
    if limits.max_time_s is not None:
        left.append(_worked_left_s(kit, limits.max_time_s))
    if limits.stop_at is not None:
        left.append(_clock_left_s(kit, limits.stop_at))
    return min(left)


def _worked_left_s(kit: Kit, most_s: float) -> float:
    return most_s - kit.stopwatch.worked_s(kit.clock.elapsed())


def _clock_left_s(kit: Kit, minute: int) -> float:
    return stops_at(minute, kit.view.pace.begun_ms / 1000) - kit.clock.now()


def stops_at(minute: int, begun: float) -> float:
    """When it is first that minute of the day, by the clock of the place, after the wall time `begun`."""
    day = time.localtime(begun)
    for days in (0, 1):
        at = time.mktime((day.tm_year, day.tm_mon, day.tm_mday + days, 0, minute, 0, -1, -1, -1))
        if at > begun:
            break
    return at


def minute_of_day(now: float) -> int:
    """The minute of the day that it is, by the clock of the place."""
    at = time.localtime(now)
    return at.tm_hour * 60 + at.tm_min


def clock_words(minute: float) -> str:
    """A minute of the day, as a clock shows it."""
    return f"{int(minute) // 60:02}:{int(minute) % 60:02}"
