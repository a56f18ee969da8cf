"""A session with damaged rows: what is found, and the log that holds again."""

from collections.abc import Sequence
from typing import Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hames.core.events import Entry, Repaired, TurnStarted
from hames.core.ids import SessionId, blob_id
from hames.core.ports import Claim
from hames.stores import rows
from hames.stores.mending import Examined, Tip, examine, mend
from hames.stores.rows import Row

ONE = SessionId("01one")
COUNT = 7
Kind = Literal["data", "hash", "both", "gone", "type", "number"]


def log(count: int = COUNT) -> list[Row]:
    made = rows.drafts(TurnStarted(turn) for turn in range(1, count + 1))
    return rows.chained(Claim(ONE, 1, 0), 1000, rows.GENESIS, made)


def tip(stored: Sequence[Row]) -> Tip:
    return Tip(1, len(stored), stored[-1].hash if stored else rows.GENESIS, "/w")


def damaged(stored: Sequence[Row], harm: dict[int, Kind]) -> list[Row]:
    made: list[Row] = []
    for row in stored:
        match harm.get(row.seq):
            case "data":
                made.append(msgspec.structs.replace(row, data=row.data.replace(b"turn", b"burn")))
            case "hash":
                made.append(msgspec.structs.replace(row, hash="f" * 64))
            case "both":
                made.append(msgspec.structs.replace(row, data=b"{}", hash="e" * 64))
            case "type":
                made.append(
                    msgspec.convert({**msgspec.structs.asdict(row), "type": b"\xff"}, Row, strict=False)
                )
            case "number":
                made.append(msgspec.structs.replace(row, epoch=9))
            case "gone":
                pass
            case None:
                made.append(row)
    return made


def read(made: Sequence[Row]) -> list[Entry]:
    return rows.entries(rows.Stretch(ONE, 0, rows.GENESIS, made, len(made), made[-1].hash if made else ""))


def found(stored: Sequence[Row], harm: dict[int, Kind]) -> Examined:
    return examine(ONE, tip(stored), damaged(stored, harm))


def test_a_whole_session_has_no_damage() -> None:
    for count in (0, 1, COUNT):
        assert found(log(count), {}).damages == []


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("data", "entry 3 does not match its hash"),
        ("hash", "entry 3 is whole, but its hash was damaged"),
        ("both", "entry 3 does not match its hash"),
        ("gone", "entry 3 is missing"),
        ("number", "entry 3 does not match its hash"),
    ],
)
def test_the_damage_of_one_row_is_named(kind: Kind, what: str) -> None:
    first = found(log(), {3: kind}).damages[0]
    assert (first.session, first.seq, first.what) == (ONE, 3, what)


def test_only_the_row_that_was_harmed_is_given_up() -> None:
    stored = log()
    entries = read(mend(found(stored, {3: "data"}), 2, 5000))
    assert [type(entry.event) for entry in entries] == [TurnStarted] * 2 + [Repaired] + [TurnStarted] * 4
    assert entries[2].event == Repaired(
        3, 3, "entry 3 does not match its hash", stored[2].hash, blob_id(b'{"type":"TurnStarted","burn":3}')
    )
    assert (entries[2].epoch, entries[2].at_ms) == (2, 5000)


def test_a_row_with_a_bad_hash_is_kept_and_the_mending_is_on_the_log() -> None:
    entries = read(mend(found(log(), {3: "hash"}), 2, 5000))
    assert [entry.event for entry in entries[:COUNT]] == [TurnStarted(turn) for turn in range(1, COUNT + 1)]
    assert entries[COUNT].event == Repaired(3, 3, "entry 3 is whole, but its hash was damaged", "f" * 64)


def test_neighbours_that_are_lost_are_told_as_one_range() -> None:
    made = mend(found(log(), {2: "gone", 3: "data", 5: "gone"}), 2, 5000)
    lost = [entry.event for entry in read(made) if isinstance(entry.event, Repaired)]
    assert [(event.first, event.last) for event in lost[:3]] == [(2, 3), (2, 3), (5, 5)]
    assert [event.reason for event in lost[3:]] == [
        "entry 6 cannot be checked: what stands before it is damaged"
    ]


def test_entries_at_the_end_that_are_gone_have_their_tombstones() -> None:
    entries = read(mend(found(log(), {6: "gone", 7: "gone"}), 2, 5000))
    assert [entry.event for entry in entries[5:]] == [
        Repaired(6, 7, f"entry {seq} is missing") for seq in (6, 7)
    ]


def test_entries_beyond_the_head_are_kept_if_they_fit() -> None:
    stored = log()
    short = Tip(1, 5, stored[4].hash, "/w")
    examined = examine(ONE, short, stored)
    assert [damage.what for damage in examined.damages] == ["has 7 entries, not 5 as listed"]
    assert len(read(mend(examined, 2, 0))) == COUNT + 1
    (only,) = examine(ONE, short, [*stored[:5], msgspec.structs.replace(stored[6], seq=6)]).damages
    assert only.what == "has 1 rows that belong to no place in it"


def test_a_number_far_out_is_not_believed() -> None:
    stored = [*log(), msgspec.structs.replace(log()[-1], seq=10**15)]
    assert len(examine(ONE, tip(log()), stored).places) == COUNT
    assert len(examine(ONE, None, stored).places) == COUNT
    for head in (10**15, -4):
        examined = examine(ONE, Tip(1, head, "", "/w"), log())
        assert len(examined.places) == COUNT
        assert [damage.what for damage in examined.damages] == [f"has 7 entries, not {head} as listed"]


def test_a_session_that_is_not_listed_is_made_of_its_rows() -> None:
    examined = examine(ONE, None, log(), strays=2)
    assert [damage.what for damage in examined.damages] == [
        "has 2 rows that belong to no place in it",
        "is missing in the list of sessions",
    ]
    assert examined.epoch == 1


def test_a_head_that_does_not_fit_is_damage() -> None:
    (only,) = examine(ONE, Tip(1, COUNT, "a" * 64, "/w"), log()).damages
    assert only.what == "does not end with the hash that is listed"
    (only,) = examine(ONE, Tip(3, 0, "b" * 64, "/w"), []).damages
    assert only.what == "does not end with the hash that is listed"


harms = st.dictionaries(
    st.integers(1, COUNT), st.sampled_from(["data", "hash", "both", "gone", "number"]), max_size=COUNT
)


@given(harm=harms, listed=st.booleans())
@settings(deadline=None)
def test_whatever_was_harmed_the_mended_log_holds_and_the_rest_is_kept(
    harm: dict[int, Kind], listed: bool
) -> None:
    stored = log()
    examined = examine(ONE, tip(stored) if listed else None, damaged(stored, harm))
    made = mend(examined, 2, 5000)
    entries = read(made)
    again = examine(ONE, tip(made), made)
    assert again.damages == []
    for entry in entries[: len(examined.places)]:
        if entry.seq not in harm:
            assert entry.event == TurnStarted(entry.seq)
        assert isinstance(entry.event, TurnStarted | Repaired)
    harmed = {seq for seq in harm if seq <= len(examined.places)}
    assert harmed <= {damage.seq for damage in examined.damages} or not listed
