"""The providers that come with hames, those of the user over them, and how a model is found by its name."""

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import cast

import msgspec

from hames.core.errors import ConfigError
from hames.core.nearest import hint
from hames.core.profiles import ModelProfile, Provider, ToolMode, WireName

ANY_MODEL = "*"
"""The name under which a provider keeps the facts of models that it does not list."""

Table = Mapping[str, object]
"""A provider, or a part of one, as it stands in TOML."""

_OF_WIRE: Table = {
    "extra": {},
    "efforts": {},
    "only_efforts": False,
    "headers": {},
    "key_headers": (),
    "tool_mode": "native",
}
"""What is meant for a provider's own wire, without which it can be spoken to over another."""

_MERGED = ("peak", "headers", "extra", "efforts", "retired")
_PRICES = ("price", "long_price")


class Profiles(Mapping[str, Provider]):
    """Providers by name, each read when it is asked for: most runs need one of them.

    `ours` is the TOML of each, `own` are tables of the user. Raises `ConfigError` for what does not fit.
    """

    def __init__(self, ours: Mapping[str, str], own: Mapping[str, Table]) -> None:
        self._ours = ours
        self._own = own
        self._read: dict[str, Provider] = {}

    def __getitem__(self, name: str) -> Provider:
        if name not in self._read:
            if name not in self:
                raise KeyError(name)
            self._read[name] = _provider(name, self.table(name))
        return self._read[name]

    def table(self, name: str) -> Table:
        """All that is known of a provider, as in TOML. One that nobody has described takes any model."""
        table: Table = tomllib.loads(self._ours[name])[name] if name in self._ours else {}
        if name in self._own:
            table = laid_over(table, self._own[name])
        return table if "models" in table else {**table, "models": self.table("custom")["models"]}

    def __contains__(self, name: object) -> bool:
        return name in self._ours or name in self._own

    def __iter__(self) -> Iterator[str]:
        yield from self._ours
        yield from (name for name in self._own if name not in self._ours)

    def __len__(self) -> int:
        return len({*self._ours, *self._own})

    def over(self, own: Mapping[str, Table]) -> "Profiles":
        """The same with further tables of the user."""
        return Profiles(self._ours, {**self._own, **own})


@cache
def providers() -> Profiles:
    """All providers of `profiles.toml`, by name."""
    with open(os.path.join(os.path.dirname(__file__), "profiles.toml"), encoding="utf-8") as file:
        return Profiles(_parts(file), {})


def laid_over(base: Table, own: Table) -> Table:
    """A provider's table with what another one says of it: only that is changed.

    What `own` says of a model goes to the one that has the name as an alias; of a model that is not listed,
    it begins with the facts of any model.
    """
    if own.get("wire", base.get("wire")) != base.get("wire"):
        base = {**base, **_OF_WIRE}
    merged = {**base, **own}
    for key in _MERGED:
        if key in base and key in own:
            merged[key] = {**_table(base[key]), **_table(own[key])}
    if "models" in base and "models" in own:
        merged["models"] = _models(_table(base["models"]), _table(own["models"]))
    return merged


def _models(base: Table, own: Table) -> Table:
    merged = dict(base)
    for said, table in own.items():
        name = said if said in base else _of_alias(said, base)
        facts, changed = _table(base.get(name) or base.get(ANY_MODEL) or {}), _table(table)
        prices = {
            key: {**_table(facts[key]), **_table(changed[key])}
            for key in _PRICES
            if key in facts and key in changed
        }
        merged[name] = {**facts, **changed, **prices}
    return merged


def _of_alias(alias: str, models: Table) -> str:
    """The model with this alias; the alias itself if there is none."""
    for name, facts in models.items():
        if alias in cast(list[str], _table(facts).get("aliases", [])):
            return name
    return alias


def _table(value: object) -> Table:
    return cast(Table, value)


def _provider(name: str, table: Table) -> Provider:
    try:
        provider = msgspec.json.decode(msgspec.json.encode({"name": name, **table}), type=Provider)
    except (msgspec.ValidationError, TypeError) as error:
        raise ConfigError(f"the provider profile {name!r}: {error}") from error
    try:
        return in_mode(provider, provider.tool_mode)
    except ConfigError as error:
        raise ConfigError(f"the provider profile {name!r}: {error}") from error


def _parts(lines: Iterable[str]) -> dict[str, str]:
    """Our TOML by provider: a line that opens a table names it."""
    parts: dict[str, list[str]] = {}
    part: list[str] = []
    for line in lines:
        if line.startswith("["):
            name = line[1:].partition("]")[0].partition(".")[0]
            part = parts.setdefault(name, [])
        part.append(line)
    return {name: "".join(part) for name, part in parts.items()}


def resolve(name: str, known: Mapping[str, Provider] | None = None) -> ModelProfile:
    """The model meant by `provider/model`, a model's id or alias, or a provider's name (its default).

    Raises `ConfigError`, naming the nearest that there is.
    """
    known = providers() if known is None else known
    first, slash, rest = name.partition("/")
    if slash and first in known:
        return profile_of(known[first], rest)
    if name in known:
        return profile_of(known[name], default_model(known[name]))
    for provider in known.values():
        if _id_of(provider, name) or name in provider.retired:
            return profile_of(provider, name)
    raise ConfigError(f"model: {name!r} is not known{_choice(name, known.values())}")


def default_model(provider: Provider) -> str:
    """The model that the provider's name alone means: the named one, or the only one; empty if none."""
    listed = [model for model in provider.models if model != ANY_MODEL]
    return provider.default_model or (listed[0] if len(listed) == 1 else "")


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
    return msgspec.structs.replace(provider, wire=wire, **_OF_WIRE)


def in_mode(provider: Provider, mode: ToolMode) -> Provider:
    """`provider` asked for calls in this way. Raises `ConfigError` where its wire has no such way."""
    if mode == "json_schema" and provider.wire != "chat":
        raise ConfigError(f"tool_mode json_schema is for the wire chat, not {provider.wire}")
    return msgspec.structs.replace(provider, tool_mode=mode)


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
