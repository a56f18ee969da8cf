"""Maintenance of the SQLite store: check, repair, delete, sweep. Safe beside running sessions."""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from sqlite3 import Connection
from typing import TypeVar, TypeVarTuple

import anyio.to_thread
import msgspec

from hames.core.errors import DamagedLog, SessionBusy, StoreError
from hames.core.ids import SessionId
from hames.core.ports import Checked, Clock, Damage, Deleted, Mended, Swept
from hames.stores.blob_files import BlobFiles
from hames.stores.checking import Examiner, repair
from hames.stores.database import SALVAGED, database_error, file_error, lenient, open_database
from hames.stores.directory import BLOBS, LOCKS, RUN, make_directory
from hames.stores.disk import disk_bytes
from hames.stores.leftovers import half_written, is_in_use, is_left, runs
from hames.stores.locks import SessionLocks, Taken
from hames.stores.mending import Examined
from hames.stores.presence import be_alone, be_present
from hames.stores.salvage import is_damaged, salvage
from hames.stores.sweeping import (
    Wanted,
    blobs_of,
    blobs_there,
    bury,
    drop_unused,
    stray_files,
    take_out,
    unlink,
)

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

_NAMED = "SELECT CASE WHEN json_valid(CAST(data AS TEXT)) THEN json_extract(CAST(data AS TEXT), '$.{}') END"
_LEFT = """
SELECT found FROM ({0} AS found FROM event WHERE session = :id AND type = '{1}') WHERE found IS NOT NULL
EXCEPT {0} FROM event WHERE session = :id AND type IN ({2})
"""
_CALLS = _LEFT.format(_NAMED.format("call"), "CallStarted", "'CallFinished', 'CallLost'")
_JOBS = _LEFT.format(_NAMED.format("job"), "JobStarted", "'JobFinished'")
_UNSETTLED = f"SELECT EXISTS ({_CALLS}) OR EXISTS ({_JOBS})"
_SPACE = ("freelist_count", "page_count", "page_size")
_FREE_BYTES = 1_000_000
_FREE_SHARE = 0.2
_TRIES = 50
_TRY_AGAIN_S = 0.1
_STRAYS = (
    "{} files in blobs/ are known to no row; `hames gc` removes them. "
    "If log.db-wal was lost, they are what is left of it"
)
_BROKEN = "the database file is damaged: `hames sessions repair` makes a new one of what can be read"


