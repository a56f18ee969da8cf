"""How long to wait before trying again, where nobody says."""

from hames.core.limits import BACKOFF_FIRST_S, BACKOFF_MOST_S

_DOUBLINGS = 32
"""More are never wanted, and a thousand do not fit into a float."""


def backoff_s(attempt: int, fraction: float) -> float:
    """Full jitter: a random share of a bound that doubles with each attempt (from 1)."""
    return min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2 ** min(attempt - 1, _DOUBLINGS)) * fraction
