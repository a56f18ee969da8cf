"""Commands: the boundary they run in, and the process that owns them."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from hames.core.events import CommandFact
from hames.core.ids import JobId
from hames.core.ports.stores import Claim


class SandboxPolicy(msgspec.Struct, frozen=True):
    """What a command may touch. Paths are absolute and resolved.

    `workspace` and `writable` can be written; `protected` below them are read-only; `masked` cannot be
    read at all; `visible` must be readable even where a mask or a private `/tmp` would hide it.
    """

    workspace: str
    writable: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    visible: tuple[str, ...] = ()
    read_only: bool = False
    network: bool = False


class CommandSpec(msgspec.Struct, frozen=True):
    """One command to run. `env` is all of its environment. File descriptor 3 is the control pipe: a
    line with an absolute path written to it becomes `CommandEnd.cwd`. After `timeout_s` it is ended.
    `scratch` is a directory that holds what the commands of a session share of temporary files; without
    one, such files vanish with the command."""

    job: JobId
    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    timeout_s: float | None = None
    scratch: str = ""


class LaunchPlan(msgspec.Struct, frozen=True):
    """A command as the kernel is given it. `reports_start`: the sandbox says on file descriptor 4, its
    own, whether it really started the command, so that its failure cannot pass for the command's.
    `own_network` is the argument that gives it a network of its own: whoever starts it inside a network of
    the session's leaves it out."""

    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    reports_start: bool
    own_network: str = ""


class SandboxReport(msgspec.Struct, frozen=True):
    """What a functional probe found. `problem` is empty when all is well, else names the fix."""

    name: str
    version: str
    confines_writes: bool
    confines_reads: bool
    confines_network: bool
    problem: str = ""


class Sandbox(Protocol):
    """A boundary that the kernel enforces."""

    @property
    def name(self) -> str: ...

    def wrap(self, spec: CommandSpec) -> LaunchPlan:
        """How to run `spec` inside. No side effect on the host."""
        ...

    async def probe(self) -> SandboxReport:
        """Really try it. Raises nothing: a failure is in the report."""
        ...


class CommandEnd(msgspec.Struct, frozen=True):
    """How a command ended. `not_started` says why, when the sandbox failed before the command; `lost` what
    is known, when nobody knows how it ended. `unattended`: it was stopped because nobody came back. `left` is
    how many processes its shell still had in the background: they ended with it."""

    fact: CommandFact
    output_bytes: int
    kept_bytes: int
    spool: str
    not_started: str = ""
    lost: str = ""
    unattended: bool = False
    left: int = 0

    @property
    def took_along(self) -> bool:
        """Whether it ended by itself, and with it what it had left running."""
        return self.left > 0 and not self.fact.timed_out and not self.fact.stopped


class OutputSlice(msgspec.Struct, frozen=True):
    """Some output. `start` counts from the first byte ever written; `total` is what was written."""

    data: bytes
    start: int
    total: int


class Running(Protocol):
    """A command in the launcher's hands."""

    @property
    def job(self) -> JobId: ...

    async def output(self, start: int, limit: int) -> OutputSlice:
        """At most `limit` bytes from `start`; a negative `start` counts from the end."""
        ...

    async def wait(self, timeout_s: float | None = None, *, from_start: bool = False) -> CommandEnd | None:
        """The end, or None when it has not come within `timeout_s`, counted from now or from its start."""
        ...

    async def stop(self) -> CommandEnd:
        """End the whole tree of the command; returns when it is gone."""
        ...

    def take_output(self) -> str:
        """A file with what was kept of the output of an ended command; whoever asks may take it away."""
        ...


class Launcher(Protocol):
    """The process that owns commands. See `docs/processes.md`. A command is remembered until its end is on
    the session's log."""

    async def start(self, spec: CommandSpec) -> Running: ...

    async def attach(self, job: JobId) -> Running | None:
        """A command that was asked for before, also by another process; None when it was never started."""
        ...

    async def detach(self, job: JobId) -> None:
        """Let a command run on when the session is closed."""
        ...

    async def close(self) -> None:
        """Stop everything that is not detached; returns when the processes are gone."""
        ...


class Runtime(Protocol):
    """What works for a session beside this process, and may have been left by one before it."""

    async def enter(self, claim: Claim) -> None:
        """Work for this session from now on. What runs for it goes on, and is cut off from any older
        owner. Raises `Fenced` when there is a newer one."""
        ...
