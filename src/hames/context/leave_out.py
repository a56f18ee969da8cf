"""Leaving out: whole steps that the model is not shown any more, where clearing results is not enough."""

from collections.abc import Collection

import msgspec

from hames.context.count import tokens_of
from hames.context.ledger import Failure, tried_in_words
from hames.context.view import View, cleared_text
from hames.core.ids import CallId
from hames.core.messages import AssistantMessage, Message, ToolMessage, UserMessage
from hames.core.text import one_line

KEEP_STEPS = 4
"""The newest steps are never left out."""

WORTH_SHARE = 0.05
"""Of the whole request: steps that take less are not worth leaving out."""

_NAMED_FILES = 20
_NAMED_FAILURES = 5
_NAMED_CHARS = 120


class Steps(msgspec.Struct, frozen=True):
    """The oldest steps: how many, the messages up to their end, and the tokens that their absence gains."""

    count: int
    messages: int
    tokens: float


NO_STEPS = Steps(0, 0, 0.0)


def whole_steps(view: View, cleared: Collection[CallId], tokens: float, goal: float) -> Steps:
    """The oldest steps that have to go to come from `tokens` to the goal, or as many as may. The words of the
    user stay. Results in `cleared` are counted as the reference that they have become.
    """
    gone = set(cleared)
    replies = [at for at, message in enumerate(view.messages) if isinstance(message, AssistantMessage)]
    found, gain, at = NO_STEPS, 0.0, 0
    for count, end in enumerate(replies[1 : -KEEP_STEPS + 1], 1):
        gain += sum(_tokens(view, message, gone) for message in view.messages[at:end])
        at, found = end, Steps(count, end, gain)
        if tokens - gain <= goal:
            break
    gain -= tokens_of(len(told(view, found).encode()))
    return msgspec.structs.replace(found, tokens=gain) if gain >= tokens * WORTH_SHARE else NO_STEPS


def _tokens(view: View, message: Message, gone: Collection[CallId]) -> int:
    match message:
        case UserMessage(passing=False):
            return 0
        case ToolMessage() if message.call in gone:
            return tokens_of(len(cleared_text(message, view.outputs)))
        case _:
            return tokens_of(len(msgspec.json.encode(message)))


def told(view: View, steps: Steps) -> str:
    """What the model is told in place of these steps."""
    lines = [
        f"[Your first {view.left_out + steps.count:,} steps are left out here to save room. What they did"
        " holds, and what the user said stands above. Read a file or run a command again where you need what"
        " it gave.]"
    ]
    names = list(view.seen)[-_NAMED_FILES:]
    if names:
        more = len(view.seen) - len(names)
        lines.append(
            f"Files you have read or written: {', '.join(names)}{f' and {more:,} more' if more else ''}"
        )
    failures = view.ledger.standing[-_NAMED_FAILURES:]
    if failures:
        lines += ["What has failed, and not gone well since:", *(_failed(each) for each in failures)]
    if view.todos:
        lines += ["Your plan:", *(f"- {todo.status}: {todo.content}" for todo in view.todos)]
    return "\n".join(lines)


def _failed(failure: Failure) -> str:
    ran, error = one_line(failure.ran, _NAMED_CHARS), one_line(failure.error.line, _NAMED_CHARS)
    return f"- `{ran}`, {tried_in_words((failure,))}{f': {error}' if error else ''}"
