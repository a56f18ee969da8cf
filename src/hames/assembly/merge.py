"""Several sources of settings made one."""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from hames.assembly.settings_file import Choices
from hames.core.errors import ConfigError
from hames.models.profiles import Table, laid_over
from hames.policies.modes import Mode, read_mode, stricter
from hames.policies.specifier import LayerName

_OF_ENDPOINT = ("wire", "api_key_env", "tool_mode")
"""They belong to a base URL: who names one hides what weaker sources say of these, so that a key never
goes to an endpoint that it was not meant for. The managed base URL hides nothing."""

_PLAIN = (
    *(
        "base_url",
        "model",
        "window",
        "effort",
        "append_system_prompt",
        "proxy",
        "no_proxy",
        "sandbox",
        "stop_at",
    ),
    *("disk_quota", "keep_days", "orphan_s", "at_timeout", "undo", "undo_files", "undo_bytes", "fallback"),
    *("on_stuck", "on_repeated_failure", "failure_notes"),
)
LIMITS = (
    *("max_tokens", "max_steps", "max_budget_usd", "max_budget_tokens", "max_time_s", "wait_jobs_s"),
    *("patience_s", "fallback_max_usd", "concurrency"),
)
"""Settings that the managed and the project file can only tighten."""

_FLAGS = {
    "max_steps": "--max-turns",
    "max_time_s": "--max-time",
    "wait_jobs_s": "--wait-jobs",
    "patience_s": "--patience",
    "fallback": "--fallback-model",
    "add_dirs": "--add-dir",
}
"""Flags that are not called like their key."""

FLAGS: Mapping[str, str] = {
    key: _FLAGS.get(key, "--" + key.replace("_", "-")) for key in Choices.__struct_fields__
}
"""The command-line flag of each setting."""


class Source(msgspec.Struct, frozen=True):
    """One source. `label` is how a person knows it: a file, or `the command line`."""

    layer: LayerName
    label: str
    choices: Choices
    is_flags: bool = False


class Merged(msgspec.Struct, frozen=True):
    """The outcome. `ceiling` is the loosest mode that managed and project settings leave."""

    choices: Choices
    mode: Mode | None
    ceiling: Mode | None
    notices: tuple[str, ...]


def merge(sources: Sequence[Source]) -> Merged:
    """One set of choices from `sources`, the strongest first.

    Raises `ConfigError` when a flag is overruled: what was said on the command line is never dropped in
    silence. Another source that is overruled by the managed one is named in a notice.
    """
    notices: list[str] = []
    values: dict[str, object] = {}
    for key in _PLAIN:
        values[key] = _plain(key, sources, notices)
    reach = _same_endpoint(sources)
    for key in _OF_ENDPOINT:
        values[key] = _plain(key, reach, notices)
    for key in LIMITS:
        values[key] = _limit(key, sources)
    values["providers"] = _providers(sources, notices)
    mode, ceiling = _mode(sources)
    return Merged(msgspec.convert(values, Choices), mode, ceiling, tuple(notices))


def _said(key: str, sources: Sequence[Source]) -> list[tuple[Source, object]]:
    pairs = [(source, cast(object, getattr(source.choices, key))) for source in sources]
    return [(source, value) for source, value in pairs if value is not None]


def _plain(key: str, sources: Sequence[Source], notices: list[str]) -> object:
    said = _said(key, sources)
    if not said:
        return None
    strongest, value = said[0]
    if strongest.layer == "managed":
        for source, other in said[1:]:
            if other == value:
                continue
            if source.is_flags:
                raise ConfigError(f"{FLAGS[key]} cannot be used: {strongest.label} sets {key}")
            notices.append(f"{key} in {source.label} does not hold: {strongest.label} sets it")
    return value


def _same_endpoint(sources: Sequence[Source]) -> Sequence[Source]:
    for place, source in enumerate(sources):
        if source.choices.base_url is not None and source.layer != "managed":
            return sources[: place + 1]
    return sources


def _limit(key: str, sources: Sequence[Source]) -> float | None:
    """The strongest value; managed and project values are ceilings."""
    own: float | None = None
    ceilings: list[float] = []
    for source, value in _said(key, sources):
        number = cast(float, value)
        if source.layer in ("managed", "project"):
            ceilings.append(number)
        elif own is None:
            own = number
            if source.is_flags and ceilings and number > ceilings[0]:
                raise ConfigError(f"{FLAGS[key]} {number:g} is over the managed limit of {ceilings[0]:g}")
    values = ceilings if own is None else [own, *ceilings]
    return min(values, default=None)


def _mode(sources: Sequence[Source]) -> tuple[Mode | None, Mode | None]:
    mode: Mode | None = None
    ceiling: Mode | None = None
    for source, name in _said("permission_mode", sources):
        try:
            said = read_mode(cast(str, name))
        except ConfigError as error:
            raise ConfigError(f"{source.label}: permission_mode: {error}") from error
        if source.layer in ("managed", "project"):
            ceiling = said if ceiling is None else stricter(ceiling, said)
        elif mode is None:
            mode = said
            if source.is_flags and ceiling is not None and stricter(said, ceiling) != said:
                raise ConfigError(
                    f"{FLAGS['permission_mode']} {name} is looser than {ceiling}, which is managed"
                )
    return mode, ceiling


def _providers(sources: Sequence[Source], notices: list[str]) -> Mapping[str, Table]:
    """What is said of each provider, the strongest source's word last."""
    merged: dict[str, Table] = {}
    for source in reversed(sources):
        for name, table in (source.choices.providers or {}).items():
            below = merged.get(name, {})
            if source.layer == "managed":
                lost = [key for key, value in below.items() if table.get(key, value) != value]
                notices.extend(
                    f"providers.{name}.{key} of weaker files does not hold where {source.label} sets it"
                    for key in lost
                )
            merged[name] = laid_over(below, table)
    return merged