class SqliteUpkeep:
    """Implements `Upkeep` for the store in `directory`. Each call connects by itself.

    `remove` removes a file, or a directory with all that commands have left in it.
    """

    def __init__(self, directory: str, clock: Clock, remove: Callable[[str], None]) -> None:
        self._directory = directory
        self._clock = clock
        self._remove = remove
        self._files = BlobFiles(os.path.join(directory, BLOBS))

    async def check(self, session: SessionId | None = None) -> Checked:
        return await self._in_thread(self._check, session)

    async def repair(self, session: SessionId | None = None) -> Mended:
        return await self._when_quiet(self._repair, session)

    async def delete(self, session: SessionId) -> Deleted:
        return await self._when_quiet(self._delete, session)

    async def sweep(self) -> Swept:
        return await self._when_quiet(self._sweep)

    async def _in_thread(self, work: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        try:
            return await anyio.to_thread.run_sync(work, *arguments)
        except BlockingIOError:
            raise
        except OSError as error:
            raise file_error(error, self._directory) from error
        except sqlite3.Error as error:
            raise database_error(error, self._directory) from error

    async def _when_quiet(self, work: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        for _ in range(_TRIES):
            try:
                return await self._in_thread(work, *arguments)
            except BlockingIOError:
                await self._clock.sleep(_TRY_AGAIN_S)
        raise StoreError(
            "the log is busy: other maintenance runs, or big payloads are written; try again later"
        )

    # From here on: in a thread.

    def _check(self, session: SessionId | None) -> Checked:
        try:
            with self._connected() as connection:
                if is_damaged(connection):
                    return Checked(0, (Damage(None, 0, _BROKEN),), (), ())
                return self._check_sessions(connection, session)
        except DamagedLog as error:
            return Checked(0, (Damage(None, 0, str(error)),), (), ())

    def _check_sessions(self, connection: Connection, session: SessionId | None) -> Checked:
        examiner = Examiner(connection, self._files)
        wanted = examiner.sessions() if session is None else [session]
        damages: list[Damage] = []
        known: list[Damage] = []
        for each in wanted:
            examined, gone = _look(connection, examiner, each)
            damages.extend(examined.damages)
            known.extend(gone)
        strays = stray_files(connection, self._files) if session is None else 0
        notes = (_STRAYS.format(strays),) if strays else ()
        return Checked(len(wanted), tuple(damages), tuple(known), notes)

    def _repair(self, session: SessionId | None) -> Mended:
        damages: list[Damage] = []
        with self._alone_at_this():
            aside = self._salvage() if self._is_file_damaged() else ""
            damages.extend(self._repair_sessions(session))
        return Mended(tuple(damages), aside)

    def _repair_sessions(self, session: SessionId | None) -> Iterator[Damage]:
        with self._connected() as connection:
            examiner = Examiner(connection, self._files)
            for each in examiner.sessions() if session is None else [session]:
                # Another look, by the owner, decides what is done; most sessions are whole.
                if _look(connection, examiner, each)[0].damages:
                    yield from self._repair_one(connection, each)

    def _repair_one(self, connection: Connection, session: SessionId) -> list[Damage]:
        with self._owning(connection, session) as (now_ms, _):
            examined, _ = Examiner(connection, self._files).look(session)
            if examined.damages:
                repair(connection, self._files, examined, now_ms)
        return examined.damages

    def _is_file_damaged(self) -> bool:
        if os.path.exists(os.path.join(self._directory, SALVAGED)):
            return True
        try:
            with self._connected() as connection:
                return is_damaged(connection)
        except DamagedLog:
            return True

    def _salvage(self) -> str:
        alone = be_alone(self._directory)
        try:
            return salvage(self._directory, self._clock.now())
        finally:
            os.close(alone)

    def _delete(self, session: SessionId) -> Deleted:
        run = os.path.join(self._directory, RUN, session)
        if is_in_use(run):
            raise SessionBusy(f"commands of session {session} are still running: stop them first")
        before = disk_bytes(self._directory)
        with self._alone_at_this(), self._connected() as connection:
            wanted = Wanted(connection, blobs_of(connection, session), session)
            wanted.look()
            with self._files.sweeping():
                with self._owning(connection, session) as (now_ms, locks):
                    told = bury(connection, session, now_ms)
                    living = [taken for taken in locks.living() if taken.session != session]
                    taking = take_out(connection, self._files, wanted, living)
                unlink(taking.files)
            self._settle(connection, living)
        self._remove(run)
        return msgspec.structs.replace(told, freed_bytes=before - disk_bytes(self._directory))

    def _sweep(self) -> Swept:
        before = disk_bytes(self._directory)
        with self._alone_at_this(), self._connected() as connection:
            wanted = Wanted(connection, blobs_there(connection, self._files), SessionId(""))
            wanted.look()
            with self._files.sweeping():
                with self._owning(connection, None) as (_, locks):
                    living = locks.living()
                    drop_unused(connection, living)
                    taking = take_out(connection, self._files, wanted, living)
                    left = [*half_written(self._directory), *self._runs(connection, living)]
                unlink(taking.files)
                for path in left:
                    self._remove(path)
            self._settle(connection, living)
        freed = before - disk_bytes(self._directory)
        return Swept(len(taking.blobs), len(left), max(freed, 0), taking.waiting)

    def _runs(self, connection: Connection, living: Sequence[Taken]) -> list[str]:
        owned = {taken.session for taken in living}

        def unsettled(session: SessionId) -> bool:
            return session in owned or bool(connection.execute(_UNSETTLED, {"id": session}).fetchone()[0])

        return [path for path in runs(self._directory) if is_left(path, unsettled)]

    def _settle(self, connection: Connection, living: Sequence[Taken]) -> None:
        """Give the disk back what the database file does not need. Only a try: others may be at work."""
        free, pages, page = (int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in _SPACE)
        with suppress(sqlite3.OperationalError):
            if not living and free * page > _FREE_BYTES and free > pages * _FREE_SHARE:
                connection.execute("VACUUM")
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    @contextmanager
    def _alone_at_this(self) -> Generator[None]:
        """One maintenance at a time."""
        directory = os.path.join(self._directory, LOCKS)
        make_directory(directory)
        file = os.open(directory, os.O_RDONLY)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(file)

    @contextmanager
    def _connected(self) -> Generator[Connection]:
        present = be_present(self._directory)
        try:
            connection = open_database(self._directory)
            connection.text_factory = lenient
            try:
                yield connection
            finally:
                connection.close()
        finally:
            os.close(present)

    @contextmanager
    def _owning(
        self, connection: Connection, session: SessionId | None
    ) -> Generator[tuple[int, SessionLocks]]:
        """A transaction, as the only owner of `session` if there is one; gives the time and the locks."""
        now_ms = int(self._clock.now() * 1000)
        locks = SessionLocks(os.path.join(self._directory, LOCKS))
        connection.execute("BEGIN IMMEDIATE")
        try:
            if session is not None:
                locks.take(session, now_ms)
            yield now_ms, locks
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            locks.leave_all()


def _look(connection: Connection, examiner: Examiner, session: SessionId) -> tuple[Examined, list[Damage]]:
    # One snapshot: a session that is at work must not look damaged.
    connection.execute("BEGIN")
    try:
        return examiner.look(session)
    finally:
        connection.execute("COMMIT")
