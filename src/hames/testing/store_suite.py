"""What every store must do. Run `CHECKS`, and those of `sharing_suite` and `past_suite`, against yours.

A check opens the store as often as it likes; what was appended before must be there again.
"""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import anyio
import msgspec

from hames.core.errors import DamagedLog, Fenced, HamesError, SessionMissing, StoreError
from hames.core.events import (
    AnyEvent,
    Entry,
    SessionOpened,
    TurnEnded,
    TurnStarted,
    UserSpoke,
)
from hames.core.ids import BlobId, SessionId, blob_id
from hames.core.limits import INLINE_BYTES, LOG_FORMAT
from hames.core.messages import Text
from hames.core.ports import (
    Arrivals,
    Blobs,
    Checkpoint,
    Checkpoints,
    Claim,
    Departures,
    PastTrees,
    SessionList,
    Store,
)
from hames.testing.clock import VirtualClock
from hames.testing.samples import BARE, BLOBS, SAMPLES

ONE = SessionId("01one")
TWO = SessionId("01two")
BIG = bytes(range(256)) * (INLINE_BYTES // 256) + b"one over"


class FullStore(Store, Checkpoints, SessionList, Arrivals, Departures, Blobs, PastTrees, Protocol):
    """A store with all that belongs to it."""


class Bench(msgspec.Struct, frozen=True):
    """Where a check runs. `open` opens the same store each time; `scratch` is an empty directory."""

    open: Callable[[], AbstractAsyncContextManager[FullStore]]
    clock: VirtualClock
    scratch: Path


async def every_event_comes_back_byte_for_byte(bench: Bench) -> None:
    events = (*SAMPLES, *BARE)
    async with bench.open() as store:
        claim = await store.claim(ONE)
        claim, first = await store.append(claim, events[:7], BLOBS)
        claim, rest = await store.append(claim, events[7:])
    async with bench.open() as store:
        found = await store.read(ONE)
    assert list(found) == [*first, *rest]
    assert [entry.event for entry in found] == list(events)
    assert [_bytes(entry.event) for entry in found] == [_bytes(event) for event in events]
    assert [entry.seq for entry in found] == list(range(1, len(events) + 1))
    assert {entry.epoch for entry in found} == {1}
    assert {entry.at_ms for entry in found} == {int(bench.clock.now() * 1000)}
    assert len({entry.hash for entry in found}) == len(found)


async def a_claim_raises_the_epoch_and_carries_the_head(bench: Bench) -> None:
    async with bench.open() as store:
        claim = await store.claim(ONE)
        assert claim == Claim(ONE, 1, 0)
        claim, _ = await store.append(claim, [TurnStarted(1), TurnStarted(2)])
        assert claim == Claim(ONE, 1, 2)
        assert await store.claim(ONE) == Claim(ONE, 2, 2)
        assert await store.claim(TWO) == Claim(TWO, 1, 0)
    async with bench.open() as store:
        assert await store.claim(ONE) == Claim(ONE, 3, 2)


async def an_owner_that_was_replaced_writes_nothing(bench: Bench) -> None:
    async with bench.open() as store:
        old = await store.claim(ONE)
        old, _ = await store.append(old, [TurnStarted(1)])
        new = await store.claim(ONE)
        assert "taken over" in await refusal(store, old, [TurnStarted(9)], (b"unwanted", BIG))
        new, entries = await store.append(new, [TurnStarted(2)])
        assert [entry.epoch for entry in entries] == [2]
        assert turns(await store.read(ONE)) == [1, 2]
        for unwanted in (b"unwanted", BIG):
            await _missing(store, blob_id(unwanted))


async def a_claim_is_good_for_one_append(bench: Bench) -> None:
    async with bench.open() as store:
        claim = await store.claim(ONE)
        later, _ = await store.append(claim, [TurnStarted(1)])
        await refusal(store, claim, [TurnStarted(9)])
        await refusal(store, Claim(ONE, claim.epoch, 7), [TurnStarted(9)])
        await refusal(store, Claim(TWO, 1, 0), [TurnStarted(9)])
        await store.append(later, [TurnStarted(2)])
        assert turns(await store.read(ONE)) == [1, 2]


async def a_session_that_was_never_claimed_is_missing(bench: Bench) -> None:
    async with bench.open() as store:
        assert ONE in await said(SessionMissing, store.read(ONE))


async def a_claimed_session_is_empty_and_not_listed(bench: Bench) -> None:
    async with bench.open() as store:
        await store.claim(ONE)
        assert list(await store.read(ONE)) == []
        assert list(await store.sessions()) == []


async def reading_begins_after_the_entry_that_is_named(bench: Bench) -> None:
    async with bench.open() as store:
        claim = await store.claim(ONE)
        _, entries = await store.append(claim, [TurnStarted(turn) for turn in range(1, 6)])
        for after in range(7):
            assert list(await store.read(ONE, after)) == list(entries[after:])


async def many_sessions_append_side_by_side(bench: Bench) -> None:
    names = [SessionId(f"01many{number:03}") for number in range(40)]

    async def fill(store: FullStore, name: SessionId) -> None:
        claim = await store.claim(name)
        for turn in range(1, 6):
            claim, entries = await store.append(claim, [TurnStarted(turn), TurnStarted(-turn)])
            assert claim.head == entries[-1].seq == turn * 2

    async with bench.open() as store:
        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(fill, store, name)
        for name in names:
            assert turns(await store.read(name)) == [1, -1, 2, -2, 3, -3, 4, -4, 5, -5]
        assert len(await store.sessions()) == len(names)


async def a_refused_append_does_no_harm_to_those_beside_it(bench: Bench) -> None:
    outcomes: dict[str, bool] = {}

    async def one(store: FullStore, claim: Claim) -> None:
        try:
            await store.append(claim, [TurnStarted(1)])
        except Fenced:
            outcomes[claim.session] = False
        else:
            outcomes[claim.session] = True

    async with bench.open() as store:
        claims = [await store.claim(SessionId(f"01beside{number}")) for number in range(9)]
        stale = claims[4]
        await store.claim(stale.session)
        async with anyio.create_task_group() as tasks:
            for claim in claims:
                tasks.start_soon(one, store, claim)
        assert outcomes == {claim.session: claim is not stale for claim in claims}
        for claim in claims:
            assert len(await store.read(claim.session)) == (0 if claim is stale else 1)


async def of_two_appends_with_one_claim_one_is_refused(bench: Bench) -> None:
    refused: list[int] = []

    async def one(store: FullStore, claim: Claim, turn: int) -> None:
        try:
            await store.append(claim, [TurnStarted(turn)])
        except Fenced:
            refused.append(turn)

    async with bench.open() as store:
        claim = await store.claim(ONE)
        async with anyio.create_task_group() as tasks:
            for turn in (1, 2):
                tasks.start_soon(one, store, claim, turn)
        assert len(refused) == 1
        assert turns(await store.read(ONE)) == [3 - refused[0]]


async def an_append_that_is_cancelled_is_whole_and_reported(bench: Bench) -> None:
    async with bench.open() as store:
        claim = await store.claim(ONE)
        with anyio.CancelScope() as scope:
            scope.cancel()
            claim, _ = await store.append(claim, [TurnStarted(1)], (b"with it",))
        claim, _ = await store.append(claim, [TurnStarted(2)])
        assert turns(await store.read(ONE)) == [1, 2]
        assert await store.get(blob_id(b"with it")) == b"with it"


async def a_checkpoint_is_given_back_as_it_was_kept(bench: Bench) -> None:
    async with bench.open() as store:
        assert await store.checkpoint(ONE, "us") is None
        claim, _ = await store.append(await store.claim(ONE), [TurnStarted(1)])
        await store.keep_checkpoint(claim, "us", b"one")
        claim, _ = await store.append(claim, [TurnStarted(2), TurnStarted(3)])
        assert await store.checkpoint(ONE, "us") == Checkpoint(1, b"one")
        await store.keep_checkpoint(claim, "us", BIG)
        await store.append(claim, [TurnStarted(4)])
    async with bench.open() as store:
        assert await store.checkpoint(ONE, "us") == Checkpoint(3, BIG)
        assert await store.checkpoint(ONE, "others") is None
        assert await store.checkpoint(TWO, "us") is None


async def a_checkpoint_of_an_old_claim_is_not_kept(bench: Bench) -> None:
    async with bench.open() as store:
        old, _ = await store.append(await store.claim(ONE), [TurnStarted(1)])
        await store.append(old, [TurnStarted(2)])
        await store.keep_checkpoint(old, "us", b"late")
        await store.keep_checkpoint(Claim(TWO, 1, 0), "us", b"of nobody")
        claim = await store.claim(ONE)
        await store.claim(ONE)
        await store.keep_checkpoint(claim, "us", b"replaced")
        assert await store.checkpoint(ONE, "us") is None
        assert await store.checkpoint(TWO, "us") is None


async def text_that_is_not_unicode_is_refused_in_words(bench: Bench) -> None:
    async with bench.open() as store:
        claim = await store.claim(ONE)
        half = UserSpoke((Text("a\udc80b"),))
        assert "UserSpoke" in await said(StoreError, store.append(claim, [TurnStarted(1), half]))
        await store.append(claim, [TurnStarted(2)])
        assert turns(await store.read(ONE)) == [2]


async def blobs_come_with_the_events_that_name_them(bench: Bench) -> None:
    edge = bytes(INLINE_BYTES)
    given = (*BLOBS, edge, edge + b"1", BIG, BIG)
    async with bench.open() as store:
        claim = await store.claim(ONE)
        claim, _ = await store.append(claim, [TurnStarted(1)], given)
        claim, _ = await store.append(claim, [], (b"without an event", *given))
        assert claim.head == 1
    async with bench.open() as store:
        for data in (*given, b"without an event"):
            assert await store.get(blob_id(data)) == data
            assert await store.size(blob_id(data)) == len(data)


async def any_slice_of_a_blob_can_be_had(bench: Bench) -> None:
    small = bytes(range(100))
    async with bench.open() as store:
        claim = await store.claim(ONE)
        await store.append(claim, [TurnStarted(1)], (small, BIG))
        for data in (small, BIG):
            size = len(data)
            for start in (0, 1, 50, size - 1, size, size + 5):
                for limit in (None, 0, 1, 49, size, size * 2):
                    end = None if limit is None else start + limit
                    assert await store.get(blob_id(data), start, limit) == data[start:end]


async def a_blob_that_was_never_given_is_damage(bench: Bench) -> None:
    async with bench.open() as store:
        await _missing(store, blob_id(b"never given"))


async def a_kept_file_is_consumed_and_comes_back(bench: Bench) -> None:
    contents = {"small": b"a small file", "empty": b"", "big": BIG, "again": BIG}
    async with bench.open() as store:
        claim = await store.claim(ONE)
        kept: dict[str, BlobId] = {}
        for name, data in contents.items():
            path = bench.scratch / name
            path.write_bytes(data)
            kept[name] = await store.keep_file(str(path))
            assert not path.exists()
            await _is_there(store, kept[name], data)
        await store.append(claim, [TurnStarted(1)])
        for name, data in contents.items():
            await _is_there(store, kept[name], data)
        last = bench.scratch / "last"
        last.write_bytes(b"no append follows")
        kept["last"] = await store.keep_file(str(last))
    async with bench.open() as store:
        for name, data in contents.items():
            await _is_there(store, kept[name], data)
        await _is_there(store, kept["last"], b"no append follows")


async def a_file_that_is_not_there_cannot_be_kept(bench: Bench) -> None:
    async with bench.open() as store:
        assert "nowhere" in await said(StoreError, store.keep_file(str(bench.scratch / "nowhere")))


async def sessions_are_listed_with_what_a_person_looks_for(bench: Bench) -> None:
    opened_ms = int(bench.clock.now() * 1000)
    words = "Make the\n failing   test pass" + " please" * 40
    async with bench.open() as store:
        one = await store.claim(ONE)
        one, _ = await store.append(
            one,
            [
                SessionOpened(ONE, LOG_FORMAT, "0", "/w"),
                UserSpoke((Text("a note"),), source="context"),
                UserSpoke((Text(words),)),
                UserSpoke((Text("and then this"),)),
                TurnStarted(1),
            ],
            (b"12345",),
        )
        (row,) = await store.sessions()
        assert (row.session, row.workspace, row.events, row.ending) == (ONE, "/w", 5, "open")
        assert row.title.startswith("Make the failing test pass please")
        assert row.title.endswith("…")
        assert len(row.title) <= 80
        assert (row.opened_ms, row.changed_ms) == (opened_ms, opened_ms)
        first_bytes = row.bytes
        await bench.clock.advance(60)
        two = await store.claim(TWO)
        await store.append(two, [UserSpoke((Text("hello"),))])
        await bench.clock.advance(60)
        one, _ = await store.append(one, [TurnEnded(1, "done", "")], (b"12345", b"67"))
        rows = await store.sessions()
        assert [(row.session, row.title, row.ending) for row in rows] == [
            (ONE, rows[0].title, "done"),
            (TWO, "hello", "open"),
        ]
        assert rows[0].changed_ms == opened_ms + 120_000
        assert rows[0].bytes == first_bytes + len(_bytes(TurnEnded(1, "done", ""))) + 2
        await store.append(one, [TurnStarted(2)])
        assert (await store.sessions())[0].ending == "open"


CHECKS: tuple[Callable[[Bench], Awaitable[None]], ...] = (
    every_event_comes_back_byte_for_byte,
    a_claim_raises_the_epoch_and_carries_the_head,
    an_owner_that_was_replaced_writes_nothing,
    a_claim_is_good_for_one_append,
    a_session_that_was_never_claimed_is_missing,
    a_claimed_session_is_empty_and_not_listed,
    reading_begins_after_the_entry_that_is_named,
    many_sessions_append_side_by_side,
    a_refused_append_does_no_harm_to_those_beside_it,
    of_two_appends_with_one_claim_one_is_refused,
    an_append_that_is_cancelled_is_whole_and_reported,
    a_checkpoint_is_given_back_as_it_was_kept,
    a_checkpoint_of_an_old_claim_is_not_kept,
    text_that_is_not_unicode_is_refused_in_words,
    blobs_come_with_the_events_that_name_them,
    any_slice_of_a_blob_can_be_had,
    a_blob_that_was_never_given_is_damage,
    a_kept_file_is_consumed_and_comes_back,
    a_file_that_is_not_there_cannot_be_kept,
    sessions_are_listed_with_what_a_person_looks_for,
)
"""Each is a sentence about a store."""


def _bytes(event: AnyEvent | None) -> bytes:
    return msgspec.json.encode(event)


def turns(entries: Sequence[Entry]) -> list[int]:
    """The numbers of the turns that were started, for checks of order."""
    return [entry.event.turn for entry in entries if isinstance(entry.event, TurnStarted)]


async def said(kind: type[HamesError], asked: Coroutine[object, object, object]) -> str:
    """The words of the error of this kind that is expected."""
    words = None
    try:
        await asked
    except kind as error:
        words = str(error)
    assert words, f"{kind.__name__} was expected"
    return words


async def refusal(
    store: FullStore, claim: Claim, events: Sequence[AnyEvent], blobs: Sequence[bytes] = ()
) -> str:
    """The words of the `Fenced` that is expected of an append."""
    words = await said(Fenced, store.append(claim, events, blobs))
    assert claim.session in words
    return words


async def _missing(store: FullStore, blob: BlobId) -> None:
    assert blob in await said(DamagedLog, store.get(blob))
    assert blob in await said(DamagedLog, store.size(blob))


async def _is_there(store: FullStore, blob: BlobId, data: bytes) -> None:
    assert blob == blob_id(data)
    assert await store.size(blob) == len(data)
    assert await store.get(blob) == data
    assert await store.get(blob, 1, 5) == data[1:6]
