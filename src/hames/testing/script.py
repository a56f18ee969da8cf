"""What a scripted model says, as data, and as the bytes of a stream."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Literal, Protocol

import msgspec

Fault = Literal[
    "cut_text",
    "cut_args",
    "no_finish",
    "no_mark",
    "empty",
    "garbage",
    "half_event",
    "binary",
    "reset",
    "reset_midway",
    "away",
    "stall",
    "pause",
    "silent",
    "error",
    "error_first",
]
"""How a served reply fails.

`cut_text`, `cut_args`: the connection closes in the middle of the text, or of a call's arguments.
`no_finish`: the stream ends well, without a finish event. `no_mark`: only the mark of the end is missing.
`empty`: it finishes without content. `garbage`, `half_event`, `binary`: an event too many that is no JSON,
the first half of one, or bytes that are no text. `reset`, `reset_midway`: the connection is reset before any
byte, or after half of the reply. `away`: it is reset, and nobody takes a connection for `pause_s`, or until
`ModelServer.come_back`. `stall`: half of the reply comes, then nothing. `pause`: half of it, the other half
after `pause_s`. `silent`: nothing comes at all. `error`: half of it, then an error event. `error_first`: the
error event comes before anything is said.
"""

Framing = Literal["plain", "bytes", "crlf", "bom", "gzip"]
"""How the events of a stream are put on the line: byte by byte, with other line ends, after a byte order
mark, or in a coding that nobody asked for."""


class ServedCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call; `arguments` is an object, or a string that is sent as it is. `id` is made if it is empty, and
    left out if it is null."""

    name: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")
    id: str | None = ""

    def named(self, made: str, field: str = "id") -> dict[str, object]:
        """The id as a field: its own, or the one that was made for it."""
        return {} if self.id is None else {field: self.id or made}


class ServedUsage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tokens as the server counts them; without it they are guessed from sizes."""

    input: int
    output: int
    cached: int = 0
    reasoning: int = 0


class Served(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One reply of the script, or `repeat` of them.

    `{i}` in text, reasoning and arguments is the number of the request, from 1. `chunk` is the number of
    letters in an event (0: all in one), each event then goes out by itself. `queued` comments come first,
    `pause_s` between them. With a `status` other than 200 the answer is an error of that status, with
    `message`, and `type` and `code` as its wire puts them. `body` stands for all of that, byte for byte.
    `headers` are sent beside the usual ones, or in their place.
    """

    text: str = ""
    reasoning: str = ""
    calls: tuple[ServedCall, ...] = ()
    finish: str = ""
    usage: ServedUsage | None = None
    status: int = 200
    message: str = ""
    type: str = ""
    code: str = ""
    body: str = ""
    headers: dict[str, str] = {}
    fault: Fault | None = None
    framing: Framing = "plain"
    chunk: int = 0
    queued: int = 0
    pause_s: float = 0.0
    repeat: int = 1


class Play(Protocol):
    """What a scripted model says."""

    def reply(self, number: int, body: bytes) -> Served:
        """The true reply to request `number`, from 1: asked for once for each number, with the request."""
        ...


class Script:
    """Replies by the number of the request; after the end a final text."""

    def __init__(self, replies: list[Served]) -> None:
        self._replies = replies
        self._ends: list[int] = []
        for reply in replies:
            self._ends.append(reply.repeat + (self._ends[-1] if self._ends else 0))

    def reply(self, number: int, body: bytes = b"") -> Served:
        """See `Play`. What is asked does not matter."""
        del body
        at = bisect_right(self._ends, number - 1)
        return self._replies[at] if at < len(self._replies) else Served(text="The script has ended.")


def read_script(text: bytes) -> Script:
    """A script from a JSON list. Raises `msgspec.ValidationError` for what does not fit."""
    return Script(msgspec.json.decode(text, type=list[Served]))


Ending = Literal["whole", "closed", "reset", "open"]
"""How a response ends: as it should, too early, by a reset, or not at all."""


