"""Files and commands without a sandbox, on the real file system, with real processes. For tests only."""

import os
import signal
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import anyio
from anyio.abc import Process

from hames.core.errors import FileProblem, FileTrouble
from hames.core.events import CommandFact, FileFact
from hames.core.ids import BlobId, JobId, blob_id
from hames.core.ports import (
    CommandEnd,
    CommandSpec,
    OutputSlice,
    ReadQuery,
    ReadResult,
    RemoveOrder,
    SearchQuery,
    SearchResult,
    WriteOrder,
)
from hames.sandboxes.pipes import last_words


class LocalFiles:
    """The `Files` port in this process."""

    async def read(self, query: ReadQuery) -> ReadResult:
        """See `Files`."""
        return _read(query)

    async def write(self, order: WriteOrder) -> FileFact:
        """See `Files`."""
        return _write(order)

    async def remove(self, order: RemoveOrder) -> FileFact:
        """See `Files`."""
        return _remove(order)

    async def search(self, query: SearchQuery) -> SearchResult:
        """See `Files`."""
        if not os.access(query.cwd, os.X_OK):
            raise FileProblem("missing", query.cwd, f"there is no directory {query.cwd}")
        done = await anyio.run_process(["rg", *query.args], cwd=query.cwd, check=False)
        lines = done.stdout.splitlines(keepends=True)
        kept = lines[: query.max_lines]
        while sum(map(len, kept)) > query.max_bytes:
            kept.pop()
        cut = len(kept) < len(lines)
        return SearchResult(b"".join(kept), len(kept), cut, done.returncode, done.stderr.decode())

    async def close(self) -> None:
        """See `Files`."""


