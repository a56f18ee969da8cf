"""Group commit: what waits to be written at the same time shares one transaction and one sync."""

from asyncio import AbstractEventLoop
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from sqlite3 import Connection, OperationalError
from sqlite3 import Error as DatabaseError
from threading import Thread
from typing import Protocol, TypeVar, cast

import anyio
from anyio.lowlevel import current_token

from hames.core.errors import StoreError, StoreFull
from hames.stores.database import database_error

T = TypeVar("T")


class _Job:
    """Some work for the thread, and what became of it. `done` is set when it is settled."""

    __slots__ = ("done", "error", "last", "run", "writes")

    def __init__(self, run: Callable[[Connection], None], *, writes: bool, last: bool = False) -> None:
        self.run = run
        self.writes = writes
        self.last = last
        self.error: Exception | None = None
        self.done = anyio.Event()


class GroupCommit:
    """One thread with the only connection of this process. All that waits by the time it is free goes
    into its next transaction.

    A write is never interrupted: whoever is cancelled while it waits still learns how it went.
    """

    def __init__(self, directory: str, connect: Callable[[], Connection]) -> None:
        self._directory = directory
        self._connect = connect
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._loop = current_token().native_token
        self._thread = Thread(target=self._serve, name="hames-store", daemon=True)
        self._closed = False

    async def open(self) -> None:
        """Start the thread and connect. Raises what `connect` raises."""
        self._thread.start()
        try:
            await self.read(_nothing)
        except BaseException:
            await self.close()
            raise

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Do `work` in a transaction; durable on return. It may be run more than once.

        If it raises, none of its own changes stay, and those of others in the same transaction do.
        """
        return await self._submit(work, writes=True)

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run `query` outside any transaction."""
        return await self._submit(query, writes=False)

    async def close(self) -> None:
        """Finish what waits, then close the connection. Nothing is taken from here on."""
        if self._closed:
            return
        job = _Job(_nothing, writes=False, last=True)
        self._closed = True
        self._jobs.put(job)
        with anyio.CancelScope(shield=True):
            await job.done.wait()
        self._thread.join()

    async def _submit(self, work: Callable[[Connection], T], *, writes: bool) -> T:
        if self._closed:
            raise StoreError("the store is closed")
        results: list[T] = []

        def run(connection: Connection) -> None:
            results[:] = [work(connection)]

        job = _Job(run, writes=writes)
        self._jobs.put(job)
        with anyio.CancelScope(shield=True):
            await job.done.wait()
        if job.error is not None:
            raise job.error
        return results[0]

    # From here on: in the thread.

    def _serve(self) -> None:
        connection: Connection | None = None
        last = False
        while not last:
            batch = [self._jobs.get()]
            while not self._jobs.empty():
                batch.append(self._jobs.get())
            last = any(job.last for job in batch)
            try:
                if connection is None and not last:
                    connection = self._connect()
                if connection is not None:
                    self._do(connection, batch)
            except Exception as error:  # noqa: BLE001  a thread that dies would leave everybody waiting
                for job in batch:
                    job.error = job.error or error
            if last and connection is not None:
                connection.close()
            try:
                _settle_soon(self._loop, batch)
            except RuntimeError:
                # The event loop is gone, and with it whoever waited.
                last = True
        if connection is not None:
            connection.close()

    def _do(self, connection: Connection, batch: Sequence[_Job]) -> None:
        writing = [job for job in batch if job.writes]
        if writing:
            self._transact(connection, writing)
        for job in batch:
            if not job.writes:
                self._attempt(connection, job)

    def _transact(self, connection: Connection, jobs: Sequence[_Job]) -> None:
        try:
            connection.execute("BEGIN IMMEDIATE")
            if len(jobs) == 1:
                self._attempt(connection, jobs[0])
            else:
                self._attempt_apart(connection, jobs)
            connection.execute("COMMIT" if any(job.error is None for job in jobs) else "ROLLBACK")
        except DatabaseError as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if len(jobs) > 1 and isinstance(database_error(error, self._directory), StoreFull):
                # One alone may be too big; the others may fit.
                for job in jobs:
                    self._transact(connection, [job])
                return
            for job in jobs:
                job.error = job.error or database_error(error, self._directory)

    def _attempt_apart(self, connection: Connection, jobs: Sequence[_Job]) -> None:
        for job in jobs:
            connection.execute("SAVEPOINT job")
            self._attempt(connection, job)
            if job.error is not None:
                connection.execute("ROLLBACK TO job")
            connection.execute("RELEASE job")

    def _attempt(self, connection: Connection, job: _Job) -> None:
        job.error = None
        try:
            job.run(connection)
        except OperationalError as error:
            # The disk or the file, so not only this job; and SQLite may have ended the transaction.
            if job.writes:
                raise
            job.error = database_error(error, self._directory)
        except DatabaseError as error:
            job.error = database_error(error, self._directory)
        except Exception as error:  # noqa: BLE001  what one job raises must not become the others' failure
            job.error = error


class _TrioToken(Protocol):
    def run_sync_soon(self, work: Callable[[Sequence[_Job]], None], jobs: Sequence[_Job], /) -> None: ...


def _settle_soon(loop: object, batch: Sequence[_Job]) -> None:
    """Have the event loop settle a batch, without waiting for it as anyio would: that is one wake-up less of
    this thread for each commit. Raises RuntimeError when the loop is gone."""
    if isinstance(loop, AbstractEventLoop):
        loop.call_soon_threadsafe(_settle, batch)
    else:
        cast(_TrioToken, loop).run_sync_soon(_settle, batch)


def _settle(batch: Sequence[_Job]) -> None:
    for job in batch:
        job.done.set()


def _nothing(_: Connection) -> None:
    pass
