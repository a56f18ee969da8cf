import os
import resource
import signal
import threading
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from hames.core.errors import StoreError, StoreFull
from hames.core.events import SnapshotTaken
from hames.core.ids import BlobId, SessionId
from hames.core.ports import Claim, Look, Notice, Passing, Past, Progress
from hames.session.keeping import NoTrees, Shelf
from hames.session.trees import LOOKING, Keeper, LookGivenUp, not_covered
from hames.snapshots.budget import Budget
from hames.snapshots.capture import Workspace
from hames.snapshots.compare import diff
from hames.snapshots.contents import Contents
from hames.snapshots.entries import NotCovered
from hames.stores.memory import MemoryStore
from hames.testing.clock import VirtualClock

pytestmark = pytest.mark.anyio

ONE = SessionId("01one")


class Others:
    """What other sessions have left, as the test says."""

    def __init__(self) -> None:
        self.past: Past | None = None
        self.held: list[Sequence[BlobId]] = []
        self.is_there = True

    async def last(self, workspace: str) -> Past | None:
        return self.past

    async def hold(self, blobs: Sequence[BlobId]) -> bool:
        self.held.append(blobs)
        return self.is_there


class FullStore(MemoryStore):
    """A store whose disk is full for files while the test says so."""

    full = False

    async def keep_file(self, path: str) -> BlobId:
        if self.full:
            raise StoreFull("the disk is full")
        return await super().keep_file(path)


class Ticking(VirtualClock):
    """A clock that goes on a bit whenever somebody looks at it."""

    step_s = 0.0
    looked = 0

    def elapsed(self) -> float:
        self.looked += 1
        return super().elapsed() + self.looked * self.step_s


class Ground:
    """A workspace, a store, and a session that commits what is looked at."""

    def __init__(self, root: Path) -> None:
        self.root = root / "w"
        self.root.mkdir()
        (root / "scratch").mkdir()
        self.scratch = str(root / "scratch")
        self.clock = Ticking()
        self.store = FullStore(self.clock)
        self.others = Others()
        self.told: list[Passing] = []
        self.claim: Claim | None = None
        self.events: list[SnapshotTaken] = []
        self.budget = Budget(1000, 10**9)
        self.listed: Callable[[], Coroutine[object, object, set[bytes] | None]] | None = None
        self.on_told: Callable[[], None] | None = None

    def tell(self, what: Passing) -> None:
        self.told.append(what)
        if self.on_told is not None:
            self.on_told()

    def keeper(self, past: Past | None = None) -> Keeper:
        shelf = Shelf(self.store, self.others, self.clock, self.tell, self.listed)
        return Keeper(Workspace(str(self.root), lambda: self.scratch, (), self.budget), shelf, past)

    async def commit(self, look: Look) -> None:
        if self.claim is None:
            self.claim = await self.store.claim(ONE)
        self.claim, _ = await self.store.append(self.claim, look.events, look.blobs)
        self.events += look.events

    def past(self) -> Past:
        packs = tuple(pack for event in self.events for pack in event.packs)
        return Past(self.events[-1].tree, packs)


