import asyncio
import socket

import pytest

from hames.core.errors import ModelError
from hames.models.address import Proxies
from tests.models.rig import (
    Echo,
    body_of,
    client,
    read_request,
    response,
    server_tls,
    talking,
    to,
    trusting_tls,
)

pytestmark = pytest.mark.anyio


async def test_a_refused_connection_says_who_refused_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        async with client() as http:
            with pytest.raises(ModelError, match=f"127.0.0.1:{port} refused the connection") as caught:
                await http.post(to(f"http://127.0.0.1:{port}/"))
            with pytest.raises(ModelError, match=f"localhost:{port} refused the connection"):
                await http.post(to(f"http://localhost:{port}/"))
    assert caught.value.kind == "transport"


async def test_a_name_that_is_none_says_so() -> None:
    async with client() as http:
        with pytest.raises(ModelError, match=r"nowhere\.invalid cannot be resolved") as caught:
            await http.post(to("http://nowhere.invalid/"))
    assert caught.value.kind == "transport"


async def test_a_connection_that_does_not_come_about_is_given_up() -> None:
    async def mute(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with talking(mute) as port, client(connect_s=0.05, make_tls=trusting_tls) as http:
        with pytest.raises(ModelError, match="did not take a connection") as caught:
            await http.post(to(f"https://localhost:{port}/"))
    assert caught.value.kind == "transport"


async def test_https_works_with_a_trusted_certificate_and_keeps_the_connection() -> None:
    echo = Echo()
    async with talking(echo, server_tls()) as port, client(make_tls=trusting_tls) as http:
        for _ in range(3):
            assert await body_of(await http.post(to(f"https://localhost:{port}/", b"x" * 200_000)))
    assert sum(len(requests) for requests in echo.connections) == 3
    assert len(echo.connections) <= 2


async def test_a_certificate_that_is_not_trusted_is_refused_and_says_what_to_do() -> None:
    async with talking(Echo(), server_tls()) as port, client() as http:
        with pytest.raises(ModelError, match=r"certificate of localhost .* SSL_CERT_FILE") as caught:
            await http.post(to(f"https://localhost:{port}/"))
    assert caught.value.kind == "transport"


async def test_a_server_without_tls_says_so() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(response(b"", 400))
        await writer.drain()

    async with talking(plain) as port, client(make_tls=trusting_tls) as http:
        with pytest.raises(ModelError, match="Does it speak https"):
            await http.post(to(f"https://localhost:{port}/"))


class Proxy:
    """Passes tunnels through to where they ask for, and answers plain requests itself."""

    def __init__(self, target: int = 0, answer: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> None:
        self._target = target
        self._answer = answer
        self.heads: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, body = await read_request(reader)
        self.heads.append(head)
        if not head.startswith(b"CONNECT"):
            writer.write(response(b"proxied " + body))
            await reader.read()
            return
        writer.write(self._answer)
        await writer.drain()
        if b" 200 " not in self._answer:
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        pipes = [_pipe(reader, far_writer), _pipe(far_reader, writer)]
        try:
            await asyncio.gather(*pipes)
        finally:
            far_writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


def proxies(port: int) -> Proxies:
    url = f"http://user:pass@127.0.0.1:{port}"
    return Proxies(http=url, https=url)


async def test_plain_http_asks_the_proxy_for_the_whole_url() -> None:
    proxy = Proxy()
    async with talking(proxy) as port, client(proxies=proxies(port)) as http:
        exchange = await http.post(to("http://far.example:81/v1", b"hi"))
        assert await body_of(exchange) == b"proxied hi"
    lines = proxy.heads[0].split(b"\r\n")
    assert lines[0] == b"POST http://far.example:81/v1 HTTP/1.1"
    assert b"Host: far.example:81" in lines
    assert b"Proxy-Authorization: Basic dXNlcjpwYXNz" in lines


async def test_https_goes_through_the_proxy_in_a_tunnel_that_it_cannot_read() -> None:
    echo = Echo()
    async with talking(echo, server_tls()) as far:
        proxy = Proxy(far)
        async with talking(proxy) as port, client(proxies=proxies(port), make_tls=lenient_tls) as http:
            assert await body_of(await http.post(to("https://far.example/v1", b"hi"))) == b"hi"
    assert proxy.heads[0].startswith(b"CONNECT far.example:443 HTTP/1.1\r\nHost: far.example:443\r\n")
    assert b"Proxy-Authorization" in proxy.heads[0]
    ((head, _),) = echo.connections[0]
    assert head.startswith(b"POST /v1 ")
    assert b"Proxy-Authorization" not in head


async def test_a_proxy_may_itself_be_reached_over_tls() -> None:
    echo = Echo()
    async with talking(echo, server_tls()) as far:
        proxy = Proxy(far)
        async with talking(proxy, server_tls()) as port:
            both = Proxies(https=f"https://127.0.0.1:{port}", http=f"https://127.0.0.1:{port}")
            async with client(proxies=both, make_tls=lenient_tls) as http:
                assert await body_of(await http.post(to("https://far.example/v1", b"hi"))) == b"hi"
                assert await body_of(await http.post(to("http://far.example/v1", b"hi"))) == b"proxied hi"
    assert [head.split(b" ")[0] for head in proxy.heads] == [b"CONNECT", b"POST"]


def lenient_tls():
    context = trusting_tls()
    context.check_hostname = False
    return context


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (b"HTTP/1.1 407 Auth\r\nContent-Length: 0\r\n\r\n", "rejected", "credentials"),
        (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", "rejected", "refused far.example:443 with 403"),
        (b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", "transport", "with 502"),
        (b"nonsense\r\n\r\n", "transport", "did not answer"),
        (b"", "transport", "did not answer"),
    ],
)
async def test_a_proxy_that_refuses_is_named(answer: bytes, kind: str, said: str) -> None:
    async with (
        talking(Proxy(0, answer)) as port,
        client(proxies=proxies(port), make_tls=trusting_tls) as http,
    ):
        with pytest.raises(ModelError, match=said) as caught:
            await http.post(to("https://far.example/"))
    assert caught.value.kind == kind
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "user" not in str(caught.value)
