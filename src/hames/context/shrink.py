"""Making room: which old results are cleared, as one event, when the window runs full."""

from collections.abc import Sequence

from hames.context.count import tokens_of
from hames.context.view import View, cleared_text
from hames.core.events import ContextShrunk
from hames.core.ids import CallId
from hames.core.limits import SHRINK_SHARE
from hames.core.messages import Message, Text, ToolMessage

KEEP_RESULTS = 4
"""The newest results are never cleared."""

TARGET_SHARE = 0.5
"""The share of the window that a shrink aims for, so that the next one is far off."""


def shrink(view: View, tokens: int, window: int, *, forced: bool = False) -> ContextShrunk | None:
    """The event that makes room, or None: not needed yet, or nothing is left to clear.

    Oldest results first; their words stay in the log, and the model is told how to get them back.
    `forced` when the provider has refused the request as too long: what it takes is less than we think.
    """
    if not forced and tokens <= window * SHRINK_SHARE:
        return None
    goal = min(tokens * 0.6, window * TARGET_SHARE) if forced else window * TARGET_SHARE
    cleared: list[CallId] = []
    left = float(tokens)
    for message in _clearable(view.messages):
        if left <= goal:
            break
        gain = _size(message) - len(cleared_text(message, view.outputs))
        if gain > 0:
            cleared.append(message.call)
            left -= tokens_of(gain)
    if not cleared:
        return None
    reason = "the provider refused the request as too long" if forced else "the window is nearly full"
    return ContextShrunk(segment=view.segments + 1, reason=reason, cleared=tuple(cleared))


def _clearable(messages: Sequence[Message]) -> list[ToolMessage]:
    results = [m for m in messages if isinstance(m, ToolMessage)]
    return results[:-KEEP_RESULTS]


def _size(message: ToolMessage) -> int:
    return sum(len(p.text.encode()) for p in message.parts if isinstance(p, Text))
