"""Commands without a process: what is left of them in the runtime directory."""

import os

from hames.core.errors import LauncherError
from hames.core.events import CommandFact
from hames.core.ids import JobId
from hames.core.ports import CommandEnd, OutputSlice
from hames.sandboxes.runtime import END, JOB, KEPT, OUTPUT, EndFile, mark_of, remove
from hames.sandboxes.wire import Frame


def end_of(frame: Frame, spool: str) -> CommandEnd:
    """How a command ended, from the supervisor's words."""
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
    return CommandEnd(
        fact,
        int(frame.get("total", "0")),
        int(frame.get("kept", "0")),
        spool,
        frame.get("not_started"),
        unattended=bool(frame.get("unattended")),
        left=int(frame.get("left", "0")),
    )


def _number(text: str) -> int | None:
    return int(text) if text else None


def slice_of(output: bytes, start: int, limit: int) -> OutputSlice:
    """A slice of an output that is held whole."""
    total = len(output)
    start = max(0, start + total) if start < 0 else min(start, total)
    return OutputSlice(output[start : start + limit], start, total)


def read_spool(path: str, start: int, limit: int, sizes: tuple[int, int, int]) -> OutputSlice:
    """A slice of a spool. `sizes` are the bytes kept of the head, all that are kept, and all there were: the
    file is head and tail, with what is missing between."""
    head, kept, total = sizes
    head = min(head, kept)
    start = max(0, start + total) if start < 0 else min(start, total)
    missing = total - kept
    at, most = start, limit
    if start >= head and missing:
        start = max(start, head + missing)
        at = start - missing
    elif missing:
        most = min(limit, head - start)
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        return OutputSlice(os.pread(fd, most, at), start, total)
    finally:
        os.close(fd)


def take_spool(spool: str) -> str:
    """A second name of a spool, for whoever takes the file away."""
    taken = spool.removesuffix(OUTPUT) + KEPT
    remove(taken)
    try:
        os.link(spool, taken)
    except OSError as error:
        raise LauncherError(f"the output in {spool} cannot be kept: {error.strerror}") from error
    return taken


class EndedCommand:
    """The `Running` port over an end that was written down, or over the traces of a command whose end
    nobody knows: then the end says `lost`."""

    def __init__(self, job: JobId, spool: str, frame: Frame, *, lost: str = "") -> None:
        self._job = job
        self._spool = spool
        self._end = (
            CommandEnd(CommandFact(), *_sizes(spool), spool, lost=lost) if lost else end_of(frame, spool)
        )
        self._head = int(frame.get("head") or self._end.kept_bytes)
        self._copy = frame.body

    @property
    def job(self) -> JobId:
        """The id that it was started with."""
        return self._job

    async def output(self, start: int, limit: int) -> OutputSlice:
        """See `Running`."""
        end = self._end
        if self._copy:
            return slice_of(self._copy, start, limit)
        if not end.output_bytes:
            return OutputSlice(b"", 0, 0)
        try:
            sizes = (self._head, end.kept_bytes, end.output_bytes)
            return read_spool(self._spool, start, limit, sizes)
        except OSError as error:
            raise LauncherError(f"the output of {self._job} is not in its spool any more") from error

    async def wait(self, timeout_s: float | None = None, *, from_start: bool = False) -> CommandEnd:
        """See `Running`: it is over."""
        return self._end

    async def stop(self) -> CommandEnd:
        """See `Running`: it is over."""
        return self._end

    def take_output(self) -> str:
        """See `Running`."""
        return take_spool(self._spool)


def _sizes(spool: str) -> tuple[int, int]:
    try:
        size = os.stat(spool).st_size
    except OSError:
        return 0, 0
    return size, size


def find_ended(directory: str, job: JobId) -> EndedCommand | None:
    """What the directory tells of a command that no supervisor knows; None when there is no trace of it."""
    spool = os.path.join(directory, f"{job}{OUTPUT}")
    frame = EndFile(os.path.join(directory, f"{job}{END}")).read()
    if frame is not None:
        return EndedCommand(job, spool, frame)
    if not os.path.lexists(spool):
        return None
    return lost(directory, job, "its supervisor is gone without a word of how it ended")


def lost(directory: str, job: JobId, why: str) -> EndedCommand:
    """A command of which nobody knows how it ended."""
    alive = still_alive(f"{JOB}={mark_of(directory)}/{job}")
    numbers = ", ".join(map(str, alive))
    state = f"of its processes these are alive: {numbers}" if alive else "none of its processes is alive"
    spool = os.path.join(directory, f"{job}{OUTPUT}")
    return EndedCommand(job, spool, Frame({}, b""), lost=f"{why}; {state}")


def still_alive(mark: str) -> list[int]:
    """The processes with this in their environment: only a command without a sandbox outlives its
    supervisor."""
    wanted = mark.encode("utf-8", "surrogateescape")
    found: list[int] = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    if wanted in file.read().split(b"\0"):
                        found.append(int(name))
            except OSError:
                continue
    return found
