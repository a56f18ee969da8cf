"""The `bash` tool: one shell command, waited for or left running."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from os.path import isabs, normpath

import msgspec
from anyio import CancelScope, get_cancelled_exc_class

from hames.core.errors import ArgumentProblem
from hames.core.events import CommandFact, Effect, JobStarted, OutputFact
from hames.core.ids import JobId
from hames.core.limits import COMMAND_TIMEOUT_MAX_S, COMMAND_TIMEOUT_S
from hames.core.messages import Text
from hames.core.ports import (
    Blobs,
    CallContext,
    CommandEnd,
    CommandSpec,
    Launcher,
    Running,
    Subject,
    ToolResult,
    ToolSpec,
)
from hames.core.text import clip
from hames.tools.arguments import read_arguments, spec_of
from hames.tools.output import Report, ending, report
from hames.tools.paths import handle_of

_PREFIX = 'exec {hames}>&3 3>&-; trap "{ pwd -P >&$hames; } 2>&-" EXIT; unset hames; '
"""Stands on the first line of the command, so that line numbers stay right. The control pipe is moved
away from descriptor 3, because scripts use that one for themselves."""


_COMMAND_BYTES = 120_000
"""Linux takes at most 128 kB as one argument."""


_REASON_BYTES = 500


class Shell(msgspec.Struct, frozen=True):
    """What commands run with: the shell, all of their environment, and where to go when the directory
    they should start in is gone."""

    path: str
    env: Mapping[str, str]
    workspace: str


class BashArguments(msgspec.Struct, frozen=True):
    """What `bash` is told."""

    command: str
    timeout: int | None = None
    run_in_background: bool = False


_SPEC = spec_of(
    "bash",
    "Run a bash command in the sandbox. The directory is kept for the next call, variables are not. "
    f"timeout in ms, default {COMMAND_TIMEOUT_S * 1000:.0f}, at most {COMMAND_TIMEOUT_MAX_S * 1000:.0f}. "
    "For servers and long work use run_in_background, then job.",
    BashArguments,
)


class Bash:
    """Runs commands."""

    def __init__(self, launcher: Launcher, blobs: Blobs, shell: Shell) -> None:
        self._launcher = launcher
        self._blobs = blobs
        self._shell = shell

    @property
    def spec(self) -> ToolSpec:
        return _SPEC

    def prepare(self, arguments: str) -> "BashAction":
        read = read_arguments("bash", BashArguments, arguments)
        if len(read.command.encode()) > _COMMAND_BYTES:
            raise ArgumentProblem(
                "the command is too long: write it to a file with write, then run that file"
            )
        return BashAction(read, self._launcher, self._blobs, self._shell)


class BashAction:
    """One command."""

    effect: Effect = "effectful"

    def __init__(self, arguments: BashArguments, launcher: Launcher, blobs: Blobs, shell: Shell) -> None:
        self._arguments = arguments
        self._launcher = launcher
        self._blobs = blobs
        self._shell = shell
        asked_s = (
            arguments.timeout / 1000 if arguments.timeout and arguments.timeout > 0 else COMMAND_TIMEOUT_S
        )
        self._timeout_s = min(asked_s, COMMAND_TIMEOUT_MAX_S)

    def subject(self, cwd: str) -> Subject:
        return Subject("bash", command=self._arguments.command)

    async def run(self, context: CallContext) -> ToolResult:
        job = JobId(context.call)
        background = self._arguments.run_in_background
        argv = (self._shell.path, "-c", _PREFIX + self._arguments.command)
        spec = CommandSpec(job, argv, context.cwd, self._shell.env, None if background else self._timeout_s)
        async with _gone_if_cancelled(self._launcher, job):
            running = await self._launcher.start(spec)
            if background:
                return _left_running(context, self._arguments.command)
            end = await _end(running)
        try:
            if end.not_started:
                return self._not_started(end, context.cwd)
            return await self._result(running, end, context)
        finally:
            with CancelScope(shield=True):
                await self._launcher.release(job)

    async def _result(self, running: Running, end: CommandEnd, context: CallContext) -> ToolResult:
        fact = _checked(end.fact)
        notes = ending(fact, self._timeout_s)
        if fact.cwd not in (None, context.cwd):
            notes.append(f"[now in {fact.cwd}]")
        told = Report(tuple(notes), handle_of(context.call), _PREFIX.encode())
        shown = await report(running, end.output_bytes, told)
        output: OutputFact | None = None
        if shown.cut:
            blob = await self._blobs.keep_file(end.spool)
            output = OutputFact(blob, end.output_bytes, end.kept_bytes)
        well = fact.exit_code == 0 and not fact.timed_out and not fact.stopped
        return ToolResult("ok" if well else "failed", (Text(shown.text),), output=output, command=fact)

    def _not_started(self, end: CommandEnd, cwd: str) -> ToolResult:
        """The sandbox stands, but the command could not start in it: most likely its directory is gone."""
        said = f"[not started: {clip(end.not_started.strip(), _REASON_BYTES)}]"
        if cwd == self._shell.workspace or cwd not in end.not_started:
            return ToolResult("not_run", (Text(said),), command=CommandFact())
        fact = CommandFact(cwd=self._shell.workspace)
        return ToolResult("not_run", (Text(f"{said}\n[now in {self._shell.workspace}]"),), command=fact)


@asynccontextmanager
async def _gone_if_cancelled(launcher: Launcher, job: JobId) -> AsyncGenerator[None]:
    """A cancellation goes on only when the command is gone."""
    try:
        yield
    except get_cancelled_exc_class():
        with CancelScope(shield=True):
            running = await launcher.attach(job)
            if running is not None:
                await running.stop()
                await launcher.release(job)
        raise


async def _end(running: Running) -> CommandEnd:
    while True:
        end = await running.wait()
        if end is not None:
            return end


def _left_running(context: CallContext, command: str) -> ToolResult:
    job = JobId(context.call)
    text = f"running in the background as job {job}; see it with job(action=output, job_id={job})"
    return ToolResult("ok", (Text(text),), job=JobStarted(job, context.call, command))


def _checked(fact: CommandFact) -> CommandFact:
    """The command can write what it likes to the control pipe."""
    if fact.cwd is None or (isabs(fact.cwd) and normpath(fact.cwd) == fact.cwd and fact.cwd.isprintable()):
        return fact
    return msgspec.structs.replace(fact, cwd=None)
