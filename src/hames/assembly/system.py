"""Real time and real randomness."""

from os import urandom
from time import monotonic, time

import anyio


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        """Seconds of the wall clock."""
        return time()

    def elapsed(self) -> float:
        """Seconds of a clock that never goes back."""
        return monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await anyio.sleep(seconds)


class SystemChance:
    """The kernel's randomness."""

    def fraction(self) -> float:
        """From 0 up to, not including, 1."""
        return self.bits(53) / (1 << 53)

    def bits(self, count: int) -> int:
        """`count` random bits as a number."""
        size = (count + 7) // 8
        return int.from_bytes(urandom(size)) >> (size * 8 - count)
