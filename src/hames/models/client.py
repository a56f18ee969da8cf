"""A small HTTP/1.1 client: one request at a time on a pooled connection, its answer as it comes. No retry."""

import select
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

import anyio
import msgspec
from anyio.abc import AnyByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute

from hames.core.errors import ModelError
from hames.core.ports import Clock
from hames.models.address import Address, Proxies, Proxy, proxy_for
from hames.models.dial import Dialer, why
from hames.models.http1 import BadHttp, Piece, ResponseHead, RoundTrip

IDLE_S = 55.0
"""A connection unused for longer is not used again: servers and what lies between drop them silently."""

IDLE_MOST = 8
"""Unused connections kept for one target."""

_JOIN_BYTES = 64 * 1024


class Request(msgspec.Struct, frozen=True):
    """One request. `chunks` are the body, `size` bytes in all."""

    address: Address
    headers: Mapping[str, str]
    chunks: Sequence[Piece]
    size: int


class Connection:
    """An open stream to a target. `used_at` is set when a whole response has been read from it."""

    def __init__(self, stream: AnyByteStream) -> None:
        self.stream = stream
        self.used_at: float | None = None
        self._cipher = stream.extra(TLSAttribute.ssl_object, None)  # noqa: S610 - no Django query
        self._broken: ssl.SSLError | None = None
        self._arrivals = select.poll()
        raw = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - a socket, not a Django query
        self._arrivals.register(raw.fileno(), select.POLLIN)

    def quiet(self) -> bool:
        """Nothing has come since the last response, the end of the connection included."""
        return not self._arrivals.poll(0)

    def at_hand(self) -> bytes:
        """All that TLS holds already, which it gives piece by piece to whoever waits; nothing without TLS.

        Raises `OSError` once all before it has been given. An end is not told here: whoever waits is told.
        """
        if self._cipher is None:
            return b""
        pieces: list[bytes] = []
        try:
            while self._broken is None and (piece := self._cipher.read(_JOIN_BYTES)):
                pieces.append(piece)
        except (ssl.SSLWantReadError, ssl.SSLEOFError):
            pass
        except ssl.SSLError as error:
            self._broken = error  # It is told only once, and then looks like an end.
        if self._broken is not None and not pieces:
            raise self._broken
        return b"".join(pieces)

    async def drop(self) -> None:
        await anyio.aclose_forcefully(self.stream)


class Exchange:
    """A request that was sent, and its response as it comes. Must be closed."""

    def __init__(
        self, client: "HttpClient", address: Address, connection: Connection, trip: RoundTrip
    ) -> None:
        self._client = client
        self._address = address
        self._connection = connection
        self._trip = trip

    @property
    def head(self) -> ResponseHead | None:
        """Status and headers, once they have come."""
        return self._trip.head

    @property
    def complete(self) -> bool:
        """The whole response has come."""
        return self._trip.complete

    async def receive(self, limit_s: float) -> bytes:
        """The next bytes of the body, maybe none when only other bytes came. Waits at most `limit_s`.

        Raises `ModelError`: `stalled` or `transport`.
        """
        try:
            # A limit costs more than to read: it is only set where there is something to wait for.
            data = self._connection.at_hand() or await self._wait(limit_s)
        except (OSError, anyio.BrokenResourceError) as error:
            raise self._failed(f"the connection was lost: {why(error)}") from error
        try:
            return self._trip.feed(data)
        except BadHttp as error:
            raise self._failed(str(error)) from error

    async def _wait(self, limit_s: float) -> bytes:
        """The next bytes from the connection; none when it has ended."""
        data = b""
        with anyio.move_on_after(limit_s) as scope:
            with suppress(anyio.EndOfStream):
                data = await self._connection.stream.receive()
        if scope.cancelled_caught:
            raise ModelError("stalled", f"{self._address.authority} sent nothing for {limit_s:g} s")
        return data

    async def close(self) -> None:
        """Keep the connection for the next request if it can serve one, else drop it."""
        if self._trip.reusable:
            self._client.keep(self._address, self._connection)
        else:
            await self._connection.drop()

    def _failed(self, reason: str) -> ModelError:
        return ModelError("transport", f"{self._address.authority}: {reason}")


