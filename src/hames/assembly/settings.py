"""The only reader of environment and settings files: what holds for this run, and who said so.

Sources, the strongest first: managed file, flags, `--settings` file, user file, project file. A plain
value is the strongest source's. A limit or permission of the managed file is a ceiling, one of the
project file can only tighten. The project file is read in a trusted workspace only, and may never say
where requests go or what the sandbox is.
"""

import os
from collections.abc import Mapping, Sequence
from pwd import getpwuid

import msgspec

from hames.assembly.merge import FLAGS, Source, merge
from hames.assembly.provider_tables import known_providers
from hames.assembly.secret import Environ
from hames.assembly.settings_file import (
    AtTimeout,
    Choices,
    Permissions,
    SandboxName,
    check_said,
    read_choices,
)
from hames.assembly.trust import control_files, is_trusted
from hames.core.errors import ConfigError, UsageError
from hames.core.limits import SNAPSHOT_BYTES, SNAPSHOT_FILES, WAIT_JOBS_S
from hames.core.profiles import Provider, ToolMode, WireName
from hames.loop.kit import OnRepeatedFailure, OnStuck
from hames.models.address import Proxies
from hames.models.profiles import providers
from hames.policies.modes import Mode, stricter
from hames.policies.rules import Layer
from hames.stores.directory import RUN

MANAGED = "/etc/hames/managed.toml"
PROJECT = ".hames/settings.toml"
NEVER_BY_PROJECT = (
    *("base_url", "wire", "api_key_env", "tool_mode", "proxy", "no_proxy", "sandbox", "add_dirs"),
    *("disk_quota", "keep_days", "orphan_s", "undo", "undo_files", "undo_bytes", "providers", "fallback"),
    *("on_stuck", "on_repeated_failure"),
)
"""Where requests go, with which key, how far the boundary reaches, what becomes of the log, what can be
undone, and when a turn is stopped, is never a project's to say."""


class Flags(msgspec.Struct, frozen=True):
    """What the command line says. `workspace` is relative to the current directory."""

    choices: Choices = Choices()
    workspace: str = "."
    settings: str | None = None
    trust: bool = False


class Places(msgspec.Struct, frozen=True):
    """Where settings come from, beside the flags."""

    environ: Environ
    cwd: str
    managed: str = MANAGED


class Directories(msgspec.Struct, frozen=True):
    """Our directories by the XDG rules; none is made here."""

    home: str
    config: str
    state: str
    cache: str

    @property
    def own(self) -> tuple[str, ...]:
        """Those that no command may see, and no snapshot holds."""
        return (self.state, self.config, self.cache)

    @property
    def run(self) -> str:
        """Where sessions at work have their directories."""
        return os.path.join(self.state, RUN)


class Settings(msgspec.Struct, frozen=True):
    """What holds for this run. `notices` are to be said aloud.

    `trusted`: the workspace's control files may be obeyed; `untrusted_files` are those that may not.
    `undo_files` and `undo_bytes` are what a snapshot covers at most. `providers` are all that are known, by
    name. `stop_at` is a minute of the day. `patience_s` is None where nobody has said, and infinite for ever.
    """

    workspace: str
    directories: Directories
    environ: Environ
    trusted: bool
    model: str | None = None
    base_url: str | None = None
    wire: WireName | None = None
    api_key_env: str | None = None
    tool_mode: ToolMode | None = None
    window: int | None = None
    max_tokens: int | None = None
    effort: str | None = None
    providers: Mapping[str, Provider] = msgspec.field(default_factory=providers)
    patience_s: float | None = None
    concurrency: int | None = None
    fallback: tuple[str, ...] = ()
    fallback_max_usd: float | None = None
    sandbox: SandboxName = "bubblewrap"
    permission_mode: Mode | None = None
    strictest_mode: Mode | None = None
    auto_unsandboxed: bool = False
    layers: tuple[Layer, ...] = ()
    max_steps: int | None = None
    max_budget_usd: float | None = None
    max_budget_tokens: int | None = None
    max_time_s: float | None = None
    stop_at: int | None = None
    wait_jobs_s: float = WAIT_JOBS_S
    orphan_s: float | None = None
    at_timeout: AtTimeout = "background"
    on_stuck: OnStuck = "stop"
    on_repeated_failure: OnRepeatedFailure = "offer"
    failure_notes: bool = True
    add_dirs: tuple[str, ...] = ()
    append_system_prompt: str = ""
    disk_quota: int | None = None
    keep_days: float | None = None
    undo: bool = True
    undo_files: int = SNAPSHOT_FILES
    undo_bytes: int = SNAPSHOT_BYTES
    proxies: Proxies = Proxies()
    untrusted_files: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()

    def mode(self, usual: Mode) -> Mode:
        """The permission mode where `usual` is the channel's own.

        Without a sandbox `auto` holds only when the command line says both.
        """
        mode = self.permission_mode or usual
        if self.strictest_mode is not None:
            mode = stricter(mode, self.strictest_mode)
        if self.sandbox == "none" and mode == "auto" and not self.auto_unsandboxed:
            return "ask"
        return mode


