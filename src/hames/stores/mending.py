"""One session's rows, looked at one by one: what is damaged, and the rows that hold again."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import msgspec

from hames.core.errors import NewerLog
from hames.core.events import Repaired
from hames.core.ids import BlobId, SessionId, blob_id
from hames.core.ports import Damage
from hames.stores import rows
from hames.stores.rows import Row

_WILD = 10_000
"""Entries that may be missing in a row. A number further on is itself taken for damaged."""


class Tip(NamedTuple):
    """What the table of sessions says of one."""

    epoch: int
    head: int
    head_hash: str
    workspace: str


class Found(msgspec.Struct, frozen=True):
    """One place of the log. `row` is None where nothing can be kept, `wrong` is what is damaged there."""

    seq: int
    row: Row | None
    wrong: str = ""
    was: str = ""
    data: bytes = b""


class Trouble(msgspec.Struct, frozen=True):
    """Damage that takes no entry away. `seq` 0: of the session as a whole."""

    seq: int
    what: str
    blob: BlobId | None = None
    was: str = ""
    kept: BlobId | None = None


class Examined(msgspec.Struct, frozen=True):
    """A session place by place, in order, and what is wrong beside."""

    session: SessionId
    epoch: int
    places: Sequence[Found]
    troubles: Sequence[Trouble]

    @property
    def damages(self) -> list[Damage]:
        """Everything that is wrong, by its place."""
        found = [(place.seq, f"entry {place.seq} {place.wrong}") for place in self.places if place.wrong]
        found.extend((trouble.seq, trouble.what) for trouble in self.troubles)
        return [Damage(self.session, seq, what) for seq, what in sorted(found)]


def examine(session: SessionId, tip: Tip | None, stored: Sequence[Row], strays: int = 0) -> Examined:
    """Compare each row with its hash and its neighbours.

    `stored` is in order; `strays` are rows that have no readable place. A row is kept unless its hash, or
    what comes after it, speaks against it.
    """
    by_place = {row.seq: row for row in stored}
    last = _last(tip, stored)
    wild = [row for row in stored if not 0 < row.seq <= last]
    places: list[Found] = []
    previous, sure = rows.GENESIS, True
    for seq in range(1, last + 1):
        row = by_place.get(seq)
        if row is None:
            places.append(Found(seq, None, "is missing"))
            previous, sure = "", False
            continue
        after = _After(by_place.get(seq + 1), tip.head_hash if tip and tip.head == seq else None)
        found = _look(row, previous, after, sure=sure)
        places.append(found)
        previous = (found.row or row).hash
        sure = not found.wrong or after.continues(previous)
    troubles = [*_of_tip(tip, places), *_of_strays(strays + len(wild))]
    epoch = max([tip.epoch if tip else 0, *(place.row.epoch for place in places if place.row)], default=0)
    return Examined(session, epoch, places, troubles)


class _After(NamedTuple):
    """What follows a row: the next one, or what the list says of the last."""

    row: Row | None
    head_hash: str | None

    def continues(self, digest: str) -> bool:
        """Whether it was made after a row with this hash."""
        if self.row is not None:
            return rows.link(digest, self.row) == self.row.hash
        return digest == self.head_hash


def _look(row: Row, previous: str, after: _After, *, sure: bool) -> Found:
    """`previous` is the hash before it; without `sure` that one may be damaged itself."""
    lost = Found(row.seq, None, was=row.hash, data=row.data)
    if not _is_sound(row):
        return msgspec.structs.replace(lost, wrong="cannot be read")
    own = rows.link(previous, row)
    if own == row.hash:
        return Found(row.seq, row)
    if after.continues(own):
        mended = msgspec.structs.replace(row, hash=own)
        return Found(row.seq, mended, "is whole, but its hash was damaged", row.hash)
    if not sure and _is_known(row):
        return Found(row.seq, row, "cannot be checked: what stands before it is damaged", row.hash)
    return msgspec.structs.replace(lost, wrong="does not match its hash")


def _is_sound(row: Row) -> bool:
    numbers = (row.epoch, row.at_ms, row.v, row.ignorable)
    if not all(type(number) is int for number in numbers) or type(row.type) is not str:
        return False
    try:
        msgspec.json.decode(row.data)
    except msgspec.DecodeError:
        return False
    return True


def _is_known(row: Row) -> bool:
    try:
        rows.decoded(row)
    except NewerLog:
        return False
    return True


def _last(tip: Tip | None, stored: Sequence[Row]) -> int:
    last = 0
    for row in stored:
        if last < row.seq <= last + _WILD:
            last = row.seq
    if tip is None or not 0 <= tip.head <= last + _WILD:
        return last
    # What stands beyond the head belongs to the log only if it goes on from there without a gap.
    by_place = {row.seq: row for row in stored}
    end = tip.head
    while (row := by_place.get(end + 1)) and _After(row, None).continues(_hash_at(by_place, end)):
        end += 1
    return end


def _hash_at(by_place: Mapping[int, Row], seq: int) -> str:
    return by_place[seq].hash if seq in by_place else rows.GENESIS if seq == 0 else ""


def _of_tip(tip: Tip | None, places: Sequence[Found]) -> list[Trouble]:
    if tip is None:
        return [Trouble(0, "is missing in the list of sessions")]
    if tip.head != len(places):
        return [Trouble(0, f"has {len(places)} entries, not {tip.head} as listed", was=tip.head_hash)]
    last = places[-1] if places else None
    ends_with = rows.GENESIS if last is None else last.row.hash if last.row else last.was
    if ends_with != tip.head_hash and (last is None or not last.wrong):
        return [Trouble(0, "does not end with the hash that is listed", was=tip.head_hash)]
    return []


def _of_strays(count: int) -> list[Trouble]:
    return [Trouble(0, f"has {count} rows that belong to no place in it")] if count else []


def mend(examined: Examined, epoch: int, at_ms: int) -> list[Row]:
    """The rows of a log that verifies: what was kept, tombstones, and at the end what was done."""
    made: list[Row] = []
    previous = rows.GENESIS

    def add(row: Row) -> None:
        nonlocal previous
        previous = rows.link(previous, row)
        made.append(msgspec.structs.replace(row, hash=previous))

    def tombstone(event: Repaired) -> None:
        (draft,) = rows.drafts([event])
        place = len(made) + 1
        ignorable = int(event.ignorable)
        add(Row(examined.session, place, epoch, at_ms, draft.type, event.version, ignorable, draft.data, ""))

    ranges = _ranges(examined.places)
    for place in examined.places:
        if place.row is not None:
            add(place.row)
            continue
        first, last = ranges[place.seq]
        kept = blob_id(place.data) if place.data else None
        tombstone(Repaired(first, last, f"entry {place.seq} {place.wrong}", place.was, kept))
    for place in examined.places:
        if place.row is not None and place.wrong:
            tombstone(Repaired(place.seq, place.seq, f"entry {place.seq} {place.wrong}", place.was))
    for each in examined.troubles:
        blobs = () if each.blob is None else (each.blob,)
        tombstone(Repaired(each.seq, each.seq, each.what, each.was, each.kept, blobs))
    return made


def _ranges(places: Sequence[Found]) -> dict[int, tuple[int, int]]:
    """For each place that is lost, the first and the last of its neighbours that are."""
    found: dict[int, tuple[int, int]] = {}
    for lost, group in groupby(places, key=lambda place: place.row is None):
        if lost:
            seqs = [place.seq for place in group]
            found.update((seq, (seqs[0], seqs[-1])) for seq in seqs)
    return found
