"""Rows: encoding, the hash chain, and what a list shows."""

import json
from hashlib import sha256
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.core.errors import DamagedLog, NewerLog
from hames.core.events import AnyEvent, Labelled, SessionOpened, TurnEnded, TurnStarted, UserSpoke
from hames.core.ids import SessionId, blob_id
from hames.core.limits import LOG_FORMAT
from hames.core.messages import Image, Text
from hames.core.ports import Claim
from hames.stores import rows
from hames.testing.samples import BARE, SAMPLES

SESSION = SessionId("01s")


def _log(count: int = 6) -> list[rows.Row]:
    made = rows.drafts(TurnStarted(turn) for turn in range(count))
    return rows.chained(Claim(SESSION, 3, 0), 1000, rows.GENESIS, made)


def _read(found: list[rows.Row], whole: list[rows.Row], after: int = 0) -> None:
    previous = whole[after - 1].hash if after else rows.GENESIS
    rows.entries(rows.Stretch(SESSION, after, previous, found, len(whole), whole[-1].hash))


def _row(kind: str, v: int, ignorable: int, data: bytes) -> rows.Row:
    return rows.Row(SESSION, 1, 1, 1000, kind, v, ignorable, data, "")


def test_there_is_a_sample_of_every_event() -> None:
    assert {type(event) for event in SAMPLES} == set(get_args(AnyEvent))
    assert len(SAMPLES) == len(get_args(AnyEvent))


@pytest.mark.parametrize("event", [*SAMPLES, *BARE], ids=lambda event: type(event).__name__)
def test_every_event_is_decoded_as_it_was(event: AnyEvent) -> None:
    (draft,) = rows.drafts([event])
    (row,) = rows.chained(Claim(SESSION, 1, 0), 1000, rows.GENESIS, [draft])
    again = rows.decoded(row)
    assert again == event
    assert msgspec.json.encode(again) == row.data
    assert (row.type, row.v, bool(row.ignorable)) == (type(event).__name__, event.version, event.ignorable)


def test_the_chain_can_be_worked_out_by_anybody() -> None:
    previous = "0" * 64
    for row in _log():
        columns = [previous, row.session, row.seq, row.epoch, row.at_ms, row.type, row.v, row.ignorable]
        head = json.dumps(columns, separators=(",", ":")).encode()
        previous = sha256(head + b"\n" + row.data).hexdigest()
        assert row.hash == previous


@given(index=st.integers(0, 5), place=st.integers(0, 8), flip=st.integers(1, 255))
def test_any_change_to_any_column_is_noticed_and_named(index: int, place: int, flip: int) -> None:
    whole = _log()
    name = rows.Row.__struct_fields__[place]
    value: object = getattr(whole[index], name)
    match value:
        case int():
            changed = value + flip
        case str():
            changed = value + chr(flip)
        case _:
            changed = bytes([whole[index].data[0] ^ flip]) + whole[index].data[1:]
    damaged = [*whole]
    damaged[index] = msgspec.structs.replace(whole[index], **{name: changed})
    with pytest.raises(DamagedLog, match=f"session {SESSION} is damaged: entry {index + 1} "):
        _read(damaged, whole)


@given(gone=st.sets(st.integers(0, 5), min_size=1))
def test_rows_that_are_gone_are_named(gone: set[int]) -> None:
    whole = _log()
    left = [row for index, row in enumerate(whole) if index not in gone]
    with pytest.raises(DamagedLog, match=f"entry {min(gone) + 1} is missing"):
        _read(left, whole)


def test_a_tail_that_was_rewritten_is_noticed_by_the_session() -> None:
    whole = _log()
    other = rows.chained(Claim(SESSION, 3, 5), 1000, whole[4].hash, rows.drafts([TurnStarted(99)]))
    with pytest.raises(DamagedLog, match="entry 6 is not the one that the session ends with"):
        _read([*whole[:5], *other], whole)


@pytest.mark.parametrize("after", [0, 1, 5, 6, 7])
def test_a_part_of_the_log_is_verified_from_where_it_begins(after: int) -> None:
    whole = _log()
    _read(whole[after:], whole, min(after, 6))


@pytest.mark.parametrize(
    ("kind", "v", "data"),
    [
        ("TeaServed", 1, b'{"type":"TeaServed","sugar":2}'),
        ("Labelled", 2, b'{"type":"Labelled","step":1,"label":"x","source":"rule"}'),
        ("Labelled", 1, b'{"type":"Labelled","step":1,"label":"x","source":"rule","colour":"red"}'),
    ],
    ids=["an unknown type", "a newer version", "an unknown field"],
)
def test_what_is_newer_is_skipped_only_if_it_may_be(kind: str, v: int, data: bytes) -> None:
    assert rows.decoded(_row(kind, v, 1, data)) is None
    with pytest.raises(NewerLog, match=rf"entry 1 of session 01s \({kind}, version {v}\).*upgrade hames"):
        rows.decoded(_row(kind, v, 0, data))


def test_a_session_of_a_newer_format_is_not_read() -> None:
    newer = SessionOpened(SESSION, LOG_FORMAT + 1, "9.0", "/w")
    with pytest.raises(NewerLog, match="upgrade hames"):
        rows.decoded(_row("SessionOpened", 1, 0, msgspec.json.encode(newer)))


def test_an_event_that_may_be_skipped_says_so_in_its_row() -> None:
    made = rows.drafts([Labelled(1, "x", "rule"), TurnStarted(1)])
    assert [row.ignorable for row in rows.chained(Claim(SESSION, 1, 0), 0, rows.GENESIS, made)] == [1, 0]


def _title(*parts: str) -> str | None:
    return rows.summary(rows.drafts([UserSpoke(tuple(Text(part) for part in parts))])).title


def test_a_title_is_one_short_line_of_the_first_words() -> None:
    assert _title("  Fix\tthe\n\nbug  ") == "Fix the bug"
    assert _title("x" * 80) == "x" * 80
    assert _title("x" * 81) == "x" * 79 + "…"
    assert _title("word " * 40) == "word " * 15 + "word…"
    assert _title("red \x1b[31m\x00\u2028alert") == "red [31m alert"
    assert _title("") == ""


@given(st.lists(st.text(), max_size=4))
def test_a_title_is_never_long_and_always_printable(parts: list[str]) -> None:
    title = _title(*parts)
    assert title is not None
    assert len(title) <= 80
    assert title.isprintable()


def test_a_picture_alone_makes_a_title() -> None:
    spoken = UserSpoke((Image("image/png", blob_id(b"")),))
    assert rows.summary(rows.drafts([spoken])).title == "[image/png image]"


def test_the_last_word_on_the_ending_counts() -> None:
    ended, started = TurnEnded(1, "blocked", ""), TurnStarted(2)
    assert rows.summary(rows.drafts([started, ended])).ending == "blocked"
    assert rows.summary(rows.drafts([ended, started])).ending == "open"
    assert rows.summary(rows.drafts([UserSpoke(())])).ending is None
