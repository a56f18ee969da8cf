"""Taking snapshots: what is an entry, what is read, what is stored, what is not covered."""

import os
import socket
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from hames.core.limits import PACK_MEMORY_BYTES
from hames.snapshots.budget import Budget
from hames.snapshots.capture import Captured, Sources, Workspace
from hames.snapshots.compare import Change
from hames.snapshots.contents import Place, needed
from hames.snapshots.entries import HOLE, Tree
from hames.snapshots.manifest import load
from tests.snapshots.desk import Desk, picture


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "work", tmp_path / "shelf")


def _last(desk: Desk) -> Captured:
    assert desk.last is not None
    return desk.last


def _settle(desk: Desk) -> Tree:
    """A snapshot with nothing left to be read again: all files get a change time of long ago."""
    tree = desk.take()
    while tree.unsure:
        tree = desk.take()
    return tree


def test_an_entry_has_all_that_is_to_come_back(desk: Desk) -> None:
    (desk.root / "d").mkdir(mode=0o700)
    (desk.root / "d/file").write_bytes(b"content")
    (desk.root / "d/file").chmod(0o4710)
    os.link(desk.root / "d/file", desk.root / "again")
    (desk.root / "link").symlink_to("nowhere")
    tree = desk.take()
    assert {path: entry.kind for path, entry in tree.entries()} == {
        "d": "directory",
        "d/file": "file",
        "again": "file",
        "link": "link",
    }
    entry = tree.get("d/file")
    assert entry is not None
    assert entry.permissions == 0o4710
    assert desk.contents.get(entry.content) == b"content"
    assert tree.get("again") == entry
    link = tree.get("link")
    assert link is not None
    assert link.content == b"nowhere"
    assert tree.top.permissions == desk.root.stat().st_mode & 0o7777
    assert (tree.files, tree.bytes) == (3, 7 + 7 + len("nowhere"))


def test_without_a_change_nothing_is_stored(desk: Desk) -> None:
    (desk.root / "a").write_text("one")
    first = desk.take()
    second = desk.take()
    assert second.blob == first.blob
    assert (_last(desk).blobs, _last(desk).packs, _last(desk).changes) == ((), (), ())


def test_a_change_is_stored_as_what_changed(desk: Desk) -> None:
    for number in range(200):
        (desk.root / f"file{number}").write_text(f"number {number}")
    whole = desk.take()
    (desk.root / "file7").write_text("other")
    (desk.root / "file8").unlink()
    (desk.root / "new").mkdir()
    tree = desk.take()
    manifest, pack = _last(desk).blobs
    assert len(manifest) < whole.whole_bytes / 10
    assert len(pack) < 200
    assert [(change.path, change.kind) for change in _last(desk).changes] == [
        ("", "time"),
        ("file7", "content"),
        ("file8", "removed"),
        ("new", "added"),
    ]
    assert load(desk.shelf.whole, tree.blob).nodes == tree.nodes


def test_manifests_are_whole_again_before_the_differences_cost_more(desk: Desk) -> None:
    for number in range(30):
        (desk.root / f"file{number}").write_text("x")
    links = [desk.take().links]
    for number in range(60):
        (desk.root / f"file{number % 30}").write_text(f"{number}")
        tree = desk.take()
        assert tree.delta_bytes <= tree.whole_bytes
        links.append(tree.links)
    assert links.count(0) > 2
    assert max(links) > 3


def test_the_same_content_is_kept_once(desk: Desk) -> None:
    data = os.urandom(5000)
    for name in ("a", "b"):
        (desk.root / name).write_bytes(data)
    desk.take()
    (desk.root / "c").write_bytes(data)
    tree = desk.take()
    assert len(_last(desk).blobs) == 1
    assert _last(desk).packs == ()
    assert len(needed(entry.content for _, entry in tree.entries())) == 1


def test_large_contents_go_through_a_file(desk: Desk) -> None:
    data = os.urandom(PACK_MEMORY_BYTES + 10)
    (desk.root / "large").write_bytes(data)
    captured = desk.capturer.capture(None)
    ((path, blob),) = captured.pack_files.items()
    assert captured.packs == (blob,)
    assert os.path.dirname(path) == str(desk.scratch)
    assert all(len(payload) < 1000 for payload in captured.blobs)
    desk.shelf.commit(captured)
    desk.contents.name(captured.packs)
    entry = captured.tree.get("large")
    assert entry is not None
    assert desk.contents.get(entry.content) == data


def test_a_large_file_is_cut_and_its_zeros_cost_nothing(desk: Desk) -> None:
    with (desk.root / "f").open("wb") as file:
        file.write(b"x" * 5_000_000)
        file.truncate(40_000_000)
        file.seek(39_999_999)
        file.write(b"y")
    entry = desk.take().get("f")
    assert entry is not None
    assert len(entry.chunks()) == 10
    assert entry.chunks().count(HOLE) == 7
    assert desk.shelf.written < 100_000


