"""Sessions as they are kept: the log, what comes in and goes out, blobs, and upkeep."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from hames.core.events import AnyEvent, Entry
from hames.core.ids import BlobId, CallId, SessionId


class Claim(msgspec.Struct, frozen=True):
    """The right to append to a session: valid until somebody claims a higher `epoch`."""

    session: SessionId
    epoch: int
    head: int


class SessionRow(msgspec.Struct, frozen=True):
    """A session in a list. Times in milliseconds of the wall clock, `bytes` of events and small blobs.

    `ending` is that of the last turn, or `open` before its end.
    """

    session: SessionId
    workspace: str
    opened_ms: int
    changed_ms: int
    events: int
    bytes: int
    title: str
    ending: str


class Checkpoint(msgspec.Struct, frozen=True):
    """What the entries of a session up to `seq` come to, as bytes that only their maker reads."""

    seq: int
    data: bytes


class Arrival(msgspec.Struct, frozen=True):
    """Something for a session that no event has recorded yet. `dedup` makes a second delivery harmless.

    It is recorded by the event that carries its key: for words the `dedup` of `UserSpoke`, for the answer
    of a person `answer_key`, for a child's result `child/SESSION`.
    """

    kind: str
    data: bytes
    dedup: str


def answer_key(call: CallId) -> str:
    """The key of an `Arrival` that holds a person's answer to the question about a call."""
    return f"approval/{call}"


class Departure(msgspec.Struct, frozen=True):
    """Something that is to leave. After a crash it may be sent again, with the same `key`."""

    key: str
    kind: str
    data: bytes


class Unsent(msgspec.Struct, frozen=True):
    """A departure that nobody has said was sent, and the entry that it was decided with."""

    session: SessionId
    seq: int
    departure: Departure


class Arrivals(Protocol):
    """What comes from outside while no process has the session, or another one has."""

    async def put(self, session: SessionId, arrival: Arrival) -> bool:
        """Keep it until an event records it; False when one with its key came before.

        Durable on return. Raises `SessionMissing`.
        """
        ...

    async def waiting(self, session: SessionId) -> Sequence[Arrival]:
        """What no event has recorded, in the order of its coming."""
        ...


class Departures(Protocol):
    """What is to be sent, each with its key."""

    async def unsent(self, session: SessionId | None = None) -> Sequence[Unsent]:
        """What is still to be sent, the oldest first; of all sessions for None."""
        ...

    async def sent(self, session: SessionId, key: str) -> None:
        """It has been sent; it may be sent again if this did not come to the disk."""
        ...


class Store(Protocol):
    """Sessions as append-only lists of events.

    `append` is one transaction: blobs, events and head together, durable when it returns. It raises
    `Fenced` (and writes nothing) unless `claim.epoch` is the session's epoch and `claim.head` its
    head; it returns the new claim and the entries. `StoreFull` leaves everything as it was; some room
    is kept for an append with the end of a turn, which may then still succeed.
    """

    async def claim(self, session: SessionId, *, take_over: bool = False) -> Claim:
        """Own the session from now on; a session that does not exist starts with head 0.

        Raises `SessionBusy` when a living process owns it. With `take_over` that one is replaced: its
        next append is refused, and nothing of it is written.
        """
        ...

    async def release(self, claim: Claim) -> None:
        """Let others own the session. The claim is void; one that is not the newest changes nothing."""
        ...

    async def append(
        self,
        claim: Claim,
        events: Sequence[AnyEvent],
        blobs: Sequence[bytes] = (),
        outward: Sequence[Departure] = (),
    ) -> tuple[Claim, tuple[Entry, ...]]:
        """Also takes from the `Arrivals` what `events` record, and adds `outward` to the `Departures`."""
        ...

    async def read(self, session: SessionId, after: int = 0) -> Sequence[Entry]:
        """The entries with a higher sequence number than `after`, in order.

        Raises `SessionMissing`, `NewerLog` (a type that is not known and not ignorable), and
        `DamagedLog` (a row that does not fit the hash chain).
        """
        ...


class Checkpoints(Protocol):
    """What long logs come to, kept so that a resume need not read them whole."""

    async def checkpoint(self, session: SessionId, maker: str) -> Checkpoint | None:
        """The last one that was kept, where it is whole, of this maker, and of the log as it is; None else.

        A checkpoint saves time, and nothing else: whoever gets none reads the log from its beginning.
        """
        ...

    async def keep_checkpoint(self, claim: Claim, maker: str, data: bytes) -> None:
        """Keep what the log comes to at `claim.head`, in place of the one before. Nothing happens when the
        claim is not the newest."""
        ...


class SessionList(Protocol):
    """What is on the log."""

    async def sessions(self) -> Sequence[SessionRow]:
        """All sessions, the most recently changed first."""
        ...


class Damage(msgspec.Struct, frozen=True):
    """Something that is not as it was written. No `session`: the whole store. `seq` 0: all of the session."""

    session: SessionId | None
    seq: int
    what: str


class Checked(msgspec.Struct, frozen=True):
    """What a check found. `known` are losses that an earlier repair has put on the log."""

    sessions: int
    damages: tuple[Damage, ...]
    known: tuple[Damage, ...]
    notes: tuple[str, ...]


class Mended(msgspec.Struct, frozen=True):
    """What a repair did. `set_aside` is where the damaged file is kept when a new one was made."""

    damages: tuple[Damage, ...]
    set_aside: str = ""


class Deleted(msgspec.Struct, frozen=True):
    """A session that is gone, and the bytes that were freed with it."""

    session: SessionId
    title: str
    events: int
    freed_bytes: int


class Swept(msgspec.Struct, frozen=True):
    """What was not needed and is gone: blobs, leftovers of dead processes, and bytes of all. `waiting` blobs
    may still be wanted by a process that runs."""

    blobs: int
    leftovers: int
    freed_bytes: int
    waiting: int


class Upkeep(Protocol):
    """Maintenance of a store, safe beside running sessions."""

    async def check(self, session: SessionId | None = None) -> Checked:
        """Look at every byte of one session, or of all. Changes nothing."""
        ...

    async def repair(self, session: SessionId | None = None) -> Mended:
        """Keep what can be read, put a `Repaired` in the place of what cannot: then the chain holds.

        Raises `SessionBusy` when the session, or for a damaged file any, is in use.
        """
        ...

    async def delete(self, session: SessionId) -> Deleted:
        """Remove a session, and the blobs that no other names. Raises `SessionBusy`, `SessionMissing`."""
        ...

    async def sweep(self) -> Swept:
        """Remove what nothing names any more, and what dead processes left behind."""
        ...


class Blobs(Protocol):
    """Content-addressed bytes."""

    async def get(self, blob: BlobId, start: int = 0, limit: int | None = None) -> bytes:
        """The bytes from `start`, at most `limit`. Raises `DamagedLog` if they are missing."""
        ...

    async def size(self, blob: BlobId) -> int: ...

    async def keep_file(self, path: str) -> BlobId:
        """Take a file into the store; it is consumed, and a big one is never held in memory.

        It can be had at once, and is durable before any event that is appended later.
        """
        ...


class Journal(Protocol):
    """One session's log, for whoever adds to it.

    `stage` folds events into the view; they become durable with the next `record`, all in one commit.
    Nothing is shown, sent or started on the strength of an event that is only staged.
    """

    def stage(self, *events: AnyEvent, blobs: Sequence[bytes] = ()) -> None: ...

    async def record(self, *events: AnyEvent, blobs: Sequence[bytes] = ()) -> None:
        """Make these, and all that is staged, durable; then tell the listeners."""
        ...
