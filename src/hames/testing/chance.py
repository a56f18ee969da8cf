"""Randomness that is the same on every run."""

from random import Random


class FixedChance:
    """Implements `Chance`: the same seed gives the same numbers."""

    def __init__(self, seed: int = 0) -> None:
        self._random = Random(seed)

    def fraction(self) -> float:
        return self._random.random()

    def bits(self, count: int) -> int:
        return self._random.getrandbits(count)
