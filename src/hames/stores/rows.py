"""Between events and the rows that a store keeps: encoding, the hash chain, and what a list shows."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import get_args

import msgspec

from hames.core.errors import DamagedLog, Fenced, NewerLog, SessionMissing, StoreError
from hames.core.events import (
    AnyEvent,
    Entry,
    SessionOpened,
    TurnEnded,
    TurnStarted,
    UserSpoke,
)
from hames.core.ids import BlobId, SessionId
from hames.core.limits import LOG_FORMAT
from hames.core.messages import plain
from hames.core.ports import Claim

GENESIS = "0" * 64
"""What the first row of a session chains to."""

TITLE_CHARS = 80


class Row(msgspec.Struct, frozen=True):
    """One event as it is stored. The fields are the columns of the table `event`, in order."""

    session: SessionId
    seq: int
    epoch: int
    at_ms: int
    type: str
    v: int
    ignorable: int
    data: bytes
    hash: str


class Draft(msgspec.Struct, frozen=True):
    """An encoded event that has no place in a log yet."""

    event: AnyEvent
    type: str
    data: bytes


class Summary(msgspec.Struct, frozen=True):
    """What some events change in a list of sessions. None: nothing."""

    workspace: str | None
    title: str | None
    ending: str | None
    bytes: int


_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_KNOWN: dict[str, int] = {kind.__name__: kind.version for kind in get_args(AnyEvent)}


def drafts(events: Iterable[AnyEvent]) -> list[Draft]:
    """The events, encoded. Raises `StoreError` for text that no encoding can hold."""
    made: list[Draft] = []
    for event in events:
        kind = type(event).__name__
        try:
            data = _ENCODER.encode(event)
        except UnicodeEncodeError as error:
            raise StoreError(f"{kind} holds text that is not valid Unicode: {error}") from error
        made.append(Draft(event, kind, data))
    return made


def chained(claim: Claim, at_ms: int, previous: str, made: Sequence[Draft]) -> list[Row]:
    """The rows that follow `previous`, the hash of the row at `claim.head`."""
    rows: list[Row] = []
    for seq, draft in enumerate(made, claim.head + 1):
        event = draft.event
        row = Row(
            claim.session,
            seq,
            claim.epoch,
            at_ms,
            draft.type,
            event.version,
            int(event.ignorable),
            draft.data,
            "",
        )
        previous = link(previous, row)
        rows.append(msgspec.structs.replace(row, hash=previous))
    return rows


def link(previous: str, row: Row) -> str:
    """The hash of `row`, without regard to the hash that it carries.

    SHA-256 over the JSON list of the previous hash and the columns before `data`, a line feed, and
    `data`. Whoever has the rows can work it out again, in any language.
    """
    columns = (previous, row.session, row.seq, row.epoch, row.at_ms, row.type, row.v, row.ignorable)
    digest = sha256(_ENCODER.encode(columns))
    digest.update(b"\n")
    digest.update(row.data)
    return digest.hexdigest()


class Stretch(msgspec.Struct, frozen=True):
    """The rows after `after` up to the head, as they were found. `previous` is the hash at `after`."""

    session: SessionId
    after: int
    previous: str
    rows: Sequence[Row]
    head: int
    head_hash: str


def entries(stretch: Stretch) -> list[Entry]:
    """The entries of a stretch.

    Raises `DamagedLog` for a gap, a row that does not fit the chain, or an end before the head;
    `NewerLog` for a row that this version cannot read and may not skip.
    """
    found: list[Entry] = []
    if stretch.after >= stretch.head:
        return found
    seq, previous = stretch.after, stretch.previous
    for row in stretch.rows:
        seq += 1
        if row.seq != seq:
            raise _damaged(stretch, seq, "is missing")
        previous = link(previous, row)
        if row.hash != previous:
            raise _damaged(stretch, seq, "does not match its hash")
        found.append(entry(row, decoded(row)))
    if seq != stretch.head:
        raise _damaged(stretch, seq + 1, "is missing")
    if previous != stretch.head_hash:
        raise _damaged(stretch, seq, "is not the one that the session ends with")
    return found


def entry(row: Row, event: AnyEvent | None) -> Entry:
    """A row's place in the log, with its event."""
    return Entry(row.session, row.seq, row.epoch, row.at_ms, event, row.hash)


def placed(added: Iterable[Row], made: Iterable[Draft]) -> tuple[Entry, ...]:
    """The entries that an append has made: `added` are the rows of `made`."""
    return tuple(entry(row, draft.event) for row, draft in zip(added, made, strict=True))


def missing(session: SessionId) -> SessionMissing:
    """Nothing is known of this session."""
    return SessionMissing(f"there is no session {session}")


def blob_missing(blob: BlobId) -> DamagedLog:
    """Nothing is kept under this address."""
    return DamagedLog(f"blob {blob} is missing")


def fenced(claim: Claim, now: tuple[int, int] | None) -> Fenced:
    """Why an append was refused, when the session's epoch and head are `now`."""
    if now is None:
        return Fenced(f"session {claim.session} is gone: it was deleted by someone else")
    epoch, head = now
    if epoch != claim.epoch:
        return Fenced(
            f"session {claim.session} was taken over by another owner "
            f"(epoch {epoch}, ours was {claim.epoch}): stop here"
        )
    return Fenced(f"session {claim.session} has {head} entries, not {claim.head}: it was added to meanwhile")


def _damaged(stretch: Stretch, seq: int, what: str) -> DamagedLog:
    return DamagedLog(
        f"the log of session {stretch.session} is damaged: entry {seq} {what}; "
        f"`hames sessions repair {stretch.session}` keeps all that can be read"
    )


def decoded(row: Row) -> AnyEvent | None:
    """The event of a row; None for one that this version does not know and may skip."""
    if row.v <= _KNOWN.get(row.type, 0):
        try:
            event = _DECODER.decode(row.data)
        except msgspec.DecodeError:
            pass
        else:
            if not (isinstance(event, SessionOpened) and event.format > LOG_FORMAT):
                return event
    if row.ignorable:
        return None
    raise NewerLog(
        f"entry {row.seq} of session {row.session} ({row.type}, version {row.v}) was written by "
        "another version of hames, most likely a newer one: upgrade hames to open this session"
    )


def summary(made: Sequence[Draft]) -> Summary:
    """What these events change in a list of sessions."""
    workspace: str | None = None
    title: str | None = None
    ending: str | None = None
    for draft in made:
        match draft.event:
            case SessionOpened():
                workspace = draft.event.workspace
            case UserSpoke(source="user") if not title:
                title = _first_words(plain(draft.event.parts))
            case TurnStarted():
                ending = "open"
            case TurnEnded():
                ending = draft.event.ending
            case _:
                pass
    return Summary(workspace, title, ending, sum(len(draft.data) for draft in made))


def _first_words(text: str) -> str:
    printable = "".join(c if c.isprintable() else " " for c in text[: TITLE_CHARS * 8])
    line = " ".join(printable.split())
    if len(line) <= TITLE_CHARS:
        return line
    whole, space, _ = line[:TITLE_CHARS].rpartition(" ")
    return (whole if space else line[: TITLE_CHARS - 1]) + "…"
