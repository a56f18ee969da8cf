"""What a sweep and a deletion leave to sessions that share snapshots."""

import os
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from hames.core.events import AnyEvent, FilesRestored, SessionOpened, SnapshotTaken
from hames.core.ids import SessionId, blob_id
from hames.core.limits import LOG_FORMAT
from hames.core.ports import Past
from hames.sandboxes.runtime import remove_tree
from hames.stores.disk import disk_bytes
from hames.stores.sqlite import SqliteStore
from hames.stores.upkeep import SqliteUpkeep
from hames.testing.store_suite import BIG
from tests.stores.ground import TWO, Ground, Pace

pytestmark = pytest.mark.anyio

OLD, NEW = SessionId("01old"), SessionId("01new")
TREE, LATER = b"the manifest", b"the manifest of later"
PACKS = (b"a small pack", BIG + b"a pack", BIG + b"another pack")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def ground(tmp_path: Path) -> Ground:
    """With a session that has snapshots, begun long ago."""
    made = Ground(tmp_path)
    async with await made.open() as store:
        await took(store, OLD, TREE, PACKS)
        await took(store, OLD, LATER, ())
    for path in made.root.rglob("*"):
        os.utime(path, (made.clock.now(), made.clock.now()))
    await made.clock.sleep(3600)
    return made


async def took(store: SqliteStore, session: SessionId, tree: bytes, packs: Sequence[bytes]) -> None:
    """A session names a tree and brings its packs."""
    claim = await store.claim(session)
    opened: list[AnyEvent] = [] if claim.head else [SessionOpened(session, LOG_FORMAT, "0", "/w")]
    taken = SnapshotTaken(blob_id(tree), tuple(map(blob_id, packs)))
    await store.append(claim, [*opened, taken, FilesRestored(blob_id(tree))], (tree, *packs))


async def is_there(store: SqliteStore, *blobs: bytes) -> bool:
    found = await store.hold([blob_id(data) for data in blobs])
    if found:
        assert [await store.get(blob_id(data)) for data in blobs] == list(blobs)
    return found


def files(ground: Ground) -> set[str]:
    return {path.name for path in (ground.root / "blobs").rglob("*") if path.is_file()}


async def test_a_deleted_session_takes_its_trees_and_packs_with_it(ground: Ground) -> None:
    assert files(ground) == {blob_id(PACKS[1]), blob_id(PACKS[2])}
    await ground.upkeep.delete(OLD)
    assert files(ground) == set()
    assert ground.count("blob") == 0
    async with await ground.open() as store:
        assert await store.last("/w") is None
        assert not await store.hold([blob_id(TREE)])


async def test_trees_and_packs_that_another_session_names_stay(ground: Ground) -> None:
    async with await ground.open() as store:
        await took(store, TWO, TREE, PACKS[1:2])
    await ground.upkeep.delete(OLD)
    await ground.upkeep.sweep()
    assert files(ground) == {blob_id(PACKS[1])}
    assert (await ground.upkeep.check()).damages == ()
    async with await ground.open() as store:
        assert await store.last("/w") == Past(blob_id(TREE), (blob_id(PACKS[1]),))
        assert await is_there(store, TREE, PACKS[1])


async def test_a_sweep_takes_a_pack_that_no_event_has_named(ground: Ground) -> None:
    spool = ground.root / "spool"
    spool.write_bytes(BIG + b"never named")
    async with await ground.open() as store:
        await store.claim(TWO)
        await store.keep_file(str(spool))
    assert len(files(ground)) == 3
    assert (await ground.upkeep.sweep()).blobs == 1
    assert files(ground) == {blob_id(PACKS[1]), blob_id(PACKS[2])}
    assert (await ground.upkeep.check()).damages == ()


@pytest.mark.parametrize("lost", [TREE, *PACKS], ids=["tree", "small", "first", "second"])
async def test_a_lost_tree_or_pack_is_damage_that_a_check_names(lost: bytes, ground: Ground) -> None:
    blob = blob_id(lost)
    if ground.file(blob).exists():
        ground.file(blob).unlink()
    else:
        ground.change("DELETE FROM blob WHERE sha256 = ?", blob)
    (damage,) = (await ground.upkeep.check(OLD)).damages
    assert (damage.session, damage.seq, damage.what) == (OLD, 2, f"blob {blob} is missing")
    async with await ground.open() as store:
        assert not await is_there(store, *PACKS, TREE)
    await ground.upkeep.repair()
    assert (await ground.upkeep.check()).damages == ()


async def test_a_pack_that_was_cut_is_not_there(ground: Ground) -> None:
    ground.file(blob_id(PACKS[1])).write_bytes(PACKS[1][:-1])
    async with await ground.open() as store:
        assert not await is_there(store, PACKS[1])
        assert await is_there(store, PACKS[2])


# Two processes: one begins, the other cleans up


async def test_what_was_deleted_after_it_was_found_cannot_be_held(ground: Ground) -> None:
    async with await ground.open() as store:
        await store.claim(NEW)
        found = await store.last("/w")
        assert found is not None
        await ground.upkeep.delete(OLD)
        assert not await store.hold([found.tree, *found.packs])


