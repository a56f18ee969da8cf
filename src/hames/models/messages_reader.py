"""Reads a reply of Anthropic Messages, streamed or whole. Pure."""

import msgspec

from hames.core.errors import ModelError
from hames.core.events import Usage
from hames.core.messages import AssistantMessage, Call, Finish, Reasoning
from hames.core.ports import Alive, Delta, Reply
from hames.core.profiles import ModelProfile
from hames.models.calls import is_object
from hames.models.messages_blocks import BlockDelta, BlocksReader, maker
from hames.models.reply_stream import NOTHING, ReplyStream

_FINISH: dict[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "filter",
}


class _Details(msgspec.Struct, frozen=True):
    thinking_tokens: int | None = None


class _Usage(msgspec.Struct, frozen=True):
    """Counts so far. What was read from the cache or written to it is not part of `input_tokens`."""

    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens: int | None = None
    output_tokens_details: _Details | None = None


class _Stop(msgspec.Struct, frozen=True):
    explanation: str | None = None
    category: str | None = None


class _Message(msgspec.Struct, frozen=True):
    """A reply as it begins, or whole from a server that does not stream."""

    model: str | None = None
    usage: msgspec.Raw = msgspec.Raw()
    content: list[msgspec.Raw] | None = None
    stop_reason: str | None = None
    stop_details: msgspec.Raw = msgspec.Raw()


class _Event(msgspec.Struct, frozen=True):
    type: str = ""
    index: int | None = None
    delta: BlockDelta | None = None
    content_block: msgspec.Raw = msgspec.Raw()
    message: msgspec.Raw = msgspec.Raw()
    usage: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


_events = msgspec.json.Decoder(_Event)
_messages = msgspec.json.Decoder(_Message)
_usages = msgspec.json.Decoder(_Usage)
_stops = msgspec.json.Decoder(_Stop | None)


class MessagesReader:
    """Implements `ReplyReader`."""

    def __init__(self, profile: ModelProfile) -> None:
        self._name = profile.provider.name
        self._maker = maker(profile)
        self._stream = ReplyStream(profile.provider.name)
        self._blocks = BlocksReader()
        self._finish = ""
        self._stop = b""
        self._model = ""
        self._counted = _Usage()

    def feed(self, data: bytes) -> list[Delta]:
        """What these bytes complete."""
        return self._stream.feed(data, self._read)

    def finish(self, first_byte_s: float) -> Reply:
        """The reply, or the `ModelError` that says why there is none."""
        stream, raw = self._stream, self._stream.raw
        stream.end(self._read)
        stream.check_end(raw, is_ended=bool(self._finish))
        calls, repairs = self._blocks.calls(raw)
        text = self._blocks.text
        finish, calls = self._finished(calls, text, raw)
        opaque = self._blocks.opaque(cut=finish not in ("stop", "calls"))
        thought = self._blocks.reasoning
        reasoning = Reasoning(self._maker, thought, opaque) if thought or opaque else None
        message = AssistantMessage(text, reasoning, calls)
        stream.check_content(message, finish, raw, is_thought=reasoning is not None)
        return Reply(
            message=message,
            finish=finish,
            model=self._model,
            usage=_usage(self._counted),
            raw=raw,
            first_byte_s=first_byte_s,
            repairs=stream.all_repairs(repairs),
        )

    def _read(self, data: bytes, deltas: list[Delta]) -> None:
        """Take in one event, or the whole body of a server that does not stream."""
        event = _events.decode(data)
        if event.type == "content_block_delta" and event.delta is not None:
            self._blocks.add(event.index, event.delta, deltas)
            return
        try:
            self._read_rare(event, data, deltas)
        except msgspec.DecodeError as error:
            # The event is JSON; a part of it that is not even there does not count as skipped.
            raise msgspec.ValidationError(str(error)) from error

    def _read_rare(self, event: _Event, data: bytes, deltas: list[Delta]) -> None:
        """What comes a few times in a reply. Kinds that are not known are passed over."""
        match event.type:
            case "ping":
                deltas.append(Alive(queued=False))
            case "content_block_start":
                self._blocks.begin(event.index, bytes(event.content_block), deltas)
            case "message_start":
                self._begin(_messages.decode(event.message), deltas)
            case "message_delta":
                if event.delta is not None and event.delta.stop_reason:
                    self._finish, self._stop = event.delta.stop_reason, bytes(event.delta.stop_details)
                self._count(event.usage)
            case "message" if self._stream.is_whole:
                self._begin(_messages.decode(data), deltas)
            case _:
                if event.error not in NOTHING and not self._stream.error:
                    self._stream.error = bytes(event.error)

    def _begin(self, message: _Message, deltas: list[Delta]) -> None:
        self._model = message.model or self._model
        self._count(message.usage)
        for index, block in enumerate(message.content or ()):
            self._blocks.begin(index, bytes(block), deltas)
        if message.stop_reason:
            self._finish, self._stop = message.stop_reason, bytes(message.stop_details)

    def _count(self, data: msgspec.Raw) -> None:
        """Counts are of all so far: a later one stands for an earlier one."""
        if not bytes(data):
            return
        try:
            later = _usages.decode(data) if bytes(data) != b"null" else _Usage()
        except msgspec.DecodeError:
            self._stream.repairs.append("the usage could not be read")
            return
        was = self._counted
        self._counted = _Usage(
            later.input_tokens or was.input_tokens,
            later.cache_read_input_tokens or was.cache_read_input_tokens,
            later.cache_creation_input_tokens or was.cache_creation_input_tokens,
            later.output_tokens or was.output_tokens,
            later.output_tokens_details or was.output_tokens_details,
        )

    def _finished(self, calls: tuple[Call, ...], text: str, raw: bytes) -> tuple[Finish, tuple[Call, ...]]:
        """Why the model stopped, and the calls that are whole."""
        finish = _FINISH.get(self._finish, "other")
        if finish == "filter" and (calls or not text.strip()):
            raise ModelError("refused", f"the model refused{self._why()}", raw=raw)
        if not calls:
            return "stop" if finish == "calls" else finish, ()
        if any(not call.name for call in calls):
            raise ModelError("malformed", f"{self._name} sent a call without the name of a tool", raw=raw)
        if finish in ("stop", "calls"):
            # A tool without arguments may be asked for with none at all.
            return "calls", tuple(_with_arguments(call) for call in calls)
        if not all(is_object(call.arguments) for call in calls):
            raise ModelError(
                "cut", f"the reply of {self._name} ended ({self._finish}) inside a call", raw=raw
            )
        return finish, calls

    def _why(self) -> str:
        try:
            stop = _stops.decode(self._stop) if self._stop else None
        except msgspec.DecodeError:
            stop = None
        said = (stop.explanation or stop.category) if stop is not None else None
        return f": {said}" if said else ""


def _with_arguments(call: Call) -> Call:
    return call if call.arguments else msgspec.structs.replace(call, arguments="{}")


def _usage(counted: _Usage) -> Usage:
    def count(number: int | None) -> int:
        return max(number or 0, 0)

    cached = count(counted.cache_read_input_tokens)
    total = count(counted.input_tokens) + cached + count(counted.cache_creation_input_tokens)
    output = count(counted.output_tokens)
    details = counted.output_tokens_details
    reasoning = count(details.thinking_tokens) if details is not None else 0
    return Usage(total, cached, output, min(reasoning, output))
