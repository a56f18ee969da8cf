"""Blobs as rows: small ones whole, big ones as the note that there is a file."""

from collections.abc import Sequence
from sqlite3 import Connection

import msgspec

from hames.core.errors import DamagedLog
from hames.core.ids import BlobId
from hames.stores.blob_files import BlobFiles

_ADD = "INSERT INTO blob (sha256, size, data, at_ms) VALUES (?, ?, ?, ?) ON CONFLICT (sha256) DO NOTHING"
_BROUGHT_AGAIN = "UPDATE blob SET at_ms = ? WHERE sha256 = ?"
_BLOB = "SELECT size, CAST(data AS BLOB) FROM blob WHERE sha256 = ?"
_SIZES = "SELECT size, length(CAST(data AS BLOB)) FROM blob WHERE sha256 = ?"


class Piece(msgspec.Struct, frozen=True):
    """A blob as its row: without `data` when it is in a file."""

    blob: BlobId
    size: int
    data: bytes | None


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


def find(connection: Connection, blob: BlobId) -> Piece:
    """The row of a blob. Raises `DamagedLog`."""
    found = connection.execute(_BLOB, (blob,)).fetchone()
    if found is None:
        raise DamagedLog(f"blob {blob} is missing")
    return Piece(blob, *found)


def sizes(connection: Connection, blob: BlobId) -> tuple[int, int | None]:
    """The size that is listed, and the one that the row has, if it has the bytes. Raises `DamagedLog`."""
    found = connection.execute(_SIZES, (blob,)).fetchone()
    if found is None:
        raise DamagedLog(f"blob {blob} is missing")
    return found
