"""The scripted server's end of one connection: HTTP/1.1 requests in, replies and their faults out."""

import asyncio
import gzip
import socket
import struct
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import NamedTuple, Protocol

import msgspec

from hames.core.profiles import WireName
from hames.testing.chat_events import ChatSpeech, complaint
from hames.testing.messages_events import MessagesSpeech
from hames.testing.responses_events import ResponsesSpeech
from hames.testing.script import Ending, Framing, Served, ServedUsage, Speech, Stream, stream
from hames.testing.scripted import MODEL_NAME

SPEECHES: dict[WireName, Speech] = {
    "chat": ChatSpeech(),
    "messages": MessagesSpeech(),
    "responses": ResponsesSpeech(),
}
_PATHS: dict[bytes, WireName] = {
    b"/chat/completions": "chat",
    b"/v1/messages": "messages",
    b"/responses": "responses",
}
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_RESET = struct.pack("ii", 1, 0)
_EVENTS = "text/event-stream"


class Answer(msgspec.Struct, frozen=True):
    """A reply of the script, the wire that it is told on, the number of its request, and a guess at its
    tokens."""

    wire: WireName
    reply: Served
    number: int
    usage: ServedUsage


class Answering(Protocol):
    """Whoever knows the reply to a request."""

    def answer(self, wire: WireName, body: bytes, monotonic: float, wall: float) -> Answer:
        """The reply to a request whose first byte came at these times."""
        ...

    def leave(self, away_s: float) -> None:
        """Let nobody connect for a time, or until it is taken back if that is 0."""
        ...


class _Part(NamedTuple):
    pause_s: float
    data: bytes


class Connection(asyncio.Protocol):
    """One client. Requests are answered one after the other."""

    def __init__(self, server: Answering, connected: set[asyncio.Transport]) -> None:
        self._server = server
        self._connected = connected
        self._data = bytearray()
        self._first = (0.0, 0.0)
        self._head = b""
        self._body_at = 0
        self._need = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connected.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._connected.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if not self._data:
            self._first = (time.monotonic(), time.time())
        self._data += data
        while self._take():
            pass

    def _take(self) -> bool:
        """Answer one request if it is whole; true when more bytes are left."""
        if not self._need:
            end = self._data.find(b"\r\n\r\n")
            if end < 0:
                return False
            self._head = bytes(self._data[:end]).lower()
            self._body_at = end + 4
            self._need = self._body_at + _content_length(self._head)
        if len(self._data) < self._need:
            return False
        body = bytes(self._data[self._body_at : self._need])
        del self._data[: self._need]
        self._need = 0
        self._respond(body)
        return bool(self._data)

    def _respond(self, body: bytes) -> None:
        method, _, rest = self._head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        wire = _wire(path)
        if method == b"get" and path.endswith(b"/models"):
            listed = {"object": "list", "data": [{"id": MODEL_NAME, "object": "model"}]}
            self._send_whole(Served(), msgspec.json.encode(listed))
        elif method != b"post" or wire is None:
            missing = Served(status=404, message="there is nothing at this address")
            self._send_whole(missing, msgspec.json.encode(complaint(missing)))
        else:
            self._tell(self._server.answer(wire, body, *self._first))

    def _tell(self, answer: Answer) -> None:
        reply, speech = answer.reply, SPEECHES[answer.wire]
        if reply.body:
            self._send_whole(reply, reply.body.encode())
        elif reply.status != 200:
            self._send_whole(reply, msgspec.json.encode(speech.complaint(reply)))
        else:
            self._send_stream(reply, stream(reply, answer.number, answer.usage, speech))
        if reply.fault == "away":
            self._server.leave(reply.pause_s)

    def _send_stream(self, reply: Served, events: Stream) -> None:
        if not events.events:
            self._end(events.ending)
            return
        headers = {"Content-Type": _EVENTS, "Transfer-Encoding": "chunked", **_coding(reply.framing)}
        head = _head(200, {**headers, **reply.headers})
        parts = [_Part(0.0, head), *_framed(reply.framing, events)]
        if events.ending == "whole":
            parts.append(_Part(0.0, b"0\r\n\r\n"))
        ending = events.ending
        if reply.chunk or any(events.pauses.values()) or reply.framing == "bytes":
            self._send(iter(parts), lambda: self._end(ending))
        else:
            self._transport.write(b"".join(part.data for part in parts))
            self._end(ending)

    def _send(self, parts: Iterator[_Part], end: Callable[[], None]) -> None:
        """Write one part after the other, at its time, as long as there is somebody to read it."""
        for part in parts:
            if self._transport.is_closing():
                return
            if part.pause_s:
                asyncio.get_running_loop().call_later(
                    part.pause_s, self._send, iter((_Part(0.0, part.data), *parts)), end
                )
                return
            self._transport.write(part.data)
        end()

    def _end(self, ending: Ending) -> None:
        match ending:
            case "whole" | "open":
                pass
            case "closed":
                self._transport.close()
            case "reset":
                raw: socket.socket = self._transport.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                self._transport.abort()

    def _send_whole(self, reply: Served, body: bytes) -> None:
        kind = "text/html" if reply.body else "application/json"
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), **reply.headers}
        self._transport.write(_head(reply.status, headers) + body)


def _wire(path: bytes) -> WireName | None:
    return next((name for end, name in _PATHS.items() if path.endswith(end)), None)


def _content_length(head: bytes) -> int:
    _, found, rest = head.partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, 'Scripted')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def _coding(framing: Framing) -> dict[str, str]:
    return {"Content-Encoding": "gzip"} if framing == "gzip" else {}


def _framed(framing: Framing, events: Stream) -> Iterator[_Part]:
    """The events as HTTP chunks, each after its pause."""
    whole = events.events
    match framing:
        case "gzip":
            whole = [gzip.compress(b"".join(whole))]
        case "crlf":
            whole = [event.replace(b"\n", b"\r\n") for event in whole]
        case "bom":
            whole = [b"\xef\xbb\xbf" + whole[0], *whole[1:]]
        case "bytes":
            whole = [bytes((byte,)) for byte in b"".join(whole)]
        case "plain":
            pass
    for at, event in enumerate(whole):
        yield _Part(events.pauses.get(at, 0.0), b"%x\r\n%b\r\n" % (len(event), event))