async def test_what_is_held_outlives_its_session_until_it_is_named(ground: Ground) -> None:
    async with await ground.open() as store:
        await store.claim(NEW)
        found = await store.last("/w")
        assert found is not None
        assert await store.hold([found.tree, *found.packs])
        await ground.upkeep.delete(OLD)
        assert (await ground.upkeep.sweep()).waiting == 1 + len(PACKS)
        await took(store, NEW, LATER, ())
        claim = await store.claim(NEW)
        await store.append(claim, [SnapshotTaken(found.tree, found.packs)])
        await ground.upkeep.sweep()
        assert await is_there(store, LATER, *PACKS)
    assert (await ground.upkeep.check()).damages == ()


async def test_what_is_held_and_never_named_goes_once_the_session_is_let_go_of(ground: Ground) -> None:
    async with await ground.open() as store:
        claim = await store.claim(NEW)
        assert await is_there(store, *PACKS)
        await ground.upkeep.delete(OLD)
        assert await is_there(store, *PACKS)
        await store.release(claim)
        await ground.upkeep.sweep()
        assert not await is_there(store, PACKS[0])
    assert files(ground) == set()


@pytest.mark.parametrize("first", ["hold", "delete"])
async def test_holding_beside_a_deletion_is_all_or_nothing(first: str, ground: Ground) -> None:
    held: list[bool] = []
    pace = Pace()
    upkeep = SqliteUpkeep(str(ground.root), pace, remove_tree)

    async def hold(store: SqliteStore) -> None:
        held.append(await store.hold([blob_id(data) for data in (LATER, *PACKS)]))
        pace.rest()

    async def delete() -> None:
        await upkeep.delete(OLD)

    for _ in range(10):
        async with await ground.open() as store:
            await took(store, OLD, TREE, PACKS)
            await took(store, OLD, LATER, ())
            await store.release(await store.claim(OLD))
            claim = await store.claim(NEW)
            pace.go_on()
            async with anyio.create_task_group() as tasks:
                if first == "hold":
                    tasks.start_soon(hold, store)
                    tasks.start_soon(delete)
                else:
                    tasks.start_soon(delete)
                    tasks.start_soon(hold, store)
            assert await is_there(store, LATER, *PACKS) == held[-1]
            await store.release(claim)
        await ground.upkeep.sweep()
    assert len(held) == 10


async def test_a_directory_in_the_place_of_a_pack_is_no_pack(ground: Ground) -> None:
    place = ground.file(blob_id(PACKS[1]))
    place.unlink()
    place.mkdir()
    async with await ground.open() as store:
        assert not await is_there(store, PACKS[1])


# Damage


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE event SET data = x'7b22ff' WHERE session = '01old' AND seq = 2",
        'UPDATE event SET data = CAST(\'{"type":"TurnStarted","turn":1}\' AS BLOB) WHERE seq = 2',
        "UPDATE event SET data = x'' WHERE session = '01old' AND seq = 5",
        "UPDATE event SET v = 99 WHERE session = '01old' AND seq = 4",
    ],
    ids=["torn", "another", "empty", "newer"],
)
async def test_of_damaged_or_newer_snapshots_nothing_is_known(change: str, ground: Ground) -> None:
    ground.change(change)
    async with await ground.open() as store:
        assert await store.last("/w") is None


async def test_damage_that_is_no_snapshot_does_not_matter(ground: Ground) -> None:
    ground.change("UPDATE event SET data = x'ff' WHERE session = '01old' AND type = 'SessionOpened'")
    ground.change("UPDATE event SET v = 'one', hash = x'ff' WHERE session = '01old'")
    async with await ground.open() as store:
        assert await store.last("/w") == Past(blob_id(LATER), tuple(map(blob_id, PACKS)))


async def test_a_torn_page_hides_the_past_and_is_told_elsewhere(ground: Ground) -> None:
    path = ground.root / "log.db"
    whole = path.read_bytes()
    for page in range(2, len(whole) // 4096 + 1):
        path.write_bytes(whole[: (page - 1) * 4096] + b"\xa5" * 4096 + whole[page * 4096 :])
        async with await ground.open() as store:
            assert await store.last("/w") in (None, Past(blob_id(LATER), tuple(map(blob_id, PACKS))))


# Sizes


async def test_the_size_of_a_session_counts_the_packs_that_it_brought(ground: Ground) -> None:
    spool, pack = ground.root / "spool", BIG + b"a large pack"
    async with await ground.open() as store:
        claim = await store.claim(NEW)
        spool.write_bytes(pack)
        kept = await store.keep_file(str(spool))
        assert await store.hold([kept, blob_id(PACKS[1])])
        taken = SnapshotTaken(blob_id(b"tree"), (blob_id(PACKS[1]), kept, blob_id(b"small pack")))
        await store.append(claim, [taken], (b"tree", b"small pack"))
        row = {row.session: row for row in await store.sessions()}[NEW]
        assert len(pack) < row.bytes - len(b"treesmall pack") < len(pack) + 400
    assert files(ground) == {blob_id(PACKS[1]), blob_id(PACKS[2]), kept}
    whole = disk_bytes(str(ground.root))
    ground.file(kept).unlink()
    assert whole - disk_bytes(str(ground.root)) >= len(pack)
