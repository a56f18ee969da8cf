"""The parts list: the only place that names concrete classes."""

import os
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from math import isinf
from time import gmtime, strftime
from typing import NamedTuple

import anyio
import msgspec

from hames import __version__
from hames.assembly.answerers import answerers_for, client_for
from hames.assembly.instructions import read_instructions
from hames.assembly.settings import Settings, account_home
from hames.assembly.system import SystemChance, SystemClock
from hames.assembly.trees import Keepers, listed
from hames.context.prompt import Workspace, workspace_note
from hames.core.errors import SandboxError
from hames.core.limits import PATIENCE_S
from hames.core.ports import Approver, Blobs, Clock, Model, Sandbox, SandboxPolicy, Tool, Tools
from hames.core.profiles import ModelProfile
from hames.loop.kit import Guards, TurnLimits
from hames.policies.modes import Mode
from hames.policies.rules import Confinement, RulePolicy
from hames.policies.specifier import Ground
from hames.sandboxes.bubblewrap import Bubblewrap, find_program
from hames.sandboxes.files import SandboxFiles
from hames.sandboxes.launch import CommandLauncher
from hames.sandboxes.process import ORPHAN_S, SupervisorProcess
from hames.sandboxes.profile import Place as SandboxPlace
from hames.sandboxes.profile import command_env, workspace_policy
from hames.sandboxes.settling import Settling
from hames.sandboxes.unconfined import Unconfined
from hames.session.host import Host, HostParts, Place
from hames.session.jobs import LaunchedJobs
from hames.session.keeping import Shelf
from hames.session.log import Listeners
from hames.stores.sqlite import SqliteStore, open_sqlite
from hames.tools.bash import Bash, Manner, Shell
from hames.tools.check import ShellChecker
from hames.tools.edit import Edit
from hames.tools.glob import FindFiles
from hames.tools.go_back import GoBackTool
from hames.tools.grep import Grep
from hames.tools.job import Job
from hames.tools.read import Read
from hames.tools.todo import TodoWrite
from hames.tools.toolbox import Toolbox
from hames.tools.write import Write


class Parts(msgspec.Struct, frozen=True):
    """What was built. `host` opens sessions; who wants to watch is added to `listeners`."""

    host: Host
    store: SqliteStore
    profile: ModelProfile
    tools: Tools
    listeners: Listeners


class Unsaid(msgspec.Struct, frozen=True):
    """What a channel does where the settings do not say: how long commands outlive this process, and how long
    a provider is waited for (None: for ever), in seconds; and whose time all of it keeps."""

    orphan_s: float = ORPHAN_S
    patience_s: float | None = PATIENCE_S
    clock: Clock = msgspec.field(default_factory=SystemClock)


UNSAID = Unsaid()


@asynccontextmanager
async def build(
    settings: Settings,
    approver: Approver,
    mode: Mode,
    *,
    tools: Sequence[Tool] = (),
    model: Model | None = None,
    unsaid: Unsaid = UNSAID,
) -> AsyncGenerator[Parts]:
    """Everything that a run needs; closed, with all its processes, at the end.

    `tools` are further ones, found by `find_tools`; `model` stands in for the one of the settings, and
    `unsaid` holds where the settings do not say.
    Raises `ConfigError`, `SandboxError` and `StoreError`.
    """
    clock, listeners = unsaid.clock, Listeners()
    client = client_for(settings, clock)
    answerers = answerers_for(settings, clock, client, model)
    policy = policy_for(settings, mode)
    boundary = boundary_of(settings, read_only=mode == "plan", confinement=policy.confinement())
    sandbox = sandbox_for(settings, boundary)
    orphan_s = unsaid.orphan_s if settings.orphan_s is None else settings.orphan_s
    async with (
        client,
        open_store(settings, clock) as store,
        _launched(settings, sandbox, orphan_s) as launched,
    ):
        runtime, launcher, files = launched
        listeners.add(Settling(launcher))
        listing = partial(listed, files, settings.workspace)
        shelf = Shelf(store, store, clock, partial(listeners.delta, 0), listing)
        keepers = Keepers(settings, shelf, boundary.masked if boundary is not None else ())
        changers = _changers(files)
        changer = changers.pop("apply_patch" if answerers[0].profile.facts.edits == "patch" else "edit")
        usual = _usual_tools(settings, store, launcher, files, changer())
        toolbox = Toolbox(usual, _further_tools(settings, tools), changers)
        host = Host(
            HostParts(
                store=store,
                checkpoints=store,
                blobs=store,
                arrivals=store,
                answerers=answerers,
                tools=toolbox,
                policy=policy,
                approver=approver,
                jobs=LaunchedJobs(launcher, store),
                checker=_checker(settings, store, launcher),
                trees=keepers.of,
                runtime=runtime,
                listener=listeners,
                clock=clock,
                chance=SystemChance(),
                limits=limits_for(settings, unsaid),
                guards=Guards(settings.on_stuck, settings.on_repeated_failure, settings.failure_notes),
                place=place_for(settings, sandbox, mode, clock.now()),
            )
        )
        with closing(keepers):
            yield Parts(host, store, answerers[0].profile, toolbox, listeners)


