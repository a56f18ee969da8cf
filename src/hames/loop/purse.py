"""The purse: what a session and its children may still spend together."""

from collections.abc import Callable

import msgspec

from hames.context.lasting import Totals
from hames.core.events import Cost, Usage


class Most(msgspec.Struct, frozen=True):
    """Bounds on money, in 1e-9 US dollars, and on tokens, in and out. None where there is none."""

    nano_usd: int | None = None
    tokens: int | None = None

    def least(self, other: "Most") -> "Most":
        """What both allow."""
        return Most(_least(self.nano_usd, other.nano_usd), _least(self.tokens, other.tokens))


class Purse:
    """What one session may spend, out of the purse above it if it is a child.

    `spent` is folded from the session's log and holds what is set aside for a request from the moment at
    which that is staged: whoever stages one in the same moment in which it `fits` needs no lock. A child's
    purse is closed in the moment in which its `ChildReported` is staged: from there on, that counts.
    """

    def __init__(self, most: Most, spent: Callable[[], Totals], above: "Purse | None" = None) -> None:
        self._most = most
        self._spent = spent
        self._above = above
        self._below: list[Purse] = []

    def child(self, most: Most, spent: Callable[[], Totals]) -> "Purse":
        """The purse of a child that is at work now."""
        child = Purse(most, spent, self)
        self._below.append(child)
        return child

    def close(self) -> None:
        """The child is over, and what it has cost is on the log above it."""
        assert self._above is not None
        self._above._below.remove(self)

    def used(self) -> Cost:
        """What this session and those below it have spent or set aside. Money is None when a price was not
        known."""
        costs = [self._spent().cost, *(child.used() for child in self._below)]
        prices = [cost.nano_usd for cost in costs]
        return Cost(
            Usage(
                input=sum(cost.usage.input for cost in costs),
                output=sum(cost.usage.output for cost in costs),
            ),
            None if None in prices else sum(price or 0 for price in prices),
        )

    def left(self) -> Most:
        """What is left here and in every purse above. Nothing is, where a price was not known."""
        used = self.used()
        tokens, nano_usd = used.usage.input + used.usage.output, used.nano_usd
        own = Most(
            None if self._most.nano_usd is None else _rest(self._most.nano_usd, nano_usd),
            None if self._most.tokens is None else _rest(self._most.tokens, tokens),
        )
        return own if self._above is None else own.least(self._above.left())

    def fits(self, cost: Cost) -> bool:
        """Whether so much may be set aside."""
        left = self.left()
        tokens = cost.usage.input + cost.usage.output
        if left.tokens is not None and tokens > left.tokens:
            return False
        return left.nano_usd is None or (cost.nano_usd is not None and cost.nano_usd <= left.nano_usd)


def _rest(most: int, used: int | None) -> int:
    return 0 if used is None else max(0, most - used)


def _least(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
