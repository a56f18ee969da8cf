"""Fixed chance."""

from hames.core.ports import Chance
from hames.testing.chance import FixedChance


def test_the_same_seed_gives_the_same_numbers() -> None:
    one: Chance = FixedChance(7)
    two: Chance = FixedChance(7)
    assert [one.fraction() for _ in range(20)] == [two.fraction() for _ in range(20)]
    assert [one.bits(80) for _ in range(20)] == [two.bits(80) for _ in range(20)]


def test_another_seed_gives_other_numbers() -> None:
    assert FixedChance(1).bits(80) != FixedChance(2).bits(80)


def test_numbers_stay_within_their_bounds() -> None:
    chance = FixedChance()
    assert all(0 <= chance.fraction() < 1 for _ in range(1000))
    assert all(0 <= chance.bits(5) < 32 for _ in range(1000))
