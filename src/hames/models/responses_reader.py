"""Reads a reply of OpenAI Responses, streamed or whole. Pure."""

import re

import msgspec

from hames.core.errors import FailureKind, ModelError
from hames.core.events import Usage
from hames.core.messages import AssistantMessage, Call, Finish, Reasoning
from hames.core.ports import Alive, Delta, Reply
from hames.models.calls import is_object
from hames.models.failures import stream_failure
from hames.models.reply_stream import NOTHING, ReplyStream
from hames.models.responses_items import ItemsReader

_INCOMPLETE: dict[str, Finish] = {"max_output_tokens": "length", "content_filter": "filter"}

_KINDS: dict[str, FailureKind] = {
    "insufficient_quota": "balance",
    "invalid_prompt": "refused",
    "bio_policy": "refused",
    "cyber_policy": "refused",
}
"""Codes and types of errors whose words do not tell the class."""

_ASKED_WAIT = r"try again in (\d+(?:\.\d+)?) ?(ms|s)\b"


class _InputDetails(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None


class _OutputDetails(msgspec.Struct, frozen=True):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct, frozen=True):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class _Incomplete(msgspec.Struct, frozen=True):
    reason: str | None = None


class _Response(msgspec.Struct, frozen=True):
    status: str | None = None
    model: str | None = None
    output: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()
    incomplete_details: _Incomplete | None = None


class _Event(msgspec.Struct, frozen=True):
    type: str = ""
    delta: str | None = None
    output_index: int | None = None
    summary_index: int | None = None
    arguments: str | None = None
    item: msgspec.Raw = msgspec.Raw()
    response: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


class _Named(msgspec.Struct, frozen=True):
    type: str = ""


class _Coded(msgspec.Struct, frozen=True):
    code: str | None = None
    type: str | None = None


_events = msgspec.json.Decoder(_Event)
_names = msgspec.json.Decoder(_Named)
_responses = msgspec.json.Decoder(_Response)
_usages = msgspec.json.Decoder(_Usage)

_READ = frozenset((
    "response.output_text.delta",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.reasoning_summary_text.delta",
    "response.reasoning_text.delta",
    "response.refusal.delta",
    "response.output_item.added",
    "response.output_item.done",
    "response.completed",
    "response.incomplete",
    "response.failed",
    "response.error",
    "error",
))  # fmt: skip
"""The events that are read. All others may have any shape."""