def _changers(files: SandboxFiles) -> dict[str, Callable[[], Tool]]:
    """What changes parts of files: each model is told of the one that it prefers."""

    def patch() -> Tool:
        from hames.tools.patch import ApplyPatch  # noqa: PLC0415 - most models prefer edit

        return ApplyPatch(files)

    return {"edit": partial(Edit, files), "apply_patch": patch}


def _further_tools(settings: Settings, brought: Sequence[Tool]) -> Sequence[Tool]:
    return (GoBackTool(settings.workspace), *brought) if settings.undo else brought


def _usual_tools(
    settings: Settings, blobs: Blobs, launcher: CommandLauncher, files: SandboxFiles, changer: Tool
) -> list[Tool]:
    """What every session has, in the order in which the model is told of it."""
    env = command_env(settings.environ)
    manner = Manner(stops_at_timeout=settings.at_timeout == "stop")
    shell = Shell("bash", env, settings.workspace, manner)
    return [
        Read(files, blobs),
        Write(files),
        changer,
        Bash(launcher, blobs, shell),
        Grep(files, blobs, SystemClock()),
        FindFiles(files),
        TodoWrite(),
        Job(launcher),
    ]


def tools_to_read(settings: Settings) -> Tools:
    """The fixed set of tools, to read calls with. None of them can be run: there is no session for it."""
    from hames.stores.memory import MemoryStore  # noqa: PLC0415 - a run has a real store

    runtime, bare = SupervisorProcess(""), Unconfined()
    files = SandboxFiles(runtime, bare, ripgrep="")
    usual = _usual_tools(
        settings, MemoryStore(SystemClock()), CommandLauncher(runtime, bare), files, Edit(files)
    )
    return Toolbox(usual)


def _checker(settings: Settings, store: SqliteStore, launcher: CommandLauncher) -> ShellChecker:
    """What runs the check of a goal: as the commands of the model, with their environment."""
    return ShellChecker(launcher, store, Shell("bash", command_env(settings.environ), settings.workspace))


class _Launched(NamedTuple):
    runtime: SupervisorProcess
    launcher: CommandLauncher
    files: SandboxFiles


@asynccontextmanager
async def _launched(settings: Settings, sandbox: Sandbox, orphan_s: float) -> AsyncGenerator[_Launched]:
    runtime = SupervisorProcess(
        settings.directories.run, enclosed=settings.sandbox != "none", orphan_s=orphan_s
    )
    launcher = CommandLauncher(runtime, sandbox)
    ripgrep = find_program("rg", settings.environ.get("PATH", os.defpath))
    files = SandboxFiles(runtime, sandbox, ripgrep=ripgrep)
    try:
        yield _Launched(runtime, launcher, files)
    finally:
        with anyio.CancelScope(shield=True):
            await files.close()
            await launcher.close()


