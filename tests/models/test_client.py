import asyncio
import socket
from collections.abc import Sequence

import anyio
import pytest

from hames.core.errors import ModelError
from hames.models.address import parse_url
from hames.models.client import IDLE_MOST, IDLE_S, HttpClient
from hames.testing.clock import VirtualClock
from tests.models.rig import (
    Echo,
    Sealing,
    Talk,
    body_of,
    client,
    read_request,
    response,
    talking,
    to,
    trusting_tls,
)

pytestmark = pytest.mark.anyio


async def test_a_request_arrives_as_it_was_given() -> None:
    echo = Echo()
    chunks = (b"a" * 10, b"b" * 100_000, b"c" * 70_000, b"d")
    async with talking(echo) as port, client() as http:
        exchange = await http.post(to(f"http://127.0.0.1:{port}/v1?x=1", *chunks))
        assert await body_of(exchange) == b"".join(chunks)
    ((head, body),) = echo.connections[0]
    assert body == b"".join(chunks)
    assert head.split(b"\r\n")[:4] == [
        b"POST /v1?x=1 HTTP/1.1",
        b"Host: 127.0.0.1:%d" % port,
        b"X-Test: yes",
        b"Content-Length: %d" % len(body),
    ]


async def test_what_is_asked_for_without_a_body_is_a_get() -> None:
    echo = Echo()
    async with talking(echo) as port, client() as http:
        address = parse_url(f"http://127.0.0.1:{port}/v1/models")
        assert await body_of(await http.get(address, {"X-Test": "yes"})) == b""
    ((head, body),) = echo.connections[0]
    assert head.split(b"\r\n")[0] == b"GET /v1/models HTTP/1.1"
    assert b"X-Test: yes" in head
    assert body == b""


async def test_a_connection_is_used_again() -> None:
    echo = Echo()
    async with talking(echo) as port, client() as http:
        for _ in range(5):
            await body_of(await http.post(to(f"http://127.0.0.1:{port}/")))
    assert [len(requests) for requests in echo.connections] == [5]


async def test_a_connection_is_not_used_again_after_a_response_that_was_left() -> None:
    echo = Echo()
    async with talking(echo) as port, client() as http:
        for _ in range(2):
            await (await http.post(to(f"http://127.0.0.1:{port}/"))).close()
    assert len(echo.connections) == 2


async def test_a_connection_is_not_used_again_after_a_long_rest() -> None:
    echo, clock = Echo(), VirtualClock(jump=True)
    http = HttpClient(clock)
    async with talking(echo) as port:
        for rest_s in (IDLE_S - 1, IDLE_S + 1, 0):
            await body_of(await http.post(to(f"http://127.0.0.1:{port}/")))
            await clock.sleep(rest_s)
        await http.close()
    assert [len(requests) for requests in echo.connections] == [2, 1]


async def test_what_is_kept_is_closed_at_the_end_also_of_a_task_that_is_cancelled() -> None:
    gone = asyncio.Event()

    async def until_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(response(b"ok"))
        assert await reader.read() == b""
        gone.set()
        writer.close()

    async with talking(until_closed) as port:
        with anyio.CancelScope() as scope:
            async with HttpClient(VirtualClock()) as http:
                await body_of(await http.post(to(f"http://127.0.0.1:{port}/")))
                scope.cancel()
        with anyio.fail_after(10):
            await gone.wait()


async def test_a_connection_that_the_server_closed_meanwhile_is_replaced_silently() -> None:
    served: list[bytes] = []
    closed = asyncio.Event()

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append((await read_request(reader))[1])
        writer.write(response(b"ok"))
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        closed.set()

    async with talking(once) as port, client() as http:
        for number in (b"1", b"2"):
            closed.clear()
            assert await body_of(await http.post(to(f"http://127.0.0.1:{port}/", number))) == b"ok"
            await closed.wait()
    assert served == [b"1", b"2"]


