"""Commands through the launcher, each in a sandbox: the `Launcher` and `Running` ports."""

import os

import anyio

from hames.core.errors import ArgumentProblem, LauncherError, SandboxError
from hames.core.events import CommandFact
from hames.core.ids import JobId
from hames.core.limits import SPOOL_BYTES, SPOOL_TAIL_BYTES
from hames.core.ports import CommandEnd, CommandSpec, LaunchPlan, OutputSlice, Sandbox
from hames.sandboxes.connection import Connection, LauncherProcess
from hames.sandboxes.wire import Frame, Items

GRACE_S = 2.0
"""From SIGTERM to SIGKILL."""


def start_request(
    job: str, spool: str, plan: LaunchPlan, limits: tuple[int, int], grace_s: float = GRACE_S
) -> Items:
    """A command as the launcher is told of it."""
    return [
        ("do", "start"),
        ("job", job),
        ("spool", spool),
        ("head", str(limits[0])),
        ("tail", str(limits[1])),
        ("grace_s", str(grace_s)),
        ("confined", "1" if plan.reports_start else ""),
        ("cwd", plan.cwd),
        *(("argv", argument) for argument in plan.argv),
        *(("env", f"{name}={value}") for name, value in plan.env.items()),
    ]


def _number(text: str) -> int | None:
    return int(text) if text else None


def _end(frame: Frame) -> CommandEnd:
    fact = CommandFact(
        exit_code=_number(frame.get("exit_code")),
        signal=_number(frame.get("signal")),
        timed_out=bool(frame.get("timed_out")),
        stopped=bool(frame.get("stopped")),
        elapsed_s=float(frame.get("elapsed_s", "0")),
        cpu_s=float(frame.get("cpu_s", "0")),
        memory_kb=int(frame.get("memory_kb", "0")),
        cwd=frame.get("cwd") or None,
    )
    total, kept = int(frame.get("total", "0")), int(frame.get("kept", "0"))
    return CommandEnd(fact, total, kept, frame.get("spool"), frame.get("not_started"))


class LaunchedCommand:
    """A command that one launcher process was given. It is lost with that process."""

    def __init__(self, launcher: "CommandLauncher", connection: Connection, job: JobId, spool: str) -> None:
        self._launcher = launcher
        self._connection = connection
        self._job = job
        self._spool = spool

    @property
    def job(self) -> JobId:
        """The id that it was started with."""
        return self._job

    async def output(self, start: int, limit: int) -> OutputSlice:
        """See `Running`. Read from the spool, without the launcher, until there is more than its head."""
        head = self._launcher.limits[0]
        try:
            if not os.access(self._spool, os.F_OK):
                await self._ask("attach", [])
            size = os.stat(self._spool).st_size
            if size < head:
                return self._read(start, limit, size, size)
            frame = await self._ask("output", [("start", str(start)), ("limit", str(limit))])
            total = int(frame.get("total", "0"))
            if frame.get("state") != "over":
                return OutputSlice(frame.body, int(frame.get("start", "0")), total)
            return self._read(start, limit, int(frame.get("kept", "0")), total)
        except FileNotFoundError as error:
            raise LauncherError(f"the output of {self._job} is not in its spool any more") from error

    def _read(self, start: int, limit: int, kept: int, total: int) -> OutputSlice:
        """Of an ended command the file is head and tail, with `total - kept` bytes missing between."""
        head = min(self._launcher.limits[0], kept)
        start = max(0, start + total) if start < 0 else min(start, total)
        missing = total - kept
        at, most = start, limit
        if start >= head and missing:
            start = max(start, head + missing)
            at = start - missing
        elif missing:
            most = min(limit, head - start)
        fd = os.open(self._spool, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            return OutputSlice(os.pread(fd, most, at), start, total)
        finally:
            os.close(fd)

    async def wait(self, timeout_s: float | None = None) -> CommandEnd | None:
        """See `Running`. A cancelled wait leaves the command running. Raises `SandboxError` when the
        command was not started because no sandbox works here."""
        limit = [] if timeout_s is None else [("timeout_s", str(timeout_s))]
        frame = await self._ask("wait", limit)
        if frame.get("state") != "over":
            return None
        end = _end(frame)
        await self._launcher.judge(self._job, end)
        return end

    async def stop(self) -> CommandEnd:
        """See `Running`."""
        return _end(await self._ask("stop", []))

    async def _ask(self, what: str, more: Items) -> Frame:
        key = self._launcher.key(self._job)
        frame = await self._connection.ask([("do", what), ("job", key), *more])
        match frame.get("state"):
            case "unknown":
                raise LauncherError(f"the launcher does not know the command {self._job}")
            case "refused":
                raise LauncherError(f"the command {self._job} was not started: {frame.get('why')}")
            case _:
                return frame


class CommandLauncher:
    """The `Launcher` port for the commands of one session.

    `prefix` keeps the jobs of sessions that share a launcher process apart. `limits` are the bytes of
    head and of tail kept of an output, `grace_s` lies between SIGTERM and SIGKILL. Closing it ends the
    launcher process.
    """

    def __init__(
        self,
        process: LauncherProcess,
        sandbox: Sandbox,
        *,
        prefix: str = "",
        limits: tuple[int, int] = (SPOOL_BYTES, SPOOL_TAIL_BYTES),
        grace_s: float = GRACE_S,
    ) -> None:
        self.limits = limits
        self._process = process
        self._sandbox = sandbox
        self._prefix = prefix
        self._grace_s = grace_s
        self._stood = False
        self._started: dict[JobId, Connection] = {}
        self._over: set[JobId] = set()

    def key(self, job: JobId) -> str:
        """The job's name in the launcher."""
        return f"{self._prefix}{job}"

    async def start(self, spec: CommandSpec) -> LaunchedCommand:
        """See `Launcher`. It is started in its turn; what fails then is told to whoever waits for it."""
        await anyio.lowlevel.checkpoint_if_cancelled()
        key = self.key(spec.job)
        if "/" in key or key.startswith("."):
            raise ArgumentProblem(f"{spec.job!r} cannot be the name of a command")
        plan = self._sandbox.wrap(spec)
        connection = self._process.connect()
        spool = os.path.join(connection.directory, f"{key}.out")
        request = start_request(key, spool, plan, self.limits, self._grace_s)
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
        return LaunchedCommand(self, connection, spec.job, spool)

    async def attach(self, job: JobId) -> LaunchedCommand | None:
        """See `Launcher`."""
        connection = self._process.running
        if connection is None:
            return None
        frame = await connection.ask([("do", "attach"), ("job", self.key(job))])
        if frame.get("state") == "unknown":
            return None
        return LaunchedCommand(self, connection, job, frame.get("spool"))

    async def release(self, job: JobId) -> None:
        """See `Launcher`."""
        connection = self._process.running
        if connection is None:
            return
        request = [("do", "release"), ("job", self.key(job))]
        if job in self._over:
            await connection.tell(request)
        elif (await connection.ask(request)).get("state") == "running":
            raise LauncherError(f"the command {job} still runs: stop it before it is released")
        self._over.discard(job)
        self._started.pop(job, None)

    async def close(self) -> None:
        """See `Launcher`."""
        await self._process.close()

    async def judge(self, job: JobId, end: CommandEnd) -> None:
        """Tell a sandbox that does not work from a command that could not be started in it."""
        self._over.add(job)
        if not end.not_started:
            self._stood = True
        elif not self._stood:
            report = await self._sandbox.probe()
            if report.problem:
                raise SandboxError(report.problem)
