"""What is known of a provider and its models: data, no behaviour."""

from typing import Literal

import msgspec

WireName = Literal["chat", "messages", "responses"]
KeyHeader = Literal["authorization", "x-api-key"]


class PeakHours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hours (UTC) in which prices are multiplied. `days`: 0 is Monday."""

    days: tuple[int, ...]
    hours: tuple[tuple[int, int], ...]
    factor: float


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """US dollars per million tokens."""

    hit: float
    miss: float
    output: float


class ModelFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One model of a provider. Sizes in tokens; `price` is None when it is not known.

    `long_price` is that of a whole request whose input is over `long_input`.
    """

    window: int
    max_output: int
    price: Price | None = None
    sees: bool = False
    aliases: tuple[str, ...] = ()
    long_input: int = 0
    long_price: Price | None = None


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One provider as data.

    `reasoning`: how reasoning goes back. `calls`: on every assistant message with calls, empty or
    not (DeepSeek); `always`: whenever there is some, in the field it came in; `never`.
    `keepalive`: the server promises comments while it queues, so silence means a dead stream.
    `key_headers` carry the key: `authorization` as a bearer token, `x-api-key` as it is; where none is
    named, those that are usual on the wire. `headers` go with each request. `cache_marks`: what all
    requests share is marked for the server's cache (Anthropic).
    `extra` is JSON merged into each request's parameters. `efforts` are the parameters that ask for an
    effort; one that is not named there goes out by its name, in the field of the wire. Both are meant for
    `wire`. `retired` model ids are refused, each with a hint.
    """

    name: str
    base_url: str
    wire: WireName
    key_env: str
    default_model: str
    models: dict[str, ModelFacts] = {}
    reasoning: Literal["calls", "always", "never"] = "never"
    reasoning_field: str = "reasoning_content"
    max_tokens_field: str = "max_tokens"
    stream_usage: bool = True
    keepalive: bool = False
    first_byte_s: float = 600.0
    idle_s: float = 120.0
    peak: PeakHours | None = None
    base_url_env: str = ""
    key_headers: tuple[KeyHeader, ...] = ()
    headers: dict[str, str] = {}
    cache_marks: bool = False
    extra: dict[str, msgspec.Raw] = {}
    efforts: dict[str, dict[str, msgspec.Raw]] = {}
    retired: dict[str, str] = {}


class ModelProfile(msgspec.Struct, frozen=True):
    """A model that a session can be pinned to: the provider's rules and the model's facts."""

    provider: Provider
    model: str
    facts: ModelFacts
