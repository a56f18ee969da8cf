"""What all command lines share: the parser, what it found, and the settings in it."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Literal, Never, cast, get_args

import msgspec

from hames.assembly.ask_for import BackRequest, LocalRequest, RunRequest
from hames.assembly.settings import Flags
from hames.assembly.settings_file import Choices, Permissions
from hames.channels.headless import OutputFormat
from hames.core.errors import UsageError
from hames.core.nearest import hint
from hames.core.profiles import ToolMode, WireName
from hames.core.text import for_terminal, presentable

Command = Literal[
    "run",
    "talk",
    "exec",
    "back",
    "sessions list",
    "sessions show",
    "sessions check",
    "sessions repair",
    "sessions delete",
    "export",
    "gc",
    "doctor",
    "models",
    "models test",
    "models local",
    "doctor local",
    "version",
]


class Invocation(msgspec.Struct, frozen=True):
    """What the command line asks for."""

    command: Command
    flags: Flags
    run: RunRequest = RunRequest()
    back: BackRequest | None = None
    local: LocalRequest = LocalRequest()
    words: tuple[str, ...] = ()
    session: str = ""
    as_json: bool = False
    whole: bool = False


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are `UsageError`s."""

    def error(self, message: str) -> Never:
        """Told like every other failure."""
        unknown = message.partition("unrecognized arguments: ")[2].partition(" ")[0].partition("=")[0]
        meant = hint(unknown, self._option_string_actions) if unknown.startswith("--") else ""
        where = f"`{self.prog} --help`" if self.add_help else "/help"
        raise UsageError(f"{message}{meant} (see {where})")


def parser_of(program: str, about: str, epilog: str = "") -> Parser:
    """A parser for one command."""
    return Parser(
        prog=program,
        description=about,
        epilog=epilog,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_connection(parser: argparse.ArgumentParser) -> None:
    """The flags of which model is asked, and where."""
    model = parser.add_argument_group("the model")
    model.add_argument("--model", metavar="PROVIDER/MODEL", help="for example deepseek/deepseek-flash")
    model.add_argument("--base-url", metavar="URL", help="any endpoint; no settings file is needed")
    model.add_argument("--api-key-env", metavar="NAME", help="the variable that holds the key")
    model.add_argument("--wire", choices=get_args(WireName), help="the protocol of the endpoint")
    model.add_argument("--tool-mode", choices=get_args(ToolMode), help="how it is asked for calls")
    model.add_argument("--window", type=int, metavar="TOKENS", help="the model's context window")
    model.add_argument("--effort", help="how hard to think, in the provider's words")
    place = parser.add_argument_group("the place")
    place.add_argument("--cwd", default=".", metavar="DIR", help="the workspace (default: here)")
    place.add_argument("--settings", metavar="FILE", help="a settings file for this run")
    place.add_argument("--add-dir", action="append", metavar="DIR", help="a further writable directory")
    place.add_argument("--sandbox", choices=("bubblewrap", "none"), help="`none` switches it off")
    place.add_argument("--trust", action="store_true", help="obey the workspace's settings and instructions")


class Read(argparse.Namespace):
    """What argparse found."""

    version: bool = False
    print: bool = False
    prompt: str | None = None
    model: str | None = None
    base_url: str | None = None
    api_key_env: str | None = None
    wire: WireName | None = None
    tool_mode: ToolMode | None = None
    window: int | None = None
    effort: str | None = None
    cwd: str = "."
    settings: str | None = None
    add_dir: list[str] | None = None
    sandbox: Literal["bubblewrap", "none"] | None = None
    trust: bool = False
    output_format: OutputFormat = "text"
    input_format: Literal["text", "stream-json"] = "text"
    max_turns: int | None = None
    max_budget_usd: float | None = None
    max_budget_tokens: int | None = None
    max_time: float | None = None
    stop_at: str | None = None
    wait_jobs: float | None = None
    patience: float | None = None
    fallback_model: list[str] | None = None
    permission_mode: str | None = None
    allowed_tools: list[str] | None = None
    disallowed_tools: list[str] | None = None
    append_system_prompt: str | None = None
    until: str | None = None
    until_timeout: float | None = None
    verbose: bool = False
    resume: str | None = None
    latest: bool = False
    take_over: bool = False
    session_id: str | None = None


_PATHS = frozenset(("cwd", "settings", "add_dir", "force", "worktree", "gguf"))
"""What may hold any bytes."""


def _check_text(read: Read) -> None:
    """Raises `UsageError` for words that cannot be text on the log or in a request."""
    for name, value in cast(Mapping[str, object], vars(read)).items():
        words = cast(Sequence[object], value) if isinstance(value, list) else (value,)
        for word in words if name not in _PATHS else ():
            if isinstance(word, str) and presentable(word) != word:
                raise UsageError(f"this is not valid UTF-8: {for_terminal(presentable(word))}")


def flags_of(read: Read) -> Flags:
    """The settings of a command line. Raises `UsageError` for words that are no text."""
    _check_text(read)
    permissions = None
    if read.allowed_tools or read.disallowed_tools:
        permissions = Permissions(allow=_rules(read.allowed_tools), deny=_rules(read.disallowed_tools))
    choices = Choices(
        model=read.model,
        base_url=read.base_url,
        wire=read.wire,
        api_key_env=read.api_key_env,
        tool_mode=read.tool_mode,
        window=read.window,
        effort=read.effort,
        sandbox=read.sandbox,
        permission_mode=read.permission_mode,
        permissions=permissions,
        max_steps=read.max_turns,
        max_budget_usd=read.max_budget_usd,
        max_budget_tokens=read.max_budget_tokens,
        max_time_s=read.max_time,
        stop_at=read.stop_at,
        wait_jobs_s=read.wait_jobs,
        patience_s=read.patience,
        fallback=tuple(read.fallback_model) if read.fallback_model else None,
        add_dirs=tuple(read.add_dir) if read.add_dir else None,
        append_system_prompt=read.append_system_prompt,
    )
    return Flags(choices=choices, workspace=read.cwd, settings=read.settings, trust=read.trust)


def _rules(said: list[str] | None) -> tuple[str, ...]:
    """Rules from flags: commas and blanks part them, but not inside parentheses."""
    rules: list[str] = []
    for text in said or ():
        depth, rule = 0, ""
        for char in f"{text},":
            depth += (char == "(") - (char == ")")
            if depth <= 0 and char in ", ":
                rules.append(rule)
                rule = ""
            else:
                rule += char
    return tuple(rule for rule in rules if rule)
