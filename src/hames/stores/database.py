"""The SQLite file: made whole or not at all, opened for safe commits, its errors put into words."""

import errno
import fcntl
import os
import sqlite3
from collections.abc import Callable

from hames.core.errors import NO_ROOM, DamagedLog, NewerLog, StoreError, StoreFull
from hames.stores.directory import BUSY_S, DATABASE, lock_within, make_directory, sync
from hames.stores.layout import SCHEMA, bring_up_to_date, layout_of

_APPLICATION = 0x68616D65
"""Marks a SQLite file as ours."""

FRESH = f"{DATABASE}.new"
"""A new file on its way, that is not whole yet."""

SALVAGED = f"{DATABASE}.salvaged"
"""A finished new file, made of a damaged one, that has not taken its place yet."""

PROBE = "probe."
"""How a file begins that only tries whether one can be written."""

_WAL_KEPT_BYTES = 16 * 1024 * 1024

_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


def open_database(directory: str, busy_s: float = BUSY_S) -> sqlite3.Connection:
    """A connection to `log.db` in `directory`, which is made, private to its owner, if it is not there.

    Raises `NewerLog`, `StoreFull` or `StoreError`.
    """
    path = os.path.join(directory, DATABASE)
    try:
        make_directory(directory)
        if os.path.exists(os.path.join(directory, SALVAGED)):
            raise DamagedLog(f"a repair of {path} was interrupted: run `hames sessions repair`")
        if not os.path.exists(path):
            _create(directory, path, busy_s)
        connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None)
    except OSError as error:
        raise file_error(error, directory) from error
    except sqlite3.Error as error:
        raise database_error(error, directory) from error
    try:
        _prepare(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise database_error(error, directory) from error
    except StoreError:
        connection.close()
        raise
    return connection


def _create(directory: str, path: str, busy_s: float) -> None:
    # Made under another name, synced, then renamed: nobody ever sees half a schema. The lock on the
    # directory guards that only one process does so.
    lock = os.open(directory, os.O_RDONLY)
    try:
        lock_within(
            lock, fcntl.LOCK_EX, busy_s, f"another process is making {path}, and does not come to an end"
        )
        if os.path.exists(path):
            return
        fresh = os.path.join(directory, FRESH)
        fill_database(fresh, lambda _: None)
        os.rename(fresh, path)
        sync(lock)
    finally:
        os.close(lock)


def fill_database(path: str, fill: Callable[[sqlite3.Connection], None]) -> None:
    """Make a database of ours at `path`, in place of any leftover, with what `fill` puts into it; durable."""
    for leftover in (path, path + "-wal", path + "-shm"):
        if os.path.exists(leftover):
            os.unlink(leftover)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            bring_up_to_date(connection)
            fill(connection)
        finally:
            # Closing moves everything from the WAL into the file.
            connection.close()
        sync(file)
    finally:
        os.close(file)


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    application = _number(connection, "PRAGMA application_id")
    version = layout_of(connection)
    if application != _APPLICATION:
        raise StoreError(
            f"{path} is a database, but not a log of hames: move it away, or set another directory"
        )
    if version > SCHEMA:
        raise NewerLog(
            f"{path} was written by a newer hames (layout {version}, this one reads up to {SCHEMA}): "
            "upgrade hames"
        )
    for setting in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "fullfsync = ON",
        "checkpoint_fullfsync = ON",
        "temp_store = MEMORY",
        f"journal_size_limit = {_WAL_KEPT_BYTES}",
    ):
        connection.execute(f"PRAGMA {setting}").close()
    if version < SCHEMA:
        bring_up_to_date(connection)


def _number(connection: sqlite3.Connection, query: str) -> int:
    return int(connection.execute(query).fetchone()[0])


def lenient(data: bytes) -> str:
    """Text, for a connection that looks for damage: what is not quite text has a wrong hash anyway."""
    return data.decode(errors="replace")


def database_error(error: sqlite3.Error, directory: str) -> StoreError:
    """What a failure of SQLite means for the person."""
    # Errors of the Python module itself carry no code.
    code = int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
    path = os.path.join(directory, DATABASE)
    match code:
        case sqlite3.SQLITE_FULL:
            return _full(directory)
        case sqlite3.SQLITE_IOERR:
            # SQLite does not say which error of the system it met, so meet it again.
            trouble = _try_to_write(directory)
            if trouble is not None:
                return file_error(trouble, directory)
            return StoreError(f"the disk failed under {path}: {error}")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreError(
                f"{path} is locked by another process: find it with `fuser {path}` "
                "and let it finish, or end it"
            )
        case sqlite3.SQLITE_NOTADB:
            return StoreError(f"{path} is not a log of hames: move it away, or set another directory")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_CONSTRAINT:
            return DamagedLog(f"{path} is damaged: {error}; run `hames sessions check`, then `repair`")
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return StoreError(
                f"cannot write {path}: {error}; make {directory} writable, or set another directory"
            )
        case _:
            return StoreError(f"{path}: {error}")


def file_error(error: OSError, directory: str) -> StoreError:
    """What a failure of the system means for the person."""
    if error.errno in NO_ROOM:
        return _full(directory)
    path = str(error.filename or directory)
    reason = error.strerror or str(error)
    if error.errno in _REFUSED:
        return StoreError(
            f"cannot write {path}: {reason}; make {directory} writable, or set another directory"
        )
    return StoreError(f"cannot use {path}: {reason}")


def _full(directory: str) -> StoreFull:
    return StoreFull(
        f"no space is left for the log in {directory}: free some, then go on. "
        "Nothing that was acknowledged is lost"
    )


def _try_to_write(directory: str) -> OSError | None:
    probe = os.path.join(directory, f"{PROBE}{os.getpid()}")
    try:
        sizes = [os.stat(os.path.join(directory, name)).st_size for name in (DATABASE, f"{DATABASE}-wal")]
        file = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        return error
    try:
        # As far out as the log's own files reach, to meet a limit on the size of files as well.
        os.pwrite(file, bytes(256 * 1024), max(sizes))
        sync(file)
    except OSError as error:
        return error
    finally:
        os.close(file)
        os.unlink(probe)
    return None
