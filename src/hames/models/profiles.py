"""The providers that come with hames, and how a model is found by its name."""

import os
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache

import msgspec

from hames.core.errors import ConfigError
from hames.core.nearest import hint
from hames.core.profiles import ModelProfile, Provider, WireName

ANY_MODEL = "*"
"""The name under which a provider keeps the facts of models that it does not list."""


@cache
def providers() -> Mapping[str, Provider]:
    """All providers of `profiles.toml`, by name."""
    with open(os.path.join(os.path.dirname(__file__), "profiles.toml"), encoding="utf-8") as file:
        return read_providers(file.read())


def read_providers(text: str) -> Mapping[str, Provider]:
    """Providers from TOML. Raises `ConfigError` for what does not fit."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the provider profiles are not valid TOML: {error}") from error
    found: dict[str, Provider] = {}
    for name, table in tables.items():
        try:
            found[name] = msgspec.json.decode(msgspec.json.encode({"name": name, **table}), type=Provider)
        except (msgspec.ValidationError, TypeError) as error:
            raise ConfigError(f"the provider profile {name!r}: {error}") from error
    return found


def resolve(name: str, known: Mapping[str, Provider] | None = None) -> ModelProfile:
    """The model meant by `provider/model`, a model's id or alias, or a provider's name (its default).

    Raises `ConfigError`, naming the nearest that there is.
    """
    known = providers() if known is None else known
    first, slash, rest = name.partition("/")
    if slash and first in known:
        return profile_of(known[first], rest)
    if name in known:
        return profile_of(known[name], known[name].default_model)
    for provider in known.values():
        if _id_of(provider, name) or name in provider.retired:
            return profile_of(provider, name)
    raise ConfigError(f"model: {name!r} is not known{_choice(name, known.values())}")


def profile_of(provider: Provider, name: str) -> ModelProfile:
    """The model of `provider` with this id or alias. Raises `ConfigError`."""
    if name in provider.retired:
        raise ConfigError(
            f"model: {provider.name} has retired {name!r}; use {provider.name}/{provider.retired[name]}"
        )
    if not name:
        raise ConfigError(f"model: name one, as in --model {provider.name}/NAME")
    model = _id_of(provider, name)
    if model:
        return ModelProfile(provider, model, provider.models[model])
    if ANY_MODEL in provider.models:
        return ModelProfile(provider, name, provider.models[ANY_MODEL])
    raise ConfigError(f"model: {provider.name} has no model {name!r}{_choice(name, [provider])}")


def on_wire(provider: Provider, wire: WireName) -> Provider:
    """`provider` spoken to over `wire`, without the parameters and headers that belong to its own."""
    if wire == provider.wire:
        return provider
    return msgspec.structs.replace(provider, wire=wire, extra={}, efforts={}, headers={}, key_headers=())


def _id_of(provider: Provider, name: str) -> str:
    if name == ANY_MODEL:
        return ""
    if name in provider.models:
        return name
    return next((model for model, facts in provider.models.items() if name in facts.aliases), "")


def _names(known: Iterable[Provider]) -> list[str]:
    return [f"{p.name}/{model}" for p in known for model in p.models if model != ANY_MODEL]


def _choice(name: str, known: Iterable[Provider]) -> str:
    """What could be meant, and all there is."""
    full = _names(known)
    near = hint(name, [*full, *(other.partition("/")[2] for other in full)])
    return f"{near}. Known: {', '.join(full)}; for any other server: --base-url URL --model NAME"
