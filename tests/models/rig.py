"""Servers on loopback that behave as a test says, byte by byte."""

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio

from hames.models.address import Proxies, parse_url
from hames.models.client import Exchange, HttpClient, Request
from hames.testing.clock import VirtualClock

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RealClock:
    """Implements `Clock` with the machine's time."""

    def now(self) -> float:
        return time.time()

    def elapsed(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


TLS = Path(__file__).with_name("tls")
"""A certificate for `localhost` that signs itself, and its key. Good for tests only."""


def server_tls() -> ssl.SSLContext:
    """What a server presents the certificate with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "localhost.pem", TLS / "localhost.key")
    return context


def trusting_tls() -> ssl.SSLContext:
    """What a client accepts it with."""
    return ssl.create_default_context(cafile=TLS / "localhost.pem")


class Sealing:
    """The server's end of TLS, piece by piece: what is sealed can be changed before it is sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._came, self._made = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._cipher = server_tls().wrap_bio(self._came, self._made, server_side=True)

    async def request(self) -> bytes:
        """The first request; it has to be small."""
        while True:
            try:
                self._cipher.do_handshake()
                return self._cipher.read()
            except ssl.SSLWantReadError:
                self._writer.write(self._made.read())
                self._came.write(await self._reader.read(65536))

    def sealed(self, piece: bytes) -> bytes:
        """A piece as a record of its own."""
        self._cipher.write(piece)
        return self._made.read()

    def farewell(self) -> bytes:
        """The record that ends the connection."""
        with suppress(ssl.SSLWantReadError):
            self._cipher.unwrap()
        return self._made.read()


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The head and the body of the next request."""
    head = await reader.readuntil(b"\r\n\r\n")
    sizes = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    size = int(sizes[0].split(b":")[1]) if sizes else 0
    return head, await reader.readexactly(size)


def response(body: bytes, status: int = 200, *headers: str) -> bytes:
    """A response with a length."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@asynccontextmanager
async def talking(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncGenerator[int]:
    """A server whose every connection is handled by `talk`; gives its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            tasks.discard(task)

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        waiting = list(tasks)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await server.wait_closed()


async def body_of(exchange: Exchange, limit_s: float = 10.0) -> bytes:
    """The whole body of a response."""
    body = b""
    try:
        while not exchange.complete:
            body += await exchange.receive(limit_s)
    finally:
        await exchange.close()
    return body


@asynccontextmanager
async def client(
    *,
    proxies: Proxies | None = None,
    connect_s: float = 20.0,
    write_s: float = 60.0,
    make_tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
) -> AsyncGenerator[HttpClient]:
    """A client on a clock that stands still."""
    made = HttpClient(
        VirtualClock(), proxies=proxies, connect_s=connect_s, write_s=write_s, make_tls=make_tls
    )
    try:
        yield made
    finally:
        await made.close()


def to(url: str, *chunks: bytes) -> Request:
    """A request with this body, `{}` if none is given."""
    return Request(parse_url(url), {"X-Test": "yes"}, chunks or (b"{}",), sum(map(len, chunks or (b"{}",))))


class Echo:
    """Answers each request with its body, and keeps what was said on which connection."""

    def __init__(self, *headers: str) -> None:
        self._headers = headers
        self.connections: list[list[tuple[bytes, bytes]]] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests: list[tuple[bytes, bytes]] = []
        self.connections.append(requests)
        while True:
            head, body = await read_request(reader)
            requests.append((head, body))
            writer.write(response(body, 200, *self._headers))
