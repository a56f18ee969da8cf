"""A scripted model behind real HTTP on loopback, speaking Chat Completions, Messages and Responses.

python -m hames.testing.model_server --script FILE.json [--rules chat|deepseek|json_schema]
    [--window TOKENS [--unnamed]] [--chaos SEED [--rate SHARE]] [--record DIR [--bodies]]

Prints its base URL as the first line and ends when its standard input is closed.
"""

import argparse
import asyncio
import os
import socket
import stat
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import get_args

import msgspec

from hames.core.profiles import WireName
from hames.testing.answering import Answer, Connection
from hames.testing.chaos import Chaos
from hames.testing.messages_rules import broken_messages_rule
from hames.testing.overflows import overflow
from hames.testing.request_rules import Rules, broken_rule, messages_end
from hames.testing.responses_rules import broken_responses_rule, input_end
from hames.testing.script import Play, Served, ServedUsage, read_script
from hames.testing.scripted import MODEL_NAME


class Seen(msgspec.Struct, frozen=True):
    """A request that was served. Times are of its first byte: the monotonic and the wall clock.

    `extends`: it repeats the request before it up to the end of its last message, byte for byte; None
    for the first. `problem` is the rule that it broke, for which it got a 400. `status` is that of the
    answer.
    """

    number: int
    size: int
    sha256: str
    extends: bool | None
    monotonic: float
    wall: float
    problem: str = ""
    status: int = 200


class Window(msgspec.Struct, frozen=True):
    """How long a request may be, in tokens of four bytes, and whether the answer to a longer one says so."""

    tokens: int
    named: bool = True


