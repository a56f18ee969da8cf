"""What a server says it serves: the list of its models, which compatible servers have at one address."""

import anyio
import msgspec

from hames.core.errors import ModelError
from hames.core.ports import Clock
from hames.models.address import endpoint_url
from hames.models.client import Exchange, HttpClient
from hames.models.failures import About, status_failure

MOST_BYTES = 4_000_000
"""A longer list is not read."""


class ServedModel(msgspec.Struct, frozen=True):
    """A model of the list. `window` in tokens, None where the server does not tell. `owner`: what the server
    calls itself."""

    name: str
    window: int | None
    owner: str = ""


class _Meta(msgspec.Struct, frozen=True):
    """What llama.cpp tells: the window that requests get, and the one that the model was trained for."""

    n_ctx: int | None = None
    n_ctx_train: int | None = None


class _Entry(msgspec.Struct, frozen=True):
    """One model. The window has another name in vLLM, SGLang and gateways."""

    id: str
    owned_by: str | None = None
    meta: _Meta | None = None
    max_model_len: int | None = None
    context_length: int | None = None
    context_window: int | None = None
    max_context_length: int | None = None

    def served(self) -> ServedModel:
        """Of what is said, the smallest holds."""
        meta = self.meta or _Meta()
        said = (meta.n_ctx, meta.n_ctx_train, self.max_model_len)
        said = (*said, self.context_length, self.context_window, self.max_context_length)
        window = min((tokens for tokens in said if tokens), default=None)
        return ServedModel(self.id, window, self.owned_by or "")


class _List(msgspec.Struct, frozen=True):
    data: tuple[_Entry, ...]


async def served_models(
    client: HttpClient, clock: Clock, base_url: str, key: str | None, limit_s: float
) -> tuple[ServedModel, ...]:
    """The models of the server at `base_url`. Raises `ModelError`, also when it takes too long."""
    address = endpoint_url(base_url, "/models")
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "hames"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    try:
        with anyio.fail_after(limit_s):
            exchange = await client.get(address, headers)
            try:
                data = await _whole(exchange, limit_s)
            finally:
                await exchange.close()
    except TimeoutError as error:
        raise ModelError(
            "stalled", f"{address.authority} did not tell its models in {limit_s:g} s"
        ) from error
    head = exchange.head
    assert head is not None
    if head.status != 200:
        if head.status == 404:
            said = (
                f"{address.authority} has no list of models below the base URL: most base URLs end with /v1"
            )
            raise ModelError("unknown_model", said, status=404)
        # Its words may repeat the key; the status says enough.
        raise status_failure(head.status, {}, b"", About(address.authority, "", ""), clock.now())
    try:
        listed = msgspec.json.decode(data, type=_List)
    except msgspec.DecodeError as error:
        raise ModelError(
            "malformed", f"{address.authority} has no list of models that can be read"
        ) from error
    return tuple(entry.served() for entry in listed.data)


async def _whole(exchange: Exchange, limit_s: float) -> bytes:
    body = bytearray()
    while not exchange.complete:
        body += await exchange.receive(limit_s)
        if len(body) > MOST_BYTES:
            raise ModelError("malformed", "the list of models is too long")
    return bytes(body)
