"""Making room: which old results are cleared, as one event, when the window runs full."""

from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import NamedTuple

from hames.context.count import tokens_of
from hames.context.leave_out import NO_STEPS, told, whole_steps
from hames.context.view import View, cleared_text
from hames.core.events import ContextShrunk
from hames.core.ids import CallId
from hames.core.limits import SHRINK_SHARE
from hames.core.messages import AssistantMessage, Message, Text, ToolMessage

KEEP_RESULTS = 4
"""The newest results are cleared only where there is no room otherwise; those of them that the model has not
answered never are."""

TARGET_SHARE = 0.5
"""The share of the window that a shrink aims for, so that the next one is far off."""


def shrink(view: View, tokens: int, window: int, *, forced: bool = False) -> ContextShrunk | None:
    """The event that makes room, or None: not needed yet, or nothing is left to clear.

    Oldest results first; their words stay in the log, and the model is told how to get them back. Where that
    is not enough, the oldest steps are left out as a whole.
    `forced` when the provider has refused the request as too long: what it takes is less than we think.
    """
    if not forced and tokens <= window * SHRINK_SHARE:
        return None
    goal = min(tokens * 0.6, window * TARGET_SHARE) if forced else window * TARGET_SHARE
    most = min(tokens * 0.8, window * SHRINK_SHARE) if forced else window * SHRINK_SHARE
    results = [message for message in view.messages if isinstance(message, ToolMessage)]
    old = _cleared(view, results[:-KEEP_RESULTS], tokens, goal)
    # Too little gained would mean the same again soon, each time for the price of the whole cache.
    steps = whole_steps(view, old.calls, old.left, goal) if old.left > (goal + most) / 2 else NO_STEPS
    newer = _cleared(view, _answered(view.messages, results[-KEEP_RESULTS:]), old.left - steps.tokens, most)
    shown = {message.call for message in view.messages[steps.messages :] if isinstance(message, ToolMessage)}
    cleared = tuple(call for call in (*old.calls, *newer.calls) if call in shown)
    if not cleared and not steps.messages:
        return None
    reason = "the provider refused the request as too long" if forced else "the window is nearly full"
    return ContextShrunk(
        segment=view.segments + 1,
        reason=reason,
        cleared=cleared,
        left_out=steps.messages,
        told=told(view, steps) if steps.messages else "",
    )


class _Cleared(NamedTuple):
    calls: tuple[CallId, ...]
    left: float


def _cleared(view: View, results: Iterable[ToolMessage], tokens: float, goal: float) -> _Cleared:
    """The first of these results that have to go for the goal, and the tokens that are left then."""
    calls: list[CallId] = []
    for message in results:
        if tokens <= goal:
            break
        gain = _size(message) - len(cleared_text(message, view.outputs))
        if gain > 0:
            calls.append(message.call)
            tokens -= tokens_of(gain)
    return _Cleared(tuple(calls), tokens)


def _answered(messages: Sequence[Message], results: Sequence[ToolMessage]) -> list[ToolMessage]:
    """Those of the results that the model has said something after."""
    last = takewhile(lambda message: not isinstance(message, AssistantMessage), reversed(messages))
    unread = sum(isinstance(message, ToolMessage) for message in last)
    return list(results[: max(len(results) - unread, 0)])


def _size(message: ToolMessage) -> int:
    return sum(len(p.text.encode()) for p in message.parts if isinstance(p, Text))
