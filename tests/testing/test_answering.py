"""How each fault looks from the other end of a connection."""

import asyncio
import gzip
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec
import pytest

from hames.testing.model_server import ModelServer, running
from hames.testing.script import Fault, Framing, Script, Served, ServedCall

pytestmark = pytest.mark.anyio

BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}'
LONG = ServedCall("bash", msgspec.Raw(b'{"command": "true"}'))
PATHS = ("/chat/completions", "/messages", "/responses")


class Line:
    """A connection to the server."""

    def __init__(self, server: ModelServer) -> None:
        _, _, self._authority, self._root = server.base_url.split("/", 3)

    async def open(self) -> None:
        host, port = self._authority.split(":")
        self._reader, self._writer = await asyncio.open_connection(host, int(port))

    def ask(self, path: str = PATHS[0]) -> None:
        head = f"POST /{self._root}{path} HTTP/1.1\r\nContent-Length: {len(BODY)}\r\n\r\n"
        self._writer.write(head.encode() + BODY)

    async def whole(self) -> tuple[bytes, str]:
        """All that comes, and how it ends: `whole`, `closed` or `reset`."""
        came = b""
        try:
            while not came.endswith((b"\r\n0\r\n\r\n", b"}")):
                data = await self._reader.read(65536)
                if not data:
                    return came, "closed"
                came += data
        except ConnectionError:
            return came, "reset"
        return came, "whole"

    async def some(self, end: bytes) -> bytes:
        return await self._reader.readuntil(end)

    def close(self) -> None:
        self._writer.transport.abort()


@asynccontextmanager
async def asked(reply: Served, path: str = PATHS[0]) -> AsyncGenerator[Line]:
    async with running(ModelServer(Script([reply]))) as server:
        line = Line(server)
        await line.open()
        line.ask(path)
        try:
            yield line
        finally:
            line.close()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("fault", "ending"),
    [
        ("reset", "reset"),
        ("reset_midway", "reset"),
        ("cut_text", "closed"),
        ("cut_args", "closed"),
        ("no_finish", "whole"),
        ("error", "whole"),
    ],
)
async def test_a_reply_ends_as_its_fault_says(fault: Fault, ending: str, path: str) -> None:
    async with asked(Served(text="a whole sentence", calls=(LONG,), fault=fault, chunk=3), path) as line:
        came, ended = await line.whole()
    assert ended == ending
    assert (b"HTTP/1.1 200" in came) is (fault != "reset")
    assert b'"finish_reason":"' not in came


async def test_a_stall_says_half_and_then_nothing() -> None:
    async with asked(Served(text="abcdef", fault="stall", chunk=2)) as line:
        assert b'"ab"' in await line.some(b'"ab"')
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(line.whole(), 0.2)


async def test_comments_and_the_second_half_come_in_their_own_time() -> None:
    for reply in (Served(text="abcd", queued=4, pause_s=0.05), Served(text="ab", fault="pause", pause_s=0.2)):
        async with asked(reply) as line:
            begun = time.monotonic()
            came, ended = await line.whole()
        assert ended == "whole"
        assert came.count(b": keep-alive") == reply.queued
        assert time.monotonic() - begun >= 0.19


@pytest.mark.parametrize("framing", ["plain", "bytes", "crlf", "bom", "gzip"])
async def test_a_stream_may_be_framed_in_odd_ways(framing: Framing) -> None:
    async with asked(Served(text="abcd", framing=framing)) as line:
        came, ended = await line.whole()
    assert ended == "whole"
    head, _, rest = came.partition(b"\r\n\r\n")
    chunks: list[bytes] = []
    while rest and not rest.startswith(b"0\r\n"):
        size, _, rest = rest.partition(b"\r\n")
        chunks.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]
    events = b"".join(chunks)
    assert (b"Content-Encoding: gzip" in head) is (framing == "gzip")
    assert all(len(chunk) == 1 for chunk in chunks) is (framing == "bytes")
    assert events.startswith(b"\xef\xbb\xbf") is (framing == "bom")
    assert (b"\r\n\r\ndata:" in events) is (framing == "crlf")
    assert b'"abcd"' in (gzip.decompress(events) if framing == "gzip" else events)


async def test_a_page_of_a_proxy_comes_as_it_is_and_headers_may_be_others() -> None:
    page = Served(status=502, body="<html>}", headers={"X-Odd": "yes"})
    async with asked(page) as line:
        came, _ = await line.whole()
    assert came.startswith(b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n")
    assert came.endswith(b"X-Odd: yes\r\n\r\n<html>}")
    async with asked(Served(text="x", headers={"Content-Type": "text/plain"})) as line:
        came, _ = await line.whole()
    assert b"\r\nContent-Type: text/plain\r\n" in came
    assert b"event-stream" not in came


async def test_a_server_that_is_away_takes_no_connection_and_keeps_its_address() -> None:
    server = ModelServer(Script([Served(fault="away"), Served(text="back")]))
    async with running(server):
        first, idle, second = Line(server), Line(server), Line(server)
        await idle.open()
        await first.open()
        first.ask()
        assert (await first.whole())[1] == "reset"
        assert (await idle.whole())[1] in ("closed", "reset")
        with pytest.raises(ConnectionRefusedError):
            await second.open()
        await server.come_back()
        await second.open()
        second.ask()
        assert b'"back"' in (await second.whole())[0]
        for line in (first, idle, second):
            line.close()


async def test_a_server_that_is_away_for_a_time_comes_back_by_itself() -> None:
    server = ModelServer(Script([Served(fault="away", pause_s=0.05), Served(fault="away", pause_s=60)]))
    async with running(server):
        for _ in range(2):
            line = Line(server)
            while True:
                try:
                    await line.open()
                except ConnectionRefusedError:
                    continue
                break
            line.ask()
            assert (await line.whole())[1] == "reset"
            line.close()
