"""What every store must do for snapshots: tell what other sessions have, and keep hold of it."""

from collections.abc import Awaitable, Callable, Sequence

from hames.core.events import AnyEvent, FilesRestored, SessionOpened, SnapshotTaken, TurnStarted
from hames.core.ids import BlobId, SessionId, blob_id
from hames.core.limits import LOG_FORMAT
from hames.core.ports import Claim, Past
from hames.testing.store_suite import BIG, ONE, TWO, Bench, FullStore

FIRST, SECOND, THIRD = (blob_id(b"tree %d" % number) for number in (1, 2, 3))
PACKS = tuple(blob_id(b"pack %d" % number) for number in range(4))


async def begun(store: FullStore, session: SessionId, *events: AnyEvent, workspace: str = "/w") -> Claim:
    """A session in a workspace, with these events on its log."""
    opened: Sequence[AnyEvent] = (SessionOpened(session, LOG_FORMAT, "0", workspace), *events)
    claim, _ = await store.append(await store.claim(session), opened)
    return claim


async def the_last_tree_and_every_pack_of_a_session_are_known_later(bench: Bench) -> None:
    async with bench.open() as store:
        claim = await begun(store, ONE, SnapshotTaken(FIRST, PACKS[1:3]), TurnStarted(1))
        more: list[AnyEvent] = [SnapshotTaken(SECOND, (PACKS[2], PACKS[0])), TurnStarted(2)]
        claim, _ = await store.append(claim, more)
        assert await store.last("/w") == Past(SECOND, (PACKS[1], PACKS[2], PACKS[0]))
        await store.append(claim, [SnapshotTaken(THIRD)])
    async with bench.open() as store:
        assert await store.last("/w") == Past(THIRD, (PACKS[1], PACKS[2], PACKS[0]))


async def the_session_that_changed_last_is_asked_of_those_with_a_snapshot(bench: Bench) -> None:
    async with bench.open() as store:
        one = await begun(store, ONE, SnapshotTaken(FIRST, PACKS[:1]))
        await bench.clock.advance(1)
        await begun(store, TWO, SnapshotTaken(SECOND, PACKS[1:2]))
        await bench.clock.advance(1)
        await begun(store, SessionId("01without"), TurnStarted(1))
        assert await store.last("/w") == Past(SECOND, PACKS[1:2])
        await store.append(one, [TurnStarted(1)])
        assert await store.last("/w") == Past(FIRST, PACKS[:1])


async def what_files_were_put_back_to_is_the_last_tree(bench: Bench) -> None:
    async with bench.open() as store:
        claim = await begun(store, ONE, SnapshotTaken(FIRST, PACKS[:1]), FilesRestored(SECOND))
        assert await store.last("/w") == Past(SECOND, PACKS[:1])
        await store.append(claim, [SnapshotTaken(THIRD)])
        assert await store.last("/w") == Past(THIRD, PACKS[:1])


async def another_workspace_has_another_past(bench: Bench) -> None:
    async with bench.open() as store:
        assert await store.last("/w") is None
        await begun(store, ONE, SnapshotTaken(FIRST), workspace="/w/below")
        await begun(store, TWO, TurnStarted(1))
        assert await store.last("/w") is None
        assert await store.last("/w/below") == Past(FIRST, ())


async def blobs_are_held_if_all_of_them_are_there(bench: Bench) -> None:
    given = (b"small", b"", BIG)
    there = [blob_id(data) for data in given]
    never = blob_id(b"never given")
    async with bench.open() as store:
        await store.append(await store.claim(ONE), [], given)
    async with bench.open() as store:
        await store.claim(TWO)
        assert await store.hold(there)
        assert await store.hold([*there, *there])
        assert await store.hold([])
        for asked in ([never], [*there, never], [BlobId("not an address")]):
            assert not await store.hold(asked)
        assert [await store.get(blob) for blob in there] == list(given)


async def a_kept_file_that_no_event_names_yet_is_there(bench: Bench) -> None:
    async with bench.open() as store:
        claim = await store.claim(ONE)
        for name, data in (("small", b"small"), ("big", BIG)):
            path = bench.scratch / name
            path.write_bytes(data)
            blob = await store.keep_file(str(path))
            assert await store.hold([blob])
            claim, _ = await store.append(claim, [SnapshotTaken(blob)])
            assert await store.hold([blob])


CHECKS: tuple[Callable[[Bench], Awaitable[None]], ...] = (
    the_last_tree_and_every_pack_of_a_session_are_known_later,
    the_session_that_changed_last_is_asked_of_those_with_a_snapshot,
    what_files_were_put_back_to_is_the_last_tree,
    another_workspace_has_another_past,
    blobs_are_held_if_all_of_them_are_there,
    a_kept_file_that_no_event_names_yet_is_there,
)
"""Each is a sentence about a store."""
