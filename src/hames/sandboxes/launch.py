"""Commands through the supervisor, each in a sandbox: the `Launcher` and `Running` ports."""

import os
import time
from collections.abc import Callable

import anyio
import msgspec

from hames.core.errors import ArgumentProblem, LauncherError, SandboxError
from hames.core.ids import JobId
from hames.core.limits import SPOOL_BYTES, SPOOL_TAIL_BYTES
from hames.core.ports import CommandEnd, CommandSpec, LaunchPlan, OutputSlice, Sandbox
from hames.sandboxes.connection import Connection
from hames.sandboxes.ended import EndedCommand, end_of, find_ended, lost, read_spool, slice_of, take_spool
from hames.sandboxes.process import SupervisorProcess
from hames.sandboxes.runtime import FENCED, OUTPUT, is_name
from hames.sandboxes.wire import Frame, Items

GRACE_S = 2.0
"""From SIGTERM to SIGKILL."""

START_WITHIN_S = 30.0
"""From the time at which a start was decided on to the start itself; later it is refused."""


def start_request(
    job: str, epoch: int, plan: LaunchPlan, limits: tuple[int, int], grace_s: float = GRACE_S
) -> Items:
    """A command as the supervisor is told of it."""
    return [
        ("do", "start"),
        ("job", job),
        ("epoch", str(epoch)),
        ("head", str(limits[0])),
        ("tail", str(limits[1])),
        ("grace_s", str(grace_s)),
        ("confined", "1" if plan.reports_start else ""),
        ("own_network", plan.own_network),
        ("cwd", plan.cwd),
        *(("argv", argument) for argument in plan.argv),
        *(("env", f"{name}={value}") for name, value in plan.env.items()),
    ]


class LaunchedCommand:
    """A command that a supervisor has, or has been asked for."""

    def __init__(self, launcher: "CommandLauncher", connection: Connection, job: JobId) -> None:
        self._launcher = launcher
        self._connection = connection
        self._job = job
        self._spool = os.path.join(connection.directory, f"{job}{OUTPUT}")
        self._copy: bytes | None = None

    @property
    def job(self) -> JobId:
        """The id that it was started with."""
        return self._job

    async def output(self, start: int, limit: int) -> OutputSlice:
        """See `Running`. Read from the spool, without the supervisor, until there is more than its head; a
        small one has come with its end."""
        if self._copy is not None:
            return slice_of(self._copy, start, limit)
        head = self._launcher.limits[0]
        try:
            if not os.access(self._spool, os.F_OK):
                await self._ask("attach", [])
            size = os.stat(self._spool).st_size
            if size < head:
                return read_spool(self._spool, start, limit, (head, size, size))
            frame = await self._ask("output", [("start", str(start)), ("limit", str(limit))])
            total = int(frame.get("total", "0"))
            if frame.get("state") != "over":
                return OutputSlice(frame.body, int(frame.get("start", "0")), total)
            return read_spool(self._spool, start, limit, (head, int(frame.get("kept", "0")), total))
        except FileNotFoundError as error:
            raise LauncherError(f"the output of {self._job} is not in its spool any more") from error

    async def wait(self, timeout_s: float | None = None, *, from_start: bool = False) -> CommandEnd | None:
        """See `Running`. A cancelled wait leaves the command running. Raises `SandboxError` when the
        command was not started because no sandbox works here."""
        limit = [] if timeout_s is None else [("timeout_s", str(timeout_s))]
        frame = await self._ask("wait", [*limit, ("from_start", "1" if from_start else "")])
        if frame.get("state") != "over":
            return None
        end = end_of(frame, self._spool)
        if end.output_bytes == len(frame.body):
            self._copy = frame.body
        await self._launcher.judge(end)
        return end

    async def stop(self) -> CommandEnd:
        """See `Running`."""
        return end_of(await self._ask("stop", []), self._spool)

    def take_output(self) -> str:
        """See `Running`."""
        return take_spool(self._spool)

    async def _ask(self, what: str, more: Items) -> Frame:
        frame = await self._connection.ask([("do", what), ("job", self._job), *more])
        match frame.get("state"):
            case "unknown":
                raise LauncherError(f"the supervisor does not know the command {self._job}")
            case "refused":
                raise LauncherError(f"the command {self._job} was not started: {frame.get('why')}")
            case _:
                return frame


