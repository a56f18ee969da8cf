"""The rule of each class of failure: whether the same request is sent again, and when."""

import msgspec

from hames.core.errors import FailureKind, ModelError

PASSING: frozenset[FailureKind] = frozenset(("rate", "overload", "transport", "stalled"))
"""The provider cannot serve, which passes: tried again for as long as patience lasts."""

OF_THE_PROVIDER: frozenset[FailureKind] = frozenset(("rate", "overload", "transport"))
"""Whoever uses the same key would be told the same: they wait too."""

OF_NO_USE: frozenset[FailureKind] = frozenset(("cut", "empty", "malformed"))
"""A reply came that is of no use: another attempt may bring a better one, a few times."""

OF_THE_MODEL: frozenset[FailureKind] = frozenset(("auth", "balance", "unknown_model"))
"""Final with this model; another one may answer."""

# The rest: `overflow` and `rejected` ask for another request (`loop/adapt.py`), `refused` is the answer.


class Spent(msgspec.Struct, frozen=True):
    """What has gone into this step already, the failure at hand included: time in seconds, and attempts
    that were of no use. `left_s` is how much patience is left, None where there is no end of it."""

    spent_s: float
    useless: int
    left_s: float | None


class TryAgain(msgspec.Struct, frozen=True):
    """The same request is sent again, not before the wall time `at`."""

    at: float


class GiveUp(msgspec.Struct, frozen=True):
    """It is not; `why` is for a person. `limit` names what has run out, if that is the reason."""

    why: str
    limit: str = ""


def verdict(error: ModelError, at: float, now: float, spent: Spent, attempts: int) -> TryAgain | GiveUp:
    """What is done after a failure: `at` is when the next attempt would be due, both times by the wall
    clock."""
    if error.kind in OF_NO_USE:
        if spent.useless >= attempts:
            return GiveUp(f"{error}. {spent.useless} attempts were of no use", "attempts")
    elif error.kind not in PASSING:
        return GiveUp(str(error))
    if spent.left_s is None:
        return TryAgain(at)
    if spent.left_s <= 0:
        return GiveUp(f"{error}. It was waited for, {_long(spent.spent_s)} in all; {_FIX}", "patience_s")
    if error.wait_s is not None and at - now > spent.left_s:
        words = f"{error}. The next attempt would be in {_long(at - now)}, and {_long(spent.left_s)} are left"
        return GiveUp(f"{words}; {_FIX}", "patience_s")
    return TryAgain(min(at, now + spent.left_s))


_FIX = "go on later with --resume, or allow more with --patience"


def _long(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
