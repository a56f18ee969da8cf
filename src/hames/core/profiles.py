"""What is known of a provider and its models: data, no behaviour."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

WireName = Literal["chat", "messages", "responses"]
KeyHeader = Literal["authorization", "x-api-key"]
ReasoningRule = Literal["calls", "always", "every", "never"]
ToolMode = Literal["native", "json_schema"]

_Dollars = Annotated[float, Meta(ge=0)]
_Seconds = Annotated[float, Meta(gt=0)]
_Requests = Annotated[int, Meta(ge=1)]


class PeakHours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hours (UTC) in which prices are multiplied."""

    days: Annotated[tuple[int, ...], Meta(description="Days of the week; 0 is Monday.")]
    hours: Annotated[
        tuple[tuple[int, int], ...], Meta(description="Pairs of hours, UTC: from the first up to the second.")
    ]
    factor: Annotated[float, Meta(description="What prices are multiplied with in these hours.", gt=0)]


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """US dollars per million tokens."""

    hit: Annotated[_Dollars, Meta(description="Dollars for a million tokens read from the cache.")]
    miss: Annotated[_Dollars, Meta(description="Dollars for a million other tokens of input.")]
    output: Annotated[_Dollars, Meta(description="Dollars for a million tokens of output.")]


class ModelFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One model of a provider. Sizes in tokens; `price` is None when it is not known."""

    window: Annotated[int, Meta(ge=1024, description="Context window, in tokens.")]
    max_output: Annotated[int, Meta(ge=1, description="Most tokens of one reply.")]
    price: Annotated[Price | None, Meta(description="What it costs.")] = None
    sees: Annotated[bool, Meta(description="Whether it takes pictures.")] = False
    aliases: Annotated[tuple[str, ...], Meta(description="Other names of the model.")] = ()
    long_input: Annotated[int, Meta(description="More tokens of input than this cost `long_price`.")] = 0
    long_price: Annotated[
        Price | None, Meta(description="What a whole request costs whose input is over `long_input`.")
    ] = None
    concurrency: Annotated[
        _Requests | None, Meta(description="Most requests under way with one key; else that of the provider.")
    ] = None
    edits: Annotated[
        Literal["edit", "patch"],
        Meta(description="The tool it changes parts of files with: `edit`, or `patch` for `apply_patch`."),
    ] = "edit"


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One provider as data. `extra`, `efforts` and `headers` are meant for its own `wire`."""

    name: str
    base_url: Annotated[str, Meta(description="URL of the endpoint.")]
    wire: Annotated[WireName, Meta(description="Protocol that the endpoint speaks.")]
    key_env: Annotated[
        str, Meta(description="Name of the environment variable that holds the key; empty: no key.")
    ] = ""
    default_model: Annotated[str, Meta(description="The model that the provider's name alone means.")] = ""
    models: dict[str, ModelFacts] = {}
    reasoning: Annotated[
        ReasoningRule,
        Meta(
            description="Which replies get their reasoning back: `calls` all with calls, even if it is empty;"
            " `always` those that have some, in the field it came in; `every` all; `never` none."
        ),
    ] = "never"
    reasoning_field: Annotated[str, Meta(description="The field for it, with `calls` and `every`.")] = (
        "reasoning_content"
    )
    reasoning_blank: Annotated[str, Meta(description="What stands in that field where there was none.")] = ""
    tool_mode: Annotated[
        ToolMode,
        Meta(
            description="How calls are made: `native`, or `json_schema` as JSON of a form that is asked for,"
            " where the backend cannot call tools (wire `chat`)."
        ),
    ] = "native"
    max_tokens_field: Annotated[str, Meta(description="The field that limits a reply (wire `chat`).")] = (
        "max_tokens"
    )
    stream_usage: Annotated[bool, Meta(description="Whether usage must be asked for (wire `chat`).")] = True
    keepalive: Annotated[
        bool,
        Meta(description="The server promises signs of life while it queues: silence is a dead stream."),
    ] = False
    first_byte_s: Annotated[_Seconds, Meta(description="Seconds that the first word may take.")] = 600.0
    idle_s: Annotated[_Seconds, Meta(description="Seconds of silence that end a stream after it.")] = 120.0
    concurrency: Annotated[
        _Requests | None, Meta(description="Most requests under way with one key; unset: no limit is known.")
    ] = None
    peak: Annotated[PeakHours | None, Meta(description="When prices are higher.")] = None
    base_url_env: Annotated[
        str, Meta(description="Name of the environment variable that holds another base URL.")
    ] = ""
    key_headers: Annotated[
        tuple[KeyHeader, ...],
        Meta(
            description="The headers that carry the key: `authorization` as a bearer token, `x-api-key` as it"
            " is; else those that are usual on the wire."
        ),
    ] = ()
    headers: Annotated[dict[str, str], Meta(description="Headers of each request; no keys.")] = {}
    cache_marks: Annotated[
        bool, Meta(description="What all requests share is marked for the server's cache (`messages`).")
    ] = False
    extra: Annotated[dict[str, msgspec.Raw], Meta(description="Parameters of each request.")] = {}
    efforts: Annotated[
        dict[str, dict[str, msgspec.Raw]],
        Meta(
            description="The parameters that ask for an effort, by its name; another name goes out as it is,"
            " in the field of the wire."
        ),
    ] = {}
    only_efforts: Annotated[
        bool, Meta(description="Whether an effort that is not in `efforts` is an error.")
    ] = False
    retired: Annotated[
        dict[str, str], Meta(description="Names of models that are no more, with what to use now.")
    ] = {}


class ModelProfile(msgspec.Struct, frozen=True):
    """A model that a session can be pinned to: the provider's rules and the model's facts."""

    provider: Provider
    model: str
    facts: ModelFacts

    @property
    def form(self) -> str:
        """The wire and how calls are written on it: requests of one form are not gone on with in another."""
        mode = self.provider.tool_mode
        return self.provider.wire if mode == "native" else f"{self.provider.wire}/{mode}"