def _read(query: ReadQuery) -> ReadResult:
    data = _content(query.path)
    binary = b"\0" in data[:8192]
    lines = [line + b"\n" for line in data.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    total = 0 if binary else len(lines) - (not lines[-1])
    end = None if query.lines is None else query.line - 1 + query.lines
    wanted = data if binary else b"".join(lines[query.line - 1 : end])
    if len(wanted) > query.max_bytes:
        whole = wanted.rfind(b"\n", 0, query.max_bytes) + 1
        wanted = wanted[: query.max_bytes if binary or not whole else whole]
    changed_ns = Path(query.path).stat().st_mtime_ns
    return ReadResult(wanted, sha256(data).hexdigest(), len(data), total, binary, changed_ns)


def _remove(order: RemoveOrder) -> FileFact:
    if sha256(_content(order.path)).hexdigest() != order.expect:
        raise FileProblem("changed", order.path, f"{order.path} changed")
    Path(order.path).unlink()
    return FileFact(order.path, "", "removed")


def _write(order: WriteOrder) -> FileFact:
    path = Path(order.path).resolve()
    if path.exists():
        before = sha256(_content(order.path)).hexdigest()
        if not order.expect:
            raise FileProblem("exists", order.path, f"{order.path} exists")
        if before != order.expect:
            raise FileProblem("changed", order.path, f"{order.path} changed")
    elif order.expect:
        raise FileProblem("changed", order.path, f"{order.path} does not exist any more")
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = Path(order.mode_of).stat().st_mode if order.mode_of and not path.exists() else None
    path.write_bytes(order.data)
    if mode is not None:
        path.chmod(mode)
    return FileFact(order.path, sha256(order.data).hexdigest(), "wrote")


def _content(path: str) -> bytes:
    troubles: dict[type[OSError], FileTrouble] = {
        FileNotFoundError: "missing",
        NotADirectoryError: "missing",
        IsADirectoryError: "directory",
        PermissionError: "denied",
    }
    try:
        return Path(path).read_bytes()
    except OSError as error:
        trouble = troubles.get(type(error), "failed")
        raise FileProblem(trouble, path, f"{path}: {error.strerror}") from None


class LocalCommand:
    """The `Running` port over one process in its own group."""

    def __init__(self, spec: CommandSpec, process: Process, spool: Path, control: Path) -> None:
        self._spec = spec
        self._process = process
        self._spool = spool
        self._control = control
        self._begun_s = anyio.current_time()
        self._timed_out = False
        self._stopped = False

    @property
    def job(self) -> JobId:
        """The id that it was started with."""
        return self._spec.job

    @property
    def pid(self) -> int:
        """The process that leads the group."""
        return self._process.pid

    async def output(self, start: int, limit: int) -> OutputSlice:
        """See `Running`."""
        total = self._spool.stat().st_size
        start = max(total + start, 0) if start < 0 else start
        with self._spool.open("rb") as spool:
            spool.seek(start)
            return OutputSlice(spool.read(limit), start, total)

    async def wait(self, timeout_s: float | None = None, *, from_start: bool = False) -> CommandEnd | None:
        """See `Running`."""
        left_s = self._left_s()
        if timeout_s is not None and from_start:
            timeout_s -= anyio.current_time() - self._begun_s
        with anyio.move_on_after(left_s if timeout_s is None else min(timeout_s, left_s)):
            await self._process.wait()
        if self._process.returncode is None and self._left_s() <= 0:
            self._timed_out = True
            await self._kill()
        return None if self._process.returncode is None else self._end()

    async def stop(self) -> CommandEnd:
        """See `Running`."""
        if self._process.returncode is None:
            self._stopped = True
            await self._kill()
        return self._end()

    def take_output(self) -> str:
        """See `Running`."""
        taken = self._spool.with_suffix(".kept")
        taken.unlink(missing_ok=True)
        os.link(self._spool, taken)
        return str(taken)

    def _left_s(self) -> float:
        if self._spec.timeout_s is None:
            return float("inf")
        return self._begun_s + self._spec.timeout_s - anyio.current_time()

    async def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    def _end(self) -> CommandEnd:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        code = self._process.returncode or 0
        cwd, left = last_words(self._control.read_bytes())
        fact = CommandFact(
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            timed_out=self._timed_out,
            stopped=self._stopped,
            elapsed_s=anyio.current_time() - self._begun_s,
            cwd=cwd or None,
        )
        size = self._spool.stat().st_size if self._spool.exists() else 0
        return CommandEnd(fact, size, size, str(self._spool), left=left)


class LocalLauncher:
    """The `Launcher` port in this process. `directory` takes the spools."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.commands: dict[JobId, LocalCommand] = {}
        self.detached: set[JobId] = set()

    async def start(self, spec: CommandSpec) -> LocalCommand:
        """See `Launcher`."""
        spool, control = self._directory / f"{spec.job}.out", self._directory / f"{spec.job}.control"
        argv = ("/bin/bash", "-c", 'exec "$@" 3>"$0"', str(control), *spec.argv)
        control.touch()
        missing = not os.access(spec.cwd, os.X_OK)
        make = MissingDirectory if missing else LocalCommand
        with spool.open("wb") as output, anyio.CancelScope(shield=True):
            process = await anyio.open_process(
                ("true",) if missing else argv,
                stdin=-3,
                stdout=output,
                stderr=output,
                cwd=None if missing else spec.cwd,
                env=spec.env,
                start_new_session=True,
            )
            self.commands[spec.job] = make(spec, process, spool, control)
        return self.commands[spec.job]

    async def attach(self, job: JobId) -> LocalCommand | None:
        """See `Launcher`."""
        return self.commands.get(job)

    async def detach(self, job: JobId) -> None:
        """See `Launcher`."""
        self.detached.add(job)

    def release(self, job: JobId) -> None:
        """Forget an ended command: its end is recorded."""
        del self.commands[job]
        (self._directory / f"{job}.out").unlink(missing_ok=True)

    async def close(self) -> None:
        """See `Launcher`."""
        for job, command in list(self.commands.items()):
            if job not in self.detached:
                await command.stop()
                self.release(job)


class MissingDirectory(LocalCommand):
    """A command that could not be started where it should."""

    def _end(self) -> CommandEnd:
        reason = f"cannot change to {self._spec.cwd}: No such file or directory"
        return CommandEnd(CommandFact(), 0, 0, str(self._spool), reason)


class LocalBlobs:
    """The `Blobs` port in memory."""

    def __init__(self) -> None:
        self.kept: dict[BlobId, bytes] = {}

    async def get(self, blob: BlobId, start: int = 0, limit: int | None = None) -> bytes:
        """See `Blobs`."""
        end = None if limit is None else start + limit
        return self.kept[blob][start:end]

    async def size(self, blob: BlobId) -> int:
        """See `Blobs`."""
        return len(self.kept[blob])

    async def keep_file(self, path: str) -> BlobId:
        """See `Blobs`."""
        data = _taken(Path(path))
        blob = blob_id(data)
        self.kept[blob] = data
        return blob


def _taken(file: Path) -> bytes:
    data = file.read_bytes()
    file.unlink()
    return data
