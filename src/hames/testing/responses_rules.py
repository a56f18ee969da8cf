"""What a server of the Responses protocol demands of a request: checked by the scripted server."""

from typing import Literal

import msgspec

from hames.testing.responses_events import seal

_ID_CHARS = 64


class _Tool(msgspec.Struct, frozen=True):
    type: Literal["function"]
    name: str
    parameters: dict[str, msgspec.Raw]
    strict: bool = True


class _Item(msgspec.Struct, frozen=True):
    type: str = "message"
    id: str = ""
    role: str = ""
    content: str | list[msgspec.Raw] | None = None
    call_id: str = ""
    name: str = ""
    arguments: str | None = None
    output: str | list[msgspec.Raw] | None = None
    encrypted_content: str = ""
    summary: list[dict[str, str]] | None = None
    status: msgspec.Raw = msgspec.Raw()


class _Request(msgspec.Struct, frozen=True):
    model: str
    input: list[_Item]
    stream: bool = False
    store: bool = True
    include: list[str] = []
    tools: list[_Tool] = []
    previous_response_id: str | None = None


class _Spanned(msgspec.Struct, frozen=True):
    input: msgspec.Raw


def broken_responses_rule(body: bytes) -> str:
    """What is wrong with a request, in the words of a server; empty if nothing is."""
    try:
        request = msgspec.json.decode(body, type=_Request)
    except msgspec.DecodeError as error:
        return f"the request cannot be read: {error}"
    if not request.stream or request.store:
        return "this server keeps nothing and only streams: set stream to true and store to false"
    if request.previous_response_id is not None:
        return f"Previous response with id '{request.previous_response_id}' not found."
    if any(tool.strict for tool in request.tools):
        return "Invalid schema for function: 'additionalProperties' is required to be false"
    return _unpaired(request.input) or _misplaced(request.input)


def input_end(body: bytes) -> int:
    """Where the last item of a request ends; 0 if the body cannot be read."""
    try:
        raw = bytes(msgspec.json.decode(body, type=_Spanned).input)
    except msgspec.DecodeError:
        return 0
    return body.index(raw) + len(raw.rstrip().removesuffix(b"]").rstrip())


def _unpaired(items: list[_Item]) -> str:
    """Each call has exactly one output after it; nothing else has."""
    called: set[str] = set()
    answered: set[str] = set()
    for at, item in enumerate(items):
        if bytes(item.status):
            return f"Unknown parameter: 'input[{at}].status'."
        if item.type not in ("function_call", "function_call_output"):
            continue
        if not 0 < len(item.call_id) <= _ID_CHARS:
            return f"Invalid 'input[{at}].call_id': string too long, or empty"
        if (item.arguments if item.type == "function_call" else item.output) is None:
            return f"Missing required parameter: 'input[{at}]', its arguments or its output."
        if item.type == "function_call":
            if item.call_id in called:
                return f"Duplicate call_id in input[{at}]: {item.call_id}"
            called.add(item.call_id)
        elif item.call_id not in called - answered:
            return f"No tool call found for function call output with call_id {item.call_id}."
        else:
            answered.add(item.call_id)
    open_calls = ", ".join(sorted(called - answered))
    return f"No tool output found for function call {open_calls}." if open_calls else ""


def _misplaced(items: list[_Item]) -> str:
    """Reasoning is whole, before what came of it; and that does not come without its reasoning."""
    given: set[str] = set()
    for at, item in enumerate(items):
        if item.type == "reasoning":
            after = items[at + 1].type if at + 1 < len(items) else ""
            if after not in ("message", "function_call", "reasoning") or not item.id or item.id in given:
                return (
                    f"Item '{item.id}' of type 'reasoning' was provided without its required following item."
                )
            if item.summary is None:
                return f"Missing required parameter: 'input[{at}].summary'."
            summary = "\n\n".join(part["text"] for part in item.summary)
            if not item.encrypted_content:
                return f"Item with id '{item.id}' not found. Items are not persisted when `store` is false."
            if item.encrypted_content != seal(item.id, summary):
                return "The encrypted content could not be verified."
            given.add(item.id)
        wanted = item.id.partition("_after_")[2]
        if wanted and wanted not in given:
            return f"Item '{item.id}' was provided without its required 'reasoning' item: '{wanted}'."
    return ""
