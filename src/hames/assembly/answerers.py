"""Who may be asked in a run, in which protocol, at what price."""

from collections.abc import Callable
from functools import partial

from hames.assembly.gates import gate_for
from hames.assembly.models import Candidate, candidates, profile_for
from hames.assembly.settings import Settings
from hames.assembly.system import SystemChance
from hames.core.errors import ModelError
from hames.core.ports import AskOptions, Clock, Gate, Model, Wire
from hames.core.profiles import ModelProfile
from hames.loop.asking import Answerer
from hames.models.chat import ChatWire
from hames.models.client import HttpClient
from hames.models.cost import nano_usd
from hames.models.endpoint import HttpModel
from hames.models.gate import OpenGate

Asked = Callable[[ModelProfile, Wire], Model]
"""Who answers over a wire."""


def client_for(settings: Settings, clock: Clock) -> HttpClient:
    """What sends the requests to all who may be asked. To be closed."""
    return HttpClient(clock, proxies=settings.proxies)


def answerers_for(
    settings: Settings, clock: Clock, client: HttpClient, model: Model | None = None
) -> tuple[Answerer, ...]:
    """The model of the settings, and those that stand in for it, in their order; or only `model`.

    Raises `ConfigError`, also for a missing key.
    """
    if model is None:
        return tuple(_over_http(settings, clock, client, candidate) for candidate in candidates(settings))
    given = model

    def asked(profile: ModelProfile, wire: Wire) -> Model:
        return given

    options = AskOptions(max_tokens=settings.max_tokens, effort=settings.effort)
    return (_answerer(profile_for(settings), options, asked, OpenGate(clock, SystemChance())),)


def _over_http(settings: Settings, clock: Clock, client: HttpClient, candidate: Candidate) -> Answerer:
    key = candidate.key.reveal() if candidate.key is not None else None
    gate = gate_for(settings, clock, candidate.profile.provider.base_url, key, candidate.concurrency)

    def asked(profile: ModelProfile, wire: Wire) -> Model:
        return HttpModel(profile, wire, client, clock, key)

    return _answerer(candidate.profile, candidate.options, asked, gate)


def _answerer(
    profile: ModelProfile, options: AskOptions, asked: Asked, gate: Gate, mends: tuple[str, ...] = ()
) -> Answerer:
    """`mends` are rules of the provider that only its refusals have told of."""
    spoken = _mended(profile, mends) if mends else profile
    wire = wire_for(spoken)
    return Answerer(
        model=asked(spoken, wire),
        wire=wire,
        profile=spoken,
        price=partial(nano_usd, profile.provider, profile.facts),
        gate=gate,
        options=options,
        mends=mends,
        mend=_broken_rule,
        remade=partial(_answerer, profile, options, asked, gate),
    )


def _mended(profile: ModelProfile, mends: tuple[str, ...]) -> ModelProfile:
    from hames.models.mending import mended  # noqa: PLC0415 - few requests are ever rejected

    return mended(profile, mends)


def _broken_rule(error: ModelError) -> str:
    from hames.models.mending import broken_rule  # noqa: PLC0415 - few requests are ever rejected

    return broken_rule(error)


def wire_for(profile: ModelProfile) -> Wire:
    """The protocol in which the model is asked."""
    match profile.provider.wire:
        case "chat" if profile.provider.tool_mode == "json_schema":
            from hames.models.chat_json import ChatJsonWire  # noqa: PLC0415 - as below

            return ChatJsonWire(profile.provider, sees=profile.facts.sees, model=profile.model)
        case "chat":
            return ChatWire(profile.provider, sees=profile.facts.sees, model=profile.model)
        case "messages":
            from hames.models.messages import MessagesWire  # noqa: PLC0415 - one wire is spoken in a run

            return MessagesWire(profile)
        case "responses":
            from hames.models.responses import ResponsesWire  # noqa: PLC0415 - one wire is spoken in a run

            return ResponsesWire(profile)
