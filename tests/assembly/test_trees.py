from pathlib import Path

import pytest

from hames.assembly.settings import Flags
from hames.assembly.settings_file import Choices
from hames.assembly.trees import Keepers
from hames.context.view import View
from hames.core.ids import SessionId
from hames.core.ports import Look
from hames.session.keeping import Shelf
from hames.snapshots.roots import roots_in, shown_path
from hames.stores.memory import MemoryStore
from hames.testing.clock import VirtualClock
from tests.assembly.conftest import House

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def keepers(house: House) -> Keepers:
    clock = VirtualClock()
    store = MemoryStore(clock)
    return Keepers(house.load(), Shelf(store, store, clock, lambda _: None), ())


async def test_a_snapshot_covers_what_the_settings_allow(house: House) -> None:
    for name, size in (("small", 10), ("large", 1000), ("larger", 2000)):
        (house.workspace / name).write_bytes(b"x" * size)
    for line, left_out in (
        ("", []),
        ("undo_files = 2", ["larger"]),
        ("undo_bytes = 20", ["large", "larger"]),
    ):
        house.write(house.user, line)
        made = keepers(house)
        keeper = made.of(View())
        look = await keeper.look()
        made.close()
        assert look.tree is not None
        assert sorted(gap.path for gap in keeper.not_covered) == left_out


async def test_what_a_session_keeps_says_what_has_changed(house: House) -> None:
    clock = VirtualClock()
    store = MemoryStore(clock)
    made = Keepers(house.load(), Shelf(store, store, clock, lambda _: None), ())
    keeper = made.of(View())
    first = await keeper.look()
    await store.append(await store.claim(SessionId("01one")), first.events, first.blobs)
    (house.workspace / "new").mkdir()
    second = await keeper.look()
    assert first.tree is not None
    assert second.tree is not None
    assert await keeper.changed(first.tree, second.tree) == ("new/",)
    made.close()


async def test_further_directories_are_looked_at_but_not_what_hames_keeps_itself(house: House) -> None:
    beside = house.home / "data"
    inside = house.workspace / "inside"
    own = house.load().directories.state
    for place in (beside, inside, Path(own) / "sub"):
        place.mkdir(parents=True)
        (place / "file").write_text("x")
    settings = house.load(Flags(Choices(add_dirs=tuple(map(str, (inside, beside, Path(own) / "sub"))))))
    clock = VirtualClock()
    store = MemoryStore(clock)
    made = Keepers(settings, Shelf(store, store, clock, lambda _: None), ())
    keeper = made.of(View())
    look = await keeper.look()
    assert look.tree is not None
    await store.append(await store.claim(SessionId("01one")), look.events, look.blobs)
    tree = await keeper.load(look.tree)
    made.close()
    assert [shown_path(name) for name in roots_in(tree)] == [str(beside)]
    assert sorted(shown_path(path) for path, entry in tree.entries() if entry.kind == "file") == [
        str(beside / "file"),
        "inside/file",
    ]


async def test_no_snapshot_is_taken_where_undo_is_switched_off(house: House) -> None:
    house.write(house.user, "undo = false\n")
    made = keepers(house)
    assert await made.of(View()).look() == Look()
    made.close()
    assert not (house.home / ".local").exists()