async def test_a_request_that_may_have_been_read_is_not_sent_again() -> None:
    served: list[bytes] = []

    async def second_fails(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while len(served) < 2:
            served.append((await read_request(reader))[1])
            if len(served) == 1:
                writer.write(response(b"ok"))

    async with talking(second_fails) as port, client() as http:
        assert await body_of(await http.post(to(f"http://127.0.0.1:{port}/", b"1"))) == b"ok"
        exchange = await http.post(to(f"http://127.0.0.1:{port}/", b"2"))
        with pytest.raises(ModelError) as caught:
            await body_of(exchange)
    assert caught.value.kind == "transport"
    assert served == [b"1", b"2"]


async def test_a_connection_that_breaks_before_the_request_was_handed_over_is_replaced_silently() -> None:
    whole: list[int] = []

    async def breaks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = not whole
        whole.append(len((await read_request(reader))[1]))
        writer.write(response(b"ok"))
        # The first connection goes in the middle of its second request.
        await (reader.readexactly(1000) if first else reader.read())

    async with talking(breaks) as port, client() as http:
        await body_of(await http.post(to(f"http://127.0.0.1:{port}/")))
        large = to(f"http://127.0.0.1:{port}/", *[b"x" * 1_000_000] * 20)
        assert await body_of(await http.post(large)) == b"ok"
    assert whole == [2, 20_000_000]


async def test_a_body_may_end_with_the_connection() -> None:
    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nall of it")
        await writer.drain()
        writer.close()

    async with talking(old) as port, client() as http:
        assert await body_of(await http.post(to(f"http://127.0.0.1:{port}/"))) == b"all of it"


async def test_only_so_many_unused_connections_are_kept() -> None:
    left = asyncio.Semaphore(0)
    echo = Echo()

    async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await echo(reader, writer)
        finally:
            left.release()

    async with talking(counted) as port, client() as http:
        url = f"http://127.0.0.1:{port}/"
        for exchange in [await http.post(to(url)) for _ in range(IDLE_MOST + 3)]:
            await body_of(exchange)
        await body_of(await http.post(to(url)))
        for _ in range(3):
            await asyncio.wait_for(left.acquire(), 5)
        assert left.locked()
    assert len(echo.connections) == IDLE_MOST + 3


async def test_an_answer_that_comes_before_the_request_was_read_is_taken() -> None:
    async def impatient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response(b"too big", 413, "Connection: close"))
        await writer.drain()
        await reader.read()

    async with talking(impatient) as port, client() as http:
        exchange = await http.post(to(f"http://127.0.0.1:{port}/", b"x" * 50_000))
        assert await body_of(exchange) == b"too big"
        assert exchange.head is not None
        assert exchange.head.status == 413


async def test_a_server_that_takes_nothing_is_given_up() -> None:
    forever = asyncio.Event()

    async def deaf(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await forever.wait()

    async with talking(deaf) as port, client(write_s=0.05) as http:
        with pytest.raises(ModelError, match="did not take the request") as caught:
            await http.post(to(f"http://127.0.0.1:{port}/", *[b"x" * 1_000_000] * 40))
    assert caught.value.kind == "stalled"


async def test_silence_is_given_up_after_the_limit() -> None:
    forever = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")
        await forever.wait()

    async with talking(slow) as port, client() as http:
        exchange = await http.post(to(f"http://127.0.0.1:{port}/"))
        assert await exchange.receive(5) == b"ab"
        with pytest.raises(ModelError, match=r"sent nothing for 0\.05 s") as caught:
            await exchange.receive(0.05)
        await exchange.close()
    assert caught.value.kind == "stalled"


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", "closed before the reply began"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", "in the middle of the reply"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "did not answer with HTTP"),
    ],
)
async def test_what_is_no_whole_response_is_a_transport_failure(sent: bytes, said: str) -> None:
    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(sent)
        await writer.drain()
        writer.close()

    async with talking(broken) as port, client() as http:
        with pytest.raises(ModelError, match=said) as caught:
            await body_of(await http.post(to(f"http://127.0.0.1:{port}/")))
    assert caught.value.kind == "transport"


async def test_a_cancelled_request_leaves_no_connection_behind() -> None:
    ended = asyncio.Event()
    begun = asyncio.Event()

    async def waiting(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        begun.set()
        await reader.read()
        ended.set()

    async def ask(http: HttpClient, url: str) -> Sequence[bytes]:
        return [await body_of(await http.post(to(url)))]

    async with talking(waiting) as port, client() as http:
        task = asyncio.create_task(ask(http, f"http://127.0.0.1:{port}/"))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(ended.wait(), 5)


PIECES = [b"%d " % number for number in range(50)]
OPEN_END = b"HTTP/1.1 200 OK\r\n\r\n"


def sealed(last: str, head: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n") -> Talk:
    """Answers with pieces that are sealed each by itself, and something `last`, all in one write."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sealing = Sealing(reader, writer)
        await sealing.request()
        records = [sealing.sealed(piece) for piece in (head, *PIECES)]
        match last:
            case "farewell":
                records.append(sealing.farewell())
            case "broken":
                record = bytearray(sealing.sealed(b"more"))
                record[-1] ^= 1
                records.append(bytes(record))
            case _:
                pass
        writer.write(b"".join(records))
        writer.write_eof()
        await reader.read()

    return talk


@pytest.mark.parametrize(
    ("last", "words"),
    [("farewell", "closed in the middle"), ("broken", "lost"), ("", "closed in the middle")],
)
async def test_what_has_come_over_tls_is_read_before_what_went_wrong_is_said(last: str, words: str) -> None:
    got: list[bytes] = []
    async with talking(sealed(last)) as port, client(make_tls=trusting_tls) as http:
        exchange = await http.post(to(f"https://localhost:{port}/"))

        async def read_all() -> None:
            while True:
                got.append(await exchange.receive(10.0))

        with pytest.raises(ModelError, match=words) as caught:
            await read_all()
        await exchange.close()
    assert caught.value.kind == "transport"
    assert b"".join(got) == b"".join(PIECES)
    assert len(got) < len(PIECES) // 2


@pytest.mark.parametrize("last", ["farewell", ""])
async def test_a_body_that_ends_with_the_connection_is_whole_over_tls(last: str) -> None:
    async with talking(sealed(last, OPEN_END)) as port, client(make_tls=trusting_tls) as http:
        assert await body_of(await http.post(to(f"https://localhost:{port}/"))) == b"".join(PIECES)