@asynccontextmanager
async def open_store(settings: Settings, clock: Clock | None = None) -> AsyncGenerator[SqliteStore]:
    """The log of this user, closed at the end."""
    async with await open_sqlite(settings.directories.state, clock or SystemClock()) as store:
        yield store


def boundary_of(
    settings: Settings, *, read_only: bool = False, confinement: Confinement | None = None
) -> SandboxPolicy | None:
    """What commands may touch by the settings, tightened by the policy's own `confinement`; None where the
    settings want no boundary."""
    if settings.sandbox == "none":
        return None
    where = settings.directories
    path = settings.environ.get("PATH", os.defpath)
    programs = [os.path.realpath(found) for name in ("rg", "bash") if (found := find_program(name, path))]
    policy = workspace_policy(
        SandboxPlace(
            home=where.home,
            workspace=settings.workspace,
            needed=(sys.prefix, sys.base_prefix, *map(os.path.dirname, programs), *_reachable(settings)),
            private=where.own,
            writable=settings.add_dirs,
            account_home=account_home(),
        ),
        read_only=read_only,
    )
    if confinement is None:
        return policy
    masked = (*policy.masked, *confinement.masked)
    protected = (*policy.protected, *confinement.protected)
    return msgspec.structs.replace(policy, masked=masked, protected=protected)


def sandbox_for(settings: Settings, boundary: SandboxPolicy | None) -> Sandbox:
    """What enforces the boundary. Raises `SandboxError` when it is plainly not there."""
    if boundary is None:
        return Unconfined()
    path = settings.environ.get("PATH", os.defpath)
    sandbox = Bubblewrap(boundary, find_program("bwrap", path), settings.directories.run)
    if problem := sandbox.problem():
        raise SandboxError(problem)
    return sandbox


def _reachable(settings: Settings) -> list[str]:
    """Directories of PATH, and the virtual environment: where the user's programs are."""
    names = settings.environ.get("PATH", "").split(":")
    found = [name for name in names if os.path.isabs(name) and os.path.isdir(name)]
    venv = settings.environ.get("VIRTUAL_ENV", "")
    return [*found, *([venv] if os.path.isabs(venv) and os.path.isdir(venv) else [])]


def policy_for(settings: Settings, mode: Mode) -> RulePolicy:
    """The permission rules of all layers over the mode."""
    ground = Ground(
        workspace=settings.workspace,
        home=settings.directories.home,
        sandboxed=settings.sandbox != "none",
        writable=settings.add_dirs,
    )
    return RulePolicy(mode, settings.layers, ground)


def limits_for(settings: Settings, unsaid: Unsaid = UNSAID) -> TurnLimits:
    """The hard limits of each turn."""
    patience_s = unsaid.patience_s if settings.patience_s is None else settings.patience_s
    return TurnLimits(
        max_steps=settings.max_steps,
        max_nano_usd=_nano(settings.max_budget_usd),
        max_tokens=settings.max_budget_tokens,
        max_time_s=settings.max_time_s,
        stop_at=settings.stop_at,
        wait_jobs_s=settings.wait_jobs_s,
        patience_s=None if patience_s is None or isinf(patience_s) else patience_s,
        stand_in_nano_usd=_nano(settings.fallback_max_usd),
    )


def _nano(dollars: float | None) -> int | None:
    return None if dollars is None else int(dollars * 1e9)


def place_for(settings: Settings, sandbox: Sandbox, mode: Mode, now: float) -> Place:
    """Where the session works, and what the model is told of it."""
    system = os.uname()
    note = Workspace(
        path=settings.workspace,
        platform=f"{system.sysname} {system.machine}",
        date=strftime("%Y-%m-%d", gmtime(now)),
        network="open" if sandbox.name == "none" else "closed",
        instructions=read_instructions(settings.workspace),
        trusted=settings.trusted,
        extra=settings.append_system_prompt,
    )
    return Place(settings.workspace, workspace_note(note), sandbox.name, mode, __version__)
