"""The last snapshot of a session, from the few events that tell of it."""

from collections.abc import Iterable, Iterator
from sqlite3 import Connection

from hames.core.errors import NewerLog
from hames.core.events import FilesRestored, SnapshotTaken
from hames.core.ids import BlobId, SessionId
from hames.core.ports import Past
from hames.stores.rows import Row, decoded

SNAPSHOTS = (SnapshotTaken.__name__, FilesRestored.__name__)
"""The types of events that say which tree the workspace was left with."""

_SESSIONS = "SELECT id FROM session WHERE workspace = ? ORDER BY changed_ms DESC, id DESC"
# A damaged version is no error here, so it must come as a number. No other event's data is read.
_EVENTS = """
SELECT seq, type, CAST(v AS INTEGER), COALESCE(CAST(data AS BLOB), x'')
FROM event WHERE session = ? AND type IN (?, ?) ORDER BY seq
"""


def snapshots(connection: Connection, workspace: str) -> list[Row]:
    """The events that tell of snapshots, of the last session in `workspace` that has any. Their hashes are
    left out: the chain cannot be checked without the rest."""
    for (session,) in connection.execute(_SESSIONS, (workspace,)).fetchall():
        if found := list(_snapshots(connection, SessionId(session))):
            return found
    return []


def _snapshots(connection: Connection, session: SessionId) -> Iterator[Row]:
    for seq, kind, version, data in connection.execute(_EVENTS, (session, *SNAPSHOTS)):
        yield Row(session, seq, 0, 0, kind, version, 1, data, "")


def past(rows: Iterable[Row]) -> Past | None:
    """The last tree that these events name, and the packs of all of them, each once, in order.

    None when there is no tree, and when one of them cannot be read.
    """
    tree: BlobId | None = None
    packs: dict[BlobId, None] = {}
    for row in rows:
        try:
            event = decoded(row)
        except NewerLog:
            return None
        match event:
            case SnapshotTaken():
                tree = event.tree
                packs.update(dict.fromkeys(event.packs))
            case FilesRestored():
                tree = event.tree
            case _:
                return None
    return None if tree is None else Past(tree, tuple(packs))
