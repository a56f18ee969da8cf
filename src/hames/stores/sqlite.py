"""The default store: one SQLite file in a state directory, with big payloads as files beside it.

log.db      sessions, events, small blobs        locks/      one file for each session in use
blobs/      payloads over `INLINE_BYTES`         log.lock    held by whoever has the store open
reserve     room for endings when the disk is full
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from sqlite3 import Connection
from types import TracebackType
from typing import Self, TypeVar, TypeVarTuple

import anyio
import anyio.to_thread
import msgspec

from hames.core.errors import DamagedLog, SessionMissing, StoreError, StoreFull
from hames.core.events import AnyEvent, Entry, TurnEnded
from hames.core.ids import BlobId, SessionId, blob_id
from hames.core.limits import INLINE_BYTES
from hames.core.ports import Claim, Clock, SessionRow
from hames.stores import rows
from hames.stores.blob_files import BlobFiles, address
from hames.stores.database import BUSY_S, file_error, open_database
from hames.stores.disk import Reserve
from hames.stores.group import GroupCommit
from hames.stores.locks import SessionLocks
from hames.stores.presence import be_present

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
_ADD_EVENT = """
INSERT INTO event (session, seq, epoch, at_ms, type, v, ignorable, data, hash)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ADD_BLOB = """
INSERT INTO blob (sha256, size, data, at_ms) VALUES (?, ?, ?, ?) ON CONFLICT (sha256) DO NOTHING
"""
_BROUGHT_AGAIN = "UPDATE blob SET at_ms = ? WHERE sha256 = ?"
_MOVE_HEAD = """
UPDATE session SET head = ?, head_hash = ?, changed_ms = ?, bytes = bytes + ?,
    workspace = COALESCE(?, workspace),
    title = CASE WHEN title = '' THEN COALESCE(?, '') ELSE title END,
    ending = COALESCE(?, ending)
WHERE id = ? AND epoch = ? AND head = ?
"""
_HEAD = "SELECT head, head_hash FROM session WHERE id = ?"
_HASH = "SELECT hash FROM event WHERE session = ? AND seq = ?"
_EVENTS = """
SELECT session, seq, epoch, at_ms, type, v, ignorable, COALESCE(CAST(data AS BLOB), x''), hash
FROM event WHERE session = ? AND seq > ? AND seq <= ? ORDER BY seq
"""
_SESSIONS = """
SELECT id, workspace, opened_ms, changed_ms, head, bytes, title, ending
FROM session WHERE head > 0 ORDER BY changed_ms DESC, id DESC
"""
_BLOB = "SELECT size, CAST(data AS BLOB) FROM blob WHERE sha256 = ?"
_BLOB_SIZE = "SELECT size, length(CAST(data AS BLOB)) FROM blob WHERE sha256 = ?"


class _Piece(msgspec.Struct, frozen=True):
    """A blob as its row: without `data` when it is in a file."""

    blob: BlobId
    size: int
    data: bytes | None


async def open_sqlite(directory: str, clock: Clock, *, busy_s: float = BUSY_S) -> "SqliteStore":
    """The store in `directory`, made if it is not there. `busy_s`: the wait for another process' commit.

    Raises `NewerLog`, `StoreFull`, or a `StoreError` that says what to do.
    """
    store = SqliteStore(directory, clock, busy_s)
    await store.open()
    return store


