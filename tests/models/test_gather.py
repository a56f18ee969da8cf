from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from hames.models.gather import GATHER_S, QUICK_PIECES, SMALL_BYTES, GatheringStream

FAST_S, SLOW_S = 0.0001, 0.05


class Seen(NamedTuple):
    """How many pieces were read at once, and how long the oldest of them had been there."""

    pieces: int
    late_s: float


class Dripping(ByteStream):
    """Gives pieces, each so long after the one before; who asks late gets all that have come."""

    def __init__(self, gaps_s: Sequence[float], piece: bytes = b"word ") -> None:
        begun_s = anyio.current_time()
        self._due = [begun_s + after_s for after_s in accumulate(gaps_s)]
        self._piece = piece
        self.seen: list[Seen] = []
        self.done: list[object] = []

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.sleep_until(self._due[0])
        now_s = anyio.current_time()
        came = [due_s for due_s in self._due if due_s <= now_s]
        self.seen.append(Seen(len(came), now_s - came[0]))
        self._due = self._due[len(came) :]
        return self._piece * len(came)

    async def send(self, item: bytes) -> None:
        self.done.append(item)

    async def send_eof(self) -> None:
        self.done.append("eof")

    async def aclose(self) -> None:
        self.done.append("closed")

    @property
    def extra_attributes(self) -> Mapping[object, Callable[[], object]]:
        return {SocketAttribute.remote_port: lambda: 443}


def read(gaps_s: Sequence[float], piece: bytes = b"word ") -> list[Seen]:
    """What is read of such a stream, hours of it at once."""

    async def all_of_it() -> list[Seen]:
        source = Dripping(gaps_s, piece)
        stream = GatheringStream(source)
        data = b""
        while len(data) < len(piece) * len(gaps_s):
            data += await stream.receive()
        assert data == piece * len(gaps_s)
        return source.seen

    return anyio.run(all_of_it, backend="trio", backend_options={"clock": MockClock(autojump_threshold=0)})


def test_small_pieces_that_come_fast_are_read_many_at_a_time() -> None:
    seen = read([FAST_S] * 2000)
    assert [each.pieces for each in seen[:QUICK_PIECES]] == [1] * QUICK_PIECES
    assert min(each.pieces for each in seen[QUICK_PIECES:-1]) > 50


def test_what_comes_slowly_is_read_as_it_comes() -> None:
    assert read([SLOW_S] * 100) == [Seen(1, 0.0)] * 100


def test_a_short_reply_is_never_kept_waiting() -> None:
    assert read([FAST_S] * QUICK_PIECES) == [Seen(1, 0.0)] * QUICK_PIECES


def test_large_pieces_have_gathered_already() -> None:
    assert read([FAST_S] * 50, b"x" * (SMALL_BYTES + 1)) == [Seen(1, 0.0)] * 50


def test_once_the_stream_is_slow_again_only_one_piece_comes_later() -> None:
    seen = read([*[FAST_S] * 500, *[SLOW_S] * 100])
    assert seen[-98:] == [Seen(1, 0.0)] * 98


@given(st.lists(st.sampled_from([0.0, FAST_S, 0.001, 0.003, GATHER_S, SLOW_S]), max_size=80))
def test_nothing_comes_later_than_it_may(gaps_s: list[float]) -> None:
    assert max((each.late_s for each in read(gaps_s)), default=0.0) <= GATHER_S + 1e-9


def test_a_new_request_ends_the_gathering() -> None:
    async def ask_again() -> list[Seen]:
        source = Dripping([FAST_S] * (QUICK_PIECES + 1))
        stream = GatheringStream(source)
        for _ in range(QUICK_PIECES):
            await stream.receive()
        await stream.send(b"again")
        await stream.receive()
        assert source.done == [b"again"]
        return source.seen

    clock = MockClock(autojump_threshold=0)
    seen = anyio.run(ask_again, backend="trio", backend_options={"clock": clock})
    assert seen == [Seen(1, 0.0)] * (QUICK_PIECES + 1)


@pytest.mark.anyio
async def test_all_else_is_done_by_the_stream_itself() -> None:
    source = Dripping([])
    stream = GatheringStream(source)
    assert stream.extra(SocketAttribute.remote_port) == 443
    await stream.send_eof()
    await stream.aclose()
    assert source.done == ["eof", "closed"]
