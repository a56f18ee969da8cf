"""Which models a run may ask: the first one, and those that stand in. All is checked before any is asked."""

from collections.abc import Sequence

import msgspec

from hames.assembly.endpoint import endpoint
from hames.assembly.secret import Secret
from hames.assembly.settings import Settings
from hames.core.errors import ConfigError
from hames.core.ports import AskOptions
from hames.core.profiles import ModelProfile
from hames.models.profiles import in_mode, on_wire, resolve

DEFAULT_MODEL = "deepseek"
"""The provider whose key alone is enough."""


class Candidate(msgspec.Struct, frozen=True):
    """A model that may be asked. Its provider is as it is spoken to: at this base URL, over this wire.

    `concurrency` is how many requests may be under way with the key.
    """

    profile: ModelProfile
    key: Secret | None
    options: AskOptions
    concurrency: int | None


def profile_for(settings: Settings) -> ModelProfile:
    """The first model, and the rules of its provider. Raises `ConfigError`."""
    profile = _named(settings, settings.model or ("" if settings.base_url else DEFAULT_MODEL))
    if settings.window is not None:
        facts = msgspec.structs.replace(profile.facts, window=settings.window)
        profile = msgspec.structs.replace(profile, facts=facts)
    return profile


def candidates(settings: Settings) -> tuple[Candidate, ...]:
    """The first model and those that stand in, in their order.

    One that stands in is asked where the first one is if it has the same provider, else at its provider's own
    address. Raises `ConfigError` for a model that is not known, a price that is missing under a budget and an
    effort that a provider does not take, and `KeyMissing`.
    """
    first = profile_for(settings)
    others = _stand_ins(settings, first)
    _check_prices("max_budget_usd", settings.max_budget_usd, (first, *others))
    _check_prices("fallback_max_usd", settings.fallback_max_usd, others)
    apart = msgspec.structs.replace(settings, base_url=None, wire=None, api_key_env=None, tool_mode=None)
    return (
        _candidate(settings, first),
        *(
            _candidate(settings if other.provider.name == first.provider.name else apart, other)
            for other in others
        ),
    )


def _named(settings: Settings, name: str) -> ModelProfile:
    """With a base URL, a model that names no provider is one of an unknown, compatible endpoint."""
    if settings.base_url and name.partition("/")[0] not in settings.providers:
        name = f"custom/{name}"
    return resolve(name, settings.providers)


def _stand_ins(settings: Settings, first: ModelProfile) -> list[ModelProfile]:
    found = {(first.provider.name, first.model): first}
    for name in settings.fallback:
        try:
            profile = _named(settings, name)
        except ConfigError as error:
            raise ConfigError(f"fallback: {str(error).removeprefix('model: ')}") from error
        found.setdefault((profile.provider.name, profile.model), profile)
    return list(found.values())[1:]


def _check_prices(key: str, limit: float | None, profiles: Sequence[ModelProfile]) -> None:
    for profile in profiles if limit is not None else ():
        if profile.facts.price is None:
            name = profile.provider.name
            raise ConfigError(
                f"{key}: no price is known for {name}/{profile.model}, so {limit:g} dollars mean nothing."
                " Write `price = { hit = ..., miss = ..., output = ... }` (for a million tokens) into"
                f' [providers.{name}.models."{profile.model}"] of your settings file, or leave {key} out'
            )


def _candidate(settings: Settings, profile: ModelProfile) -> Candidate:
    where = endpoint(settings, profile.provider)
    provider = on_wire(msgspec.structs.replace(profile.provider, base_url=where.base_url), where.wire)
    if settings.tool_mode is not None:
        provider = in_mode(provider, settings.tool_mode)
    if settings.effort is not None and provider.only_efforts and settings.effort not in provider.efforts:
        known = ", ".join(provider.efforts)
        raise ConfigError(f"effort: {provider.name} does not take {settings.effort!r}; it takes {known}")
    limits = (settings.concurrency, profile.facts.concurrency or provider.concurrency)
    return Candidate(
        msgspec.structs.replace(profile, provider=provider),
        where.key,
        AskOptions(max_tokens=settings.max_tokens, effort=settings.effort),
        min((limit for limit in limits if limit is not None), default=None),
    )
