"""Real clock and chance."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.assembly.system import SystemChance, SystemClock
from hames.core.ports import Chance, Clock


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_the_clock_is_the_machines() -> None:
    clock: Clock = SystemClock()
    assert abs(clock.now() - time.time()) < 5
    before = clock.elapsed()
    await clock.sleep(0)
    assert clock.elapsed() >= before


@given(st.integers(min_value=1, max_value=200))
def test_bits_are_as_many_as_asked_for(count: int) -> None:
    chance: Chance = SystemChance()
    assert 0 <= chance.bits(count) < 1 << count
    assert 0 <= chance.fraction() < 1


def test_two_draws_differ() -> None:
    chance = SystemChance()
    assert chance.bits(128) != chance.bits(128)
