"""What a scripted model says, as data, and as the bytes of a stream."""

from bisect import bisect_right
from collections.abc import Iterator
from typing import Literal, Protocol

import msgspec

from hames.testing.scripted import MODEL_NAME

Fault = Literal["cut_text", "cut_args", "no_finish", "empty", "garbage", "reset", "stall", "silent", "error"]
"""How a served reply fails.

`cut_text`, `cut_args`: the connection closes in the middle of the text, or of a call's arguments.
`no_finish`: the stream ends well, without a finish event. `empty`: it finishes without content.
`garbage`: an event that is no JSON comes first. `reset`: the connection is reset before any byte.
`stall`: half of the reply comes, then nothing. `silent`: nothing comes at all. `error`: half of it,
then an error event.
"""


class ServedCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call; `arguments` is an object, or a string that is sent as it is. `id` is made if it is empty."""

    name: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")
    id: str = ""


class ServedUsage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tokens as the server counts them; without it they are guessed from sizes."""

    input: int
    output: int
    cached: int = 0
    reasoning: int = 0


class Served(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One reply of the script, or `repeat` of them.

    `{i}` in text, reasoning and arguments is the number of the request, from 1. `chunk` is the number of
    letters in an event (0: all in one), each event then goes out by itself. `queued` comments come first.
    With a `status` other than 200 the answer is an error of that status, with `message` and `headers`.
    """

    text: str = ""
    reasoning: str = ""
    calls: tuple[ServedCall, ...] = ()
    finish: str = ""
    usage: ServedUsage | None = None
    status: int = 200
    message: str = ""
    headers: dict[str, str] = {}
    fault: Fault | None = None
    chunk: int = 0
    queued: int = 0
    repeat: int = 1


class Script:
    """Replies by the number of the request; after the end a final text."""

    def __init__(self, replies: list[Served]) -> None:
        self._replies = replies
        self._ends: list[int] = []
        for reply in replies:
            self._ends.append(reply.repeat + (self._ends[-1] if self._ends else 0))

    def reply(self, number: int) -> Served:
        """The reply to request `number`, from 1."""
        at = bisect_right(self._ends, number - 1)
        return self._replies[at] if at < len(self._replies) else Served(text="The script has ended.")


def read_script(text: bytes) -> Script:
    """A script from a JSON list. Raises `msgspec.ValidationError` for what does not fit."""
    return Script(msgspec.json.decode(text, type=list[Served]))


class Stream(msgspec.Struct, frozen=True):
    """The events of one reply. `whole`: the response ends as it should; else `hangs`, or is cut off."""

    events: list[bytes]
    whole: bool = True
    hangs: bool = False


class Speech(Protocol):
    """How a reply is told on one wire."""

    def begin(self, number: int, usage: ServedUsage) -> list[bytes]:
        """The events before anything is said."""
        ...

    def deltas(self, reply: Served, number: int) -> Iterator[bytes]:
        """What the model says."""
        ...

    def ending(self, reply: Served, number: int, usage: ServedUsage) -> list[bytes]:
        """The events that finish a reply."""
        ...

    def trouble(self, message: str) -> bytes:
        """An error event."""
        ...


def stream(reply: Served, number: int, usage: ServedUsage, speech: Speech | None = None) -> Stream:
    """A reply as events of a wire (Chat Completions by default), with its fault."""
    speech = speech or ChatSpeech()
    usage = reply.usage or usage
    if reply.fault in ("reset", "silent"):
        return Stream([], whole=False, hangs=reply.fault == "silent")
    begun = [b": keep-alive\n\n"] * reply.queued + speech.begin(number, usage)
    ending = speech.ending(reply, number, usage)
    deltas = list(speech.deltas(reply, number))
    half = deltas[: len(deltas) // 2 + 1]
    match reply.fault:
        case "cut_text":
            return Stream([*begun, *speech.deltas(_cut_text(reply), number)], whole=False)
        case "cut_args":
            return Stream([*begun, *speech.deltas(_cut_arguments(reply, number), number)], whole=False)
        case "no_finish":
            return Stream([*begun, *deltas])
        case "empty":
            return Stream([*begun, *speech.ending(Served(), number, usage)])
        case "garbage":
            return Stream([*begun, b"data: {not json\n\n", *deltas, *ending])
        case "stall":
            return Stream([*begun, *half], whole=False, hangs=True)
        case "error":
            return Stream([*begun, *half, speech.trouble(reply.message or "scripted error")])
        case _:
            return Stream([*begun, *deltas, *ending])


def arguments_of(call: ServedCall, number: int) -> str:
    """The raw argument string of a call."""
    raw = bytes(call.arguments)
    text = msgspec.json.decode(raw, type=str) if raw.startswith(b'"') else raw.decode()
    return text.replace("{i}", str(number))


def pieces(text: str, number: int, size: int) -> Iterator[str]:
    """A text with the number of its request, in the pieces in which it is sent; none for an empty one."""
    text = text.replace("{i}", str(number))
    step = size or len(text) or 1
    return (text[at : at + step] for at in range(0, len(text), step))


def data(value: object) -> bytes:
    """A value as an event."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


class ChatSpeech:
    """Implements `Speech` for Chat Completions."""

    def begin(self, number: int, usage: ServedUsage) -> list[bytes]:
        """Nothing: the first delta opens the reply."""
        return []

    def deltas(self, reply: Served, number: int) -> Iterator[bytes]:
        """What the model says."""
        first: dict[str, object] = {"role": "assistant", "content": ""}
        if reply.reasoning:
            first["reasoning_content"] = ""
        yield _event(number, first)
        for piece in pieces(reply.reasoning, number, reply.chunk):
            yield _event(number, {"reasoning_content": piece})
        for piece in pieces(reply.text, number, reply.chunk):
            yield _event(number, {"content": piece})
        for index, call in enumerate(reply.calls):
            opening = {"name": call.name, "arguments": ""}
            wire_id = call.id or f"call_{number}_{index}"
            yield _call_event(
                number, {"index": index, "id": wire_id, "type": "function", "function": opening}
            )
            for piece in pieces(arguments_of(call, number), number, reply.chunk):
                yield _call_event(number, {"index": index, "function": {"arguments": piece}})

    def ending(self, reply: Served, number: int, usage: ServedUsage) -> list[bytes]:
        """The finish, the usage, and the mark of the end."""
        finish = reply.finish or ("tool_calls" if reply.calls else "stop")
        return [_event(number, {}, finish), _usage_event(number, usage), b"data: [DONE]\n\n"]

    def trouble(self, message: str) -> bytes:
        """An error event."""
        return data({"error": {"message": message, "type": "server_error"}})


def _cut_text(reply: Served) -> Served:
    text = reply.text or "half of a sentence"
    return Served(text=text[: len(text) // 2 or 1], chunk=reply.chunk)


def _cut_arguments(reply: Served, number: int) -> Served:
    calls = reply.calls or (ServedCall("bash", msgspec.Raw(b'{"command": "echo x >> effects.log"}')),)
    text = arguments_of(calls[-1], number)
    half = msgspec.Raw(msgspec.json.encode(text[: len(text) * 2 // 3]))
    cut = msgspec.structs.replace(calls[-1], arguments=half)
    return msgspec.structs.replace(reply, calls=(*calls[:-1], cut))


def _call_event(number: int, call: dict[str, object]) -> bytes:
    return _event(number, {"tool_calls": [call]})


def _event(number: int, delta: dict[str, object], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return data({**_frame(number), "choices": [choice], "usage": None})


def _usage_event(number: int, usage: ServedUsage) -> bytes:
    counted = {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
        "prompt_cache_hit_tokens": usage.cached,
        "prompt_cache_miss_tokens": usage.input - usage.cached,
    }
    return data({**_frame(number), "choices": [], "usage": counted})


def _frame(number: int) -> dict[str, object]:
    name = f"scripted-{number}"
    return {"id": name, "object": "chat.completion.chunk", "created": 0, "model": MODEL_NAME}