def test_an_abandoned_capture_leaves_no_file(desk: Desk) -> None:
    for number in range(3):
        (desk.root / f"large{number}").write_bytes(os.urandom(PACK_MEMORY_BYTES))

    def stop(done: int, of: int) -> None:
        if done == 2:
            raise InterruptedError(f"{done} of {of}")

    with pytest.raises(InterruptedError, match="2 of 3"):
        desk.capturer.capture(None, Sources(progress=stop))
    assert list(desk.scratch.iterdir()) == []


def test_a_change_that_keeps_size_and_times_is_found(desk: Desk) -> None:
    file = desk.root / "a"
    file.write_text("one")
    desk.take()
    seen = file.stat()
    file.write_text("two")
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert [change.kind for change in _changes(desk)] == ["content"]


def _changes(desk: Desk) -> tuple[Change, ...]:
    desk.take()
    return _last(desk).changes


def test_a_file_changed_within_the_clocks_grain_is_read_again(desk: Desk) -> None:
    file = desk.root / "a"
    for number in range(50):
        file.write_text(f"{number:03}")
        entry = desk.take().get("a")
        assert entry is not None
        assert desk.contents.get(entry.content) == b"%03d" % number


def test_a_settled_tree_reads_nothing(desk: Desk) -> None:
    (desk.root / "a").write_text("one")
    _settle(desk)

    def read(done: int, of: int) -> None:
        raise AssertionError((done, of))

    desk.take(Sources(progress=read))


def test_what_is_no_file_is_named_and_not_touched(desk: Desk) -> None:
    os.mkfifo(desk.root / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(desk.root / "socket"))
        tree = desk.take()
    assert [(gap.path, gap.why) for gap in tree.not_covered] == [("pipe", "special"), ("socket", "special")]
    assert tree.nodes[""] == {}
    assert desk.again().tree == tree
    assert desk.take().blob == tree.blob
    (desk.root / "pipe").unlink()
    assert [gap.path for gap in desk.take().not_covered] == ["socket"]
    assert len(_last(desk).blobs) == 1


def test_another_file_system_is_named_and_not_entered(tmp_path: Path) -> None:
    if not Path("/dev/shm").is_dir():
        pytest.skip("there is no second filesystem to write to")
    desk = Desk(Path("/dev"), tmp_path / "shelf", Budget(10**6, 10**9))
    whys = {gap.path: gap.why for gap in desk.capturer.capture(None).not_covered}
    assert whys["shm"] == "mount"
    assert whys["null"] == "special"


def test_what_the_caller_leaves_out_is_not_entered(tmp_path: Path) -> None:
    root = tmp_path / "work"
    (root / "state/deep").mkdir(parents=True)
    (root / "state/deep/file").write_text("ours")
    (root / "file").write_text("theirs")
    desk = Desk(root, root / "state/shelf", leave_out=[str(root / "state"), "/elsewhere"])
    tree = desk.take()
    assert [path for path, _ in tree.entries()] == ["file"]
    assert [(gap.path, gap.why) for gap in tree.not_covered] == [("state", "set_aside")]
    assert Workspace("/", str, ("/a/b",)).set_aside() == {"a/b"}


def test_over_the_budget_what_git_ignores_goes_first(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "work", tmp_path / "shelf", Budget(5, 10_000))
    for path in (
        "src/a",
        "src/b",
        "src/c.log",
        "build/x/1",
        "build/x/2",
        "build/y/3",
        ".git/HEAD",
        "sub/.git/HEAD",
    ):
        (desk.root / path).parent.mkdir(parents=True, exist_ok=True)
        (desk.root / path).write_text("content")
    asked: list[bool] = []

    def listed() -> set[bytes]:
        asked.append(True)
        return {b"src/a", b"src/b"}

    tree = desk.take(Sources(listed=listed))
    assert {gap.path: (gap.why, gap.files, gap.bytes) for gap in tree.not_covered} == {
        "build": ("ignored", 3, 21),
        "src/c.log": ("ignored", 1, 7),
    }
    assert {path for path, entry in tree.entries() if entry.kind == "file"} == {
        "src/a", "src/b", ".git/HEAD", "sub/.git/HEAD",
    }  # fmt: skip
    assert tree.get("build") is None
    # It stays so, also in a new process, and git is asked only when there is too much again.
    (desk.root / "build/z").write_text("more")
    again = desk.again()
    assert again.take(Sources(listed=listed)).not_covered == tree.not_covered
    assert len(asked) == 1


def test_a_nested_repository_is_not_ignored(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "work", tmp_path / "shelf", Budget(1, 10_000))
    for path in ("nested/deep/a", "other"):
        (desk.root / path).parent.mkdir(parents=True, exist_ok=True)
        (desk.root / path).write_text("content")
    tree = desk.take(Sources(listed=lambda: {b"nested/"}))
    assert [gap.path for gap in tree.not_covered] == ["other"]


def test_over_the_budget_without_git_the_largest_files_go(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "work", tmp_path / "shelf", Budget(10, 1000))
    for name, size in (("a", 400), ("b", 600), ("c", 300), ("big/d", 5000)):
        (desk.root / name).parent.mkdir(exist_ok=True)
        (desk.root / name).write_bytes(b"x" * size)
    tree = desk.take(Sources(listed=lambda: None))
    assert [(gap.path, gap.why, gap.bytes) for gap in tree.not_covered] == [
        ("b", "large", 600),
        ("big", "large", 5000),
    ]
    assert (tree.files, tree.bytes) == (2, 700)


