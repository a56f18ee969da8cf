"""File work through a worker inside the sandbox: the `Files` port."""

import socket
from typing import NoReturn, cast, get_args

import anyio
import msgspec

from hames.core.errors import FileProblem, FileTrouble, LauncherError, SandboxError
from hames.core.events import FileFact
from hames.core.ids import JobId, blob_id
from hames.core.ports import (
    CommandSpec,
    ReadQuery,
    ReadResult,
    RemoveOrder,
    Sandbox,
    SearchQuery,
    SearchResult,
    WriteOrder,
)
from hames.sandboxes.connection import Connection
from hames.sandboxes.launch import start_request
from hames.sandboxes.process import SupervisorProcess, program
from hames.sandboxes.wire import Frame, Frames, Items, encode

IDLE_S = 30.0
"""A worker that was asked nothing for so long ends; the next request starts another."""

_WRITE, _REMOVE = ("do", "write"), ("do", "remove")
_CHANGES = (_WRITE, _REMOVE)
_SPOOLED = (64 * 1024, 64 * 1024)
_ENV = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


class _WorkerLost(Exception):
    """The worker ended before it answered."""


class _Worker:
    """One worker process, reached through its socket."""

    def __init__(self, connection: Connection, job: str, here: socket.socket) -> None:
        self.job = job
        self.connection = connection
        self._socket = here
        self._frames = Frames()
        self._stands = False

    async def ask(self, items: Items, body: bytes) -> Frame:
        """One request. Raises `_WorkerLost`."""
        try:
            await self._send(encode(items, body))
            return await self._frame()
        except (OSError, ValueError) as error:
            raise _WorkerLost from error

    async def _send(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[self._socket.send(left) :]
            except BlockingIOError:
                await anyio.wait_writable(self._socket)

    async def _frame(self) -> Frame:
        while True:
            await self._arrival()
            data = self._socket.recv(256 * 1024)
            if not data:
                raise _WorkerLost
            self._stands = True
            frames = self._frames.feed(data)
            if frames:
                return frames[0]

    async def _arrival(self) -> None:
        """Wait until there is something to read. A sandbox that was just starting when its supervisor was
        killed can hold on to the socket without ever answering. Raises `_WorkerLost`."""
        if self._stands:
            await anyio.wait_readable(self._socket)
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._until_unowned, tasks.cancel_scope)
            await anyio.wait_readable(self._socket)
            tasks.cancel_scope.cancel()
        if self.connection.lost:
            raise _WorkerLost

    async def _until_unowned(self, waiting: anyio.CancelScope) -> None:
        await self.connection.gone()
        waiting.cancel()

    async def end(self) -> str:
        """Kill it, with what it runs, and forget it; returns what it said, if it did not start."""
        self._socket.close()
        said = ""
        with anyio.CancelScope(shield=True):
            frame = await self.connection.ask([("do", "stop"), ("job", self.job)])
            said = frame.get("not_started")
            await self.connection.tell([("do", "release"), ("release", self.job)])
        return said


