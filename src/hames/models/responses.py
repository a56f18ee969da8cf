"""The wire of OpenAI Responses, without state on the server: from messages to request bytes. Pure."""

from collections.abc import Mapping

import msgspec

from hames.core.ids import BlobId
from hames.core.messages import (
    ALONE,
    AssistantMessage,
    Call,
    Image,
    Message,
    Part,
    ResultPlace,
    ToolMessage,
    UserMessage,
)
from hames.core.ports import AskOptions, Pinned, ToolSpec
from hames.core.profiles import ModelProfile
from hames.core.text import PICTURE_TYPES
from hames.models.calls import sent_id
from hames.models.pictures import data_url, words_of
from hames.models.responses_layout import Called, Item, Said, Thought, plain_items, read_layout
from hames.models.responses_reader import ResponsesReader

# A provider that wants reasoning beside calls takes an empty item where there was none.
_NO_THOUGHT = Thought(b'{"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":""}]}')

_encode = msgspec.json.encode
_specs = msgspec.json.Decoder(list[ToolSpec])
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Tool(msgspec.Struct, frozen=True, tag="function"):
    """A tool. Left out, `strict` would be true, and the server would demand closed schemas."""

    name: str
    description: str
    parameters: msgspec.Raw
    strict: bool = False


class ResponsesWire:
    """Implements `Wire` for one model.

    Only this model gets its reasoning back: another cannot read what is encrypted. Where the provider is
    said to want none, no encrypted reasoning is asked for either: models without reasoning refuse that.
    """

    def __init__(self, profile: ModelProfile) -> None:
        self._provider = profile.provider
        self._sees = profile.facts.sees
        self._mark = f"responses/{profile.provider.name}/{profile.model}"

    def head(self, pinned: Pinned) -> bytes:
        parts = [b'{"model":', _encode(pinned.model)]
        if pinned.system:
            parts += [b',"instructions":', _encode(pinned.system)]
        specs = _specs.decode(pinned.tools)
        if specs:
            tools = [_Tool(spec.name, spec.description, spec.parameters) for spec in specs]
            parts += [b',"tools":', _encode(tools)]
        parts.append(b',"input":[')
        return b"".join(parts)

    def piece(self, message: Message, images: Mapping[BlobId, bytes], place: ResultPlace = ALONE) -> bytes:
        match message:
            case UserMessage(parts=parts):
                return b'{"type":"message","role":"user","content":%b}' % self._content(parts, images)
            case AssistantMessage():
                return _reply(self._items(message), message.calls)
            case ToolMessage(call=call, wire_id=wire_id, parts=parts):
                return b'{"type":"function_call_output","call_id":%b,"output":%b}' % (
                    _encode(sent_id(wire_id, call)),
                    self._content(parts, images),
                )

    def tail(self, options: AskOptions) -> bytes:
        fields = {"stream": msgspec.Raw(b"true"), "store": msgspec.Raw(b"false")}
        if self._provider.reasoning != "never":
            fields["include"] = msgspec.Raw(b'["reasoning.encrypted_content"]')
        fields.update(self._provider.extra)
        if options.max_tokens is not None:
            fields["max_output_tokens"] = msgspec.Raw(b"%d" % options.max_tokens)
        if options.effort is not None:
            fields.update(self._effort(options.effort))
        return b"]," + _encode(fields)[1:]

    def reader(self) -> ResponsesReader:
        return ResponsesReader(self._provider.name, self._mark)

    def _effort(self, effort: str) -> Mapping[str, msgspec.Raw]:
        named = self._provider.efforts.get(effort)
        if named is not None:
            return named
        asked = self._provider.extra.get("reasoning")
        fields = _objects.decode(asked) if asked is not None else {}
        fields["effort"] = msgspec.Raw(_encode(effort))
        return {"reasoning": msgspec.Raw(_encode(fields))}

    def _content(self, parts: tuple[Part, ...], images: Mapping[BlobId, bytes]) -> bytes:
        if not self._sees or not any(isinstance(part, Image) for part in parts):
            return _encode("\n".join(words_of(part, "this model cannot see pictures") for part in parts))
        return b"[%b]" % b",".join(_part(part, images) for part in parts)

    def _items(self, message: AssistantMessage) -> list[Item]:
        """The reply as it came, where it may go back like that; else its text and calls."""
        wanted, own = self._provider.reasoning, message.reasoning
        wants = wanted in ("always", "every") or (wanted == "calls" and bool(message.calls))
        items: list[Item] | None = None
        if wants and own is not None and own.opaque is not None and own.wire == self._mark:
            items = read_layout(own.opaque, message)
        items = items or plain_items(message)
        if wants and wanted == "calls" and not any(isinstance(item, Thought) for item in items):
            items.insert(0, _NO_THOUGHT)
        return items


def _reply(items: list[Item], calls: tuple[Call, ...]) -> bytes:
    encoded: list[bytes] = []
    rest = iter(calls)
    for item in items:
        match item:
            case Thought(item=raw):
                encoded.append(raw)
            case Said():
                encoded.append(_said(item))
            case Called(id=name):
                encoded.append(_called(name, next(rest)))
    return b",".join(encoded)


def _said(said: Said) -> bytes:
    phase = b',"phase":%b' % _encode(said.phase) if said.phase else b""
    if not said.id:
        return b'{"type":"message","role":"assistant"%b,"content":%b}' % (phase, _encode(said.text))
    # No `status`, here or on a call: strict servers refuse it in the input.
    return (
        b'{"type":"message","id":%b,"role":"assistant"%b,'
        b'"content":[{"type":"output_text","text":%b,"annotations":[]}]}'
    ) % (_encode(said.id), phase, _encode(said.text))


def _called(name: str, call: Call) -> bytes:
    own = b'"id":%b,' % _encode(name) if name else b""
    return b'{"type":"function_call",%b"call_id":%b,"name":%b,"arguments":%b}' % (
        own,
        _encode(sent_id(call.wire_id, call.id)),
        _encode(call.name),
        _encode(call.arguments),
    )


def _part(part: Part, images: Mapping[BlobId, bytes]) -> bytes:
    if isinstance(part, Image) and part.media_type in PICTURE_TYPES:
        return b'{"type":"input_image","detail":"auto","image_url":%b}' % _encode(data_url(part, images))
    return b'{"type":"input_text","text":%b}' % _encode(words_of(part, "the server does not take this kind"))
