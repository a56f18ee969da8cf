"""Removing what nobody needs: blobs that no entry names, and whole sessions. All of it blocks.

A running session may have brought a blob that it is only about to name. So a blob goes only if it was
brought before the oldest claim of those that are held now, and nobody brings a file or commits meanwhile.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from sqlite3 import Connection

import msgspec

from hames.core.ids import BlobId, SessionId
from hames.core.ports import Deleted
from hames.stores.blob_files import BlobFiles
from hames.stores.locks import Taken
from hames.stores.naming import mentioned
from hames.stores.pieces import drop
from hames.stores.rows import missing

GRACE_S = 600
"""How far a clock may have been set back since a blob was brought."""

_ENTRIES = "SELECT rowid, COALESCE(CAST(data AS BLOB), x'') FROM event WHERE rowid > ? AND session <> ?"
_LETTERS = """
SELECT COALESCE(CAST(data AS BLOB), x'') FROM inbox WHERE session <> ?
UNION ALL SELECT COALESCE(CAST(data AS BLOB), x'') FROM outbox WHERE session <> ?
"""
_OWN = """
SELECT COALESCE(CAST(data AS BLOB), x'') FROM event WHERE session = ?
UNION ALL SELECT COALESCE(CAST(data AS BLOB), x'') FROM inbox WHERE session = ?
UNION ALL SELECT COALESCE(CAST(data AS BLOB), x'') FROM outbox WHERE session = ?
"""
_BLOBS = "SELECT sha256 FROM blob"
_BLOB = "SELECT at_ms, data IS NULL FROM blob WHERE sha256 = ?"
_TIP = "SELECT title, head, head_hash FROM session WHERE id = ?"
_COUNT = "SELECT COUNT(*) FROM event WHERE session = ?"
_BURY = "INSERT OR REPLACE INTO deleted (id, at_ms, events, head_hash) VALUES (?, ?, ?, ?)"
_UNUSED = """
SELECT id FROM session WHERE head = 0
AND id NOT IN (SELECT session FROM inbox UNION SELECT session FROM event)
"""


class Taking(msgspec.Struct, frozen=True):
    """Blobs whose rows are gone. Their files go when that is committed. `waiting` ones may be wanted."""

    blobs: tuple[BlobId, ...]
    files: tuple[str, ...]
    waiting: int


class Wanted:
    """Which of some blobs nothing mentions. Looked at twice: at leisure, and, for what came since, when
    nobody can commit."""

    def __init__(self, connection: Connection, blobs: Iterable[str], apart_from: SessionId) -> None:
        self._connection = connection
        self._apart_from = apart_from
        self._read = 0
        self.unnamed = set(blobs)

    def look(self) -> None:
        """Take out those that an entry names, of all entries since the last look."""
        for row, data in self._connection.execute(_ENTRIES, (self._read, self._apart_from)):
            self._read = max(self._read, row)
            self.unnamed.difference_update(mentioned(data))
        for (data,) in self._connection.execute(_LETTERS, (self._apart_from, self._apart_from)):
            self.unnamed.difference_update(mentioned(data))


def blobs_there(connection: Connection, files: BlobFiles) -> set[str]:
    """The addresses of all blobs: those with a row, and files without one."""
    return {str(name) for (name,) in connection.execute(_BLOBS)} | set(_addresses(files))


def blobs_of(connection: Connection, session: SessionId) -> set[str]:
    """Everything that this session mentions and that could be a blob."""
    rows = connection.execute(_OWN, (session,) * 3)
    return {blob for (data,) in rows for blob in mentioned(data)}


def stray_files(connection: Connection, files: BlobFiles) -> int:
    """How many blob files no row knows."""
    known = {str(name) for (name,) in connection.execute(_BLOBS)}
    return sum(1 for address in _addresses(files) if address not in known)


def _addresses(files: BlobFiles) -> list[str]:
    names = (os.path.basename(path) for path, _ in files.all())
    return [name for name in names if len(name) == 64]


def take_out(connection: Connection, files: BlobFiles, wanted: Wanted, living: Sequence[Taken]) -> Taking:
    """Remove the rows of blobs that nothing names. In a transaction, while no file is brought."""
    wanted.look()
    rows_before_ms = min((each.since_ms for each in living), default=2**62) - GRACE_S * 1000 * bool(living)
    files_before = min((each.since for each in living), default=2.0**62) - GRACE_S * bool(living)
    gone: list[BlobId] = []
    paths: list[str] = []
    waiting = 0
    for name in sorted(wanted.unnamed):
        blob = BlobId(name)
        found = connection.execute(_BLOB, (blob,)).fetchone()
        path = files.path(blob)
        in_file = found is None or found[1]
        if (found is not None and found[0] >= rows_before_ms) or (in_file and _changed(path) >= files_before):
            waiting += 1
            continue
        if found is not None:
            drop(connection, blob)
        elif not os.path.exists(path):
            continue
        gone.append(blob)
        paths.extend([path] if in_file else [])
    return Taking(tuple(gone), tuple(paths), waiting)


def _changed(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0


def bury(connection: Connection, session: SessionId, now_ms: int) -> Deleted:
    """Remove the rows of a session, and leave one that says so. In a transaction, by its owner.

    Raises `SessionMissing`.
    """
    tip = connection.execute(_TIP, (session,)).fetchone()
    (events,) = connection.execute(_COUNT, (session,)).fetchone()
    if tip is None and not events:
        raise missing(session)
    title, head, head_hash = tip or ("", events, "")
    for table, column in (
        ("event", "session"),
        ("inbox", "session"),
        ("outbox", "session"),
        ("checkpoint", "session"),
        ("session", "id"),
    ):
        connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (session,))  # noqa: S608 - names of ours
    connection.execute(_BURY, (session, now_ms, head, head_hash))
    return Deleted(session, title, events, 0)


def drop_unused(connection: Connection, living: Sequence[Taken]) -> None:
    """Forget sessions that were claimed and never begun. In a transaction."""
    owned = {taken.session for taken in living}
    for (session,) in connection.execute(_UNUSED).fetchall():
        if session not in owned:
            connection.execute("DELETE FROM session WHERE id = ?", (session,))


def unlink(paths: Iterable[str]) -> None:
    """Remove these files."""
    for path in paths:
        with suppress(FileNotFoundError):
            os.unlink(path)
