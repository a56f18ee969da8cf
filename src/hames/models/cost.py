"""What a reply cost, in whole nano-dollars (1e-9 US dollars). Pure."""

from datetime import UTC, datetime

from hames.core.events import Usage
from hames.core.profiles import ModelFacts, PeakHours, Provider

# A price is in dollars for a million tokens, so a token costs a thousand times as many nano-dollars.
_NANO_PER_TOKEN = 1000


def nano_usd(provider: Provider, facts: ModelFacts, usage: Usage, at: float) -> int | None:
    """The cost of `usage` at the wall time `at`; None when the price or the usage is not known."""
    is_long = facts.long_price is not None and usage.input > facts.long_input
    price = facts.long_price if is_long else facts.price
    if price is None or not (usage.input or usage.output):
        return None
    factor = peak_factor(provider.peak, at) if provider.peak else 1.0
    missed = usage.input - usage.cached
    dollars = usage.cached * price.hit + missed * price.miss + usage.output * price.output
    return round(dollars * _NANO_PER_TOKEN * factor)


def peak_factor(peak: PeakHours, at: float) -> float:
    """What prices are multiplied with at the wall time `at`. An hour counts from its first second."""
    moment = datetime.fromtimestamp(at, UTC)
    busy = moment.weekday() in peak.days and any(first <= moment.hour < end for first, end in peak.hours)
    return peak.factor if busy else 1.0
