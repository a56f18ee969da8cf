"""What one source of settings may say, and how a settings file is read."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Annotated, Any, Literal, cast, get_args

import msgspec
from msgspec import Meta

from hames.assembly.provider_tables import PROVIDER_KEYS, check_providers
from hames.assembly.wrong_settings import Words, check_keys, explain
from hames.core.errors import ConfigError
from hames.core.profiles import Provider, ToolMode, WireName
from hames.loop.kit import OnRepeatedFailure, OnStuck

SandboxName = Literal["bubblewrap", "none"]
AtTimeout = Literal["background", "stop"]

_WORDS: Words = {
    "wire": get_args(WireName),
    "tool_mode": get_args(ToolMode),
    "sandbox": get_args(SandboxName),
    "at_timeout": get_args(AtTimeout),
    "on_stuck": get_args(OnStuck),
    "on_repeated_failure": get_args(OnRepeatedFailure),
}
"""Keys that take one of a few words."""

_ENDLESS = ("patience_s",)
"""Numbers that may be `inf`."""


class Permissions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Permission rules, `Tool` or `Tool(specifier)`. Deny beats ask beats allow."""

    allow: Annotated[tuple[str, ...], Meta(description="Calls that run without a question.")] = ()
    ask: Annotated[tuple[str, ...], Meta(description="Calls that a person is asked about.")] = ()
    deny: Annotated[tuple[str, ...], Meta(description="Calls that are refused.")] = ()


class Choices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of one source; what it does not say is left to others."""

    model: Annotated[
        str | None,
        Meta(description="`PROVIDER/MODEL`, a provider for its default model, or a model's name."),
    ] = None
    base_url: Annotated[
        str | None,
        Meta(description="URL of the endpoint. Brings its own `wire`, `api_key_env` and `tool_mode`."),
    ] = None
    wire: Annotated[WireName | None, Meta(description="Protocol that the endpoint speaks.")] = None
    api_key_env: Annotated[
        str | None, Meta(description="Name of the environment variable that holds the key.")
    ] = None
    tool_mode: Annotated[
        ToolMode | None,
        Meta(description="How calls are made: `native`, or `json_schema` where the backend has no tools."),
    ] = None
    window: Annotated[
        Annotated[int, Meta(ge=1024)] | None, Meta(description="Context window of the model, in tokens.")
    ] = None
    max_tokens: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="Most tokens of one reply.")
    ] = None
    effort: Annotated[
        str | None, Meta(description="How hard the model is to think, in the provider's words.")
    ] = None
    providers: Annotated[
        dict[str, dict[str, Any]] | None,
        Meta(description="Providers of your own, and what you change of those that hames knows."),
    ] = None
    patience_s: Annotated[
        Annotated[float, Meta(ge=0)] | None,
        Meta(
            description="Seconds that are waited in all for a provider that cannot serve; `inf`: for ever."
            " Unset: 1800 with `-p`, else until you interrupt."
        ),
    ] = None
    concurrency: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Most requests under way with one key, over all sessions on this machine."),
    ] = None
    fallback: Annotated[
        tuple[str, ...] | None,
        Meta(description="Models that stand in, in this order, while the first one cannot answer."),
    ] = None
    fallback_max_usd: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="Most US dollars that these may cost in one session."),
    ] = None
    sandbox: Annotated[
        SandboxName | None, Meta(description="Boundary around commands. `none` only as a flag.")
    ] = None
    permission_mode: Annotated[str | None, Meta(description="`plan`, `ask`, `accept_edits` or `auto`.")] = (
        None
    )
    permissions: Annotated[Permissions | None, Meta(description="Permission rules.")] = None
    max_steps: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="Most model requests of one turn.")
    ] = None
    max_budget_usd: Annotated[
        Annotated[float, Meta(gt=0)] | None, Meta(description="Most US dollars of one session.")
    ] = None
    max_budget_tokens: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Most tokens of one session, in and out, those read from a cache included."),
    ] = None
    max_time_s: Annotated[
        Annotated[float, Meta(gt=0)] | None, Meta(description="Most seconds that one turn is worked on.")
    ] = None
    stop_at: Annotated[
        str | None, Meta(description="Time of the day, as `18:00`, at which a turn ends that began before.")
    ] = None
    wait_jobs_s: Annotated[
        Annotated[float, Meta(ge=0)] | None,
        Meta(description="Seconds that a headless run waits for background commands."),
    ] = None
    orphan_s: Annotated[
        Annotated[float, Meta(ge=0)] | None,
        Meta(
            description="Seconds that commands outlive a hames that was killed; else 1200, or 60 with `-p`."
        ),
    ] = None
    at_timeout: Annotated[
        AtTimeout | None, Meta(description="What happens to a command that takes too long.")
    ] = None
    on_stuck: Annotated[
        OnStuck | None,
        Meta(
            description="What is done about a model that goes in circles: `stop` (it is told, then the turn "
            "ends as blocked; the default), `tell`, or `off`."
        ),
    ] = None
    on_repeated_failure: Annotated[
        OnRepeatedFailure | None,
        Meta(
            description="What is done where the same thing has failed four times, each after other changes: "
            "`offer` (the model may put files back; the default), `rewind` (they go back), or `off`."
        ),
    ] = None
    failure_notes: Annotated[
        bool | None,
        Meta(
            description="Whether a command that fails is shown with what has changed since it went well; "
            "`true` by default."
        ),
    ] = None
    add_dirs: Annotated[
        tuple[str, ...] | None, Meta(description="Further directories that may be written.")
    ] = None
    append_system_prompt: Annotated[str | None, Meta(description="Text that follows the system prompt.")] = (
        None
    )
    proxy: Annotated[
        str | None,
        Meta(description="URL of a proxy for requests to the model; else `HTTPS_PROXY` and `HTTP_PROXY`."),
    ] = None
    disk_quota: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="Bytes that the log may take before each start says so. Nothing is deleted for it."),
    ] = None
    keep_days: Annotated[
        Annotated[float, Meta(ge=0)] | None,
        Meta(description="Days after its last change when `hames gc` deletes a session. Unset: never."),
    ] = None
    undo: Annotated[
        bool | None,
        Meta(
            description="Whether snapshots of the workspace are taken, for `hames undo`; `true` by default."
        ),
    ] = None
    undo_files: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Most files of the workspace that a snapshot covers; else 50,000."),
    ] = None
    undo_bytes: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Most bytes of the workspace that a snapshot covers; else 2 GB."),
    ] = None
    no_proxy: Annotated[
        tuple[str, ...] | None, Meta(description="Hosts reached without a proxy; else `NO_PROXY`.")
    ] = None


def read_choices(path: str, refused: Sequence[str] = ()) -> Choices | None:
    """The settings in the TOML file at `path`; None when there is no such file.

    Raises `ConfigError`, also for a key that is `refused` to this file.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror}); make it readable, or move it away"
        ) from error
    raw = _parse(data, path)
    for key in raw:
        if key in refused:
            raise ConfigError(f'{path}: a project may not set "{key}"; move it to your own settings')
    return decode(raw, path)


