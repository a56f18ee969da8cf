"""Writes the reference pages that are generated from the code; with `--check` says which are stale."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import msgspec

from hames.assembly.merge import LIMITS
from hames.assembly.models import DEFAULT_MODEL
from hames.assembly.settings import NEVER_BY_PROJECT
from hames.assembly.settings_file import schema
from hames.core.errors import ExitCode
from hames.models.profiles import providers

DOCS = Path(__file__).resolve().parent.parent / "docs"

Schema = Mapping[str, object]

EXIT_CODES = """\
# Exit codes

*Generated from `core/errors.py` by `scripts/fix`.*

How a run of `hames` ended. A script can rely on these.

| code | meaning |
|---|---|
"""

SETTINGS = """\
# Settings

*Generated from `assembly/settings_file.py` by `scripts/fix`.*

Settings are TOML. Sources, the strongest first:

1. `/etc/hames/managed.toml`: what the machine's owner has decided.
2. Flags: `--max-turns 50` sets `max_steps`, `--effort low` sets `effort`.
3. The file given with `--settings FILE`.
4. Yours: `$XDG_CONFIG_HOME/hames/settings.toml`, usually `~/.config/hames/settings.toml`.
5. The project's: `.hames/settings.toml` in the workspace, in a trusted workspace only.

A value is that of the strongest source that sets it. But:

- A limit (LIMITS) and the `permission_mode` of the managed file are ceilings: others can be
  stricter, not looser. A flag that would be overruled is an error, a file that is overruled is named.
- A project can only tighten: limits and mode are ceilings here too, and its `permissions.allow` is refused.
- A project never sets NEVER.
- A `base_url` brings its own `wire`, `api_key_env` and `tool_mode`: those of weaker sources do
  not hold for it.
- What sources say of a provider is laid one over the other, key by key.
- Permission rules of all sources hold together: deny beats ask beats allow.
- `sandbox = "none"` is refused in every file; it takes the flag `--sandbox none`.

A workspace is trusted with `--trust`, for that run. A record in `trust.json` of the state directory counts
too, as long as the workspace's control files (`.hames/`, `.mcp.json`, `AGENTS.md`, `CLAUDE.md`,
`GEMINI.md`) have the hashes that stand in it; no command writes one yet.

An unknown key, a wrong type and a file that cannot be read are errors (exit code 52) that name the file and
the key.
Editors can check a file with [settings.schema.json](settings.schema.json).

Keys and passwords are in no file: a file names the environment variable that holds one.

## Keys

| key | takes | what it says |
|---|---|---|
"""

PROVIDERS = """
## Providers

`[providers.NAME]` adds a provider, or changes one that hames knows: only what it says. [Models](models.md)
has examples. A new one needs `base_url` and `wire`, a new model `window` and `max_output`; without `models` a
new provider takes any model.

| key | takes | what it says |
|---|---|---|
"""

ENVIRONMENT = """
## Environment

| variable | what it does |
|---|---|
KEYS| the one that `api_key_env` names | the key for the endpoint of `base_url` |
| `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY` | proxies for requests to the model, in either case |
| `XDG_CONFIG_HOME`, `XDG_STATE_HOME`, `XDG_CACHE_HOME` | where settings, sessions and caches lie |
"""


def exit_codes() -> str:
    """The page of exit codes."""
    return EXIT_CODES + "".join(f"| {code.value} | {code.meaning} |\n" for code in ExitCode)


def settings() -> str:
    """The page of settings."""
    definitions = cast(Mapping[str, Schema], schema()["$defs"])
    rows: list[str] = []
    for key, value in _properties(definitions["Choices"]).items():
        if key == "permissions":
            below = _properties(definitions["Permissions"])
            rows.extend(_row(f"permissions.{name}", each) for name, each in below.items())
        elif key == "providers":
            rows.append(f"| `providers.NAME` | table | {value['description']} See below. |\n")
        else:
            rows.append(_row(key, value))
    never = ", ".join(f"`{key}`" for key in NEVER_BY_PROJECT)
    limits = ", ".join(f"`{key}`" for key in LIMITS)
    rules = SETTINGS.replace("NEVER", never).replace("LIMITS", limits)
    return rules + "".join(rows) + PROVIDERS + "".join(_provider_rows(definitions)) + _environment()


def _provider_rows(definitions: Mapping[str, Schema]) -> Iterator[str]:
    """A row for each key of a provider, and of what stands below it."""
    below = {"peak": "PeakHours", "models.MODEL.price": "Price"}

    def rows(definition: str, under: str) -> Iterator[str]:
        for key, value in _properties(definitions[definition]).items():
            path = f"{under}{key}"
            if path == "models":
                yield from rows("ModelFacts", "models.MODEL.")
            elif path in below:
                yield from rows(below[path], f"{path}.")
            else:
                yield _row(path, value)

    return rows("Provider", "")


def _environment() -> str:
    rows: list[str] = []
    for name, provider in providers().items():
        if provider.key_env:
            also = " alone it is enough" if name == DEFAULT_MODEL else f" with `--model {name}`"
            rows.append(f"| `{provider.key_env}` | the key for `{name}`;{also} |\n")
        if provider.base_url_env:
            rows.append(
                f"| `{provider.base_url_env}` | another address for `{name}`; `base_url` beats it |\n"
            )
    return ENVIRONMENT.replace("KEYS", "".join(rows))


def _properties(definition: Schema) -> Mapping[str, Schema]:
    return cast(Mapping[str, Schema], definition["properties"])


def _row(key: str, value: Schema) -> str:
    return f"| `{key}` | {_takes(value)} | {value['description']} |\n"


def _takes(value: Schema) -> str:
    """A key's type, in words."""
    options = cast(list[Schema], value.get("anyOf", [value]))
    option = next(each for each in options if each.get("type") != "null")
    if "$ref" in option:
        return "table"
    if "enum" in option:
        return " or ".join(f"`{each}`" for each in cast(list[str | None], option["enum"]) if each)
    words = {
        "array": _lists(option),
        "object": "table",
        "integer": "whole number",
        "number": "number",
        "boolean": "`true` or `false`",
    }
    text = words.get(str(option["type"]), "string")
    for bound, sign in (("minimum", "at least"), ("exclusiveMinimum", "more than")):
        if bound in option:
            text += f", {sign} {option[bound]}"
    return text


def _lists(option: Schema) -> str:
    items = cast(Schema, option.get("items", {}))
    kind = {"integer": "whole numbers", "array": "pairs"}.get(str(items.get("type")), "strings")
    return f"list of {kind}"


def pages() -> dict[str, str]:
    """All generated pages by their file name."""
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "hames settings",
        **schema(),
    }
    raw = msgspec.json.format(msgspec.json.encode(whole), indent=2).decode()
    return {
        "exit-codes.md": exit_codes(),
        "settings.md": settings(),
        "settings.schema.json": raw + "\n",
    }


def main() -> int:
    """Write the pages, or with `--check` compare them."""
    stale = 0
    for name, text in pages().items():
        path = DOCS / name
        if path.exists() and path.read_text() == text:
            continue
        if "--check" in sys.argv[1:]:
            print(f"docs/{name} is stale; run scripts/fix")
            stale = 1
        else:
            path.write_text(text)
    return stale


if __name__ == "__main__":
    sys.exit(main())
