"""A store that lives as long as its process: for tests, and for runs that leave nothing behind."""

import os
from collections.abc import Sequence

import msgspec

from hames.core.errors import StoreError
from hames.core.events import AnyEvent, Entry
from hames.core.ids import BlobId, SessionId, blob_id
from hames.core.ports import Arrival, Checkpoint, Claim, Clock, Departure, Past, SessionRow, Unsent
from hames.stores import rows
from hames.stores.letters import heard
from hames.stores.past import SNAPSHOTS, past


class _Session:
    """A session's rows, and what a list shows of it."""

    __slots__ = ("arrivals", "checkpoint", "departures", "epoch", "heard", "listed", "rows", "sent")

    def __init__(self, session: SessionId, now_ms: int) -> None:
        self.epoch = 0
        self.rows: list[rows.Row] = []
        self.arrivals: dict[str, Arrival] = {}
        self.heard: set[str] = set()
        self.departures: dict[str, Unsent] = {}
        self.sent: set[str] = set()
        self.checkpoint: tuple[str, Checkpoint] | None = None
        self.listed = SessionRow(session, "", now_ms, now_ms, 0, 0, "", "open")


class MemoryStore:
    """Implements `Store`, `Checkpoints`, `SessionList`, `Arrivals`, `Departures`, `Blobs` and `PastTrees`.
    Nothing is durable."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sessions: dict[SessionId, _Session] = {}
        self._blobs: dict[BlobId, bytes] = {}

    async def claim(self, session: SessionId, *, take_over: bool = False) -> Claim:
        del take_over  # In one process there is nobody to wait for: the newest claim holds.
        kept = self._sessions.get(session)
        if kept is None:
            kept = self._sessions[session] = _Session(session, self._now_ms())
        kept.epoch += 1
        return Claim(session, kept.epoch, len(kept.rows))

    async def release(self, claim: Claim) -> None:
        kept = self._sessions.get(claim.session)
        if kept is not None and kept.epoch == claim.epoch:
            kept.epoch += 1

    async def append(
        self,
        claim: Claim,
        events: Sequence[AnyEvent],
        blobs: Sequence[bytes] = (),
        outward: Sequence[Departure] = (),
    ) -> tuple[Claim, tuple[Entry, ...]]:
        made = rows.drafts(events)
        kept = self._sessions.get(claim.session)
        if kept is None:
            raise rows.fenced(claim, None)
        if (kept.epoch, len(kept.rows)) != (claim.epoch, claim.head):
            raise rows.fenced(claim, (kept.epoch, len(kept.rows)))
        at_ms = self._now_ms()
        added = rows.chained(claim, at_ms, _tip(kept.rows), made)
        changed = rows.summary(made)
        size = changed.bytes
        for data in blobs:
            blob = blob_id(data)
            size += 0 if blob in self._blobs else len(data)
            self._blobs[blob] = data
        kept.rows.extend(added)
        kept.heard.update(heard(events))
        for each in outward:
            kept.departures.setdefault(each.key, Unsent(claim.session, len(kept.rows), each))
        listed = kept.listed
        kept.listed = msgspec.structs.replace(
            listed,
            workspace=listed.workspace if changed.workspace is None else changed.workspace,
            changed_ms=at_ms,
            events=len(kept.rows),
            bytes=listed.bytes + size,
            title=listed.title or changed.title or "",
            ending=changed.ending or listed.ending,
        )
        return Claim(claim.session, claim.epoch, len(kept.rows)), rows.placed(added, made)

    async def read(self, session: SessionId, after: int = 0) -> Sequence[Entry]:
        kept = self._sessions.get(session)
        if kept is None:
            raise rows.missing(session)
        after = max(after, 0)
        previous, found = _tip(kept.rows[:after]), kept.rows[after:]
        return rows.entries(rows.Stretch(session, after, previous, found, len(kept.rows), _tip(kept.rows)))

    async def checkpoint(self, session: SessionId, maker: str) -> Checkpoint | None:
        kept = self._sessions.get(session)
        made = None if kept is None else kept.checkpoint
        return made[1] if made is not None and made[0] == maker else None

    async def keep_checkpoint(self, claim: Claim, maker: str, data: bytes) -> None:
        kept = self._sessions.get(claim.session)
        if kept is not None and (kept.epoch, len(kept.rows)) == (claim.epoch, claim.head):
            kept.checkpoint = (maker, Checkpoint(claim.head, data))

    async def sessions(self) -> Sequence[SessionRow]:
        listed = (kept.listed for kept in self._sessions.values() if kept.rows)
        return sorted(listed, key=lambda row: (row.changed_ms, row.session), reverse=True)

    async def put(self, session: SessionId, arrival: Arrival) -> bool:
        kept = self._sessions.get(session)
        if kept is None:
            raise rows.missing(session)
        if arrival.dedup in kept.arrivals:
            return False
        kept.arrivals[arrival.dedup] = arrival
        return True

    async def waiting(self, session: SessionId) -> Sequence[Arrival]:
        kept = self._sessions.get(session)
        return [] if kept is None else [each for key, each in kept.arrivals.items() if key not in kept.heard]

    async def unsent(self, session: SessionId | None = None) -> Sequence[Unsent]:
        return [
            each
            for name, kept in self._sessions.items()
            if session in (None, name)
            for key, each in kept.departures.items()
            if key not in kept.sent
        ]

    async def sent(self, session: SessionId, key: str) -> None:
        self._sessions[session].sent.add(key)

    async def get(self, blob: BlobId, start: int = 0, limit: int | None = None) -> bytes:
        end = None if limit is None else max(start, 0) + max(limit, 0)
        return self._kept(blob)[max(start, 0) : end]

    async def size(self, blob: BlobId) -> int:
        return len(self._kept(blob))

    async def keep_file(self, path: str) -> BlobId:
        try:
            with open(path, "rb") as file:  # noqa: ASYNC230  small things only: this store has no threads
                data = file.read()
            os.unlink(path)
        except OSError as error:
            raise StoreError(f"cannot use {path}: {error.strerror}") from error
        blob = blob_id(data)
        self._blobs[blob] = data
        return blob

    async def last(self, workspace: str) -> Past | None:
        for listed in await self.sessions():
            told = [row for row in self._sessions[listed.session].rows if row.type in SNAPSHOTS]
            if told and listed.workspace == workspace:
                return past(told)
        return None

    async def hold(self, blobs: Sequence[BlobId]) -> bool:
        return all(blob in self._blobs for blob in blobs)

    def _kept(self, blob: BlobId) -> bytes:
        if blob not in self._blobs:
            raise rows.blob_missing(blob)
        return self._blobs[blob]

    def _now_ms(self) -> int:
        return int(self._clock.now() * 1000)


def _tip(found: Sequence[rows.Row]) -> str:
    return found[-1].hash if found else rows.GENESIS
