"""The default store: one SQLite file in a state directory, with big payloads as files beside it."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from sqlite3 import Connection
from types import TracebackType
from typing import Self, TypeVar, TypeVarTuple

import anyio
import anyio.to_thread
import msgspec

from hames.core.errors import DamagedLog, StoreError
from hames.core.events import AnyEvent, Entry, TurnEnded
from hames.core.ids import BlobId, SessionId, blob_id
from hames.core.limits import INLINE_BYTES
from hames.core.ports import Arrival, Checkpoint, Claim, Clock, Departure, Past, SessionRow, Unsent
from hames.stores import checkpoints, letters, rows
from hames.stores.blob_files import BlobFiles, address
from hames.stores.database import file_error
from hames.stores.directory import BLOBS, BUSY_S, LOCKS
from hames.stores.layout import ADD_EVENT, FIND_EVENTS
from hames.stores.locks import SessionLocks
from hames.stores.past import past, snapshots
from hames.stores.pieces import Piece, bring, find, hold, sizes, whole
from hames.stores.writer import Writer

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

_CLAIM = """
INSERT INTO session (id, epoch, head, head_hash, opened_ms, changed_ms, bytes, workspace, title, ending)
VALUES (?, 1, 0, ?, ?, ?, 0, '', '', 'open')
ON CONFLICT (id) DO UPDATE SET epoch = session.epoch + 1
RETURNING epoch, head
"""
_RELEASE = "UPDATE session SET epoch = epoch + 1 WHERE id = ? AND epoch = ?"
_TIP = "SELECT head_hash FROM session WHERE id = ? AND epoch = ? AND head = ?"
_OWNER = "SELECT epoch, head FROM session WHERE id = ?"
_MOVE_HEAD = """
UPDATE session SET head = ?, head_hash = ?, changed_ms = ?, bytes = bytes + ?,
    workspace = COALESCE(?, workspace),
    title = CASE WHEN title = '' THEN COALESCE(?, '') ELSE title END,
    ending = COALESCE(?, ending)
