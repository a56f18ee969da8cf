"""Looking at every byte of a session, and making its log hold again. Everything here blocks."""

import os
from collections.abc import Sequence
from sqlite3 import Connection
from typing import NamedTuple

import msgspec

from hames.core.errors import NewerLog
from hames.core.events import AnyEvent, Repaired
from hames.core.ids import BlobId, SessionId, blob_id
from hames.core.ports import Damage
from hames.stores import rows
from hames.stores.blob_files import BlobFiles, address
from hames.stores.layout import ADD_EVENT, FIND_EVENTS
from hames.stores.mending import Examined, Tip, Trouble, examine, mend
from hames.stores.naming import named_blobs
from hames.stores.pieces import Piece, bring, drop, find, resize, whole

_TIP = "SELECT epoch, head, head_hash, workspace FROM session WHERE id = ?"
_ROWS = FIND_EVENTS + "AND typeof(seq) = 'integer' ORDER BY seq"
_STRAYS = "SELECT COUNT(*) FROM event WHERE session = ? AND typeof(seq) <> 'integer'"
_SESSIONS = "SELECT id FROM session UNION SELECT DISTINCT session FROM event"
_DROP_EVENTS = "DELETE FROM event WHERE session = ?"
_MOVE_TIP = "UPDATE session SET epoch = ?, head = ?, head_hash = ? WHERE id = ?"
_LIST = """
INSERT INTO session (id, epoch, head, head_hash, opened_ms, changed_ms, bytes, workspace, title, ending)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


class _Spoilt(NamedTuple):
    """What is wrong with a blob. `kept` is the address of the bytes that are in its place."""

    what: str
    kept: BlobId | None = None
    is_size: bool = False


class Examiner:
    """Checks sessions over one connection. A blob that several name is looked at once."""

    def __init__(self, connection: Connection, files: BlobFiles) -> None:
        self._connection = connection
        self._files = files
        self._seen: dict[BlobId, _Spoilt | None] = {}

    def sessions(self) -> list[SessionId]:
        """Every session that has anything in the store, listed or not."""
        return [SessionId(str(name)) for (name,) in self._connection.execute(_SESSIONS)]

    def look(self, session: SessionId) -> tuple[Examined, list[Damage]]:
        """What is wrong with `session`, and what earlier repairs have said is gone.

        Raises `SessionMissing`.
        """
        tip = self._connection.execute(_TIP, (session,)).fetchone()
        stored = [rows.Row(*columns) for columns in self._connection.execute(_ROWS, (session,))]
        (strays,) = self._connection.execute(_STRAYS, (session,)).fetchone()
        if tip is None and not stored and not strays:
            raise rows.missing(session)
        examined = examine(session, None if tip is None else Tip(*tip), stored, strays)
        kept = [(place.seq, _event(place.row)) for place in examined.places if place.row is not None]
        repairs = [(seq, event) for seq, event in kept if isinstance(event, Repaired)]
        gone = {blob for _, event in repairs for blob in event.blobs}
        named = {blob: seq for seq, event in reversed(kept) if event for blob in named_blobs(event)}
        spoilt = [(seq, blob, self._blob(blob)) for blob, seq in named.items() if blob not in gone]
        found = [
            Trouble(seq, f"blob {blob} {was.what}", None if was.is_size else blob, kept=was.kept)
            for seq, blob, was in spoilt
            if was is not None
        ]
        whole = msgspec.structs.replace(examined, troubles=[*examined.troubles, *found])
        return whole, [_told(session, seq, event) for seq, event in repairs]

    def _blob(self, blob: BlobId) -> _Spoilt | None:
        if blob not in self._seen:
            self._seen[blob] = self._look_at_blob(blob)
        return self._seen[blob]

    def _look_at_blob(self, blob: BlobId) -> _Spoilt | None:
        piece = find(self._connection, blob)
        if piece is None:
            return _Spoilt("is missing")
        if piece.data is not None:
            there, length = blob_id(piece.data), len(piece.data)
        else:
            try:
                there, length = address(self._files.path(blob))
            except FileNotFoundError:
                return _Spoilt("is missing")
            except OSError as error:
                return _Spoilt(f"cannot be read: {error.strerror}")
        if there != blob:
            return _Spoilt("does not match its address", there)
        if piece.size != length:
            return _Spoilt(f"is listed with {piece.size} bytes and has {length}", is_size=True)
        return None


def _told(session: SessionId, seq: int, event: Repaired) -> Damage:
    return Damage(session, seq if event.first <= seq <= event.last else event.first, event.reason)


def repair(connection: Connection, files: BlobFiles, examined: Examined, at_ms: int) -> None:
    """Write what can be kept, and tombstones for the rest. In a transaction, by the session's owner."""
    for place in examined.places:
        if place.row is None and place.data:
            bring(connection, (whole(place.data),), at_ms)
    for trouble in examined.troubles:
        if trouble.blob is not None:
            _put_aside(connection, files, trouble.blob, trouble.kept, at_ms)
    for place in examined.places:
        if place.row is not None and (event := _event(place.row)) is not None:
            _resize(connection, files, named_blobs(event))
    epoch = examined.epoch + 1
    made = mend(examined, epoch, at_ms)
    connection.execute(_DROP_EVENTS, (examined.session,))
    connection.executemany(ADD_EVENT, [msgspec.structs.astuple(row) for row in made])
    head, head_hash = (made[-1].seq, made[-1].hash) if made else (0, rows.GENESIS)
    if not connection.execute(_MOVE_TIP, (epoch, head, head_hash, examined.session)).rowcount:
        _list_again(connection, examined.session, made)


def _event(row: rows.Row) -> AnyEvent | None:
    try:
        return rows.decoded(row)
    except NewerLog:
        return None


def _put_aside(
    connection: Connection, files: BlobFiles, blob: BlobId, there: BlobId | None, at_ms: int
) -> None:
    """Take the wrong bytes out of the place of `blob`, and keep them under their own address."""
    wrong = find(connection, blob)
    drop(connection, blob)
    if there is None or wrong is None:
        return
    if wrong.data is None:
        path = files.path(blob)
        aside = Piece(there, os.stat(path).st_size, None)
        files.take(path, there, aside.size)
    else:
        aside = whole(wrong.data)
    bring(connection, (aside,), at_ms)


def _resize(connection: Connection, files: BlobFiles, blobs: Sequence[BlobId]) -> None:
    for blob in blobs:
        piece = find(connection, blob)
        if piece is not None:
            resize(connection, piece, files.size(blob) if piece.data is None else len(piece.data))


def _list_again(connection: Connection, session: SessionId, made: Sequence[rows.Row]) -> None:
    pairs = [(row, _event(row)) for row in made]
    known = rows.summary([rows.Draft(event, row.type, row.data) for row, event in pairs if event])
    first, last = made[0], made[-1]
    listed = (known.workspace or "", known.title or "", known.ending or "open")
    size = sum(len(row.data) for row in made)
    values = (session, last.epoch, last.seq, last.hash, first.at_ms, last.at_ms, size, *listed)
    connection.execute(_LIST, values)
