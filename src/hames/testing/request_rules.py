"""What a provider demands of a Chat Completions request: checked by the scripted server."""

from typing import Literal

import msgspec

from hames.testing.chat_events import THOUGHT, is_own_id, thought_sum

Rules = Literal["none", "chat", "deepseek", "json_schema"]
"""`none` looks at nothing, `chat` at what all providers demand, `deepseek` also at its own rules: the
reasoning of every reply with calls comes back as it was, an empty one too, as long as the reply does.
`json_schema` knows no tools: it takes the form of its replies, and history in that form."""


class _Function(msgspec.Struct, frozen=True):
    name: str
    arguments: str


class _Call(msgspec.Struct, frozen=True):
    id: str
    type: Literal["function"]
    function: _Function


class _Message(msgspec.Struct, frozen=True):
    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[msgspec.Raw] | None = None
    tool_calls: tuple[_Call, ...] = ()
    tool_call_id: str = ""
    reasoning_content: str | None = None


class _Thinking(msgspec.Struct, frozen=True):
    type: Literal["enabled", "disabled"] = "enabled"


class _Schema(msgspec.Struct, frozen=True):
    name: str
    schema: dict[str, msgspec.Raw]


class _Form(msgspec.Struct, frozen=True):
    type: Literal["json_schema"]
    json_schema: _Schema


class _Request(msgspec.Struct, frozen=True):
    model: str
    messages: list[_Message]
    tools: msgspec.Raw = msgspec.Raw()
    response_format: _Form | None = None
    stream: bool = False
    thinking: _Thinking = _Thinking()


class _Spanned(msgspec.Struct, frozen=True):
    messages: msgspec.Raw


def broken_rule(body: bytes, rules: Rules) -> str:
    """What is wrong with a request, in the words of a server; empty if nothing is."""
    if rules == "none":
        return ""
    try:
        request = msgspec.json.decode(body, type=_Request)
    except msgspec.DecodeError as error:
        return f"the request cannot be read: {error}"
    if not request.stream:
        return "this server only streams: set stream to true"
    problem = _unpaired(request.messages)
    match rules:
        case "chat":
            return problem
        case "deepseek":
            return problem or _broken_by_deepseek(request)
        case "json_schema":
            return problem or _broken_in_json(request)


def _broken_in_json(request: _Request) -> str:
    if bytes(request.tools) or any(each.role == "tool" or each.tool_calls for each in request.messages):
        return "this model cannot call tools"
    if request.response_format is None:
        return "response_format is missing"
    for at, message in enumerate(request.messages):
        if message.role == "assistant" and not _is_object(message.content):
            return f"messages[{at}] is not in the form of the replies"
    return ""


def _is_object(content: object) -> bool:
    try:
        return isinstance(content, str) and isinstance(msgspec.json.decode(content), dict)
    except msgspec.DecodeError:
        return False


def _broken_by_deepseek(request: _Request) -> str:
    if request.thinking.type == "disabled":
        return ""
    wanting = any(message.tool_calls and _is_changed(message) for message in request.messages)
    return "The `reasoning_content` in the thinking mode must be passed back to the API." if wanting else ""


def _is_changed(message: _Message) -> bool:
    """Whether the reasoning is not what came with these calls; of calls that others made, whether there is
    none at all."""
    given = message.reasoning_content
    if given is None:
        return True
    wire_id = message.tool_calls[0].id
    _, thoughtful, told = wire_id.partition(THOUGHT)
    if thoughtful:
        return told != thought_sum(given)
    return bool(given) and is_own_id(wire_id)


def messages_end(body: bytes) -> int:
    """Where the last message of a request ends; 0 if the body cannot be read."""
    try:
        raw = bytes(msgspec.json.decode(body, type=_Spanned).messages)
    except msgspec.DecodeError:
        return 0
    return body.index(raw) + len(raw.rstrip().removesuffix(b"]").rstrip())


def _unpaired(messages: list[_Message]) -> str:
    """Each call has exactly one result, right after it; nothing else is a result."""
    if not messages or messages[-1].role not in ("user", "tool"):
        return "the last message must be from the user or a tool"
    waiting: set[str] = set()
    for at, message in enumerate(messages):
        if message.role == "tool":
            if message.tool_call_id not in waiting:
                return f"messages[{at}] answers the call {message.tool_call_id!r}, which is not open"
            waiting.discard(message.tool_call_id)
            continue
        if waiting:
            return f"messages[{at}] comes before the results of {', '.join(sorted(waiting))}"
        waiting = {call.id for call in message.tool_calls}
        if len(waiting) != len(message.tool_calls):
            return f"messages[{at}] has two calls with one id"
        if message.content is None and not message.tool_calls:
            return f"messages[{at}] has neither content nor calls"
    return f"no result for {', '.join(sorted(waiting))}" if waiting else ""
