"""Time and chance, which come from arguments."""

from typing import Protocol


class Clock(Protocol):
    """Time. `now` is the wall clock and `elapsed` a monotonic one, both in seconds."""

    def now(self) -> float: ...

    def elapsed(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class Chance(Protocol):
    """Randomness."""

    def fraction(self) -> float:
        """From 0 up to, not including, 1."""
        ...

    def bits(self, count: int) -> int: ...