WHERE id = ? AND epoch = ? AND head = ?
"""
_HEAD = "SELECT head, head_hash FROM session WHERE id = ?"
_HASH = "SELECT hash FROM event WHERE session = ? AND seq = ?"
_EVENTS = FIND_EVENTS + "AND seq > ? AND seq <= ? ORDER BY seq"
_SESSIONS = """
SELECT id, workspace, opened_ms, changed_ms, head, bytes, title, ending
FROM session WHERE head > 0 ORDER BY changed_ms DESC, id DESC
"""


class _Addition(msgspec.Struct, frozen=True):
    """What one append brings. `kept_bytes` are of files that were kept before and are named now."""

    claim: Claim
    at_ms: int
    made: Sequence[rows.Draft]
    pieces: Sequence[Piece]
    kept_bytes: int
    outward: Sequence[Departure]


async def open_sqlite(directory: str, clock: Clock, *, busy_s: float = BUSY_S) -> "SqliteStore":
    """The store in `directory`, made if it is not there. `busy_s`: the wait for another process' commit.

    Raises `NewerLog`, `StoreFull`, or a `StoreError` that says what to do.
    """
    store = SqliteStore(directory, clock, busy_s)
    await store.open()
    return store


class SqliteStore:
    """Implements `Store`, `Checkpoints`, `SessionList`, `Arrivals`, `Departures`, `Blobs` and `PastTrees`.

    Made by `open_sqlite`; to be closed, or used in `async with`.
    """

    def __init__(self, directory: str, clock: Clock, busy_s: float) -> None:
        self._clock = clock
        self._writer = Writer(directory, busy_s)
        self._files = BlobFiles(os.path.join(directory, BLOBS))
        self._locks = SessionLocks(os.path.join(directory, LOCKS))
        # Blobs that were taken and have no row yet: they go with the next append.
        self._staged: dict[BlobId, Piece] = {}
        self._owned: dict[SessionId, int] = {}

    async def open(self) -> None:
        """Connect. Called once, by `open_sqlite`."""
        await self._writer.open()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Commit what is staged, let go of the sessions, close the file."""
        with anyio.CancelScope(shield=True):
            try:
                if self._staged:
                    await self._write(_nothing, ending=True)
            finally:
                await self._leave_all()

    async def _leave_all(self) -> None:
        try:
            if self._owned:
                with suppress(StoreError):
                    await self._writer.commit(lambda _: self._locks.leave_all(), ending=True)
            await self._writer.close()
        finally:
            self._locks.leave_all()

    async def claim(self, session: SessionId, *, take_over: bool = False) -> Claim:
        now_ms = self._now_ms()
        taken: list[bool] = []

        def work(connection: Connection) -> Claim:
            try:
                taken.append(self._locks.take(session, now_ms, take_over=take_over))
            except OSError as error:
                raise file_error(error, self._locks.directory) from error
            values = (session, rows.GENESIS, now_ms, now_ms)
            epoch, head = connection.execute(_CLAIM, values).fetchone()
            return Claim(session, epoch, head)

        try:
            claim = await self._writer.commit(work)
        except BaseException:
            if any(taken):
                self._locks.leave(session)
            raise
        self._owned[session] = claim.epoch
        return claim

    async def release(self, claim: Claim) -> None:
        if self._owned.get(claim.session) != claim.epoch:
            return

        def work(connection: Connection) -> None:
            connection.execute(_RELEASE, (claim.session, claim.epoch))
            self._locks.leave(claim.session)

        del self._owned[claim.session]
        await self._write(work, ending=True)

    async def append(
        self,
        claim: Claim,
        events: Sequence[AnyEvent],
        blobs: Sequence[bytes] = (),
        outward: Sequence[Departure] = (),
    ) -> tuple[Claim, tuple[Entry, ...]]:
        made = rows.drafts(events)
        ending = any(isinstance(event, TurnEnded) for event in events)
        await self._writer.make_room(ending=ending)
        pieces = [whole(data) for data in blobs]
        if any(piece.size > INLINE_BYTES for piece in pieces):
            pieces = await self._writer.in_thread(self._put_big, pieces)
        kept_bytes = sum(piece.size for piece in self._staged.values() if _names(made, piece.blob))
        addition = _Addition(claim, self._now_ms(), made, pieces, kept_bytes, outward)
        return await self._write(lambda connection: _append(connection, addition), ending=ending)

    async def read(self, session: SessionId, after: int = 0) -> Sequence[Entry]:
        after = max(after, 0)
        part = await self._writer.read(lambda connection: _select(connection, session, after))
        return await anyio.to_thread.run_sync(rows.entries, part)

    async def checkpoint(self, session: SessionId, maker: str) -> Checkpoint | None:
        return await self._writer.read(lambda connection: checkpoints.find(connection, session, maker))

    async def keep_checkpoint(self, claim: Claim, maker: str, data: bytes) -> None:
        await self._writer.commit(lambda connection: checkpoints.keep(connection, claim, maker, data))

    async def sessions(self) -> Sequence[SessionRow]:
        found = await self._writer.read(lambda connection: connection.execute(_SESSIONS).fetchall())
        return [SessionRow(*columns) for columns in found]

    async def put(self, session: SessionId, arrival: Arrival) -> bool:
        at_ms = self._now_ms()
        return await self._writer.commit(lambda connection: letters.put(connection, session, arrival, at_ms))

    async def waiting(self, session: SessionId) -> Sequence[Arrival]:
        return await self._writer.read(lambda connection: letters.waiting(connection, session))

    async def unsent(self, session: SessionId | None = None) -> Sequence[Unsent]:
        return await self._writer.read(lambda connection: letters.unsent(connection, session))

    async def sent(self, session: SessionId, key: str) -> None:
        at_ms = self._now_ms()
        await self._writer.commit(lambda connection: letters.sent(connection, session, key, at_ms))

    async def get(self, blob: BlobId, start: int = 0, limit: int | None = None) -> bytes:
        start = max(start, 0)
        piece = self._staged.get(blob)
        if piece is None:
            piece = await self._writer.read(lambda connection: find(connection, blob))
        if piece is None:
            raise rows.blob_missing(blob)
        end = piece.size if limit is None else min(start + max(limit, 0), piece.size)
        wanted = max(end - start, 0)
        if piece.data is None:
            data = await self._writer.in_thread(self._files.slice, blob, start, wanted)
        else:
            data = piece.data[start:end]
        if len(data) != wanted or (wanted == piece.size and blob_id(data) != blob):
            raise DamagedLog(f"blob {blob} is damaged: its bytes do not match its address")
        return data

    async def size(self, blob: BlobId) -> int:
        piece = self._staged.get(blob)
        if piece is not None:
            return piece.size
        size, kept = await self._writer.read(lambda connection: sizes(connection, blob))
        if kept is None:
            kept = await self._writer.in_thread(self._files.size, blob)
        if kept != size:
            raise DamagedLog(f"blob {blob} is damaged: {kept} of {size} bytes are there")
        return size

    async def keep_file(self, path: str) -> BlobId:
        piece = await self._writer.in_thread(self._take, path)
        self._staged[piece.blob] = piece
        return piece.blob

    async def last(self, workspace: str) -> Past | None:
        try:
            return await self._writer.read(lambda connection: past(snapshots(connection, workspace)))
        except DamagedLog:
            # Damage there is damage of other sessions: whoever opens one of them is told.
            return None

    async def hold(self, blobs: Sequence[BlobId]) -> bool:
        wanted = [blob for blob in blobs if blob not in self._staged]
        at_ms = self._now_ms()

        def work(connection: Connection) -> bool:
            try:
                return hold(connection, self._files, wanted, at_ms)
            except OSError as error:
                raise file_error(error, self._locks.directory) from error

        return await self._writer.commit(work)

    def _now_ms(self) -> int:
        return int(self._clock.now() * 1000)

    async def _write(self, work: Callable[[Connection], T], *, ending: bool = False) -> T:
        staged = tuple(self._staged.values())
        if not staged:
            return await self._writer.commit(work, ending=ending)

        at_ms = self._now_ms()

        def with_staged(connection: Connection) -> T:
            bring(connection, staged, at_ms)
            return work(connection)

        result = await self._writer.commit(with_staged, ending=ending)
        for piece in staged:
            self._staged.pop(piece.blob, None)
        return result

    def _put_big(self, pieces: Sequence[Piece]) -> list[Piece]:
        return [self._put(piece) for piece in pieces]

    def _put(self, piece: Piece) -> Piece:
        if piece.data is None or piece.size <= INLINE_BYTES:
            return piece
        self._files.put(piece.blob, piece.data)
        return Piece(piece.blob, piece.size, None)

    def _take(self, path: str) -> Piece:
        blob, size = address(path)
        if size > INLINE_BYTES:
            self._files.take(path, blob, size)
            return Piece(blob, size, None)
        with open(path, "rb") as file:
            data = file.read()
        os.unlink(path)
        return whole(data)