class Stream(msgspec.Struct, frozen=True):
    """The events of one reply. `pauses` are the seconds that pass before the event of a place."""

    events: list[bytes]
    ending: Ending = "whole"
    pauses: Mapping[int, float] = {}


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

    def mark(self) -> list[bytes]:
        """What says that no more events come; nothing on some wires."""
        ...

    def trouble(self, reply: Served) -> bytes:
        """An error event."""
        ...

    def complaint(self, reply: Served) -> object:
        """The body of an answer that is an error."""
        ...


def stream(reply: Served, number: int, usage: ServedUsage, speech: Speech) -> Stream:
    """A reply as events of a wire, with its fault."""
    usage = reply.usage or usage
    comments = [b": keep-alive\n\n"] * reply.queued
    begun = comments + speech.begin(number, usage)
    deltas = list(speech.deltas(reply, number))
    ending = speech.ending(reply, number, usage)
    mark = speech.mark()
    match reply.fault:
        case "reset" | "away" | "silent":
            return Stream([], "open" if reply.fault == "silent" else "reset")
        case None:
            waits = range(1, len(comments) + 1)
            pauses = dict.fromkeys(waits, reply.pause_s)
            return Stream([*begun, *deltas, *ending, *mark], pauses=pauses)
        case "garbage" | "half_event" | "binary":
            return Stream([*begun, _GARBAGE[reply.fault], *deltas, *ending, *mark])
        case "no_mark" | "no_finish":
            return Stream([*begun, *deltas, *(ending if reply.fault == "no_mark" else ())])
        case "empty":
            return Stream([*begun, *speech.ending(Served(), number, usage), *mark])
        case "cut_text":
            return Stream([*begun, *speech.deltas(_cut_text(reply), number)], "closed")
        case "cut_args":
            return Stream([*begun, *speech.deltas(_cut_arguments(reply, number), number)], "closed")
        case "error_first":
            return Stream([*begun, speech.trouble(reply)])
        case _:
            half = len(deltas) // 2 + 1
            rest = [*deltas[half:], *ending, *mark]
            return _halted(reply, [*begun, *deltas[:half]], rest, speech)


def _halted(reply: Served, half: list[bytes], rest: list[bytes], speech: Speech) -> Stream:
    """A reply of which half comes, and then something else."""
    match reply.fault:
        case "error":
            return Stream([*half, speech.trouble(reply)])
        case "pause":
            return Stream([*half, *rest], pauses={len(half): reply.pause_s})
        case "reset_midway":
            return Stream(half, "reset")
        case _:
            return Stream(half, "open")


_GARBAGE = {
    "garbage": b"data: {not json\n\n",
    "half_event": b'data: {"id":"scripted","choices":[{"index":0,"del\n\n',
    "binary": b"data: \x00\xff\xfe\x80{\x1b\n\xc3(\n\n",
}


def arguments_of(call: ServedCall, number: int) -> str:
    """The raw argument string of a call, as it is sent."""
    return written(call).replace("{i}", str(number))


def written(call: ServedCall) -> str:
    """The raw argument string of a call, as it is in the script."""
    raw = bytes(call.arguments)
    return msgspec.json.decode(raw, type=str) if raw.startswith(b'"') else raw.decode()


def pieces(text: str, number: int, size: int) -> Iterator[str]:
    """A text with the number of its request, in the pieces in which it is sent; none for an empty one."""
    text = text.replace("{i}", str(number))
    step = size or len(text) or 1
    return (text[at : at + step] for at in range(0, len(text), step))


def data(value: object) -> bytes:
    """A value as an event."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def _cut_text(reply: Served) -> Served:
    text = reply.text or "half of a sentence"
    return Served(text=text[: len(text) // 2 or 1], chunk=reply.chunk)


def _cut_arguments(reply: Served, number: int) -> Served:
    calls = reply.calls or (ServedCall("bash", msgspec.Raw(b'{"command": "echo x >> effects.log"}')),)
    text = arguments_of(calls[-1], number)
    half = msgspec.Raw(msgspec.json.encode(text[: len(text) * 2 // 3]))
    cut = msgspec.structs.replace(calls[-1], arguments=half)
    return msgspec.structs.replace(reply, calls=(*calls[:-1], cut))
