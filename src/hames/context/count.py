"""How many tokens a request will have, before it is sent."""

from hames.context.view import View

BYTES_PER_TOKEN = 3.6
"""A first guess for text and code on the wire; the provider's own count replaces it with each reply."""


def tokens_of(size: int) -> int:
    """A guess for `size` bytes of a request body."""
    return int(size / BYTES_PER_TOKEN) + 1


def context_tokens(view: View, size: int) -> int:
    """Tokens of a request of `size` bytes: the last counted request, and a guess for what came since."""
    last = view.last_request
    if view.reply is None or last is None or view.reply.step != last.event.step:
        return tokens_of(size)
    usage = view.reply.usage
    if usage.input == 0:
        return tokens_of(size)
    return usage.input + tokens_of(max(0, size - last.event.size))
