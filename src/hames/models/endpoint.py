"""Asks a model over HTTP: one attempt is one POST, and every way it can fail has a class."""

from collections.abc import AsyncGenerator, Mapping

import msgspec

from hames.core.errors import ModelError
from hames.core.ports import Alive, Body, Clock, Delta, Reply, ReplyReader, Wire
from hames.core.profiles import KeyHeader, ModelProfile, Provider, WireName
from hames.models.address import endpoint_url
from hames.models.client import Exchange, HttpClient, Request
from hames.models.failures import About, status_failure

ERROR_BYTES = 64 * 1024
"""This much of an error's body is read."""

QUEUE_FACTOR = 3
"""Signs of life alone keep an attempt open for this many times `first_byte_s`."""

_PATHS: dict[WireName, str] = {
    "chat": "/chat/completions",
    "messages": "/messages",
    "responses": "/responses",
}
# What the wire itself demands.
_WIRE_HEADERS: dict[WireName, dict[str, str]] = {"messages": {"anthropic-version": "2023-06-01"}}
# Compatible servers of the Messages wire differ in which of the two they read.
_KEY_HEADERS: dict[WireName, tuple[KeyHeader, ...]] = {"messages": ("x-api-key", "authorization")}
# Shorter values are placeholders like `none`, and would tear holes into every text.
_SECRET_CHARS = 8


class HttpModel:
    """Implements `Model` for one model at one base URL. `headers` are sent with each request."""

    def __init__(
        self,
        profile: ModelProfile,
        wire: Wire,
        client: HttpClient,
        clock: Clock,
        key: str | None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        provider = profile.provider
        self._provider = provider
        self._wire = wire
        self._client = client
        self._clock = clock
        self._address = endpoint_url(provider.base_url, _path(provider))
        self._about = About(self._address.authority, profile.model, provider.key_env)
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",
            "User-Agent": "hames",
            **_WIRE_HEADERS.get(provider.wire, {}),
            **provider.headers,
            **(headers or {}),
        }
        self._secrets = [value for value in (headers or {}).values() if len(value) >= _SECRET_CHARS]
        key = key.strip() if key else ""
        if key:
            self._headers.update(_key_headers(provider, key))
            if len(key) >= _SECRET_CHARS:
                self._secrets.insert(0, key)

    async def ask(self, body: Body) -> AsyncGenerator[Delta | Reply]:
        """Deltas, and last the `Reply`. Raises `ModelError`. Consume it under `aclosing`."""
        began = self._clock.elapsed()
        exchange = await self._client.post(Request(self._address, self._headers, body.chunks, body.size))
        try:
            data = await self._opened(exchange, began)
            first_byte_s = self._clock.elapsed() - began
            yield Alive(queued=False)
            reader = self._wire.reader()
            silent = True
            try:
                while True:
                    for delta in reader.feed(data) if data else ():
                        silent = silent and isinstance(delta, Alive)
                        yield delta
                    if exchange.complete:
                        break
                    data = await exchange.receive(self._limit_s(began, silent))
                reply = reader.finish(first_byte_s)
            except ModelError as error:
                reply = self._finished_anyway(reader, error, first_byte_s)
        finally:
            await exchange.close()
        yield reply

    async def _opened(self, exchange: Exchange, began: float) -> bytes:
        """Wait for the head; what came of the body with it. Raises what a status other than 200 means."""
        data = b""
        while exchange.head is None:
            data = await exchange.receive(self._limit_s(began, True))
        head = exchange.head
        if head.status != 200:
            raise await self._refused(exchange, data)
        coding = head.headers.get("content-encoding", "identity")
        if coding != "identity":
            raise ModelError(
                "malformed", f"{self._about.host} answered in the coding {coding!r} that was not asked for"
            )
        return data

    async def _refused(self, exchange: Exchange, data: bytes) -> ModelError:
        """The failure behind a status, with as much of its body as comes."""
        head = exchange.head
        assert head is not None
        body = bytearray(data)
        try:
            while not exchange.complete and len(body) < ERROR_BYTES:
                body += await exchange.receive(self._provider.idle_s)
        except ModelError:
            pass  # The status is known, and says more than a body that was cut.
        said = bytes(body[:ERROR_BYTES])
        return self._redacted(status_failure(head.status, head.headers, said, self._about, self._clock.now()))

    def _limit_s(self, began: float, silent: bool) -> float:
        """How long the next bytes may take. Until the model speaks, that is a long time, unless the server
        promises to say that it is there."""
        provider = self._provider
        if not silent:
            return provider.idle_s
        most = provider.first_byte_s * QUEUE_FACTOR
        left = began + most - self._clock.elapsed()
        if left <= 0:
            raise ModelError("stalled", f"{self._about.host} said only that it is there, for {most:g} s")
        return min(left, provider.idle_s if provider.keepalive else provider.first_byte_s)

    def _finished_anyway(self, reader: ReplyReader, error: ModelError, first_byte_s: float) -> Reply:
        """A reply that was whole before the stream broke counts; else the failure, with what had come."""
        if error.kind not in ("stalled", "transport"):
            raise self._redacted(error) from error
        try:
            reply = reader.finish(first_byte_s)
        except ModelError as found:
            if found.kind not in ("cut", "empty"):
                raise self._redacted(found) from error
            kind = "cut" if found.raw and error.kind == "transport" else error.kind
            raise self._redacted(ModelError(kind, str(error), raw=found.raw)) from error
        return msgspec.structs.replace(reply, repairs=(*reply.repairs, f"after its end: {error}"))

    def _redacted(self, error: ModelError) -> ModelError:
        """The same failure without any secret that the server repeated."""
        message, raw = str(error), error.raw
        for secret in self._secrets:
            message = message.replace(secret, "[secret]")
            raw = raw.replace(secret.encode(), b"[secret]")
        return ModelError(
            error.kind, message, status=error.status, wait_s=error.wait_s, raw=raw, window=error.window
        )


def _path(provider: Provider) -> str:
    """Where requests go, below the base URL."""
    path = _PATHS[provider.wire]
    # Base URLs of the Messages wire are usually given without the version, those of the others with it.
    versioned = provider.wire == "messages" and not provider.base_url.rstrip("/").endswith("/v1")
    return f"/v1{path}" if versioned else path


def _key_headers(provider: Provider, key: str) -> dict[str, str]:
    names = provider.key_headers or _KEY_HEADERS.get(provider.wire, ("authorization",))
    values = {"authorization": ("Authorization", f"Bearer {key}"), "x-api-key": ("X-Api-Key", key)}
    return dict(values[name] for name in names)
