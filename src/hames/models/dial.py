"""Opens a connection to a target: TCP, a proxy if one stands between, TLS. Says plainly what failed."""

import errno
import os
import socket
import ssl
from collections.abc import Callable
from typing import cast

import anyio
import anyio.to_thread
from anyio.abc import AnyByteStream, SocketAttribute, SocketStream
from anyio.streams.tls import TLSStream

from hames.core.errors import ModelError
from hames.models.address import Address, Proxy
from hames.models.gather import GatheringStream
from hames.models.http1 import BadHttp, RoundTrip

_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))


class Dialer:
    """Makes connections. The TLS context is made at the first https target, and kept."""

    def __init__(self, limit_s: float, make_tls: Callable[[], ssl.SSLContext]) -> None:
        self._limit_s = limit_s
        self._make_tls = make_tls
        self._tls: ssl.SSLContext | None = None

    async def dial(self, address: Address, via: Proxy | None) -> AnyByteStream:
        """An open stream to `address`, or to the proxy that is asked for it. Raises `ModelError`."""
        first = via.address if via else address
        try:
            with anyio.fail_after(self._limit_s):
                return await self._dial(address, via)
        except TimeoutError:
            raise ModelError(
                "transport", f"{first.endpoint} did not take a connection within {self._limit_s:g} s"
            ) from None

    async def _dial(self, address: Address, via: Proxy | None) -> AnyByteStream:
        first = via.address if via else address
        stream: AnyByteStream = await self._plain(first, address.secure or first.secure)
        try:
            if via is None:
                return await self._secured(stream, address) if address.secure else stream
            if first.secure:
                stream = await self._secured(stream, first)
            if address.secure:
                await _tunnel(stream, address, via)
                stream = await self._secured(stream, address)
        except BaseException:
            await anyio.aclose_forcefully(stream)
            raise
        return stream

    async def _plain(self, address: Address, secure: bool) -> AnyByteStream:
        """A TCP connection; the TLS context, which is slow to make, is made meanwhile."""
        stream: SocketStream | None = None
        unreachable = ""
        async with anyio.create_task_group() as group:
            if secure and self._tls is None:
                group.start_soon(self._load_tls)
            try:
                stream = await anyio.connect_tcp(address.host, address.port)
            except (OSError, UnicodeError) as error:
                unreachable = _why_unreachable(address, error)
        if stream is None:
            raise ModelError("transport", unreachable)
        _probe_when_silent(stream)
        return GatheringStream(stream)

    async def _load_tls(self) -> None:
        context = await anyio.to_thread.run_sync(self._make_tls)
        context.set_alpn_protocols(["http/1.1"])
        self._tls = context

    async def _secured(self, stream: AnyByteStream, address: Address) -> AnyByteStream:
        try:
            return await TLSStream.wrap(
                stream, hostname=address.host, ssl_context=self._tls, standard_compatible=False
            )
        except ssl.SSLCertVerificationError as error:
            raise ModelError(
                "transport",
                f"the certificate of {address.host} was not accepted: {error.verify_message}. If your "
                "network has its own authority, let SSL_CERT_FILE name its certificates",
            ) from error
        except (OSError, anyio.EndOfStream, anyio.BrokenResourceError) as error:
            raise ModelError(
                "transport", f"no TLS connection to {address.endpoint}: {why(error)}. Does it speak https?"
            ) from error


def why(error: BaseException) -> str:
    """The plain words behind an error of the network."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, BaseExceptionGroup):
        causes = cast("tuple[BaseException, ...]", error.exceptions)
        return why(causes[0])
    if isinstance(error, anyio.EndOfStream | anyio.BrokenResourceError):
        return "closed by the other side"
    if isinstance(error, ssl.SSLError):
        return error.reason or "a TLS error"
    if isinstance(error, OSError) and error.errno:
        # asyncio puts words of its own into `strerror`.
        return os.strerror(error.errno)
    return str(error) or type(error).__name__


def _why_unreachable(address: Address, error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return f"the name {address.host} cannot be resolved: check the base URL and the network"
    reason = why(error)
    if reason == os.strerror(errno.ECONNREFUSED):
        return f"{address.endpoint} refused the connection: check the base URL, and that the server runs"
    return f"{address.endpoint} cannot be reached: {reason}"


def _probe_when_silent(stream: SocketStream) -> None:
    """Let the kernel find out that a silent peer is gone: a first token may take ten minutes."""
    raw = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - a socket, not a Django query
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        option = getattr(socket, name, None)
        if option is not None:
            raw.setsockopt(socket.IPPROTO_TCP, option, value)


async def _tunnel(stream: AnyByteStream, address: Address, via: Proxy) -> None:
    """Have the proxy pass bytes through to `address`."""
    trip = RoundTrip()
    head = trip.request("CONNECT", address.endpoint, {"Host": address.endpoint, **via.headers})
    proxy = via.address.endpoint
    try:
        await stream.send(b"".join(head))
        while trip.head is None:
            trip.feed(await stream.receive())
    except (BadHttp, anyio.EndOfStream, anyio.BrokenResourceError) as error:
        raise ModelError("transport", f"the proxy {proxy} did not answer: {why(error)}") from error
    status = trip.head.status
    if status == 407:
        raise ModelError("rejected", f"the proxy {proxy} wants other credentials", status=407)
    if status >= 300:
        kind = "transport" if status >= 500 else "rejected"
        raise ModelError(kind, f"the proxy {proxy} refused {address.endpoint} with {status}", status=status)
