"""How many tokens a request will have, before it is sent."""

from math import ceil

from hames.context.view import View

BYTES_PER_TOKEN = 3.6
"""A first guess for text and code on the wire; the provider's own count replaces it with each reply."""

FEWEST_BYTES_PER_TOKEN = 2.0
"""Hardly any text has fewer."""


def tokens_of(size: int) -> int:
    """A guess for `size` bytes of a request body."""
    return int(size / BYTES_PER_TOKEN) + 1


def context_tokens(view: View, size: int) -> int:
    """Tokens of a request of `size` bytes: the last counted request, and a guess for what came since.

    The same for each attempt at a request, also after a restart.
    """
    counted = view.counted
    if counted is None:
        return tokens_of(size)
    return counted.tokens + tokens_of(max(0, size - counted.size))


def most_tokens(view: View, size: int) -> int:
    """As `context_tokens`, but rather too many: for what must not cost more."""
    counted = view.counted
    known, new = (0, size) if counted is None else (counted.tokens, max(0, size - counted.size))
    return known + ceil(new / FEWEST_BYTES_PER_TOKEN) + 1