class CommandLauncher:
    """The `Launcher` port for the commands of one session.

    `limits` are the bytes of head and of tail kept of an output, `grace_s` lies between SIGTERM and SIGKILL.
    `monotonic` is the clock that the supervisor has, too. Closing it closes the session in the supervisor.
    """

    def __init__(
        self,
        process: SupervisorProcess,
        sandbox: Sandbox,
        *,
        limits: tuple[int, int] = (SPOOL_BYTES, SPOOL_TAIL_BYTES),
        grace_s: float = GRACE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits
        self._process = process
        self._sandbox = sandbox
        self._grace_s = grace_s
        self._monotonic = monotonic
        self._stood = False
        self._decided: float | None = None
        self._started: dict[JobId, Connection] = {}
        self._found: set[JobId] = set()

    def decided(self) -> None:
        """From now on a start may be made, for a while: it is durable on the log that it was decided on."""
        self._decided = self._monotonic()

    async def start(self, spec: CommandSpec) -> LaunchedCommand:
        """See `Launcher`. It is started in its turn; what fails then is told to whoever waits for it."""
        await anyio.lowlevel.checkpoint_if_cancelled()
        if not is_name(spec.job):
            raise ArgumentProblem(f"{spec.job!r} cannot be the name of a command")
        process = self._process
        connection = process.connect()
        plan = self._sandbox.wrap(msgspec.structs.replace(spec, scratch=connection.directory))
        request = start_request(spec.job, process.epoch, plan, self.limits, self._grace_s)
        since = self._monotonic() if self._decided is None else self._decided
        releases = process.releases()
        request += [("keep", "1"), ("deadline", str(since + START_WITHIN_S)), *releases]
        if spec.timeout_s is not None:
            request.append(("timeout_s", str(spec.timeout_s)))
        if self._started.get(spec.job) is connection:
            raise LauncherError(f"the command {spec.job} was started before")
        self._started[spec.job] = connection
        try:
            await connection.tell(request)
        except BaseException:
            del self._started[spec.job]
            raise
        process.released(releases)
        return LaunchedCommand(self, connection, spec.job)

    async def attach(self, job: JobId) -> LaunchedCommand | EndedCommand | None:
        """See `Launcher`."""
        found = await self._find(job)
        if found is not None:
            self._found.add(job)
        return found

    async def _find(self, job: JobId) -> LaunchedCommand | EndedCommand | None:
        """Without a supervisor that knows it, the session's directory tells."""
        process = self._process
        connection = process.running
        if process.fenced:
            raise LauncherError(FENCED)
        if connection is None:
            nothing = "its supervisor is gone, and nothing that it wrote down is left"
            return find_ended(process.directory, job) or lost(process.directory, job, nothing)
        releases = process.releases()
        frame = await connection.ask([("do", "attach"), ("job", job), *releases])
        process.released(releases)
        match frame.get("state"):
            case "unknown":
                return find_ended(process.directory, job)
            case "refused":
                return None
            case _:
                return LaunchedCommand(self, connection, job)

    async def detach(self, job: JobId) -> None:
        """See `Launcher`."""
        connection = self._process.running
        if connection is not None:
            await connection.ask([("do", "detach"), ("job", job)])

    def release(self, job: JobId) -> None:
        """Forget a command that is over, with all that is kept of it, if it is one of ours: its end is on the
        log."""
        if job in self._started or job in self._found:
            self._started.pop(job, None)
            self._found.discard(job)
            self._process.release(job)

    async def close(self) -> None:
        """See `Launcher`."""
        await self._process.close()

    async def judge(self, end: CommandEnd) -> None:
        """Tell a sandbox that does not work from a command that could not be started in it."""
        if not end.not_started:
            self._stood = True
        elif not self._stood:
            report = await self._sandbox.probe()
            if report.problem:
                raise SandboxError(report.problem)
