"""The time limit of a turn: what runs when it is over is stopped."""

import time
from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple, TypeVar

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
                await kit.clock.sleep(min(LOOK_S, *(end.left_s for end in _ends(kit))))
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
    for end in _ends(kit):
        if end.left_s <= 0:
            raise OverLimit(end.limit, end.value, end.words)


class _End(NamedTuple):
    left_s: float
    limit: str
    value: float
    words: str


def _ends(kit: Kit) -> Iterator[_End]:
    """What ends the turn in time, and how far away that is."""
    most_s, minute = kit.limits.max_time_s, kit.limits.stop_at
    if most_s is not None:
        left_s = most_s - kit.stopwatch.worked_s(kit.clock.elapsed())
        yield _End(left_s, "max_time_s", most_s, f"the time limit of {most_s:g} s was reached")
    if minute is not None:
        left_s = stops_at(minute, kit.view.pace.begun_ms / 1000) - kit.clock.now()
        yield _End(left_s, "stop_at", minute, f"it is {clock_words(minute)}, the time to stop")


def stops_at(minute: int, begun: float) -> float:
    """When it is first that minute of the day, by the clock of the place, after the wall time `begun`."""
    day = time.localtime(begun)
    today, tomorrow = (
        time.mktime((day.tm_year, day.tm_mon, day.tm_mday + days, 0, minute, 0, -1, -1, -1))
        for days in (0, 1)
    )
    return today if today > begun else tomorrow


def minute_of_day(now: float) -> int:
    """The minute of the day that it is, by the clock of the place."""
    at = time.localtime(now)
    return at.tm_hour * 60 + at.tm_min


def clock_words(minute: float) -> str:
    """A minute of the day, as a clock shows it."""
    return f"{int(minute) // 60:02}:{int(minute) % 60:02}"
