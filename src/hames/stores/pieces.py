"""Blobs as rows: small ones whole, big ones as the note that there is a file."""

from collections.abc import Sequence
from sqlite3 import Connection

import msgspec

from hames.core.errors import DamagedLog
from hames.core.ids import BlobId, blob_id
from hames.stores.blob_files import BlobFiles
from hames.stores.rows import blob_missing

_ADD = "INSERT INTO blob (sha256, size, data, at_ms) VALUES (?, ?, ?, ?) ON CONFLICT (sha256) DO NOTHING"
_BROUGHT_AGAIN = "UPDATE blob SET at_ms = ? WHERE sha256 = ?"
_BLOB = "SELECT size, CAST(data AS BLOB) FROM blob WHERE sha256 = ?"
_DROP = "DELETE FROM blob WHERE sha256 = ?"
_RESIZE = "UPDATE blob SET size = ? WHERE sha256 = ?"
_SIZES = "SELECT size, length(CAST(data AS BLOB)) FROM blob WHERE sha256 = ?"


class Piece(msgspec.Struct, frozen=True):
    """A blob as its row: without `data` when it is in a file."""

    blob: BlobId
    size: int
    data: bytes | None


def whole(data: bytes) -> Piece:
    """A blob that is its row alone."""
    return Piece(blob_id(data), len(data), data)


def bring(connection: Connection, pieces: Sequence[Piece], at_ms: int) -> int:
    """Add these; the bytes that are new. A known one counts as brought now: it may be about to be named."""
    new_bytes = 0
    for piece in pieces:
        if connection.execute(_ADD, (piece.blob, piece.size, piece.data, at_ms)).rowcount:
            new_bytes += piece.size
        else:
            connection.execute(_BROUGHT_AGAIN, (at_ms, piece.blob))
    return new_bytes


def hold(connection: Connection, files: BlobFiles, blobs: Sequence[BlobId], at_ms: int) -> bool:
    """Whether all of these are there; if so they count as brought now. In a transaction.

    A sweep drops the row of a blob in a transaction, and the file after it: where the row is still there, the
    file stays, too. Raises `OSError`.
    """
    try:
        for blob in blobs:
            size, kept = sizes(connection, blob)
            if size != (files.size(blob) if kept is None else kept):
                return False
    except DamagedLog:
        return False
    connection.executemany(_BROUGHT_AGAIN, [(at_ms, blob) for blob in blobs])
    return True


def find(connection: Connection, blob: BlobId) -> Piece | None:
    """The row of a blob, if there is one."""
    found = connection.execute(_BLOB, (blob,)).fetchone()
    return None if found is None else Piece(blob, *found)


def drop(connection: Connection, blob: BlobId) -> None:
    """Remove the row of a blob. In a transaction."""
    connection.execute(_DROP, (blob,))


def resize(connection: Connection, piece: Piece, size: int) -> None:
    """List a blob with the size that it has. In a transaction."""
    if piece.size != size:
        connection.execute(_RESIZE, (size, piece.blob))


def sizes(connection: Connection, blob: BlobId) -> tuple[int, int | None]:
    """The size that is listed, and the one that the row has, if it has the bytes. Raises `DamagedLog`."""
    found = connection.execute(_SIZES, (blob,)).fetchone()
    if found is None:
        raise blob_missing(blob)
    return found