@contextmanager
def limited_files(size: int) -> Generator[None]:
    """No file of this process can grow beyond `size`, as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    was = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, was)


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


async def test_looks_without_a_change_give_the_same_tree_and_nothing_to_store(ground: Ground) -> None:
    (ground.root / "a").write_text("one")
    keeper = ground.keeper()
    first = await keeper.look()
    await ground.commit(first)
    again = await keeper.look()
    assert [event.tree for event in first.events] == [first.tree]
    assert again == Look(first.tree)


async def test_a_change_is_a_new_tree_that_can_be_loaded(ground: Ground) -> None:
    (ground.root / "a").write_text("one")
    keeper = ground.keeper()
    await ground.commit(first := await keeper.look())
    (ground.root / "a").write_text("two!")
    await ground.commit(second := await keeper.look())
    assert first.tree is not None
    assert second.tree is not None
    before, after = await keeper.load(first.tree), await keeper.load(second.tree)
    assert [(change.path, change.kind) for change in diff(before, after)] == [("a", "content")]
    content = (await keeper.load(first.tree)).nodes[""]["a"].content
    assert await keeper.work(lambda contents: contents.get(content)) == b"one"


async def test_a_big_new_content_goes_to_the_store_as_a_file(ground: Ground) -> None:
    (ground.root / "noise").write_bytes(os.urandom(2_000_000))
    keeper = ground.keeper()
    look = await keeper.look()
    await ground.commit(look)
    assert list(Path(ground.scratch).iterdir()) == []
    assert [await ground.store.size(pack) for pack in look.events[0].packs]


async def test_a_session_goes_on_from_its_last_tree_in_another_process(ground: Ground) -> None:
    (ground.root / "a").write_text("one")
    await ground.commit(first := await ground.keeper().look())
    resumed = ground.keeper(ground.past())
    assert await resumed.look() == Look(first.tree)
    (ground.root / "b").write_text("two")
    later = await resumed.look()
    assert len(later.events) == 1
    assert later.tree != first.tree


async def test_a_first_look_builds_on_what_another_session_knows(ground: Ground) -> None:
    (ground.root / "a").write_text("one")
    await ground.commit(await ground.keeper().look())
    ground.others.past = ground.past()
    look = await ground.keeper().look()
    assert [event.packs for event in look.events] == [ground.past().packs]
    assert ground.others.held == [(ground.past().tree, *ground.past().packs)]


@pytest.mark.parametrize("missing", ["held", "tree", "pack"])
async def test_what_is_gone_is_read_and_kept_again(ground: Ground, missing: str) -> None:
    (ground.root / "a").write_text("one")
    await ground.commit(first := await ground.keeper().look())
    past = ground.past()
    gone = BlobId("0" * 64)
    ground.others.is_there = missing != "held"
    ground.others.past = Past(
        gone if missing == "tree" else past.tree, (gone,) if missing == "pack" else past.packs
    )
    look = await ground.keeper().look()
    assert look.tree is not None
    assert look.blobs != ()
    assert look.events[0].packs == first.events[0].packs


async def test_a_session_whose_own_trees_are_damaged_looks_afresh(ground: Ground) -> None:
    (ground.root / "a").write_text("one")
    look = await ground.keeper(Past(BlobId("0" * 64), (BlobId("1" * 64),))).look()
    assert len(look.events) == 1


async def test_a_look_that_was_begun_is_handed_out_by_the_next(ground: Ground) -> None:
    (ground.root / "a").write_text("one")
    keeper = ground.keeper()
    keeper.begin()
    keeper.begin()
    look = await keeper.look()
    assert [event.tree for event in look.events] == [look.tree]
    keeper.begin()


async def test_a_workspace_that_is_gone_has_no_tree(ground: Ground) -> None:
    keeper = ground.keeper()
    ground.root.rmdir()
    keeper.begin()
    assert await keeper.look() == Look(None)
    ground.root.mkdir()
    assert (await keeper.look()).tree is not None


async def test_a_full_disk_is_told_and_leaves_nothing_half_made(ground: Ground) -> None:
    (ground.root / "noise").write_bytes(os.urandom(2_000_000))
    keeper = ground.keeper()
    ground.store.full = True
    with pytest.raises(StoreFull):
        await keeper.look()
    assert list(Path(ground.scratch).iterdir()) == []
    ground.store.full = False
    assert (await keeper.look()).events != ()


async def test_a_disk_without_room_for_the_pack_is_told_as_full(ground: Ground) -> None:
    (ground.root / "noise").write_bytes(os.urandom(2_000_000))
    with limited_files(1_000_000), pytest.raises(StoreFull, match="no room"):
        await ground.keeper().look()


async def test_what_is_not_covered_is_named_once(ground: Ground) -> None:
    ground.budget = Budget(2, 10**9)
    for name in "abcd":
        (ground.root / name).write_text(name * 3)
    keeper = ground.keeper()
    assert keeper.not_covered == ()
    await ground.commit(await keeper.look())
    await keeper.look()
    assert ground.told == [
        Notice("undo does not cover: a (large, 1 files, 3 bytes), b (large, 1 files, 3 bytes)")
    ]
    assert [gap.path for gap in keeper.not_covered] == ["a", "b"]


async def test_who_knows_what_is_ignored_is_asked_when_it_is_too_much(ground: Ground) -> None:
    ground.budget = Budget(2, 10**9)
    for name in "abcd":
        (ground.root / name).write_text(name * 3)

    async def listed() -> set[bytes] | None:
        return {b"a", b"b"}

    ground.listed = listed
    keeper = ground.keeper()
    await keeper.look()
    assert [(gap.path, gap.why) for gap in keeper.not_covered] == [("c", "ignored"), ("d", "ignored")]


def test_many_gaps_are_counted() -> None:
    gaps = [NotCovered(f"s{number}", "special") for number in range(7)]
    named = "s0 (special), s1 (special), s2 (special), s3 (special), s4 (special)"
    assert not_covered(gaps) == f"undo does not cover: {named}, and 2 more"


async def test_a_long_look_tells_how_far_it_is(ground: Ground) -> None:
    for number in range(3):
        (ground.root / str(number)).write_text("x")
    ground.clock.step_s = 0.1
    await ground.keeper().look()
    assert ground.told == [Progress(LOOKING, 1, 3), Progress(LOOKING, 3, 3)]


async def test_a_look_that_nobody_waits_for_is_given_up(ground: Ground) -> None:
    for number in range(3):
        (ground.root / str(number)).write_text("x")
    ground.clock.step_s = 1
    keeper = ground.keeper()
    with anyio.CancelScope() as scope:
        ground.on_told = scope.cancel
        await keeper.look()
    assert scope.cancelled_caught
    ground.on_told = None
    look = await keeper.look()
    assert len(look.events) == 1


async def test_a_keeper_that_is_closed_looks_no_more(ground: Ground) -> None:
    (ground.root / "a").write_text("one")
    keeper = ground.keeper()
    keeper.close()
    keeper.begin()
    with pytest.raises(LookGivenUp):
        await keeper.look()


async def test_without_undo_there_are_no_trees() -> None:
    trees = NoTrees()
    trees.begin()
    assert await trees.look() == Look()
    assert await trees.changed(BlobId("0" * 64), BlobId("1" * 64)) == ()
    with pytest.raises(StoreError, match="undo = true"):
        await trees.load(BlobId("0" * 64))
    with pytest.raises(StoreError, match="undo = true"):
        await trees.work(lambda contents: contents)
    trees.close()


async def test_a_look_at_known_paths_finds_what_has_changed_there(ground: Ground) -> None:
    (ground.root / "a").write_text("one")
    keeper = ground.keeper()
    await ground.commit(first := await keeper.look())
    (ground.root / "a").write_text("two!")
    await ground.commit(second := await keeper.look([f"{ground.root}/a", "/elsewhere/b"]))
    assert first.tree is not None
    assert second.tree is not None
    found = diff(await keeper.load(first.tree), await keeper.load(second.tree))
    assert [change.path for change in found] == ["a"]


async def test_what_differs_between_two_looks_is_known_before_the_second_is_committed(ground: Ground) -> None:
    (ground.root / "a").write_text("one")
    keeper = ground.keeper()
    await ground.commit(first := await keeper.look())
    (ground.root / "a").write_text("two!")
    (ground.root / "sub").mkdir()
    (ground.root / "sub" / "b").write_text("new")
    second = await ground.keeper(ground.past()).look()
    assert first.tree is not None
    assert second.tree is not None
    assert second.tree != first.tree
    with pytest.raises(StoreError):
        await keeper.changed(first.tree, second.tree)
    later = ground.keeper(ground.past())
    assert (await later.look()).tree == second.tree
    assert await later.changed(first.tree, second.tree) == ("a", "sub/")
    assert await later.changed(second.tree, second.tree) == ()


async def test_a_look_waits_for_what_is_being_done_with_the_contents(ground: Ground) -> None:
    (ground.root / "a").write_text("one")
    keeper = ground.keeper()
    await ground.commit(await keeper.look())
    begun, gate = threading.Event(), threading.Event()
    looks: list[Look] = []

    def hold(contents: Contents) -> bool:
        begun.set()
        return gate.wait(30)

    async def look() -> None:
        looks.append(await keeper.look())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keeper.work, hold)
        await anyio.to_thread.run_sync(begun.wait)
        tasks.start_soon(look)
        await anyio.wait_all_tasks_blocked()
        assert looks == []
        gate.set()
    assert len(looks) == 1