class ResponsesReader:
    """Implements `ReplyReader`. `name` is of the provider, `mark` of who may be given reasoning back."""

    def __init__(self, name: str, mark: str) -> None:
        self._name = name
        self._mark = mark
        self._stream = ReplyStream(name)
        self._items = ItemsReader()
        self._finish: Finish | None = None
        self._model = ""
        self._usage = Usage()

    def feed(self, data: bytes) -> list[Delta]:
        """What these bytes complete."""
        return self._stream.feed(data, self._read)

    def finish(self, first_byte_s: float) -> Reply:
        """The reply, or the `ModelError` that says why there is none."""
        stream, raw = self._stream, self._stream.raw
        stream.end(self._read)
        ended = self._ended(raw)
        items = self._items
        calls, repairs = items.calls(raw)
        finish = self._finished(ended, calls, raw)
        message = AssistantMessage(items.text, self._reasoning(), calls)
        stream.check_content(message, finish, raw, is_thought=items.thought)
        return Reply(
            message=message,
            finish=finish,
            model=self._model,
            usage=self._usage,
            raw=raw,
            first_byte_s=first_byte_s,
            repairs=stream.all_repairs(repairs),
        )

    def _read(self, data: bytes, deltas: list[Delta]) -> None:
        """Take in one event, or the whole body of a server that does not stream."""
        if self._stream.is_whole:
            self._close(_responses.decode(data), "", deltas)
            return
        try:
            self._read_event(_events.decode(data), data, deltas)
        except msgspec.ValidationError:
            if _name(data) in _READ:
                raise

    def _read_event(self, event: _Event, data: bytes, deltas: list[Delta]) -> None:
        said = event.delta or ""
        match event.type:
            case "response.output_text.delta":
                self._items.say(event.output_index, said, deltas)
            case "response.function_call_arguments.delta":
                self._items.argue(event.output_index, said)
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                self._items.think(event.output_index, event.summary_index, said, deltas)
            case "response.refusal.delta":
                self._items.refuse(said)
            case _:
                self._read_rare(event, data, deltas)

    def _read_rare(self, event: _Event, data: bytes, deltas: list[Delta]) -> None:
        match event.type:
            case "response.output_item.added":
                self._items.begin(event.output_index, event.item, deltas)
            case "response.output_item.done":
                self._items.end(event.output_index, event.item, deltas)
            case "response.function_call_arguments.done":
                self._items.argued(event.output_index, event.arguments)
            case "response.completed" | "response.incomplete" | "response.failed":
                self._close(_responses.decode(event.response), event.type.removeprefix("response."), deltas)
            case "response.queued":
                deltas.append(Alive(queued=True))
            case "error" | "response.error":
                self._fail(bytes(event.error) if event.error not in NOTHING else data)
            case "" if event.error not in NOTHING:
                self._fail(bytes(event.error))
            case _:
                pass

    def _close(self, response: _Response, how: str, deltas: list[Delta]) -> None:
        """The last event, or the whole body. What it says of its state counts before its name."""
        self._model = response.model or ""
        if response.usage not in NOTHING:
            self._count(response.usage)
        self._items.settle(response.output or [], deltas)
        match response.status or how:
            case "completed":
                self._finish = "stop"
            case "incomplete":
                reason = response.incomplete_details and response.incomplete_details.reason
                self._finish = _INCOMPLETE.get(reason or "", "other")
            case "failed":
                self._fail(bytes(response.error) if response.error not in NOTHING else b"{}")
            case _:
                if response.error not in NOTHING:
                    self._fail(bytes(response.error))

    def _fail(self, error: bytes) -> None:
        self._stream.error = self._stream.error or error

    def _count(self, data: msgspec.Raw) -> None:
        try:
            usage = _usages.decode(data)
        except msgspec.DecodeError:
            self._stream.repairs.append("the usage could not be read")
            return
        total, output = max(usage.input_tokens or 0, 0), max(usage.output_tokens or 0, 0)
        cached = (usage.input_tokens_details and usage.input_tokens_details.cached_tokens) or 0
        reasoning = (usage.output_tokens_details and usage.output_tokens_details.reasoning_tokens) or 0
        self._usage = Usage(total, min(max(cached, 0), total), output, min(max(reasoning, 0), output))

    def _ended(self, raw: bytes) -> Finish:
        """How the server ended the reply; raises what it said or left out instead."""
        if self._stream.error:
            raise self._failure(raw)
        self._stream.check_end(raw, is_ended=self._finish is not None)
        assert self._finish is not None
        if self._items.refusal:
            raise ModelError("refused", f"the model refused: {self._items.refusal}", raw=raw)
        return self._finish

    def _finished(self, finish: Finish, calls: tuple[Call, ...], raw: bytes) -> Finish:
        name = self._name
        if finish == "filter" and (calls or not self._items.text.strip()):
            raise ModelError("refused", f"the content filter of {name} stopped the reply", raw=raw)
        if not calls:
            return finish
        if any(not call.name for call in calls):
            raise ModelError("malformed", f"{name} sent a call without the name of a tool", raw=raw)
        doubtful = self._items.doubtful(calls)
        # An event that could not be read may be missing in the middle of a call.
        lost = bool(doubtful) and self._stream.unreadable > 0
        cut = doubtful if finish == "stop" else calls
        if lost or not all(is_object(call.arguments) for call in cut):
            raise ModelError("cut", f"the reply of {name} ended inside a call", raw=raw)
        return "calls" if finish == "stop" else finish

    def _failure(self, raw: bytes) -> ModelError:
        found = stream_failure(self._stream.error, self._name, raw)
        words, kind = str(found), found.kind
        if kind == "overload":
            coded = _coded(self._stream.error)
            kind = _KINDS.get(coded.code or "") or _KINDS.get(coded.type or "") or kind
            kind = "rejected" if "image" in (coded.code or "") else kind
        wait = re.search(_ASKED_WAIT, words)
        wait_s = float(wait[1]) / (1000 if wait[2] == "ms" else 1) if wait else None
        return ModelError(kind, words, status=found.status, wait_s=wait_s, raw=raw, window=found.window)

    def _reasoning(self) -> Reasoning | None:
        text, layout = self._items.thoughts, self._items.layout()
        return Reasoning(self._mark, text, layout) if text or layout is not None else None


def _name(data: bytes) -> str:
    """The type of an event of some other shape."""
    try:
        return _names.decode(data).type
    except msgspec.DecodeError:
        return ""


def _coded(error: bytes) -> _Coded:
    try:
        return msgspec.json.decode(error, type=_Coded)
    except msgspec.DecodeError:
        return _Coded()
