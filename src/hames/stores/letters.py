"""What waits to be heard by a session, and what it has still to send: the tables inbox and outbox."""

from collections.abc import Iterable, Sequence
from sqlite3 import Connection

from hames.core.events import AnyEvent, ApprovalAnswered, ChildReported, UserSpoke
from hames.core.ids import SessionId
from hames.core.ports import Arrival, Departure, Unsent, answer_key
from hames.stores.rows import missing

_IS_THERE = "SELECT 1 FROM session WHERE id = ?"
_PUT = """
INSERT INTO inbox (session, place, dedup, kind, data, put_ms)
SELECT ?, COALESCE(MAX(place), 0) + 1, ?, ?, ?, ? FROM inbox WHERE session = ?
ON CONFLICT (session, dedup) DO NOTHING
"""
_WAITING = """
SELECT kind, CAST(data AS BLOB), dedup FROM inbox WHERE session = ? AND seq IS NULL ORDER BY place
"""
_SETTLE = "UPDATE inbox SET seq = ? WHERE session = ? AND dedup = ? AND seq IS NULL"
_SEND = """
INSERT INTO outbox (session, idem_key, seq, kind, data, made_ms) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (session, idem_key) DO NOTHING
"""
_UNSENT = """
SELECT session, seq, idem_key, kind, CAST(data AS BLOB) FROM outbox
WHERE sent_ms IS NULL AND (session = ? OR ? IS NULL) ORDER BY made_ms, session, seq, idem_key
"""
_SENT = "UPDATE outbox SET sent_ms = ? WHERE session = ? AND idem_key = ? AND sent_ms IS NULL"


def heard(events: Iterable[AnyEvent]) -> list[str]:
    """The keys of what these events record: it need not wait any more."""
    keys: list[str] = []
    for event in events:
        match event:
            case UserSpoke(dedup=str(key)):
                keys.append(key)
            case ApprovalAnswered(call=call):
                keys.append(answer_key(call))
            case ChildReported(child=child):
                keys.append(f"child/{child}")
            case _:
                pass
    return keys


def put(connection: Connection, session: SessionId, arrival: Arrival, at_ms: int) -> bool:
    """Let it wait; False when its key is known. Raises `SessionMissing`."""
    if connection.execute(_IS_THERE, (session,)).fetchone() is None:
        raise missing(session)
    values = (session, arrival.dedup, arrival.kind, arrival.data, at_ms, session)
    return connection.execute(_PUT, values).rowcount > 0


def waiting(connection: Connection, session: SessionId) -> list[Arrival]:
    """What no event has recorded, in the order of its coming."""
    return [Arrival(*columns) for columns in connection.execute(_WAITING, (session,))]


def settle(connection: Connection, session: SessionId, head: int, keys: Iterable[str]) -> None:
    """It was recorded, by an entry up to `head`. In the transaction of that entry."""
    for key in keys:
        connection.execute(_SETTLE, (head, session, key))


def send(
    connection: Connection, session: SessionId, head: int, departures: Sequence[Departure], at_ms: int
) -> None:
    """Let these wait to be sent. In the transaction of the entries that they were decided with."""
    for each in departures:
        connection.execute(_SEND, (session, each.key, head, each.kind, each.data, at_ms))


def unsent(connection: Connection, session: SessionId | None) -> list[Unsent]:
    """What is still to be sent, the oldest first; of all sessions for None."""
    found = connection.execute(_UNSENT, (session, session))
    return [Unsent(name, seq, Departure(*rest)) for name, seq, *rest in found]


def sent(connection: Connection, session: SessionId, key: str, at_ms: int) -> None:
    """It has been sent."""
    connection.execute(_SENT, (at_ms, session, key))
