"""Group commit: what waits to be written at the same time shares one transaction and one sync."""

from collections.abc import Callable, Sequence
from sqlite3 import Connection, OperationalError
from sqlite3 import Error as DatabaseError
from threading import Lock
from typing import TypeVar

import anyio
import anyio.to_thread

from hames.core.errors import StoreError, StoreFull
from hames.stores.database import database_error

T = TypeVar("T")


class _Job:
    """Some work inside a transaction, and what became of it. `turn` wakes who waits: done, or to lead."""

    __slots__ = ("error", "run", "settled", "turn")

    def __init__(self, run: Callable[[Connection], None]) -> None:
        self.run = run
        self.settled = False
        self.error: Exception | None = None
        self.turn: anyio.Event | None = None

    def wake(self) -> None:
        if self.turn is not None:
            self.turn.set()


class GroupCommit:
    """One connection for a process. Whoever comes first commits for all who came by then.

    A commit is never interrupted: whoever is cancelled while it waits still learns how it went.
    """

    def __init__(self, connection: Connection, directory: str) -> None:
        self._connection = connection
        self._directory = directory
        self._waiting: list[_Job] = []
        self._led = False
        self._closed = False
        self._limiter = anyio.CapacityLimiter(1)
        # Guards that one thread at a time uses the connection, and that a job which was given up is
        # not run by a thread that starts late.
        self._lock = Lock()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Do `work` in a transaction; durable on return.

        If it raises, none of its own changes stay, and those of others in the same transaction do.
        """
        self._check_open()
        results: list[T] = []

        def run(connection: Connection) -> None:
            results[:] = [work(connection)]

        job = _Job(run)
        self._waiting.append(job)
        with anyio.CancelScope(shield=True):
            if self._led:
                job.turn = anyio.Event()
                await job.turn.wait()
            if not job.settled:
                await self._lead()
        if job.error is not None:
            raise job.error
        return results[0]

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run `query` outside any transaction."""
        self._check_open()
        return await anyio.to_thread.run_sync(self._query, query, limiter=self._limiter)

    async def close(self) -> None:
        """Finish what waits, then close the connection. Nothing is taken from here on."""
        if self._closed:
            return
        with anyio.CancelScope(shield=True):
            try:
                await self.write(_nothing)
            finally:
                self._closed = True
                await anyio.to_thread.run_sync(self._close, limiter=self._limiter)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the store is closed")

    async def _lead(self) -> None:
        self._led = True
        batch, self._waiting = self._waiting, []
        try:
            await anyio.to_thread.run_sync(self._commit, batch, limiter=self._limiter)
        finally:
            # Waits for the thread if it still runs: asyncio can tear a task away from its thread.
            with self._lock:
                for job in batch:
                    if not job.settled:
                        job.error = StoreError("the store was stopped before this was written")
                        job.settled = True
            for job in batch:
                job.wake()
            self._led = bool(self._waiting)
            if self._waiting:
                self._waiting[0].wake()

    def _commit(self, batch: Sequence[_Job]) -> None:
        with self._lock:
            jobs = [job for job in batch if not job.settled]
            self._transact(jobs)
            for job in jobs:
                job.settled = True

    def _transact(self, jobs: Sequence[_Job]) -> None:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                self._attempt(job)
            connection.execute("COMMIT")
        except DatabaseError as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if len(jobs) > 1 and isinstance(database_error(error, self._directory), StoreFull):
                # One alone may be too big; the others may fit.
                for job in jobs:
                    self._transact([job])
                return
            for job in jobs:
                job.error = job.error or database_error(error, self._directory)

    def _attempt(self, job: _Job) -> None:
        connection = self._connection
        connection.execute("SAVEPOINT job")
        job.error = None
        try:
            job.run(connection)
        except OperationalError:
            # The file or the disk, not this job.
            raise
        except Exception as error:  # noqa: BLE001  what one job raises must not become the others' failure
            connection.execute("ROLLBACK TO job")
            own = isinstance(error, DatabaseError)
            job.error = database_error(error, self._directory) if own else error
        connection.execute("RELEASE job")

    def _query(self, query: Callable[[Connection], T]) -> T:
        with self._lock:
            try:
                return query(self._connection)
            except DatabaseError as error:
                raise database_error(error, self._directory) from error

    def _close(self) -> None:
        with self._lock:
            self._connection.close()


def _nothing(_: Connection) -> None:
    pass