def places() -> Places:
    """Where this process finds its settings."""
    try:
        cwd = os.getcwd()
    except OSError as error:
        raise UsageError("the current directory is gone; go to another one") from error
    return Places(Environ(os.environ), cwd)


def load(flags: Flags, at: Places | None = None) -> Settings:
    """Read everything once, and write nothing. Raises `ConfigError` or `UsageError`."""
    at = at or places()
    directories = read_directories(at.environ)
    workspace = _workspace(flags.workspace, at.cwd)
    files = control_files(workspace)
    trusted = flags.trust or is_trusted(directories.state, workspace, files)
    sources = _sources(flags, at, directories, workspace if trusted else None)
    merged = merge(sources)
    chosen = merged.choices
    bare = chosen.sandbox == "none"
    return Settings(
        workspace=workspace,
        directories=directories,
        environ=at.environ,
        trusted=trusted,
        model=chosen.model,
        base_url=_checked_url(chosen.base_url),
        wire=chosen.wire,
        api_key_env=chosen.api_key_env,
        tool_mode=chosen.tool_mode,
        window=chosen.window,
        max_tokens=chosen.max_tokens,
        effort=chosen.effort,
        providers=_providers(chosen, sources),
        patience_s=chosen.patience_s,
        concurrency=chosen.concurrency,
        fallback=chosen.fallback or (),
        fallback_max_usd=chosen.fallback_max_usd,
        sandbox=chosen.sandbox or "bubblewrap",
        permission_mode=merged.mode,
        strictest_mode=merged.ceiling,
        auto_unsandboxed=bare and merged.mode == "auto" and flags.choices.permission_mode is not None,
        layers=tuple(_layer(source) for source in sources),
        max_steps=chosen.max_steps,
        max_budget_usd=chosen.max_budget_usd,
        max_budget_tokens=chosen.max_budget_tokens,
        max_time_s=chosen.max_time_s,
        stop_at=_minute_of_day(chosen.stop_at),
        wait_jobs_s=WAIT_JOBS_S if chosen.wait_jobs_s is None else chosen.wait_jobs_s,
        orphan_s=chosen.orphan_s,
        at_timeout=chosen.at_timeout or "background",
        on_stuck=chosen.on_stuck or "stop",
        on_repeated_failure=chosen.on_repeated_failure or "offer",
        failure_notes=chosen.failure_notes is not False,
        add_dirs=_add_dirs(sources, directories.home, at.cwd),
        append_system_prompt=chosen.append_system_prompt or "",
        disk_quota=chosen.disk_quota,
        keep_days=chosen.keep_days,
        undo=chosen.undo is not False,
        undo_files=chosen.undo_files or SNAPSHOT_FILES,
        undo_bytes=chosen.undo_bytes or SNAPSHOT_BYTES,
        proxies=_proxies(chosen, at.environ),
        untrusted_files=() if trusted else tuple(files),
        notices=(*merged.notices, *_notices(workspace, () if trusted else tuple(files), bare)),
    )


def read_directories(environ: Environ) -> Directories:
    """Our directories. A relative XDG path is ignored, as the rules say."""
    home = environ.get("HOME") or account_home()
    if not home:
        raise ConfigError("HOME is not set and this user has no home directory; set HOME")
    if not os.path.isabs(home):
        raise ConfigError(f'HOME is "{home}"; set it to an absolute path')

    def below(name: str, usual: str) -> str:
        base = environ.get(name, "")
        return os.path.join(base if os.path.isabs(base) else os.path.join(home, usual), "hames")

    return Directories(
        home=home,
        config=below("XDG_CONFIG_HOME", ".config"),
        state=below("XDG_STATE_HOME", ".local/state"),
        cache=below("XDG_CACHE_HOME", ".cache"),
    )