def _append(connection: Connection, new: _Addition) -> tuple[Claim, tuple[Entry, ...]]:
    # Nobody else can write between this and the commit: the transaction was begun for writing.
    claim, session = new.claim, new.claim.session
    owned = (session, claim.epoch, claim.head)
    tip = connection.execute(_TIP, owned).fetchone()
    if tip is None:
        raise rows.fenced(claim, connection.execute(_OWNER, (session,)).fetchone())
    added = rows.chained(claim, new.at_ms, tip[0], new.made)
    changed = rows.summary(new.made)
    size = changed.bytes + new.kept_bytes + bring(connection, new.pieces, new.at_ms)
    connection.executemany(ADD_EVENT, [msgspec.structs.astuple(row) for row in added])
    head, head_hash = (added[-1].seq, added[-1].hash) if added else (claim.head, tip[0])
    letters.settle(connection, session, head, letters.heard(draft.event for draft in new.made))
    letters.send(connection, session, head, new.outward, new.at_ms)
    listed = (changed.workspace, changed.title, changed.ending)
    connection.execute(_MOVE_HEAD, (head, head_hash, new.at_ms, size, *listed, *owned))
    return Claim(session, claim.epoch, head), rows.placed(added, new.made)


def _names(made: Sequence[rows.Draft], blob: BlobId) -> bool:
    return any(blob.encode() in draft.data for draft in made)


def _select(connection: Connection, session: SessionId, after: int) -> rows.Stretch:
    tip = connection.execute(_HEAD, (session,)).fetchone()
    if tip is None:
        raise rows.missing(session)
    head, head_hash = tip
    previous = rows.GENESIS
    if 0 < after <= head:
        row = connection.execute(_HASH, (session, after)).fetchone()
        # A missing row leaves a hash that nothing fits.
        previous = row[0] if row else ""
    found = connection.execute(_EVENTS, (session, after, head)).fetchall()
    return rows.Stretch(session, after, previous, [rows.Row(*columns) for columns in found], head, head_hash)


def _nothing(_: Connection) -> None:
    pass
