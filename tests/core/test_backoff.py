from hypothesis import given
from hypothesis import strategies as st

from hames.core.backoff import backoff_s
from hames.core.limits import BACKOFF_FIRST_S, BACKOFF_MOST_S


@given(st.integers(1, 100_000), st.floats(0, 1, exclude_max=True))
def test_a_back_off_is_a_share_of_a_bound_that_doubles(attempt: int, fraction: float) -> None:
    bound = min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2 ** min(attempt - 1, 20))
    assert 0 <= backoff_s(attempt, fraction) <= bound
