import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hames.context.lasting import Totals
from hames.core.events import Cost, Usage
from hames.loop.purse import Most, Purse


def spends(nano_usd: int | None, tokens: int = 0) -> Totals:
    return Totals(input=tokens, nano_usd=nano_usd)


def test_a_purse_without_bounds_holds_everything() -> None:
    purse = Purse(Most(), lambda: spends(None, 10**9))
    assert purse.left() == Most()
    assert purse.fits(Cost(Usage(10**9), None))


def test_what_is_spent_is_not_left() -> None:
    purse = Purse(Most(1000, 50), lambda: spends(400, 20))
    assert purse.left() == Most(600, 30)
    assert purse.fits(Cost(Usage(10, 0, 20), 600))
    assert not purse.fits(Cost(Usage(10, 0, 20), 601))
    assert not purse.fits(Cost(Usage(10, 0, 21), 0))
    assert Purse(Most(10, 10), lambda: spends(11, 11)).left() == Most(0, 0)


def test_nothing_is_left_where_a_price_is_not_known() -> None:
    assert Purse(Most(1000), lambda: spends(None)).left() == Most(0)
    assert not Purse(Most(1000), lambda: spends(0)).fits(Cost(Usage(1), None))


def test_a_child_draws_from_every_purse_above_it() -> None:
    root = Purse(Most(1000, 100), lambda: spends(100, 10))
    child = root.child(Most(500), lambda: spends(200, 20))
    grandchild = child.child(Most(tokens=40), lambda: spends(50, 30))
    assert root.used() == Cost(Usage(60), 350)
    assert (root.left(), child.left()) == (Most(650, 40), Most(250, 40))
    assert grandchild.left() == Most(250, 10)
    assert not grandchild.fits(Cost(Usage(11), 0))
    assert not grandchild.fits(Cost(Usage(), 251))


def test_a_child_that_is_over_counts_by_what_it_has_reported() -> None:
    spent = [100]
    root = Purse(Most(1000), lambda: spends(spent[0]))
    child = root.child(Most(), lambda: spends(300))
    spent[0] += 300
    child.close()
    assert root.used().nano_usd == 400


def test_a_child_whose_price_is_not_known_leaves_nothing() -> None:
    root = Purse(Most(1000), lambda: spends(100))
    root.child(Most(), lambda: spends(None))
    assert root.left() == Most(0)
    assert root.used().nano_usd is None


amounts = st.none() | st.integers(0, 100)


@given(st.builds(Most, amounts, amounts), st.builds(Most, amounts, amounts))
def test_two_bounds_together_are_the_tighter_of_each(one: Most, other: Most) -> None:
    both = one.least(other)
    assert both == other.least(one)
    for name in Most.__struct_fields__:
        known = [bound for bound in (getattr(one, name), getattr(other, name)) if bound is not None]
        assert getattr(both, name) == min(known, default=None)
    assert msgspec.structs.replace(both) == both.least(both)