class HttpClient:
    """Sends requests and keeps connections open between them: until `close`, or the end of `async with`.

    A request is sent once. Only where a kept connection turns out to be closed before the last bytes of
    the request were handed over is it replaced, silently and once: the server cannot have acted on it.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        proxies: Proxies | None = None,
        connect_s: float = 20.0,
        write_s: float = 60.0,
        make_tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self._clock = clock
        self._proxies = proxies or Proxies()
        self._write_s = write_s
        self._dialer = Dialer(connect_s, make_tls)
        self._idle: dict[tuple[str, str, int], list[Connection]] = {}

    async def __aenter__(self) -> "HttpClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True):
            await self.close()

    async def post(self, request: Request) -> Exchange:
        """Send a POST; its response is read from the `Exchange`. Raises `ModelError`."""
        return await self._exchange("POST", request)

    async def get(self, address: Address, headers: Mapping[str, str]) -> Exchange:
        """Send a GET; see `post`."""
        return await self._exchange("GET", Request(address, headers, (), 0))

    async def _exchange(self, method: str, request: Request) -> Exchange:
        address = request.address
        via = proxy_for(address, self._proxies)
        trip = RoundTrip()
        pieces = _pieces(trip, via, method, request)
        connection = await self._kept(address)
        if connection is None or not await self._send(connection, address, pieces):
            connection = Connection(await self._dialer.dial(address, via))
            # A server may answer and close before it has read all: what came of it is read.
            await self._send(connection, address, pieces)
        return Exchange(self, address, connection, trip)

    def keep(self, address: Address, connection: Connection) -> None:
        """Take a connection back whose response was read to its end."""
        connection.used_at = self._clock.elapsed()
        self._idle.setdefault(_target(address), []).append(connection)

    async def close(self) -> None:
        """Close what is kept open."""
        for connections in self._idle.values():
            for connection in connections:
                await connection.drop()
        self._idle.clear()

    async def _kept(self, address: Address) -> Connection | None:
        idle = self._idle.get(_target(address), [])
        oldest = self._clock.elapsed() - IDLE_S
        while len(idle) > IDLE_MOST:
            await idle.pop(0).drop()
        # Nothing is awaited once one is found: a cancelled request would leave it open.
        while idle:
            connection = idle.pop()
            if connection.used_at is not None and connection.used_at >= oldest and connection.quiet():
                return connection
            await connection.drop()
        return None

    async def _send(self, connection: Connection, address: Address, pieces: list[bytes]) -> bool:
        """False when the connection was gone before the last bytes were handed over."""
        sent = 0
        try:
            with anyio.move_on_after(self._write_s) as scope, suppress(OSError, anyio.BrokenResourceError):
                for piece in pieces:
                    await connection.stream.send(piece)
                    sent += 1
        except BaseException:
            await connection.drop()
            raise
        if scope.cancelled_caught:
            await connection.drop()
            raise ModelError(
                "stalled", f"{address.authority} did not take the request in {self._write_s:g} s"
            )
        if sent < len(pieces) - 1 and connection.used_at is not None:
            await connection.drop()
            return False
        return True


def _target(address: Address) -> tuple[str, str, int]:
    return address.scheme, address.host, address.port


def _pieces(trip: RoundTrip, via: Proxy | None, method: str, request: Request) -> list[bytes]:
    """Head and body as they are written."""
    address = request.address
    headers = {"Host": address.authority, **request.headers, "Content-Length": str(request.size)}
    target = address.target
    if via is not None and not address.secure:
        headers.update(via.headers)
        target = address.absolute
    try:
        return list(_joined(trip.request(method, target, headers, request.chunks)))
    except BadHttp as error:
        raise ModelError("rejected", f"the request cannot be sent: {error}") from error


def _joined(chunks: Iterable[Piece]) -> Iterator[bytes]:
    """Small chunks together, large `bytes` without a copy."""
    group: list[Piece] = []
    size = 0
    for chunk in chunks:
        if group and size + len(chunk) > _JOIN_BYTES:
            yield b"".join(group)
            group, size = [], 0
        if chunk:
            group.append(chunk)
            size += len(chunk)
    if group:
        yield b"".join(group)
