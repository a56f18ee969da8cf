"""Budget: the hard limits of a turn, looked at before each request."""

import msgspec

from hames.core.events import EndingKind
from hames.loop.kit import Kit


class Over(msgspec.Struct, frozen=True):
    """A limit that is reached: which ending it makes, and its words."""

    ending: EndingKind
    limit: str
    value: float
    reason: str


def over(kit: Kit) -> Over | None:
    """The limit that forbids another request, or None."""
    steps = kit.view.turn_steps
    most = kit.limits.max_steps
    if most is not None and steps >= most:
        return Over("step_limit", "max_steps", most, f"the limit of {most} steps was reached")
    money = kit.limits.max_nano_usd
    spent = kit.view.totals.nano_usd
    if money is None:
        return None
    if spent is None:
        return Over("budget", "max_budget_usd", money / 1e9, "a budget is set but no price is known")
    if spent >= money:
        words = f"the budget of {money / 1e9:g} USD was reached"
        return Over("budget", "max_budget_usd", money / 1e9, words)
    return None
