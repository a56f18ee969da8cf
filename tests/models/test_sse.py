from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.models.sse import EventCutter

STREAM = ": hello\r\n\r\ndata: eins\ndata: zwei\r\rid: 5\rdata:drei 🙂\r\n\nevent: x\n\n\ndata: last\n"
EVENTS = [None, b"eins\nzwei", "drei 🙂".encode(), b"last"]


def cut(parts: list[bytes]) -> list[bytes | None]:
    cutter = EventCutter()
    return [event for part in parts for event in cutter.feed(part)] + cutter.end()


@given(st.sets(st.integers(0, len(STREAM.encode()))))
def test_events_are_the_same_wherever_the_bytes_are_cut(places: set[int]) -> None:
    data = STREAM.encode()
    edges = [0, *sorted(places), len(data)]
    assert cut([data[a:b] for a, b in pairwise(edges)]) == EVENTS


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@given(lines=st.lists(st.binary(max_size=8).map(lambda line: line.translate(None, b"\r\n")), max_size=6))
def test_what_one_writes_the_other_reads(lines: list[bytes], end: bytes) -> None:
    written = b"".join(b"data: " + line + end + end for line in lines)
    assert cut([written[at : at + 3] for at in range(0, len(written), 3)]) == lines


@pytest.mark.parametrize("places", [(), (1,), (2, 3), (4,)])
def test_a_byte_order_mark_costs_nothing_but_at_the_begin_it_is_data(places: tuple[int, ...]) -> None:
    mark = "\ufeff".encode()
    data = mark + b"data: " + mark + b"a\n\n" + mark + b"data: b\n\n"
    edges = [0, *places, len(data)]
    assert cut([data[a:b] for a, b in pairwise(edges)]) == [mark + b"a"]


def test_an_event_is_given_as_soon_as_it_is_whole() -> None:
    cutter = EventCutter()
    assert cutter.feed(b"data: a\r\n\r") == [b"a"]
    assert cutter.feed(b"\ndata: b\n") == []
    assert cutter.feed(b"\n") == [b"b"]


def test_data_without_a_blank_after_the_colon_loses_nothing() -> None:
    assert cut([b"data:  two blanks\n\ndata:\n\ndata\n\n"]) == [b" two blanks", b""]


def test_a_long_line_in_small_pieces_is_joined_once() -> None:
    pieces = [b"data: ", *[b"x" * 10] * 10_000, b"\n\n"]
    assert cut(pieces) == [b"x" * 100_000]
