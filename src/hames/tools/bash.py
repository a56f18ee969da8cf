"""The `bash` tool: one shell command, waited for or left running."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from os.path import isabs, normpath
from typing import NamedTuple

import msgspec
from anyio import CancelScope, get_cancelled_exc_class

from hames.core.errors import ArgumentProblem, LauncherError
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
    Settled,
    Subject,
    ToolResult,
    ToolSpec,
)
from hames.core.text import clip
from hames.tools.arguments import read_arguments, spec_of
from hames.tools.output import Report, ending, left_behind, report
from hames.tools.paths import handle_of
from hames.tools.results import ROOM_BYTES

_PREFIX = (
    'exec {hames}>&3 3>&-; echo >&$hames; trap "{ { pwd -P; jobs -rp; } >&$hames; } 2>&-" EXIT; unset hames; '
)
"""Stands on the first line of the command, so that line numbers stay right. The control pipe is moved
away from descriptor 3, because scripts use that one for themselves. The first word on it ends the shell
when nobody is there to hear it: a command that nobody owns does not begin."""


_COMMAND_BYTES = 120_000
"""Linux takes at most 128 kB as one argument."""


_REASON_BYTES = 500

_NOT_FOUND = 127
"""The exit code of a command that there is not."""


class Manner(msgspec.Struct, frozen=True):
    """How commands are run and told. `stops_at_timeout`: a command is ended then, and not moved to the
    background. `most_s` is the longest time-out, `room_bytes` what may be told. `stays`: the next command
    does not begin where this one has ended."""

    stops_at_timeout: bool = False
    most_s: float = COMMAND_TIMEOUT_MAX_S
    room_bytes: int = ROOM_BYTES
    stays: bool = False


class Shell(msgspec.Struct, frozen=True):
    """What commands run with: the shell, all of their environment, and where to go when the directory
    they should start in is gone."""

    path: str
    env: Mapping[str, str]
    workspace: str
    manner: Manner = Manner()


class Seen(NamedTuple):
    """A command that was waited for: its end, or None when it still runs."""

    running: Running
    end: CommandEnd | None


class BashArguments(msgspec.Struct, frozen=True):
    """What `bash` is told."""

    command: str
    timeout: int | None = None
    run_in_background: bool = False


_SPEC = spec_of(
    "bash",
    "Run a bash command in the sandbox. The directory is kept for the next call, variables are not. "
    f"After timeout (ms, default {COMMAND_TIMEOUT_S * 1000:.0f}, at most {COMMAND_TIMEOUT_MAX_S * 1000:.0f}) "
    "it goes on in the background as a job. For servers and long work use run_in_background, then job.",
    BashArguments,
)


class _Needs(NamedTuple):
    launcher: Launcher
    blobs: Blobs
    shell: Shell


class Bash:
    """Runs commands."""

    def __init__(self, launcher: Launcher, blobs: Blobs, shell: Shell) -> None:
        self._needs = _Needs(launcher, blobs, shell)

    @property
    def spec(self) -> ToolSpec:
        return _SPEC

    def prepare(self, arguments: str) -> "BashAction":
        return self.action(read_arguments("bash", BashArguments, arguments))

    def action(self, read: BashArguments) -> "BashAction":
        """One command. Raises `ArgumentProblem` when it is too long."""
        if len(read.command.encode()) > _COMMAND_BYTES:
            raise ArgumentProblem(
                "the command is too long: write it to a file with write, then run that file"
            )
        return BashAction(read, self._needs)


class BashAction:
    """One command."""

    effect: Effect = "effectful"

    def __init__(self, arguments: BashArguments, needs: _Needs) -> None:
        self._arguments = arguments
        self._launcher, self._blobs, self._shell = needs
        asked_s = (
            arguments.timeout / 1000 if arguments.timeout and arguments.timeout > 0 else COMMAND_TIMEOUT_S
        )
        self._timeout_s = min(asked_s, self._shell.manner.most_s)

    def subject(self, cwd: str) -> Subject:
        return Subject("bash", command=self._arguments.command)

    @property
    def _moves(self) -> bool:
        """Whether a command that takes too long goes on in the background."""
        return not self._shell.manner.stops_at_timeout and self._timeout_s < COMMAND_TIMEOUT_MAX_S

    async def run(self, context: CallContext) -> ToolResult:
        job = JobId(context.call)
        background = self._arguments.run_in_background
        argv = (self._shell.path, "-c", _PREFIX + self._arguments.command)
        limit_s = COMMAND_TIMEOUT_MAX_S if self._moves else self._timeout_s
        spec = CommandSpec(job, argv, context.cwd, self._shell.env, None if background else limit_s)
        async with _gone_if_cancelled(self._launcher, job):
            running = await self._launcher.start(spec)
            if background:
                return self._left_running(context)
            seen = await self._watch(running)
        return await self._tell(seen, context)

    async def attach(self, context: CallContext, *, wait: bool) -> Settled:
        """See `Attachable`. Its time-out counts from its start."""
        job = JobId(context.call)
        try:
            if wait and not self._arguments.run_in_background:
                async with _gone_if_cancelled(self._launcher, job):
                    found = await self._launcher.attach(job)
                    seen = None if found is None else await self._watch(found)
            else:
                found = await self._launcher.attach(job)
                seen = None if found is None else Seen(found, await found.wait(0))
            return Settled("undone") if seen is None else await self._settled(seen, context)
        except LauncherError as error:
            return Settled("unknown", words=str(error))

    async def _settled(self, seen: Seen, context: CallContext) -> Settled:
        if seen.end is not None and seen.end.lost:
            return Settled("unknown", words=await _last_seen(seen.running, seen.end))
        if self._arguments.run_in_background:
            return Settled("done", self._left_running(context))
        return Settled("done", await self._tell(seen, context))

    async def _watch(self, running: Running) -> Seen:
        """Wait for the end, or for the time-out. When the supervisor is lost on the way, what it wrote down
        is looked at."""
        try:
            limit_s = self._timeout_s if self._moves else None
            return Seen(running, await running.wait(limit_s, from_start=True))
        except LauncherError as error:
            found = await self._launcher.attach(running.job)
            if found is None:
                return Seen(running, CommandEnd(CommandFact(), 0, 0, "", not_started=str(error)))
            return Seen(found, await found.wait(0))

    async def _tell(self, seen: Seen, context: CallContext) -> ToolResult:
        running, end = seen
        if end is None:
            return await self._moved(running, context)
        if end.lost:
            words = await _last_seen(running, end)
            return ToolResult("failed", (Text(f"[outcome not known]\n{words}"),), lost=True)
        if end.not_started:
            return self._not_started(end, context.cwd)
        return await self._result(running, end, context)

    async def _result(self, running: Running, end: CommandEnd, context: CallContext) -> ToolResult:
        fact = _checked(end.fact)
        notes = ending(fact, COMMAND_TIMEOUT_MAX_S if self._moves else self._timeout_s)
        notes += left_behind(end)
        if end.unattended:
            notes.append("[it was stopped because hames was gone for too long]")
        if fact.exit_code == _NOT_FOUND and "apply_patch" in self._arguments.command:
            notes.append("[apply_patch is no command but a tool: call that, with the patch as its input]")
        manner = self._shell.manner
        if fact.cwd not in (None, context.cwd) and not manner.stays:
            notes.append(f"[now in {fact.cwd}]")
        told = Report(tuple(notes), handle_of(context.call), _PREFIX.encode(), manner.room_bytes)
        shown = await report(running, end.output_bytes, told)
        output: OutputFact | None = None
        if shown.cut:
            blob = await self._blobs.keep_file(running.take_output())
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

    async def _moved(self, running: Running, context: CallContext) -> ToolResult:
        """It took too long to be waited for: it goes on as a job."""
        job = JobId(context.call)
        note = (
            f"[it still runs, now in the background as job {job}: wait for it with job(action=wait, "
            f"job_id={job}), or stop it; it is stopped {COMMAND_TIMEOUT_MAX_S:g} s after its start]"
        )
        total = (await running.output(0, 0)).total
        shown = await report(running, total, Report((note,), "", _PREFIX.encode()))
        started = JobStarted(job, context.call, self._arguments.command)
        return ToolResult("ok", (Text(shown.text),), job=started)

    def _left_running(self, context: CallContext) -> ToolResult:
        job = JobId(context.call)
        text = f"running in the background as job {job}; see it with job(action=output, job_id={job})"
        return ToolResult("ok", (Text(text),), job=JobStarted(job, context.call, self._arguments.command))


async def _last_seen(running: Running, end: CommandEnd) -> str:
    """What can still be found out about a command whose end nobody knows."""
    shown = await report(running, end.output_bytes, Report((f"[{end.lost}]",), "", _PREFIX.encode()))
    return f"Its output, as far as it is known:\n{shown.text}"


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
        raise


def _checked(fact: CommandFact) -> CommandFact:
    """The command can write what it likes to the control pipe."""
    if fact.cwd is None or (isabs(fact.cwd) and normpath(fact.cwd) == fact.cwd and fact.cwd.isprintable()):
        return fact
    return msgspec.structs.replace(fact, cwd=None)
