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
    """Tokens of a request of `size` bytes: the last counted request, and a guess for what came since."""
    last = view.last_request
    if view.reply is None or last is None or view.reply.step != last.event.step:
        return tokens_of(size)
    usage = view.reply.usage
    if usage.input == 0 or view.reply.estimated:
        return tokens_of(size)
    return usage.input + tokens_of(max(0, size - last.event.size))


def most_tokens(view: View, size: int) -> int:
    """As `context_tokens`, but rather too many: for what must not cost more."""
    counted = view.counted
    known, new = (0, size) if counted is None else (counted.tokens, max(0, size - counted.size))
    return known + ceil(new / FEWEST_BYTES_PER_TOKEN) + 1
