"""Undo of what was done in directories beside the workspace."""

from pathlib import Path

import pytest

from hames.core.errors import UsageError
from hames.core.events import FilesRestored, RestoreStarted
from hames.core.ids import SessionId
from hames.core.ports import Notice, Passing
from hames.session.forking import fork
from hames.session.keeping import Shelf
from hames.session.taking_back import Wanted, redo, undo
from hames.session.trees import Keeper
from hames.snapshots.capture import Workspace
from hames.snapshots.compare import diff
from hames.snapshots.roots import name_of
from hames.stores.memory import MemoryStore
from hames.testing.clock import VirtualClock
from tests.session.ground import Ground, change, doing, heard

pytestmark = pytest.mark.anyio
ALL = Wanted()
HARM = ("write a two; remove ../beside/d; write ../beside/a two; write ../beside/new x",)


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    ground = Ground(tmp_path, *doing("write a one"), *doing(*HARM))
    beside = tmp_path / "beside"
    change(beside, "write a one")
    change(beside, "write d/b one")
    ground.further = (str(beside),)
    return ground


def beside(ground: Ground) -> Path:
    return ground.root.parent / "beside"


BEFORE = {"a": "644 one", "d/": "", "d/b": "644 one"}


async def test_undo_brings_back_what_was_done_beside_the_workspace(ground: Ground) -> None:
    session = await ground.turn("second", await ground.turn("first"))
    after = ground.files(beside(ground))
    took = await undo(ground.host, session.id, ALL)
    assert ground.files(beside(ground)) == BEFORE
    assert ground.files() == {"a": "644 one"}
    place = str(beside(ground))
    assert dict(took.changed) == {
        f"{place}/a": "content",
        f"{place}/d": "added",
        f"{place}/d/b": "added",
        f"{place}/new": "removed",
        "a": "content",
    }
    await redo(ground.host, session.id, ALL)
    assert ground.files(beside(ground)) == after


async def test_what_the_user_changed_beside_the_workspace_is_kept_and_named_as_a_whole(
    ground: Ground,
) -> None:
    session = await ground.turn("second", await ground.turn("first"))
    mine = f"{beside(ground)}/a"
    Path(mine).write_text("mine")
    for path in ("/elsewhere", f"{mine}/../../x"):
        with pytest.raises(UsageError, match="nor in a directory beside it"):
            await undo(ground.host, session.id, Wanted(force=(path,)))
    took = await undo(ground.host, session.id, ALL)
    assert [(kept.path, kept.why) for kept in took.kept] == [(mine, "changed")]
    assert "+mine" in " ".join(took.kept[0].diff)
    events = await ground.events(session.id)
    assert [event.kept for event in events if isinstance(event, FilesRestored)] == [(mine,)]
    await redo(ground.host, session.id, ALL)
    forced = await undo(ground.host, session.id, Wanted(force=(mine, f"{ground.root}/a")))
    assert forced.kept == ()
    assert ground.files(beside(ground)) == BEFORE
    last = [event for event in await ground.events(session.id) if isinstance(event, RestoreStarted)][-1]
    assert last.force == (f"{name_of(str(beside(ground)))}/a", "a")


async def test_undo_need_not_be_told_of_the_directory_again(ground: Ground) -> None:
    session = await ground.turn("second", await ground.turn("first"))
    ground.further = ()
    await undo(ground.host, session.id, ALL)
    assert ground.files(beside(ground)) == BEFORE


async def test_a_directory_that_came_with_a_later_turn_goes_back_to_before_that(ground: Ground) -> None:
    further, ground.further = ground.further, ()
    session = await ground.turn("first")
    ground.further = further
    session = await ground.turn("second", await ground.host.resume(session.id))
    await undo(ground.host, session.id, ALL)
    assert ground.files(beside(ground)) == BEFORE
    assert ground.files() == {"a": "644 one"}
    await undo(ground.host, session.id, ALL)
    assert ground.files(beside(ground)) == BEFORE
    assert ground.files() == {}


async def test_of_a_directory_that_is_gone_it_is_said_that_it_was_left_alone(ground: Ground) -> None:
    session = await ground.turn("second", await ground.turn("first"))
    place = beside(ground)
    place.rename(ground.root.parent / "away")
    took = await undo(ground.host, session.id, ALL)
    assert [(kept.path, kept.why) for kept in took.kept] == [(str(place), "not_covered")]
    assert [(gap.path, gap.why) for gap in took.not_covered] == [(str(place), "elsewhere")]
    assert not place.exists()
    assert ground.files() == {"a": "644 one"}


async def test_the_model_is_told_of_it_by_its_whole_path(ground: Ground) -> None:
    session = await ground.turn("second", await ground.turn("first"))
    await undo(ground.host, session.id, Wanted(context=False))
    resumed = await ground.host.resume(session.id)
    assert f"{beside(ground)}/d/b" in heard(resumed.view)[-1]


async def test_a_copy_leaves_it_where_and_as_it_is_and_a_fork_in_place_brings_it_back(ground: Ground) -> None:
    session = await ground.turn("first")
    through = len(await ground.events(session.id))
    await ground.turn("second", session)
    harmed = ground.files(beside(ground))
    copy = ground.root.parent / "copy"
    took = await fork(ground.host, session.id, through, ALL, str(copy))
    assert ground.files(copy) == {"a": "644 one"}
    assert took.not_covered == ()
    assert ground.files(beside(ground)) == harmed
    await fork(ground.host, session.id, through, ALL)
    assert ground.files(beside(ground)) == BEFORE


async def test_a_look_at_known_paths_covers_those_beside_the_workspace(tmp_path: Path) -> None:
    root, other, gone = tmp_path / "w", tmp_path / "other", tmp_path / "gone"
    for place in (root, other):
        place.mkdir()
        (place / "a").write_text("one")
    told: list[Passing] = []
    clock = VirtualClock()
    store = MemoryStore(clock)
    workspace = Workspace(str(root), lambda: str(tmp_path), further=(str(other), str(gone)))
    keeper = Keeper(workspace, Shelf(store, store, clock, told.append), None)
    trees = [await keeper.look()]
    for place in (root, other):
        (place / "a").write_text("two!")
    (other / "b").write_text("not looked at")
    trees.append(await keeper.look([f"{other}/a", f"{tmp_path}/a"]))
    events = [event for look in trees for event in look.events]
    blobs = [blob for look in trees for blob in look.blobs]
    await store.append(await store.claim(SessionId("01one")), events, blobs)
    before, after = [await keeper.load(event.tree) for event in events]
    assert [change.path for change in diff(before, after)] == [f"{name_of(str(other))}/a"]
    assert told == [Notice(f"undo does not cover: {gone} (elsewhere)")]
