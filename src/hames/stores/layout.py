"""The tables of the store, and how those of an older layout become these."""

from sqlite3 import Connection

SCHEMA = 3
"""The layout of the tables. Raised when they change."""

# The types are understood by SQLite and PostgreSQL alike.
_FIRST = (
    """CREATE TABLE session (
    id TEXT PRIMARY KEY,
    epoch BIGINT NOT NULL,
    head BIGINT NOT NULL,
    head_hash TEXT NOT NULL,
    opened_ms BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    workspace TEXT NOT NULL,
    title TEXT NOT NULL,
    ending TEXT NOT NULL
)""",
    """CREATE TABLE event (
    session TEXT NOT NULL,
    seq BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    type TEXT NOT NULL,
    v INTEGER NOT NULL,
    ignorable INTEGER NOT NULL,
    data BYTEA NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (session, seq)
)""",
    """CREATE TABLE blob (
    sha256 TEXT PRIMARY KEY,
    size BIGINT NOT NULL,
    data BYTEA
)""",
)

_SECOND = (
    # When it was last brought: a blob is swept only if that was before anybody now at work began.
    "ALTER TABLE blob ADD COLUMN at_ms BIGINT NOT NULL DEFAULT 0",
    """CREATE TABLE deleted (
    id TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    events BIGINT NOT NULL,
    head_hash TEXT NOT NULL,
    PRIMARY KEY (id, at_ms)
)""",
    # What comes from outside. `seq`: the entry that recorded it; until then it waits.
    """CREATE TABLE inbox (
    session TEXT NOT NULL,
    place BIGINT NOT NULL,
    dedup TEXT NOT NULL,
    kind TEXT NOT NULL,
    data BYTEA NOT NULL,
    put_ms BIGINT NOT NULL,
    seq BIGINT,
    PRIMARY KEY (session, place),
    UNIQUE (session, dedup)
)""",
    # What goes out, each with its idempotency key. `seq`: the entry that it was decided with.
    """CREATE TABLE outbox (
    session TEXT NOT NULL,
    idem_key TEXT NOT NULL,
    seq BIGINT NOT NULL,
    kind TEXT NOT NULL,
    data BYTEA NOT NULL,
    made_ms BIGINT NOT NULL,
    sent_ms BIGINT,
    PRIMARY KEY (session, idem_key)
)""",
)

_THIRD = (
    # What the log of a session comes to at `seq`, where the row has `hash`: only to save time.
    """CREATE TABLE checkpoint (
    session TEXT PRIMARY KEY,
    seq BIGINT NOT NULL,
    hash TEXT NOT NULL,
    maker TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    data BYTEA NOT NULL
)""",
)

COLUMNS: dict[str, tuple[str, ...]] = {
    "session": (
        *("id", "epoch", "head", "head_hash", "opened_ms", "changed_ms"),
        *("bytes", "workspace", "title", "ending"),
    ),
    "event": ("session", "seq", "epoch", "at_ms", "type", "v", "ignorable", "data", "hash"),
    "blob": ("sha256", "size", "data", "at_ms"),
    "deleted": ("id", "at_ms", "events", "head_hash"),
    "inbox": ("session", "place", "dedup", "kind", "data", "put_ms", "seq"),
    "outbox": ("session", "idem_key", "seq", "kind", "data", "made_ms", "sent_ms"),
    "checkpoint": ("session", "seq", "hash", "maker", "sha256", "data"),
}
"""Every table of this layout."""

ADD_EVENT = """
INSERT INTO event (session, seq, epoch, at_ms, type, v, ignorable, data, hash)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
"""Takes the fields of a `Row`."""

FIND_EVENTS = """
SELECT session, seq, epoch, at_ms, type, v, ignorable, COALESCE(CAST(data AS BLOB), x''), hash
FROM event WHERE session = ?
"""
"""Gives the fields of a `Row`; also of a damaged one. To be followed by `AND`, or by an order."""

_STEPS = (_FIRST, _SECOND, _THIRD)
"""What is to be done to come from each layout, 0 being an empty file, to the next one."""


def bring_up_to_date(connection: Connection) -> None:
    """Make the tables of this layout out of those that are there, in one commit."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Only now nobody else can do the same.
        version = layout_of(connection)
        for step in _STEPS[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {max(version, SCHEMA)}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def layout_of(connection: Connection) -> int:
    """The layout of the tables that are there."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
