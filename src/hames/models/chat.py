"""The wire of OpenAI Chat Completions: from messages to request bytes. Pure."""

from collections.abc import Mapping

import msgspec

from hames.core.ids import BlobId
from hames.core.messages import (
    ALONE,
    AssistantMessage,
    Image,
    Message,
    Part,
    ResultPlace,
    Text,
    ToolMessage,
    UserMessage,
)
from hames.core.ports import AskOptions, Pinned, ToolSpec
from hames.core.profiles import Provider
from hames.models.chat_reader import DETAILS, ChatReader, reasoning_field
from hames.models.pictures import data_url, words_of

_encode = msgspec.json.encode
_specs = msgspec.json.Decoder(list[ToolSpec])


class _Function(msgspec.Struct, frozen=True):
    name: str
    description: str
    parameters: msgspec.Raw


class _Tool(msgspec.Struct, frozen=True, tag="function"):
    function: _Function


class ChatWire:
    """Implements `Wire` for one provider. `model` may get back what it signed.

    The head ends with the comma after the system message, or with `[` when there is no system text.
    """

    def __init__(self, provider: Provider, *, sees: bool = False, model: str = "") -> None:
        self._provider = provider
        self._model = model
        self._sees = sees

    def head(self, pinned: Pinned) -> bytes:
        parts = [b'{"model":', _encode(pinned.model)]
        specs = _specs.decode(pinned.tools)
        if specs:
            tools = [_Tool(_Function(s.name, s.description, s.parameters)) for s in specs]
            parts += [b',"tools":', _encode(tools)]
        parts.append(b',"messages":[')
        if pinned.system:
            parts += [b'{"role":"system","content":', _encode(pinned.system), b"},"]
        return b"".join(parts)

    def piece(self, message: Message, images: Mapping[BlobId, bytes], place: ResultPlace = ALONE) -> bytes:
        match message:
            case UserMessage(parts=parts):
                return b'{"role":"user","content":' + self._content(parts, images) + b"}"
            case AssistantMessage():
                return self._assistant(message)
            case ToolMessage(wire_id=wire_id, parts=parts):
                answered, content = _encode(wire_id), _encode(_words(parts, "tool results carry text only"))
                return b'{"role":"tool","tool_call_id":' + answered + b',"content":' + content + b"}"

    def tail(self, options: AskOptions) -> bytes:
        parts = [b'],"stream":true']
        if self._provider.stream_usage:
            parts.append(b',"stream_options":{"include_usage":true}')
        if options.max_tokens is not None:
            parts += [b",", _encode(self._provider.max_tokens_field), b":%d" % options.max_tokens]
        asked = self._effort(options.effort)
        extra = {key: value for key, value in self._provider.extra.items() if key not in asked}
        for key, value in (*asked.items(), *extra.items()):
            parts += [b",", _encode(key), b":", bytes(value)]
        parts.append(b"}")
        return b"".join(parts)

    def reader(self) -> ChatReader:
        return ChatReader(self._provider, self._model)

    def _effort(self, effort: str | None) -> Mapping[str, msgspec.Raw]:
        if effort is None:
            return {}
        named = self._provider.efforts.get(effort)
        return {"reasoning_effort": msgspec.Raw(_encode(effort))} if named is None else named

    def _content(self, parts: tuple[Part, ...], images: Mapping[BlobId, bytes]) -> bytes:
        if not self._sees or not any(isinstance(part, Image) for part in parts):
            return _encode(_words(parts, "this model cannot see pictures"))
        items: list[bytes] = []
        for part in parts:
            if isinstance(part, Text):
                items.append(b'{"type":"text","text":' + _encode(part.text) + b"}")
            else:
                url = _encode(data_url(part, images))
                items.append(b'{"type":"image_url","image_url":{"url":' + url + b"}}")
        return b"[" + b",".join(items) + b"]"

    def _assistant(self, message: AssistantMessage) -> bytes:
        # Providers differ on null beside calls; all take the empty string.
        parts = [b'{"role":"assistant","content":', _encode(message.text), self._reasoning(message)]
        if message.calls:
            calls = [
                b'{"id":%b,"type":"function","function":{"name":%b,"arguments":%b}}'
                % (_encode(call.wire_id), _encode(call.name), _encode(call.arguments))
                for call in message.calls
            ]
            parts.append(b',"tool_calls":[' + b",".join(calls) + b"]")
        parts.append(b"}")
        return b"".join(parts)

    def _reasoning(self, message: AssistantMessage) -> bytes:
        own, provider = message.reasoning, self._provider
        field = reasoning_field(provider, self._model, own)
        text = own.text if field and own is not None else ""
        match provider.reasoning:
            case "calls" | "every":
                if not message.calls and provider.reasoning == "calls":
                    return b""
                field, text = provider.reasoning_field, text or provider.reasoning_blank
            case "always":
                if own is not None and field == DETAILS:
                    return b',"%b":%b' % (field.encode(), (own.opaque or "[]").encode())
                if not text:
                    return b""
            case "never":
                return b""
        return b"," + _encode(field) + b":" + _encode(text)


def _words(parts: tuple[Part, ...], why_not: str) -> str:
    return "\n".join(words_of(part, why_not) for part in parts)
