"""The providers of the settings: `[providers.NAME]` tables, checked, and laid over those that hames knows."""

from collections.abc import Mapping
from typing import get_args

import msgspec

from hames.assembly.wrong_settings import Words, as_table, check_keys, explain, spelled
from hames.core.errors import ConfigError
from hames.core.profiles import (
    KeyHeader,
    ModelFacts,
    PeakHours,
    Price,
    Provider,
    ReasoningRule,
    ToolMode,
    WireName,
)
from hames.models.profiles import Profiles, Table, default_model, profile_of, providers

PROVIDER_KEYS = tuple(name for name in Provider.__struct_fields__ if name != "name")
"""What a table may say of a provider."""

_WORDS: Words = {
    "wire": get_args(WireName),
    "reasoning": get_args(ReasoningRule),
    "key_headers": get_args(KeyHeader),
    "tool_mode": get_args(ToolMode),
}
_PRICES = ("price", "long_price")
# Values for what another source may say: a table alone need not say all that must be known.
_PRICE: Table = {"hit": 0.0, "miss": 0.0, "output": 0.0}
_FACTS: Table = {"window": 1024, "max_output": 1}
_PROVIDER: Table = {"name": "x", "base_url": "", "wire": "chat"}
_PEAK: Table = {"days": [], "hours": [], "factor": 1.0}


def check_providers(value: object, where: str) -> None:
    """Raises `ConfigError` for keys and values of the file `where` that do not fit. What is missing may yet
    stand in another file."""
    for name, said in as_table(value, "providers", where).items():
        path = f"providers.{spelled(name)}"
        if not name or "/" in name:
            raise ConfigError(f'{where}: "{path}": the name of a provider is not empty and has no slash')
        table = as_table(said, path, where)
        check_keys(table, PROVIDER_KEYS, f"{path}.", where)
        peak = table.get("peak")
        if peak is not None:
            peak = as_table(peak, f"{path}.peak", where)
            check_keys(peak, PeakHours.__struct_fields__, f"{path}.peak.", where)
        models = as_table(table.get("models", {}), f"{path}.models", where)
        for model, facts in models.items():
            _check_model(facts, f"{path}.models.{spelled(model)}", where)
        alone = {key: each for key, each in table.items() if key != "models"}
        filled = {**alone, "peak": {**_PEAK, **peak}} if peak is not None else alone
        _fits({**_PROVIDER, **filled}, Provider, f"{path}.", where)
        _check_url(table.get("base_url"), path, where)


def known_providers(own: Mapping[str, Table], where: Mapping[str, str]) -> Profiles:
    """All providers. `where` says which file a person finds each table in. Raises `ConfigError` for what is
    missing."""
    known = providers().over(own)
    for name in own:
        table, path = known.table(name), f"{where[name]}: providers.{spelled(name)}"
        _complete(table, ("base_url", "wire"), path, "a new provider needs")
        for model, facts in as_table(table["models"], path, "").items():
            place = f"{path}.models.{spelled(model)}"
            described = as_table(facts, place, "")
            _complete(described, ("window", "max_output"), place, "a new model needs")
            for key in _PRICES:
                if key in described:
                    price = as_table(described[key], place, "")
                    _complete(price, Price.__struct_fields__, f"{place}.{key}", "a price needs")
        try:
            provider = known[name]
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error
        usual = default_model(provider)
        if usual:
            try:
                profile_of(provider, usual)
            except ConfigError as error:
                raise ConfigError(f"{path}.default_model: {error}") from error
    return known


def _check_model(value: object, path: str, where: str) -> None:
    facts = as_table(value, path, where)
    check_keys(facts, ModelFacts.__struct_fields__, f"{path}.", where)
    filled = dict(facts)
    for key in _PRICES:
        if key in facts:
            price = as_table(facts[key], f"{path}.{key}", where)
            check_keys(price, Price.__struct_fields__, f"{path}.{key}.", where)
            filled[key] = {**_PRICE, **price}
    _fits({**_FACTS, **filled}, ModelFacts, f"{path}.", where)


def _fits(table: Table, shape: type[msgspec.Struct], under: str, where: str) -> None:
    try:
        msgspec.json.decode(msgspec.json.encode(table), type=shape)
    except (msgspec.ValidationError, TypeError) as error:
        raise ConfigError(f"{where}: {explain(str(error), table, under, _WORDS)}") from error


def _check_url(url: object, path: str, where: str) -> None:
    if isinstance(url, str) and not url.startswith(("http://", "https://")):
        raise ConfigError(
            f'{where}: "{path}.base_url": {url!r} is not a URL; it starts with https:// or http://'
        )


def _complete(table: Table, needed: tuple[str, ...], path: str, what: str) -> None:
    missing = [f'"{key}"' for key in needed if key not in table]
    if missing:
        raise ConfigError(f"{path}: {what} {' and '.join(missing)}")
