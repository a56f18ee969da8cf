from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.core.events import Usage
from hames.core.profiles import ModelFacts, PeakHours, Price
from hames.models.cost import nano_usd, peak_factor
from hames.models.profiles import resolve

FLASH = resolve("deepseek/deepseek-flash")
QUIET = datetime(2026, 11, 22, 12, 0, tzinfo=UTC).timestamp()
PEAK = PeakHours(days=(0, 1, 2, 3, 4), hours=((1, 4), (6, 10)), factor=2.0)

tokens = st.integers(0, 10_000_000)
times = st.floats(1_700_000_000, 1_900_000_000)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    total = draw(tokens)
    return Usage(input=total, cached=draw(st.integers(0, total)), output=draw(tokens))


def test_a_million_tokens_cost_the_listed_price() -> None:
    million = 1_000_000
    provider, facts = FLASH.provider, FLASH.facts
    assert nano_usd(provider, facts, Usage(input=million), QUIET) == 150_000_000
    assert nano_usd(provider, facts, Usage(input=million, cached=million), QUIET) == 3_000_000
    assert nano_usd(provider, facts, Usage(output=million), QUIET) == 600_000_000


def test_the_cost_is_not_known_without_a_price_or_a_usage() -> None:
    unpriced = ModelFacts(window=1, max_output=1)
    assert nano_usd(FLASH.provider, unpriced, Usage(input=5), QUIET) is None
    assert nano_usd(FLASH.provider, FLASH.facts, Usage(), QUIET) is None


@given(usages(), times)
def test_the_cost_is_between_that_of_hits_and_misses_alone(usage: Usage, at: float) -> None:
    assert FLASH.provider.peak is not None
    factor = peak_factor(FLASH.provider.peak, at)
    cost = nano_usd(FLASH.provider, FLASH.facts, usage, at)
    if not (usage.input or usage.output):
        assert cost is None
        return
    assert cost is not None
    least = (usage.input * 3 + usage.output * 600) * factor
    most = (usage.input * 150 + usage.output * 600) * factor
    assert least - 1 <= cost <= most + 1


@given(usages(), usages(), times)
def test_costs_add_up(one: Usage, other: Usage, at: float) -> None:
    both = Usage(one.input + other.input, one.cached + other.cached, one.output + other.output)
    parts = [nano_usd(FLASH.provider, FLASH.facts, usage, at) or 0 for usage in (one, other)]
    assert abs((nano_usd(FLASH.provider, FLASH.facts, both, at) or 0) - sum(parts)) <= 1


@given(st.floats(0, 1000), st.integers(1, 10_000_000))
def test_any_price_gives_a_whole_number(price: float, count: int) -> None:
    facts = ModelFacts(window=1, max_output=1, price=Price(hit=price, miss=price, output=price))
    cost = nano_usd(FLASH.provider, facts, Usage(input=count), QUIET)
    assert cost == round(count * price * 1000)


@pytest.mark.parametrize(
    ("day", "hour", "minute", "factor"),
    [
        (23, 0, 59, 1.0),
        (23, 1, 0, 2.0),
        (23, 3, 59, 2.0),
        (23, 4, 0, 1.0),
        (23, 6, 0, 2.0),
        (23, 9, 59, 2.0),
        (23, 10, 0, 1.0),
        (27, 9, 0, 2.0),
        (28, 9, 0, 1.0),
        (22, 9, 0, 1.0),
    ],
)
def test_peak_hours_begin_and_end_on_the_hour_of_working_days(
    day: int, hour: int, minute: int, factor: float
) -> None:
    at = datetime(2026, 11, day, hour, minute, 59, tzinfo=UTC).timestamp()
    assert peak_factor(PEAK, at) == factor
    assert FLASH.provider.peak == PEAK


def test_a_long_request_costs_its_own_price_from_the_first_token_on() -> None:
    facts = ModelFacts(
        window=1,
        max_output=1,
        price=Price(hit=0.01, miss=0.1, output=0.5),
        long_input=100_000,
        long_price=Price(hit=0.05, miss=0.5, output=2.5),
    )
    at_the_limit = Usage(input=100_000, cached=50_000, output=1000)
    assert nano_usd(FLASH.provider, facts, at_the_limit, QUIET) == 500_000 + 5_000_000 + 500_000
    assert nano_usd(FLASH.provider, facts, Usage(input=100_001), QUIET) == 50_000_500
