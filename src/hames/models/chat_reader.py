"""Reads a reply of Chat Completions, streamed or whole. Pure."""

import msgspec

from hames.core.errors import ModelError
from hames.core.events import Usage
from hames.core.messages import AssistantMessage, Call, Finish, Reasoning
from hames.core.ports import CallDelta, Delta, ReasoningDelta, Reply, TextDelta
from hames.core.profiles import Provider
from hames.models.calls import is_object
from hames.models.chat_calls import CallPiece, CallsReader
from hames.models.chat_thoughts import DetailsReader
from hames.models.reply_stream import NOTHING, ReplyStream

_FINISH: dict[str, Finish] = {
    "stop": "stop",
    "tool_calls": "calls",
    "function_call": "calls",
    "length": "length",
    "max_tokens": "length",
    "content_filter": "filter",
    # Mistral, GLM, and servers that pass on what their engine says.
    "model_length": "length",
    "sensitive": "filter",
    "end_turn": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
}
# The server's own word that it was interrupted: DeepSeek, OpenRouter, SGLang and vLLM, GLM.
_BROKEN_OFF = ("insufficient_system_resource", "error", "abort", "network_error")


class _Details(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_cache_hit_tokens: int | None = None
    reasoning_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None


class _Delta(msgspec.Struct, frozen=True):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: msgspec.Raw = msgspec.Raw()
    refusal: str | None = None
    tool_calls: list[CallPiece] | None = None


class _Choice(msgspec.Struct, frozen=True):
    index: int | None = None
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None


class _Event(msgspec.Struct, frozen=True):
    choices: list[_Choice] | None = None
    model: str | None = None
    usage: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


_events = msgspec.json.Decoder(_Event)
_usages = msgspec.json.Decoder(_Usage)


DETAILS = "reasoning_details"
"""The field of thoughts that must go back as they came. They may be signed for the model that made them."""


def reasoning_field(provider: Provider, model: str, reasoning: Reasoning | None) -> str:
    """The field in which `reasoning` came from this provider; empty if another made it, or if another of its
    models made details."""
    made_by, _, field = reasoning.wire.rpartition("/") if reasoning else ("", "", "")
    return field if made_by == _mark(provider, model, field) else ""


class ChatReader:
    """Implements `ReplyReader`."""

    def __init__(self, provider: Provider, model: str = "") -> None:
        self._provider = provider
        self._asked = model
        self._stream = ReplyStream(provider.name)
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._reasoning_field = provider.reasoning_field
        self._details = DetailsReader()
        self._refusal: list[str] = []
        self._calls = CallsReader()
        self._finish = ""
        self._model = ""
        self._usage = Usage()

    def feed(self, data: bytes) -> list[Delta]:
        """What these bytes complete."""
        return self._stream.feed(data, self._read)

    def finish(self, first_byte_s: float) -> Reply:
        """The reply, or the `ModelError` that says why there is none."""
        stream, raw = self._stream, self._stream.raw
        stream.end(self._read)
        self._raise_trouble(raw)
        calls, repairs = self._calls.calls(raw)
        finish = self._finished(calls, raw)
        thought = self._kept_reasoning()
        message = AssistantMessage("".join(self._text), thought, calls)
        stream.check_content(message, finish, raw, is_thought=thought is not None)
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
        event = _events.decode(data)
        if event.model:
            self._model = event.model
        if event.choices:
            choice = event.choices[0]
            delta = choice.delta or choice.message
            if delta is not None:
                self._add(delta, deltas, whole=choice.message is not None)
            if choice.finish_reason:
                self._finish = choice.finish_reason
        if event.usage not in NOTHING:
            self._count(event.usage)
        if event.error not in NOTHING and not self._stream.error:
            self._stream.error = bytes(event.error)

    def _add(self, delta: _Delta, deltas: list[Delta], *, whole: bool) -> None:
        # Where a server sends its reasoning twice, `reasoning` is the name that it reads back.
        reasoning = delta.reasoning or delta.reasoning_content
        if reasoning:
            self._reasoning_field = "reasoning" if delta.reasoning else "reasoning_content"
        if delta.reasoning_details not in NOTHING:
            reasoning = self._detailed(delta.reasoning_details, whole=whole, said=reasoning)
        if reasoning:
            self._reasoning.append(reasoning)
            deltas.append(ReasoningDelta(reasoning))
        if delta.content:
            self._text.append(delta.content)
            deltas.append(TextDelta(delta.content))
        if delta.refusal:
            self._refusal.append(delta.refusal)
        for at, piece in enumerate(delta.tool_calls or ()):
            begun = self._calls.add(CallPiece(at, piece.id, piece.function) if whole else piece)
            if begun is not None:
                deltas.append(CallDelta(*begun))

    def _detailed(self, data: msgspec.Raw, *, whole: bool, said: str | None) -> str:
        """Keep details; what they say, unless it was `said` beside them."""
        try:
            words = self._details.add(data, whole=whole)
        except msgspec.DecodeError:
            self._stream.repairs.append(f"the {DETAILS} could not be read")
            words = ""
        return said or words

    def _count(self, data: msgspec.Raw) -> None:
        try:
            usage = _usages.decode(data)
        except msgspec.DecodeError:
            self._stream.repairs.append("the usage could not be read")
            return
        prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
        total = max(usage.prompt_tokens or 0, 0)
        cached = usage.prompt_cache_hit_tokens or (prompt and prompt.cached_tokens) or 0
        reasoning = (completion and completion.reasoning_tokens) or usage.reasoning_tokens or 0
        output = max(usage.completion_tokens or 0, 0)
        self._usage = Usage(total, min(max(cached, 0), total), output, min(max(reasoning, 0), output))

    def _raise_trouble(self, raw: bytes) -> None:
        name = self._provider.name
        self._stream.check_end(raw, is_ended=bool(self._finish))
        if self._finish in _BROKEN_OFF:
            raise ModelError("overload", f"{name} broke the reply off: {self._finish}", raw=raw)
        if self._refusal:
            raise ModelError("refused", f"the model refused: {''.join(self._refusal)}", raw=raw)

    def _finished(self, calls: tuple[Call, ...], raw: bytes) -> Finish:
        name = self._provider.name
        finish = _FINISH.get(self._finish, "other")
        if finish == "filter" and (calls or not "".join(self._text).strip()):
            raise ModelError("refused", f"the content filter of {name} stopped the reply", raw=raw)
        if not calls:
            return "stop" if finish == "calls" else finish
        if any(not call.name for call in calls):
            raise ModelError("malformed", f"{name} sent a call without the name of a tool", raw=raw)
        if finish in ("stop", "calls"):
            return "calls"
        if not all(is_object(call.arguments) for call in calls):
            raise ModelError("cut", f"the reply of {name} ended ({self._finish}) inside a call", raw=raw)
        return finish

    def _kept_reasoning(self) -> Reasoning | None:
        details = self._details.encoded()
        if not self._reasoning and details is None:
            return None
        field = self._reasoning_field if details is None else DETAILS
        mark = _mark(self._provider, self._asked, field)
        return Reasoning(f"{mark}/{field}", "".join(self._reasoning), details)


def _mark(provider: Provider, model: str, field: str) -> str:
    """Who may be given reasoning back."""
    return f"chat/{provider.name}/{model}" if field == DETAILS else f"chat/{provider.name}"