class SqliteStore:
    """Implements `Store`, `SessionList` and `Blobs`.

    Made by `open_sqlite`; to be closed, or used in `async with`.
    """

    def __init__(self, directory: str, clock: Clock, busy_s: float) -> None:
        self._directory = directory
        self._clock = clock
        self._busy_s = busy_s
        self._group = GroupCommit(directory, self._connect)
        self._files = BlobFiles(os.path.join(directory, "blobs"))
        self._locks = SessionLocks(os.path.join(directory, "locks"))
        # Blobs that were taken and have no row yet: they go with the next append.
        self._staged: dict[BlobId, _Piece] = {}
        self._owned: dict[SessionId, int] = {}
        self._present: int | None = None
        self._reserve = Reserve(directory)
        # Set when the disk was found full: from then on only endings are written, until there is room again.
        self._full: StoreFull | None = None

    async def open(self) -> None:
        """Connect. Called once, by `open_sqlite`."""
        await self._group.open()

    def _connect(self) -> Connection:
        try:
            self._present = be_present(self._directory)
        except OSError as error:
            raise file_error(error, self._directory) from error
        try:
            connection = open_database(self._directory, self._busy_s)
        except BaseException:
            self._leave()
            raise
        self._reserve.make()
        return connection

    def _leave(self) -> None:
        if self._present is not None:
            os.close(self._present)
            self._present = None

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
                    await self._group.write(lambda _: self._locks.leave_all())
            await self._group.close()
        finally:
            self._locks.leave_all()
            self._leave()

    async def claim(self, session: SessionId, *, take_over: bool = False) -> Claim:
        now_ms = self._now_ms()
        taken: list[bool] = []

        def work(connection: Connection) -> Claim:
            try:
                taken.append(self._locks.take(session, now_ms, take_over=take_over))
            except OSError as error:
                raise file_error(error, self._directory) from error
            values = (session, rows.GENESIS, now_ms, now_ms)
            epoch, head = connection.execute(_CLAIM, values).fetchone()
            return Claim(session, epoch, head)

        try:
            claim = await self._commit(work)
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
        self, claim: Claim, events: Sequence[AnyEvent], blobs: Sequence[bytes] = ()
    ) -> tuple[Claim, tuple[Entry, ...]]:
        made = rows.drafts(events)
        ending = any(isinstance(event, TurnEnded) for event in events)
        await self._make_room(ending=ending)
        pieces = [_Piece(blob_id(data), len(data), data) for data in blobs]
        at_ms = self._now_ms()
        if any(piece.size > INLINE_BYTES for piece in pieces):
            pieces = await self._in_thread(self._put_big, pieces)
        kept_bytes = sum(piece.size for piece in self._staged.values() if _names(made, piece.blob))
        return await self._write(
            lambda connection: _append(connection, claim, at_ms, made, pieces, kept_bytes), ending=ending
        )

    async def read(self, session: SessionId, after: int = 0) -> Sequence[Entry]:
        after = max(after, 0)
        part = await self._group.read(lambda connection: _select(connection, session, after))
        return await anyio.to_thread.run_sync(rows.entries, part)

    async def sessions(self) -> Sequence[SessionRow]:
        found = await self._group.read(lambda connection: connection.execute(_SESSIONS).fetchall())
        return [SessionRow(*columns) for columns in found]

    async def get(self, blob: BlobId, start: int = 0, limit: int | None = None) -> bytes:
        start = max(start, 0)
        piece = self._staged.get(blob)
        if piece is None:
            piece = await self._group.read(lambda connection: _select_blob(connection, blob))
        end = piece.size if limit is None else min(start + max(limit, 0), piece.size)
        wanted = max(end - start, 0)
        if piece.data is None:
            data = await self._in_thread(self._files.slice, blob, start, wanted)
        else:
            data = piece.data[start:end]
        if len(data) != wanted or (wanted == piece.size and blob_id(data) != blob):
            raise DamagedLog(f"blob {blob} is damaged: its bytes do not match its address")
        return data

    async def size(self, blob: BlobId) -> int:
        piece = self._staged.get(blob)
        if piece is not None:
            return piece.size
        size, kept = await self._group.read(lambda connection: _sizes(connection, blob))
        if kept is None:
            kept = await self._in_thread(self._files.size, blob)
        if kept != size:
            raise DamagedLog(f"blob {blob} is damaged: {kept} of {size} bytes are there")
        return size

    async def keep_file(self, path: str) -> BlobId:
        piece = await self._in_thread(self._take, path)
        self._staged[piece.blob] = piece
        return piece.blob

    def _now_ms(self) -> int:
        return int(self._clock.now() * 1000)

    async def _make_room(self, *, ending: bool) -> None:
        """After a full disk: what the reserve gave back is for endings, until it can be made again."""
        if self._full is None or ending:
            return
        if not await self._in_thread(self._reserve.make):
            raise StoreFull(str(self._full))
        self._full = None

    async def _commit(self, work: Callable[[Connection], T], *, ending: bool = False) -> T:
        await self._make_room(ending=ending)
        try:
            return await self._group.write(work)
        except StoreFull as error:
            await self._give_up_reserve(error)
            raise

    async def _give_up_reserve(self, error: StoreFull) -> None:
        self._full = error
        await anyio.to_thread.run_sync(self._reserve.give_up)

    async def _write(self, work: Callable[[Connection], T], *, ending: bool = False) -> T:
        staged = tuple(self._staged.values())
        if not staged:
            return await self._commit(work, ending=ending)

        at_ms = self._now_ms()

        def with_staged(connection: Connection) -> T:
            for piece in staged:
                _bring(connection, piece, at_ms)
            return work(connection)

        result = await self._commit(with_staged, ending=ending)
        for piece in staged:
            self._staged.pop(piece.blob, None)
        return result

    async def _in_thread(self, work: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        try:
            return await anyio.to_thread.run_sync(work, *arguments)
        except OSError as error:
            problem = file_error(error, self._directory)
            if isinstance(problem, StoreFull):
                await self._give_up_reserve(problem)
            raise problem from error

    def _put_big(self, pieces: Sequence[_Piece]) -> list[_Piece]:
        return [self._put(piece) for piece in pieces]

    def _put(self, piece: _Piece) -> _Piece:
        if piece.data is None or piece.size <= INLINE_BYTES:
            return piece
        self._files.put(piece.blob, piece.data)
        return _Piece(piece.blob, piece.size, None)

    def _take(self, path: str) -> _Piece:
        blob, size = address(path)
        if size > INLINE_BYTES:
            self._files.take(path, blob, size)
            return _Piece(blob, size, None)
        with open(path, "rb") as file:
            data = file.read()
        os.unlink(path)
        return _Piece(blob_id(data), len(data), data)


def _append(
    connection: Connection,
    claim: Claim,
    at_ms: int,
    made: Sequence[rows.Draft],
    pieces: Sequence[_Piece],
    kept_bytes: int,
) -> tuple[Claim, tuple[Entry, ...]]:
    # Nobody else can write between this and the commit: the transaction was begun for writing.
    owned = (claim.session, claim.epoch, claim.head)
    tip = connection.execute(_TIP, owned).fetchone()
    if tip is None:
        raise rows.fenced(claim, connection.execute(_OWNER, (claim.session,)).fetchone())
    added = rows.chained(claim, at_ms, tip[0], made)
    changed = rows.summary(made)
    size = changed.bytes + kept_bytes
    for piece in pieces:
        if _bring(connection, piece, at_ms):
            size += piece.size
    connection.executemany(_ADD_EVENT, [msgspec.structs.astuple(row) for row in added])
    head, head_hash = (added[-1].seq, added[-1].hash) if added else (claim.head, tip[0])
    listed = (changed.workspace, changed.title, changed.ending)
    connection.execute(_MOVE_HEAD, (head, head_hash, at_ms, size, *listed, *owned))
    entries = tuple(rows.entry(row, draft.event) for row, draft in zip(added, made, strict=True))
    return Claim(claim.session, claim.epoch, head), entries


def _names(made: Sequence[rows.Draft], blob: BlobId) -> bool:
    return any(blob.encode() in draft.data for draft in made)


def _bring(connection: Connection, piece: _Piece, at_ms: int) -> bool:
    """Whether the blob is new. One that is known counts as brought now: it may be about to be named."""
    if connection.execute(_ADD_BLOB, (*msgspec.structs.astuple(piece), at_ms)).rowcount:
        return True
    connection.execute(_BROUGHT_AGAIN, (at_ms, piece.blob))
    return False


def _select(connection: Connection, session: SessionId, after: int) -> rows.Stretch:
    tip = connection.execute(_HEAD, (session,)).fetchone()
    if tip is None:
        raise SessionMissing(f"there is no session {session}")
    head, head_hash = tip
    previous = rows.GENESIS
    if 0 < after <= head:
        row = connection.execute(_HASH, (session, after)).fetchone()
        # A missing row leaves a hash that nothing fits.
        previous = row[0] if row else ""
    found = connection.execute(_EVENTS, (session, after, head)).fetchall()
    return rows.Stretch(session, after, previous, [rows.Row(*columns) for columns in found], head, head_hash)


def _select_blob(connection: Connection, blob: BlobId) -> _Piece:
    found = connection.execute(_BLOB, (blob,)).fetchone()
    if found is None:
        raise DamagedLog(f"blob {blob} is missing")
    return _Piece(blob, *found)


def _sizes(connection: Connection, blob: BlobId) -> tuple[int, int | None]:
    found = connection.execute(_BLOB_SIZE, (blob,)).fetchone()
    if found is None:
        raise DamagedLog(f"blob {blob} is missing")
    return found


def _nothing(_: Connection) -> None:
    pass