def _parse(data: bytes, path: str) -> dict[str, object]:
    import tomllib  # noqa: PLC0415 - most starts find no settings file

    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}, line {line}: not UTF-8 text; save the file as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}; correct that line, or remove it") from error


def decode(raw: Mapping[str, object], where: str) -> Choices:
    """Choices from decoded TOML. Raises `ConfigError` that names the key, what it takes, what it got."""
    check_keys(raw, Choices.__struct_fields__, "", where)
    permissions = raw.get("permissions")
    if isinstance(permissions, dict):
        table = cast(Mapping[str, object], permissions)
        check_keys(table, Permissions.__struct_fields__, "permissions.", where)
    if "providers" in raw:
        check_providers(raw["providers"], where)
    try:
        choices = msgspec.convert(raw, Choices)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {explain(str(error), raw, '', _WORDS)}") from error
    _check_finite(raw, f"{where}: ")
    return choices


def check_said(choices: Choices, name_of: Mapping[str, str]) -> None:
    """Raises `ConfigError` for a value of the command line that does not fit. `name_of` are flags by key."""
    raw = cast(Mapping[str, object], msgspec.to_builtins(choices))
    try:
        msgspec.convert(raw, Choices)
    except msgspec.ValidationError as error:
        words = explain(str(error), raw, "", _WORDS)
        key = words.split('"')[1]
        raise ConfigError(words.replace(f'"{key}"', name_of[key], 1)) from error
    _check_finite(raw, "")


def _check_finite(raw: Mapping[str, object], where: str) -> None:
    for key, value in raw.items():
        if isinstance(value, float) and not isfinite(value) and key not in _ENDLESS:
            raise ConfigError(f'{where}"{key}": {value} is no limit; leave it out')


def schema() -> dict[str, Any]:
    """The JSON Schema of a settings file."""
    whole = msgspec.json.schema(Choices)
    of_provider = msgspec.json.schema(Provider)["$defs"]
    # A table need not say all of a provider: what it leaves out is as before.
    for name in ("Provider", "ModelFacts", "Price"):
        of_provider[name].pop("required", None)
    table = of_provider["Provider"]
    table["properties"] = {key: table["properties"][key] for key in PROVIDER_KEYS}
    table["description"] = "What is said of one provider."
    whole["$defs"] |= of_provider
    named = whole["$defs"]["Choices"]["properties"]["providers"]
    tables = next(each for each in named["anyOf"] if each.get("type") == "object")
    tables["additionalProperties"] = {"$ref": "#/$defs/Provider"}
    return whole
