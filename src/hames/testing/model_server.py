"""A scripted model behind real HTTP on loopback, speaking Chat Completions, Messages and Responses.

python -m hames.testing.model_server --script FILE.json [--rules chat|deepseek] [--record DIR [--bodies]]

Prints its base URL as the first line and ends when its standard input is closed.
"""

import argparse
import asyncio
import os
import socket
import stat
import struct
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import msgspec

from hames.testing.messages_events import MessagesSpeech
from hames.testing.messages_rules import broken_messages_rule
from hames.testing.request_rules import Rules, broken_rule, messages_end
from hames.testing.responses_events import ResponsesSpeech
from hames.testing.responses_rules import broken_responses_rule, input_end
from hames.testing.script import ChatSpeech, Script, Served, ServedUsage, Speech, read_script, stream
from hames.testing.scripted import MODEL_NAME

_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests"}
_RESET = struct.pack("ii", 1, 0)
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


# The wires, by the end of the address.
_SPEECHES: dict[bytes, Speech] = {
    b"completions": ChatSpeech(),
    b"messages": MessagesSpeech(),
    b"responses": ResponsesSpeech(),
}


class Seen(msgspec.Struct, frozen=True):
    """A request that was served. Times are of its first byte: the monotonic and the wall clock.

    `extends`: it repeats the request before it up to the end of its last message, byte for byte; None
    for the first. `problem` is the rule that it broke, for which it got a 400.
    """

    number: int
    size: int
    sha256: str
    extends: bool | None
    monotonic: float
    wall: float
    problem: str = ""


class Answer(msgspec.Struct, frozen=True):
    """A reply of the script, how it is told, the number of its request, and a guess at its tokens."""

    speech: Speech
    reply: Served
    number: int
    usage: ServedUsage


class ModelServer:
    """Answers by the number of requests answered; a request that breaks a rule is not counted.

    `rules` are those of Chat Completions; the other wires have their own, unless they are `none`. Without
    `rules`, `watch` and `record` it never looks into a body, so that its own cost stays small. `watch` fills
    `seen`; `record` names a directory that gets it as `requests.jsonl`, and with `bodies` each body as a
    file.
    """

    def __init__(
        self,
        script: Script,
        *,
        rules: Rules = "none",
        watch: bool = False,
        record: Path | None = None,
        bodies: bool = False,
    ) -> None:
        self._script = script
        self._rules: Rules = rules
        self._watch = watch or record is not None
        self._record = record
        self._bodies = bodies
        self._prefix = b""
        self._last_size = 0
        self.served = 0
        self.base_url = ""
        self.seen: list[Seen] = []

    def answer(self, speech: Speech, body: bytes, monotonic: float, wall: float) -> Answer:
        """The reply to a request."""
        problem = self._problem(speech, body)
        if not problem:
            self.served += 1
        if self._watch:
            self._note(body, monotonic, wall, problem)
            end = input_end(body) if isinstance(speech, ResponsesSpeech) else messages_end(body)
            self._prefix = body[:end]
        usage = ServedUsage(len(body) // 4, 10, cached=min(self._last_size, len(body)) // 4)
        self._last_size = len(body)
        reply = Served(status=400, message=problem) if problem else self._script.reply(self.served)
        return Answer(speech, reply, self.served, usage)

    def _problem(self, speech: Speech, body: bytes) -> str:
        """The rule of its wire that a request breaks."""
        if self._rules == "none":
            return ""
        match speech:
            case MessagesSpeech():
                return broken_messages_rule(body)
            case ResponsesSpeech():
                return broken_responses_rule(body)
            case _:
                return broken_rule(body, self._rules)

    def _note(self, body: bytes, monotonic: float, wall: float, problem: str) -> None:
        extends = body.startswith(self._prefix) if self.seen else None
        number = len(self.seen) + 1
        seen = Seen(number, len(body), sha256(body).hexdigest(), extends, monotonic, wall, problem)
        self.seen.append(seen)
        if self._record is None:
            return
        with (self._record / "requests.jsonl").open("ab") as lines:
            lines.write(msgspec.json.encode(seen) + b"\n")
        if self._bodies:
            (self._record / f"{number:06}.json").write_bytes(body)


class _Connection(asyncio.Protocol):
    """One client. Requests are answered one after the other."""

    def __init__(self, server: ModelServer, connected: set[asyncio.Transport]) -> None:
        self._server = server
        self._connected = connected
        self._data = bytearray()
        self._first = (0.0, 0.0)
        self._head = b""
        self._body_at = 0
        self._need = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connected.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connected.discard(self._transport)

    def data_received(self, data: bytes) -> None:
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
        if method == b"get" and path.endswith(b"/models"):
            listed = {"object": "list", "data": [{"id": MODEL_NAME, "object": "model"}]}
            self._send_json(200, listed, {})
        elif method != b"post" or not path.endswith((b"/chat/completions", b"/v1/messages", b"/responses")):
            self._send_json(404, _complaint("there is nothing at this address"), {})
        else:
            speech = _SPEECHES[path.rpartition(b"/")[2]]
            answer = self._server.answer(speech, body, *self._first)
            if answer.reply.status != 200:
                words = answer.reply.message or f"a scripted {answer.reply.status}"
                self._send_json(answer.reply.status, _complaint(words), answer.reply.headers)
            elif answer.reply.fault == "reset":
                raw: socket.socket = self._transport.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                self._transport.abort()
            else:
                self._send_stream(answer)

    def _send_stream(self, answer: Answer) -> None:
        reply = stream(answer.reply, answer.number, answer.usage, answer.speech)
        if reply.hangs and not reply.events:
            return
        pieces = [_STREAM_HEAD, *(b"%x\r\n%b\r\n" % (len(event), event) for event in reply.events)]
        if reply.whole:
            pieces.append(b"0\r\n\r\n")
        if answer.reply.chunk:
            for piece in pieces:
                self._transport.write(piece)
        else:
            self._transport.write(b"".join(pieces))
        if not reply.whole and not reply.hangs:
            self._transport.close()

    def _send_json(self, status: int, value: object, headers: dict[str, str]) -> None:
        body = msgspec.json.encode(value)
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Scripted')}", "Content-Type: application/json"]
        lines += [f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in headers.items())]
        self._transport.write("\r\n".join([*lines, "", ""]).encode() + body)


