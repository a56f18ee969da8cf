"""A damaged database file: everything that can still be read goes into a new one. All of it blocks."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial

from hames.stores.database import FRESH, SALVAGED, fill_database, lenient
from hames.stores.directory import DATABASE, sync_directory
from hames.stores.layout import COLUMNS

_TOP = 2**40
"""No row has a higher number than this."""

_PROBES = 50_000
"""Ranges that are tried before the rest of a table is given up."""


def is_damaged(connection: sqlite3.Connection) -> bool:
    """Whether SQLite finds the file inconsistent. Reads all of it."""
    try:
        return connection.execute("PRAGMA integrity_check(1)").fetchall() != [("ok",)]
    except sqlite3.DatabaseError as error:
        if is_corruption(error):
            return True
        raise


def is_corruption(error: sqlite3.Error) -> bool:
    """Whether the file itself is the trouble."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF == sqlite3.SQLITE_CORRUPT


def salvage(directory: str, now: float) -> str:
    """Replace the damaged `log.db` in `directory`; returns where it is kept, whole, with its WAL.

    For the only process that has the store open. A salvage that was stopped half-way is gone on with.
    Raises `OSError` and `sqlite3.Error`.
    """
    path, fresh = os.path.join(directory, DATABASE), os.path.join(directory, SALVAGED)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    aside = f"{path}.damaged-{stamp}"
    if not os.path.exists(fresh):
        made = os.path.join(directory, FRESH)
        with closing(_raw(path)) as old:
            fill_database(made, partial(_copy_all, old))
        os.rename(made, fresh)
    # The old one has a second name before it loses its first, and its WAL is never seen beside the new one.
    for suffix in ("", "-wal"):
        if os.path.exists(path + suffix) and not os.path.exists(aside + suffix):
            os.link(path + suffix, aside + suffix)
    sync_directory(directory)
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.unlink(path + suffix)
    sync_directory(directory)
    os.rename(fresh, path)
    sync_directory(directory)
    return aside


def _raw(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    # Damaged text must not stop the reading: its hash will say that it is damaged.
    connection.text_factory = lenient
    return connection


def _copy_all(old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    new.execute("BEGIN")
    for table, columns in COLUMNS.items():
        _copy(old, new, table, columns)
    new.execute("COMMIT")


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, table: str, columns: tuple[str, ...]) -> None:
    found = {name for _, name, *_ in old.execute(f"PRAGMA table_info({table})")}
    there = [name for name in columns if name in found]
    if not there:
        return
    names, marks = ", ".join(there), ", ".join("?" * len(there))
    # A row that breaks a rule of the table was damaged: the check will find that it is missing.
    insert = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - names of ours
    for row in _rows(old, table, names):
        new.execute(insert, row)


def _rows(old: sqlite3.Connection, table: str, names: str) -> Iterator[tuple[object, ...]]:
    """Every row that can be reached, from both sides of what cannot.

    Where neither end of a range can be read it is halved, until the probes are used up.
    """
    select = f"SELECT rowid, {names} FROM {table} NOT INDEXED WHERE rowid BETWEEN ? AND ? ORDER BY rowid"  # noqa: S608 - as above
    ranges = [(-1, _TOP)]
    probes = 0
    while ranges and probes < _PROBES:
        low, high = ranges.pop()
        probes += 1
        for order in ("", " DESC"):
            try:
                for row in old.execute(select + order, (low, high)):
                    low, high = (row[0] + 1, high) if not order else (low, row[0] - 1)
                    yield row[1:]
                break
            except sqlite3.DatabaseError as error:
                if not is_corruption(error):
                    raise
        else:
            if low < high:
                middle = (low + high) // 2
                ranges += [(middle + 1, high), (low, middle)]
