"""What the log of a session comes to at some entry: a cache, so that a resume need not read it all."""

from sqlite3 import Connection

from hames.core.ids import SessionId, blob_id
from hames.core.ports import Checkpoint, Claim

_KEEP = """
INSERT INTO checkpoint (session, seq, hash, maker, sha256, data)
SELECT id, head, head_hash, ?, ?, ? FROM session WHERE id = ? AND epoch = ? AND head = ?
ON CONFLICT (session) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, maker = excluded.maker,
    sha256 = excluded.sha256, data = excluded.data
"""
_FIND = """
SELECT c.seq, c.sha256, CAST(c.data AS BLOB) FROM checkpoint c
JOIN event e ON e.session = c.session AND e.seq = c.seq AND e.hash = c.hash
WHERE c.session = ? AND c.maker = ?
"""


def keep(connection: Connection, claim: Claim, maker: str, data: bytes) -> None:
    """Keep it in place of the one before, if the claim holds. In a transaction."""
    owned = (claim.session, claim.epoch, claim.head)
    connection.execute(_KEEP, (maker, blob_id(data), data, *owned))


def find(connection: Connection, session: SessionId, maker: str) -> Checkpoint | None:
    """The one that is kept, if it is whole, of this maker, and the log has the entry that it ends with."""
    row = connection.execute(_FIND, (session, maker)).fetchone()
    if row is None or row[2] is None or blob_id(row[2]) != row[1]:
        return None
    return Checkpoint(row[0], row[2])
