"""What tools have in common when they answer."""

from hames.core.events import Outcome
from hames.core.limits import ENVELOPE_BYTES, SHOWN_BYTES
from hames.core.messages import Text
from hames.core.ports import ToolResult
from hames.core.text import clip, wire_size

ROOM_BYTES = SHOWN_BYTES - ENVELOPE_BYTES
"""What one call may say."""


def said(text: str, outcome: Outcome = "ok") -> ToolResult:
    """A result of words alone."""
    return ToolResult(outcome, (Text(text),))


def within(lines: list[str], limit: int = ROOM_BYTES) -> tuple[str, int]:
    """As many whole lines as take at most `limit` bytes on the wire, and how many those are.

    A first line that is too long by itself is cut.
    """
    left, count = limit, 0
    for line in lines:
        size = wire_size(line) + 2
        if size > left:
            break
        left -= size
        count += 1
    if not count and lines:
        return clip(lines[0], limit), 1
    return "\n".join(lines[:count]), count
