"""The wire of Anthropic Messages: from messages to request bytes. Pure."""

from binascii import b2a_base64
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
from hames.models.calls import is_object, is_plain, sent_id
from hames.models.messages_blocks import maker, replayed, words_block
from hames.models.messages_reader import MessagesReader
from hames.models.pictures import words_of

_encode = msgspec.json.encode
_specs = msgspec.json.Decoder(list[ToolSpec])

_MARK = b',"cache_control":{"type":"ephemeral"}'
_UNSEEN = "this model cannot see it"
_NOTHING = "[no words]"
# A provider that wants reasoning beside calls takes an empty block where there was none.
_NO_THOUGHT = b'{"type":"thinking","thinking":"","signature":""}'
_SAID = (b'{"type":"text"', b'{"type":"tool_use"')


class MessagesWire:
    """Implements `Wire` for one model.

    Marks for the server's cache never stand in a message, where they would have to move from request to
    request: one ends what the head shares among sessions, and a parameter of the tail (`cache_control` in
    the profile) tells the server to mark the last block itself.
    """

    def __init__(self, profile: ModelProfile) -> None:
        self._profile = profile
        self._provider = profile.provider
        self._sees = profile.facts.sees
        self._maker = maker(profile)

    def head(self, pinned: Pinned) -> bytes:
        specs = _specs.decode(pinned.tools)
        mark = _MARK if self._provider.cache_marks else b""
        tools = [
            b'{"name":%b,"description":%b,"input_schema":%b'
            % (_encode(spec.name), _encode(spec.description), bytes(spec.parameters))
            for spec in specs
        ]
        parts = [b'{"model":', _encode(pinned.model)]
        if tools:
            last = b"" if pinned.system else mark
            parts += [b',"tools":[', b"},".join(tools), last, b"}]"]
        if pinned.system:
            parts += [b',"system":[{"type":"text","text":', _encode(pinned.system), mark, b"}]"]
        parts.append(b',"messages":[')
        return b"".join(parts)

    def piece(self, message: Message, images: Mapping[BlobId, bytes], place: ResultPlace = ALONE) -> bytes:
        match message:
            case UserMessage(parts=parts):
                content = self._content(parts, images) or _encode(_NOTHING)
                return b'{"role":"user","content":' + content + b"}"
            case AssistantMessage():
                return b'{"role":"assistant","content":[' + b",".join(self._blocks(message)) + b"]}"
            case ToolMessage():
                begin = b'{"role":"user","content":[' if place.first else b""
                return begin + self._result(message, images) + (b"]}" if place.last else b"")

    def tail(self, options: AskOptions) -> bytes:
        most = options.max_tokens or self._profile.facts.max_output
        parameters = {**self._provider.extra, **self._effort(options.effort)}
        more = b"".join(b"," + _encode(key) + b":" + bytes(value) for key, value in parameters.items())
        return b'],"stream":true,"max_tokens":%d%b}' % (most, more)

    def reader(self) -> MessagesReader:
        return MessagesReader(self._profile)

    def _effort(self, effort: str | None) -> dict[str, msgspec.Raw]:
        if effort is None:
            return {}
        if effort in self._provider.efforts:
            return self._provider.efforts[effort]
        if effort == "none":
            return {"thinking": msgspec.Raw(b'{"type":"disabled"}')}
        return {"output_config": msgspec.Raw(_encode({"effort": effort}))}

    def _content(self, parts: tuple[Part, ...], images: Mapping[BlobId, bytes]) -> bytes:
        """A string, or blocks where there are pictures; nothing for blank words, which are refused."""
        if not any(self._shows(part) for part in parts):
            words = "\n".join(words_of(part, _UNSEEN) for part in parts)
            return _encode(words) if words.strip() else b""
        blocks: list[bytes] = []
        for part in parts:
            if isinstance(part, Image) and self._shows(part):
                data = b2a_base64(images[part.blob], newline=False)
                source = b'{"type":"base64","media_type":%b,"data":"%b"}' % (_encode(part.media_type), data)
                blocks.append(b'{"type":"image","source":' + source + b"}")
            else:
                blocks += words_block(words_of(part, _UNSEEN))
        return b"[" + b",".join(blocks) + b"]"

    def _shows(self, part: Part) -> bool:
        return self._sees and isinstance(part, Image) and part.media_type in PICTURE_TYPES

    def _result(self, message: ToolMessage, images: Mapping[BlobId, bytes]) -> bytes:
        content = self._content(message.parts, images)
        answered = _encode(sent_id(message.wire_id, message.call))
        said = b',"content":' + content if content else b""
        return b'{"type":"tool_result","tool_use_id":' + answered + said + b"}"

    def _blocks(self, message: AssistantMessage) -> list[bytes]:
        calls = [_call_block(call) for call in message.calls]
        own = message.reasoning
        if own is not None and own.opaque and own.wire == self._maker and self._provider.reasoning != "never":
            blocks = replayed(own.opaque, message.text, calls)
        else:
            thought = [_NO_THOUGHT] if calls and self._provider.reasoning == "calls" else []
            blocks = [*thought, *words_block(message.text), *calls]
        # Neither an empty message is taken, nor one that ends with a thought.
        if not blocks or not blocks[-1].startswith(_SAID):
            blocks += words_block(_NOTHING)
        return blocks


def _call_block(call: Call) -> bytes:
    # Arguments go back letter for letter; only an object can.
    arguments = call.arguments.encode() if is_object(call.arguments) else _unread(call.arguments)
    return b'{"type":"tool_use","id":%b,"name":%b,"input":%b}' % (
        _encode(sent_id(call.wire_id, call.id)),
        _encode(_tool_name(call.name)),
        arguments,
    )


def _unread(arguments: str) -> bytes:
    return _encode({"arguments that are not a JSON object": arguments}) if arguments.strip() else b"{}"


def _tool_name(name: str) -> str:
    """Another server's model may have asked for a tool whose name this one would refuse."""
    return name if is_plain(name) else "".join(each if is_plain(each) else "_" for each in name) or "_"