class ModelServer:
    """Answers by the number of requests answered; one that breaks a rule or is too long is not counted.

    `rules` are those of Chat Completions; the other wires have their own, unless they are `none`. Without
    `rules`, `watch` and `record` it never looks into a body, so that its own cost stays small. `watch` fills
    `seen`; `record` names a directory that gets it as `requests.jsonl`, and with `bodies` each body as a
    file.
    """

    def __init__(
        self,
        script: Play | Chaos,
        *,
        rules: Rules = "none",
        watch: bool = False,
        record: Path | None = None,
        bodies: bool = False,
        window: Window | None = None,
    ) -> None:
        self._script = script
        self._rules: Rules = rules
        self._watch = watch or record is not None
        self._record = record
        self._bodies = bodies
        self._window = window
        self._prefix = b""
        self._last_size = 0
        self.served = 0
        self.base_url = ""
        self.seen: list[Seen] = []
        self._door: _Door | None = None

    def answer(self, wire: WireName, body: bytes, monotonic: float, wall: float) -> Answer:
        """See `Answering`."""
        problem = self._problem(wire, body)
        tokens = len(body) // 4
        number, reply = self.served, Served(status=400, message=problem, type="invalid_request_error")
        if not problem:
            if self._window is not None and tokens > self._window.tokens:
                reply = overflow(wire, tokens, self._window.tokens, named=self._window.named)
            else:
                number, reply = self._reply(wire, body)
        if self._watch:
            place = Seen(0, len(body), "", None, monotonic, wall, problem, reply.status)
            self._note(body, place)
            self._prefix = body[: input_end(body) if wire == "responses" else messages_end(body)]
        usage = ServedUsage(tokens, 10, cached=min(self._last_size, len(body)) // 4)
        self._last_size = len(body)
        return Answer(wire, reply, number, usage)

    def leave(self, away_s: float) -> None:
        """See `Answering`. Every connection is cut, as when a server is started anew."""
        assert self._door is not None, "only a server that runs can leave"
        self._door.close()
        if away_s:
            self._door.open_after(away_s)

    async def come_back(self) -> None:
        """Take connections again, at the same address."""
        assert self._door is not None, "only a server that runs can come back"
        await self._door.open()

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[None]:
        """Serve on a free port of the loopback address; `base_url` is set."""
        self._door = _Door(self._connection)
        self.base_url = f"http://127.0.0.1:{self._door.port}/v1"
        try:
            await self._door.open()
            yield
        finally:
            await self._door.end()
            self._door = None

    def _connection(self, connected: set[asyncio.Transport]) -> Connection:
        return Connection(self, connected)

    def _reply(self, wire: WireName, body: bytes) -> tuple[int, Served]:
        if isinstance(self._script, Chaos):
            taken = self._script.take(wire, body)
            self.served = self._script.given
            return taken.number, taken.reply
        self.served += 1
        return self.served, self._script.reply(self.served, body)

    def _problem(self, wire: WireName, body: bytes) -> str:
        """The rule of its wire that a request breaks."""
        if self._rules == "none":
            return ""
        match wire:
            case "messages":
                return broken_messages_rule(body)
            case "responses":
                return broken_responses_rule(body)
            case "chat":
                return broken_rule(body, self._rules)

    def _note(self, body: bytes, place: Seen) -> None:
        seen = msgspec.structs.replace(
            place,
            number=len(self.seen) + 1,
            sha256=sha256(body).hexdigest(),
            extends=body.startswith(self._prefix) if self.seen else None,
        )
        self.seen.append(seen)
        if self._record is None:
            return
        with (self._record / "requests.jsonl").open("ab") as lines:
            lines.write(msgspec.json.encode(seen) + b"\n")
        if self._bodies:
            (self._record / f"{seen.number:06}.json").write_bytes(body)


class _Door:
    """A port of the loopback address that is ours all the time, whether it is listened to or not."""

    def __init__(self, connection: Callable[[set[asyncio.Transport]], Connection]) -> None:
        self._connection = connection
        self._connected: set[asyncio.Transport] = set()
        self._kept = _bound(0)
        self._listening: asyncio.Server | None = None
        self._opening: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """Its number."""
        return _port(self._kept)

    async def open(self) -> None:
        """Take connections."""
        if self._listening is None:
            self._listening = await asyncio.get_running_loop().create_server(
                lambda: self._connection(self._connected), sock=_bound(self.port)
            )

    def open_after(self, seconds: float) -> None:
        """Take connections after a while."""
        self._opening = asyncio.get_running_loop().create_task(self._open_after(seconds))

    async def _open_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.open()

    def close(self) -> None:
        """Refuse connections, and cut those there are."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        for transport in tuple(self._connected):
            transport.abort()

    async def end(self) -> None:
        """Give the port back."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        listening = self._listening
        self.close()
        if listening is not None:
            await listening.wait_closed()
        self._kept.close()


def _bound(port: int) -> socket.socket:
    """A socket at this port of the loopback address, which it shares with others of ours."""
    # With its protocol, or asyncio would let small writes wait for each other.
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    return made


def _port(bound: socket.socket) -> int:
    return int(bound.getsockname()[1])


@asynccontextmanager
async def running(server: ModelServer) -> AsyncGenerator[ModelServer]:
    """Serve on a free port of the loopback address; `base_url` is set. Needs asyncio."""
    async with server.listening():
        yield server


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
    parser.add_argument("--rules", choices=get_args(Rules), default="none")
    parser.add_argument("--window", type=int, metavar="TOKENS", help="refuse longer requests (4 bytes each)")
    parser.add_argument("--unnamed", action="store_true", help="with --window: do not say how large it is")
    parser.add_argument("--chaos", type=int, metavar="SEED", help="let some replies fail first")
    parser.add_argument("--rate", type=float, default=0.05, help="with --chaos: the share that fails")
    parser.add_argument("--record", type=Path, help="write requests.jsonl into this directory")
    parser.add_argument("--bodies", action="store_true", help="with --record: write the bodies too")
    args = parser.parse_args()
    if args.record is not None:
        args.record.mkdir(parents=True, exist_ok=True)
    script = read_script(args.script.read_bytes())
    server = ModelServer(
        script if args.chaos is None else Chaos(script, args.chaos, args.rate),
        rules=args.rules,
        record=args.record,
        bodies=args.bodies,
        window=None if args.window is None else Window(args.window, named=not args.unnamed),
    )
    asyncio.run(_serve(server))


if __name__ == "__main__":
    main()