class SandboxFiles:
    """The `Files` port. One request at a time; a worker that is gone is replaced.

    `ripgrep` is the path of `rg`, empty when there is none. `name` keeps the workers of several apart.
    """

    def __init__(
        self,
        process: SupervisorProcess,
        sandbox: Sandbox,
        *,
        ripgrep: str,
        name: str = "files",
        idle_s: float = IDLE_S,
    ) -> None:
        self._process = process
        self._sandbox = sandbox
        self._ripgrep = ripgrep
        self._name = name
        self._idle_s = idle_s
        self._started = 0
        self._worker: _Worker | None = None
        # Keeps one request and its answer together on the worker's socket.
        self._turn = anyio.Lock()

    async def read(self, query: ReadQuery) -> ReadResult:
        """See `Files`."""
        lines = [] if query.lines is None else [("lines", str(query.lines))]
        asked = [
            ("do", "read"),
            ("path", query.path),
            ("line", str(query.line)),
            ("max_bytes", str(query.max_bytes)),
        ]
        frame = await self._ask(query.path, [*asked, *lines])
        return ReadResult(
            data=frame.body,
            sha256=frame.get("sha256"),
            size=int(frame.get("size")),
            total_lines=int(frame.get("total_lines")),
            binary=bool(frame.get("binary")),
            mtime_ns=int(frame.get("mtime_ns")),
        )

    async def write(self, order: WriteOrder) -> FileFact:
        """See `Files`. When the worker is lost on the way, the world is read to learn what was done."""
        asked = [
            _WRITE,
            ("path", order.path),
            ("expect", order.expect),
            ("mode_of", order.mode_of),
        ]
        frame = await self._ask(order.path, asked, order.data)
        return FileFact(order.path, frame.get("sha256"), "wrote")

    async def remove(self, order: RemoveOrder) -> FileFact:
        """See `Files`. When the worker is lost on the way, the world is read to learn what was done."""
        await self._ask(order.path, [_REMOVE, ("path", order.path), ("expect", order.expect)])
        return FileFact(order.path, "", "removed")

    async def search(self, query: SearchQuery) -> SearchResult:
        """See `Files`."""
        asked = [
            ("do", "search"),
            ("program", self._ripgrep),
            ("path", query.cwd),
            ("cwd", query.cwd),
            ("max_bytes", str(query.max_bytes)),
            ("max_lines", str(query.max_lines)),
            *(("args", argument) for argument in query.args),
        ]
        frame = await self._ask(query.cwd, asked)
        return SearchResult(
            data=frame.body,
            lines=int(frame.get("lines", "0")),
            cut=bool(frame.get("cut")),
            exit_code=int(frame.get("exit_code")),
            error=frame.get("error"),
        )

    async def close(self) -> None:
        """See `Files`. The supervisor goes on."""
        async with self._turn:
            await self._drop()

    async def _ask(self, path: str, items: Items, body: bytes = b"") -> Frame:
        try:
            encode(items)
        except ValueError as error:
            raise FileProblem("invalid", path, f"the path or an argument is not valid: {error}") from error
        async with self._turn:
            frame = await self._answer(path, items, body)
        trouble = frame.get("trouble")
        if trouble:
            _refuse(trouble, path, frame.get("message"))
        return frame

    async def _answer(self, path: str, items: Items, body: bytes) -> Frame:
        try:
            return await self._once(items, body)
        except _WorkerLost:
            problem = await self._drop()
        if problem:
            await self._judge(problem)
        elif items[0] in _CHANGES and (done := await self._changed(items[0], path, body)):
            return done
        else:
            try:
                return await self._once(items, body)
            except _WorkerLost:
                problem = await self._drop() or "it ended twice, without an answer"
        raise FileProblem("failed", path, f"the file worker failed: {problem}")

    async def _changed(self, what: tuple[str, str], path: str, body: bytes) -> Frame | None:
        """The answer to a write or a removal whose own was lost, if it has been done."""
        asked = [("do", "read"), ("path", path), ("line", "1"), ("max_bytes", "0")]
        try:
            frame = await self._once(asked, b"")
        except _WorkerLost:
            await self._drop()
            return None
        found = frame.get("trouble") if what == _REMOVE else frame.get("sha256")
        intended = "missing" if what == _REMOVE else blob_id(body)
        return Frame({"sha256": [frame.get("sha256")]}, b"") if found == intended else None

    async def _once(self, items: Items, body: bytes) -> Frame:
        if self._worker is not None and self._worker.connection.lost:
            await self._drop()
        if self._worker is None:
            self._worker = await self._start()
        try:
            return await self._worker.ask(items, body)
        except anyio.get_cancelled_exc_class():
            # The worker is in the middle of it: nothing that was asked for may go on.
            await self._drop()
            raise

    async def _start(self) -> _Worker:
        self._started += 1
        connection = self._process.connect()
        job = f"{self._name}-{self._process.epoch}-{self._started}"
        argv = program("hames.sandboxes.file_worker", str(self._idle_s))
        spec = CommandSpec(JobId(job), argv, "/", _ENV, scratch=connection.directory)
        plan = msgspec.structs.replace(self._sandbox.wrap(spec), own_network="")
        request = start_request(job, self._process.epoch, plan, _SPOOLED)
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        here.setblocking(False)
        worker = _Worker(connection, job, here)
        try:
            await connection.tell([*request, ("stdio", "1")], [there.fileno()])
        except BaseException:
            here.close()
            raise
        finally:
            there.close()
        return worker

    async def _drop(self) -> str:
        worker, self._worker = self._worker, None
        if worker is None:
            return ""
        try:
            return await worker.end()
        except LauncherError:
            return ""

    async def _judge(self, problem: str) -> None:
        report = await self._sandbox.probe()
        if report.problem:
            raise SandboxError(f"{report.problem} ({problem})")


def _refuse(trouble: str, path: str, message: str) -> NoReturn:
    known = cast(FileTrouble, trouble) if trouble in get_args(FileTrouble) else "failed"
    raise FileProblem(known, path, message)