def _content_length(head: bytes) -> int:
    _, found, rest = head.partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0


def _complaint(words: str) -> dict[str, object]:
    return {"error": {"message": words, "type": "scripted", "code": None}}


@asynccontextmanager
async def running(server: ModelServer) -> AsyncGenerator[ModelServer]:
    """Serve on a free port of the loopback address; `base_url` is set. Needs asyncio."""
    connected: set[asyncio.Transport] = set()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: _Connection(server, connected), "127.0.0.1", 0)
    server.base_url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    try:
        yield server
    finally:
        listening.close()
        for transport in connected:
            transport.abort()
        await listening.wait_closed()


async def _serve(server: ModelServer) -> None:
    async with running(server):
        print(server.base_url, flush=True)  # noqa: T201 - the first line of standard output is the result
        print(f"{MODEL_NAME}: a script answers here, not a model", file=sys.stderr)  # noqa: T201 - a banner
        await _input_closed()


async def _input_closed() -> None:
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or sys.stdin.isatty()):
        return  # A file, or no input at all: there is nothing to wait for.
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(4096):
        pass


def main() -> None:
    """Run the server as a process of its own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--script", type=Path, required=True, help="a JSON list of replies")
    parser.add_argument("--rules", choices=["none", "chat", "deepseek"], default="none")
    parser.add_argument("--record", type=Path, help="write requests.jsonl into this directory")
    parser.add_argument("--bodies", action="store_true", help="with --record: write the bodies too")
    args = parser.parse_args()
    if args.record is not None:
        args.record.mkdir(parents=True, exist_ok=True)
    script = read_script(args.script.read_bytes())
    server = ModelServer(script, rules=args.rules, record=args.record, bodies=args.bodies)
    asyncio.run(_serve(server))


if __name__ == "__main__":
    main()
