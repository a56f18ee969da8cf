from hypothesis import given
from hypothesis import strategies as st

from hames.core.limits import BACKOFF_FIRST_S, BACKOFF_MOST_S
from hames.loop.ask import backoff_s


@given(st.integers(1, 200), st.floats(0, 1, exclude_max=True))
def test_a_back_off_is_a_share_of_a_bound_that_doubles(attempt: int, fraction: float) -> None:
    assert 0 <= backoff_s(attempt, fraction) <= min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2 ** (attempt - 1))