def test_what_grew_over_the_budget_is_no_removal(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "work", tmp_path / "shelf", Budget(10, 1000))
    for name in ("a", "b"):
        (desk.root / name).write_bytes(b"x" * 100)
    before = desk.take()
    (desk.root / "a").write_bytes(b"x" * 5000)
    desk.take()
    assert "a" not in {change.path for change in _last(desk).changes}
    (desk.root / "b").write_bytes(b"y")
    desk.take()
    what, _ = desk.go_back(before)
    assert [(each.path, each.why) for each in what.conflicts] == [("a", "not_covered")]
    assert len((desk.root / "a").read_bytes()) == 5000
    assert (desk.root / "b").read_bytes() == b"x" * 100


def test_far_over_the_budget_directories_are_not_entered_any_more(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "work", tmp_path / "shelf", Budget(1, 10**6))
    for number in range(12):
        (desk.root / f"file{number}").write_text("x")
    (desk.root / "d/deep").mkdir(parents=True)
    (desk.root / "d/file").write_text("x")
    whys = {gap.path: gap.why for gap in desk.take().not_covered}
    assert whys["d"] == "many"
    assert len(whys) == 12


def test_a_tree_too_deep_is_named_where_it_is_cut(desk: Desk) -> None:
    path = "/".join(["d"] * 300)
    (desk.root / path).mkdir(parents=True)
    tree = desk.take()
    assert [(gap.path, gap.why) for gap in tree.not_covered] == [("/".join(["d"] * 257), "deep")]
    before = picture(desk.root)
    desk.go_back(tree)
    assert picture(desk.root) == before


def test_another_session_builds_on_what_is_kept(tmp_path: Path) -> None:
    one = Desk(tmp_path / "work", tmp_path / "shelf")
    for number in range(10):
        (one.root / f"file{number}").write_text(f"content {number}")
        one.take()
    two = one.again()
    tree = two.take(first=True)
    assert tree.links == 0
    assert set(_last(two).packs) == set(one.packs)
    stored = Desk(one.root, tmp_path / "shelf")
    stored.contents.name(_last(two).packs)
    for address in needed(entry.content for _, entry in load(stored.shelf.whole, tree.blob).entries()):
        stored.contents.get(address)
    three = two.again()
    assert three.take(first=True).blob == tree.blob
    assert (_last(three).blobs, set(_last(three).packs)) == ((), set(one.packs))


def test_contents_that_others_have_are_named_and_not_kept_again(tmp_path: Path) -> None:
    one = Desk(tmp_path / "work", tmp_path / "shelf")
    for number in range(700):
        (one.root / f"file{number}").write_text(f"content {number}")
    one.take()
    asked: list[int] = []

    def kept(addresses: Sequence[bytes]) -> Mapping[bytes, Place]:
        asked.append(len(addresses))
        return one.contents.find(addresses)

    (one.root / "new").write_text("new")
    two = Desk(one.root, tmp_path / "other")
    two.take(Sources(kept=kept))
    assert asked == [500, 201]
    assert _last(two).packs[0] == one.packs[0]
    assert len(_last(two).made) == 1
    assert len(_last(two).made[0].where.addresses) == 1


def test_what_a_writer_changes_all_the_time_is_taken_and_looked_at_again(desk: Desk) -> None:
    file = desk.root / "busy"
    file.write_bytes(b"x" * 1000)
    writes = 0

    def kept(_: Sequence[bytes]) -> Mapping[bytes, Place]:
        return {}

    def write(done: int, of: int) -> None:
        nonlocal writes
        writes += 1
        file.write_bytes(b"y" * (1000 + writes))

    tree = desk.take(Sources(kept=kept, progress=write))
    entry = tree.get("busy")
    assert entry is not None
    assert entry.stat.size == 1001
    assert tree.unsure == {"busy"}


def test_a_glance_sees_what_a_look_would(desk: Desk) -> None:
    (desk.root / "d").mkdir()
    (desk.root / "d/file").write_bytes(b"content")
    tree = _settle(desk)
    assert desk.capturer.is_as(tree)
    for change in (
        lambda: (desk.root / "d/file").write_bytes(b"changed"),
        lambda: (desk.root / "new").touch(),
        lambda: (desk.root / "new").unlink(),
        lambda: desk.root.chmod(0o700),
        lambda: os.mkfifo(desk.root / "pipe"),
        lambda: (desk.root / "d").chmod(0),
    ):
        change()
        assert not desk.capturer.is_as(tree)
        assert stat.S_IMODE((desk.root / "d").stat().st_mode) in (0, 0o755)
        tree = _settle(desk)
        assert desk.capturer.is_as(tree)


def test_a_glance_does_not_vouch_for_what_must_be_read_again(desk: Desk) -> None:
    (desk.root / "file").write_bytes(b"content")
    tree = desk.take()
    assert tree.unsure
    assert not desk.capturer.is_as(tree)
