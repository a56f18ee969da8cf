"""Clocks that move only when they are told to, or too fast, so that hours pass in a test at once."""

import time
from heapq import heappop, heappush
from itertools import count

import anyio
import anyio.lowlevel


class VirtualClock:
    """Implements `Clock`. Without `jump`, sleepers wait for `advance`; with it, `sleep` moves the time."""

    def __init__(self, start: float = 1_750_000_000.0, *, jump: bool = False) -> None:
        self._start = start
        self._elapsed = 0.0
        self._jump = jump
        self._order = count()
        self._sleepers: list[tuple[float, int, anyio.Event]] = []

    def now(self) -> float:
        return self._start + self._elapsed

    def elapsed(self) -> float:
        return self._elapsed

    @property
    def sleeping(self) -> int:
        """How many tasks wait in `sleep`."""
        return len(self._sleepers)

    async def sleep(self, seconds: float) -> None:
        if self._jump or seconds <= 0:
            self._elapsed += max(seconds, 0.0)
            await anyio.lowlevel.checkpoint()
            return
        sleeper = (self._elapsed + seconds, next(self._order), anyio.Event())
        heappush(self._sleepers, sleeper)
        try:
            await sleeper[2].wait()
        finally:
            # Still there only when the sleep was cancelled: `advance` takes out whom it wakes.
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)
                self._sleepers.sort()

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass: wake each sleeper at its time, and let it run until it blocks again.

        Tasks that wait for a thread, a process or a socket count as blocked.
        """
        target = self._elapsed + seconds
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            due, _, woken = heappop(self._sleepers)
            self._elapsed = max(self._elapsed, due)
            woken.set()
            await _settle()
        self._elapsed = max(self._elapsed, target)


class QuickClock:
    """Implements `Clock`: real time, `times` as fast. For what waits on a clock and on sockets and processes
    too."""

    def __init__(self, times: float, start: float = 1_750_000_000.0) -> None:
        self._times = times
        self._start = start
        self._begun = time.monotonic()

    def now(self) -> float:
        return self._start + self.elapsed()

    def elapsed(self) -> float:
        return (time.monotonic() - self._begun) * self._times

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds / self._times)


async def _settle() -> None:
    # On asyncio the wait below looks again only after 0.1 s; most tasks block sooner than that.
    for _ in range(10):
        await anyio.lowlevel.checkpoint()
    await anyio.wait_all_tasks_blocked()
