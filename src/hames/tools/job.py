"""The `job` tool: commands that run in the background."""

from typing import Literal

import msgspec

from hames.core.errors import Problem
from hames.core.events import Effect, JobDetached
from hames.core.ids import CallId, JobId
from hames.core.limits import COMMAND_TIMEOUT_MAX_S
from hames.core.messages import Text
from hames.core.ports import CallContext, CommandEnd, Launcher, Running, Subject, ToolResult, ToolSpec
from hames.core.text import listed
from hames.tools.arguments import read_arguments, spec_of, usage
from hames.tools.output import Report, ending, left_behind, report
from hames.tools.paths import handle_of
from hames.tools.results import said, within

_WAIT_S = 60.0
_DETACHED = (
    "is detached: nobody waits for it any more. It goes on when the session is closed, until it ends, the "
    "resumed session stops it, or nobody has come back for hours"
)


class JobArguments(msgspec.Struct, frozen=True):
    """What `job` is told."""

    action: Literal["list", "output", "wait", "stop", "detach"]
    job_id: str = ""
    timeout: int | None = None


_SPEC = spec_of(
    "job",
    "Background commands: list them, see the output so far, wait for the end (timeout in ms, default "
    f"{_WAIT_S * 1000:.0f}), stop one, or detach one that is to stay when you are done. You are told when "
    "one ends.",
    JobArguments,
)


class Job:
    """Looks after background commands."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher

    @property
    def spec(self) -> ToolSpec:
        return _SPEC

    def prepare(self, arguments: str) -> "JobAction":
        return JobAction(read_arguments("job", JobArguments, arguments), self._launcher)


class JobAction:
    """One look at, or one stop of, a background command.

    It never takes the output away: the end of a job is recorded by whoever watches it.
    """

    def __init__(self, arguments: JobArguments, launcher: Launcher) -> None:
        self._arguments = arguments
        self._launcher = launcher
        asked_s = arguments.timeout / 1000 if arguments.timeout and arguments.timeout > 0 else _WAIT_S
        self._wait_s = min(asked_s, COMMAND_TIMEOUT_MAX_S)

    @property
    def effect(self) -> Effect:
        return "idempotent" if self._arguments.action in ("stop", "detach") else "pure"

    def subject(self, cwd: str) -> Subject:
        return Subject("job")

    async def run(self, context: CallContext) -> ToolResult:
        if self._arguments.action == "list":
            return await self._list(context)
        job = JobId(self._arguments.job_id)
        running = await self._running(job, context)
        match self._arguments.action:
            case "output":
                return await _state(running, await running.wait(0))
            case "wait":
                return await _state(running, await running.wait(self._wait_s), waited_s=self._wait_s)
            case "stop":
                return await _state(running, await running.stop())
            case "detach":
                await self._launcher.detach(job)
                return ToolResult("ok", (Text(f"[job {job} {_DETACHED}]"),), job=JobDetached(job))

    async def _list(self, context: CallContext) -> ToolResult:
        if not context.jobs:
            return said("no background commands are running")
        lines: list[str] = []
        for job, started in context.jobs.items():
            running = await self._launcher.attach(job)
            state = "not started" if running is None else _phrase(await running.wait(0))
            lines.append(f"{job}\t{state}\t{started.command}")
        return said(within(lines)[0])

    async def _running(self, job: JobId, context: CallContext) -> Running:
        running = await self._launcher.attach(job) if job in context.jobs else None
        if running is not None:
            return running
        if job in context.jobs:
            raise Problem(f"job {job} is not there: hames was stopped before it could be started")
        if CallId(job) in context.outputs:
            raise Problem(f"job {job} has ended; its output: read file_path={handle_of(job)}")
        if not job:
            raise Problem(f"which job? {usage('job', JobArguments)}")
        running_now = f"running are {listed(context.jobs)}" if context.jobs else "none is running"
        raise Problem(f"there is no job {job}, or it has ended; {running_now}")


def _phrase(end: CommandEnd | None) -> str:
    if end is None:
        return "running"
    if end.lost:
        return f"lost: {end.lost}"
    return " ".join(["ended", *(ending(end.fact) or ["[exit 0]"]), *left_behind(end)])


async def _state(running: Running, end: CommandEnd | None, waited_s: float = 0.0) -> ToolResult:
    if end is None:
        waited = f" after {waited_s:g} s" if waited_s else ""
        total = (await running.output(0, 0)).total
        shown = await report(running, total, Report((f"[job {running.job} is still running{waited}]",)))
        return ToolResult("ok", (Text(shown.text),))
    note = f"[job {running.job} {_phrase(end)}]"
    handle = handle_of(running.job) if end.output_bytes else ""
    shown = await report(running, end.output_bytes, Report((note,), handle))
    return ToolResult("ok", (Text(shown.text),))