def account_home() -> str:
    """The home directory of this user's account, whatever HOME says; empty when there is none."""
    try:
        return os.path.realpath(getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return ""


def _workspace(name: str, cwd: str) -> str:
    path = os.path.realpath(os.path.join(cwd, name))
    if not os.path.isdir(path):
        what = "is not a directory" if os.path.lexists(path) else "does not exist"
        raise UsageError(f"the workspace {path} {what}; name a directory with --cwd")
    return path


def _sources(flags: Flags, at: Places, directories: Directories, project: str | None) -> list[Source]:
    """All sources, the strongest first. `project` is the workspace if its file may be read."""
    check_said(flags.choices, FLAGS)
    sources = [Source("session", "the command line", flags.choices, is_flags=True)]
    if flags.settings is not None:
        path = os.path.join(at.cwd, flags.settings)
        named = read_choices(path)
        if named is None:
            raise UsageError(f"--settings: there is no file {path}")
        sources.append(Source("session", path, named))
    managed = read_choices(at.managed)
    if managed is not None:
        sources.insert(0, Source("managed", at.managed, managed))
    path = os.path.join(directories.config, "settings.toml")
    user = read_choices(path)
    if user is not None:
        sources.append(Source("user", path, user))
    if project is not None:
        sources.extend(_project(project))
    for source in sources:
        if source.choices.sandbox == "none" and not source.is_flags:
            raise ConfigError(f'{source.label}: "sandbox" cannot be none in a file; give --sandbox none')
    return sources


def _project(workspace: str) -> list[Source]:
    path = os.path.join(workspace, PROJECT)
    choices = read_choices(path, refused=NEVER_BY_PROJECT)
    return [] if choices is None else [Source("project", path, choices)]


def _providers(chosen: Choices, sources: Sequence[Source]) -> Mapping[str, Provider]:
    own = chosen.providers or {}
    if not own:
        return providers()
    where = {name: source.label for source in reversed(sources) for name in source.choices.providers or ()}
    return known_providers(own, where)


def _layer(source: Source) -> Layer:
    rules = source.choices.permissions or Permissions()
    return Layer(source.layer, allow=rules.allow, ask=rules.ask, deny=rules.deny)


def _checked_url(url: str | None) -> str | None:
    if url is None:
        return None
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f'"base_url": {url} is not a URL; it starts with https:// or http://')
    return url.rstrip("/")


def _minute_of_day(said: str | None) -> int | None:
    if said is None:
        return None
    hour, _, minute = said.partition(":")
    digits = len(hour) in (1, 2) and len(minute) == 2 and (hour + minute).isdecimal() and said.isascii()
    if not digits or int(hour) > 23 or int(minute) > 59:
        raise ConfigError(f'"stop_at": {said} is no time of the day; write it as 18:00')
    return int(hour) * 60 + int(minute)


def _add_dirs(sources: Sequence[Source], home: str, cwd: str) -> tuple[str, ...]:
    found: list[str] = []
    for source in sources:
        for name in source.choices.add_dirs or ():
            expanded = home + name[1:] if name == "~" or name.startswith("~/") else name
            if not source.is_flags and not os.path.isabs(expanded):
                raise ConfigError(f'{source.label}: "add_dirs": {name} is relative; write the whole path')
            path = os.path.realpath(os.path.join(cwd, expanded))
            if not os.path.isdir(path):
                raise ConfigError(f'{source.label}: "add_dirs": {path} is not a directory')
            found.append(path)
    return tuple(dict.fromkeys(found))


def _proxies(chosen: Choices, environ: Environ) -> Proxies:
    direct = chosen.no_proxy
    if direct is None:
        direct = tuple(environ.either_case("no_proxy").replace(",", " ").split())
    if chosen.proxy is not None:
        return Proxies(http=chosen.proxy, https=chosen.proxy, direct=direct)
    every = environ.either_case("all_proxy")
    return Proxies(
        http=environ.either_case("http_proxy") or every,
        https=environ.either_case("https_proxy") or every,
        direct=direct,
    )


def _notices(workspace: str, untrusted: Sequence[str], bare: bool) -> list[str]:
    notices: list[str] = []
    if untrusted:
        notices.append(
            f"{workspace} is not trusted, so these do not hold as settings or instructions:"
            f" {', '.join(untrusted)}. If you know what they say, give --trust."
        )
    if bare:
        notices.append("There is no sandbox: commands can read, change and send all that you can.")
    return notices
