"""What Anthropic demands of a Messages request: checked by the scripted server."""

import re
from collections.abc import Iterator
from typing import Literal

import msgspec

from hames.testing.messages_events import THOUGHT, signature

MARKS_MOST = 4
_BUDGET_LEAST = 1024
_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")


class _Source(msgspec.Struct, frozen=True):
    type: Literal["base64"]
    media_type: str
    data: str


class _Text(msgspec.Struct, frozen=True, tag="text"):
    text: str


class _Image(msgspec.Struct, frozen=True, tag="image"):
    source: _Source


class _Thinking(msgspec.Struct, frozen=True, tag="thinking"):
    thinking: str
    signature: str
    cache_control: msgspec.Raw = msgspec.Raw()


class _Redacted(msgspec.Struct, frozen=True, tag="redacted_thinking"):
    data: str
    cache_control: msgspec.Raw = msgspec.Raw()


class _ToolUse(msgspec.Struct, frozen=True, tag="tool_use"):
    id: str
    name: str
    input: dict[str, msgspec.Raw]


class _ToolResult(msgspec.Struct, frozen=True, tag="tool_result"):
    tool_use_id: str
    content: str | list[_Text | _Image] = "ok"


_Block = _Text | _Image | _Thinking | _Redacted | _ToolUse | _ToolResult


class _Message(msgspec.Struct, frozen=True):
    role: Literal["user", "assistant"]
    content: str | list[_Block]

    @property
    def blocks(self) -> list[_Block]:
        return [_Text(self.content)] if isinstance(self.content, str) else self.content


class _Tool(msgspec.Struct, frozen=True):
    name: str
    input_schema: dict[str, msgspec.Raw]


class _Thought(msgspec.Struct, frozen=True):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: int | None = None


class _Request(msgspec.Struct, frozen=True):
    model: str
    max_tokens: int
    messages: list[_Message]
    stream: bool = False
    tools: list[_Tool] = []
    thinking: _Thought = _Thought("disabled")


class _Marked(msgspec.Struct, frozen=True):
    """What may be marked for the cache, in the order in which it is kept there."""

    tools: msgspec.Raw = msgspec.Raw()
    system: msgspec.Raw = msgspec.Raw()
    messages: msgspec.Raw = msgspec.Raw()


def broken_messages_rule(body: bytes) -> str:
    """What is wrong with a request, in the words of the server; empty if nothing is."""
    try:
        request = msgspec.json.decode(body, type=_Request)
    except msgspec.DecodeError as error:
        return f"the request cannot be read: {error}"
    if not request.stream:
        return "this server only streams: set stream to true"
    if complaint := _ill_set(request) or _ill_marked(body):
        return complaint
    if not request.messages or request.messages[0].role != "user" or request.messages[-1].role != "user":
        return "the first and the last message must be from the user"
    return next(_complaints(request.messages), "")


def _ill_set(request: _Request) -> str:
    if request.max_tokens < 1:
        return "max_tokens: must be at least 1"
    budget = request.thinking.budget_tokens
    if (request.thinking.type == "enabled") != (budget is not None):
        return "thinking: a budget belongs to the type `enabled`, and to no other"
    if budget is not None and not _BUDGET_LEAST <= budget < request.max_tokens:
        return f"thinking.budget_tokens: must be at least {_BUDGET_LEAST} and less than `max_tokens`"
    odd = [tool.name for tool in request.tools if not _fits(tool.name)]
    return f"tools: the name {odd[0]!r} should match ^[a-zA-Z0-9_-]+$" if odd else ""


def _ill_marked(body: bytes) -> str:
    """There are few marks for the cache, and those that last longer come first."""
    marks = body.count(b'"cache_control":{')
    if marks > MARKS_MOST:
        return f"a maximum of {MARKS_MOST} blocks with cache_control may be provided, found {marks}"
    marked = msgspec.json.decode(body, type=_Marked)
    kept = b"".join(map(bytes, (marked.tools, marked.system, marked.messages)))
    lasting = [b'"1h"' in mark for mark in re.findall(rb'"cache_control":\{[^}]*\}', kept)]
    if lasting != sorted(lasting, reverse=True):
        return "a block with ttl='1h' cache_control must not come after one with ttl='5m'"
    return ""


def _complaints(messages: list[_Message]) -> Iterator[str]:
    waiting: set[str] = set()
    used: set[str] = set()
    for at, message in enumerate(messages):
        blocks = message.blocks
        if not blocks:
            yield f"messages.{at}: all messages must have non-empty content"
        for block in blocks:
            if complaint := _misshapen(block, message.role):
                yield f"messages.{at}: {complaint}"
        if message.role == "user":
            yield from _unanswered(at, blocks, waiting)
            waiting = set()
            continue
        if waiting:
            yield f"messages.{at}: `tool_use` ids were found without `tool_result` blocks"
        calls = [block.id for block in blocks if isinstance(block, _ToolUse)]
        waiting = set(calls)
        if len(waiting) < len(calls) or used & waiting:
            yield f"messages.{at}: `tool_use` ids must be unique"
        used |= waiting
        yield from _thoughtless(at, blocks)


def _unanswered(at: int, blocks: list[_Block], waiting: set[str]) -> Iterator[str]:
    """Every call has its result in the very next message, before anything else in it."""
    results = [block.tool_use_id for block in blocks if isinstance(block, _ToolResult)]
    if any(not isinstance(block, _ToolResult) for block in blocks[: len(results)]):
        yield f"messages.{at}: `tool_result` blocks must come first"
    if len(set(results)) < len(results):
        yield f"messages.{at}: each `tool_use` must have a single result"
    if missing := waiting - set(results):
        yield (
            f"messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            + ", ".join(sorted(missing))
        )
    if unknown := set(results) - waiting:
        yield f"messages.{at}: unexpected `tool_use_id` in `tool_result`: {', '.join(sorted(unknown))}"


def _thoughtless(at: int, blocks: list[_Block]) -> Iterator[str]:
    """A call that was made with a thought goes back with it; no message ends with one."""
    if isinstance(blocks[-1], _Thinking | _Redacted):
        yield f"messages.{at}: the final block in an assistant message cannot be `thinking`"
    thoughtful = any(isinstance(block, _ToolUse) and block.id.endswith(THOUGHT) for block in blocks)
    if thoughtful and not isinstance(blocks[0], _Thinking):
        yield f"messages.{at}.content.0: expected `thinking`, but found another block"


def _misshapen(block: _Block, role: str) -> str:
    made_by = "assistant" if isinstance(block, _Thinking | _Redacted | _ToolUse) else ""
    made_by = "user" if isinstance(block, _ToolResult | _Image) else made_by
    if made_by not in ("", role):
        return f"this block cannot be in a message of the {role}"
    match block:
        case _Text(text=text) if not text.strip():
            return "text content blocks must contain non-whitespace text"
        case _Image(source=source) if source.media_type not in _PICTURES:
            return f"pictures of the type {source.media_type!r} are not supported"
        case _Thinking() | _Redacted() if bytes(block.cache_control):
            return "`thinking` blocks cannot have cache_control"
        case _Thinking() if block.signature != signature(block.thinking):
            return "Invalid `signature` in `thinking` block"
        case _ToolUse() if not _fits(block.id) or not _fits(block.name):
            return "`tool_use` ids and names should match ^[a-zA-Z0-9_-]+$"
        case _ToolResult(content=list() as content):
            return next((wrong for part in content if (wrong := _misshapen(part, "user"))), "")
        case _:
            return ""


def _fits(name: str) -> bool:
    return name.isascii() and name.replace("_", "a").replace("-", "a").isalnum()
