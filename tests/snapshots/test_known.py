"""Looks at known paths: what they see, what they take over, and that nothing is lost by them."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hames.snapshots.budget import Budget
from hames.snapshots.capture import Sources
from hames.snapshots.entries import Entry, Node, Tree, is_in_any
from hames.snapshots.known import look_at
from hames.snapshots.manifest import load
from tests.snapshots.desk import Desk, differing, picture
from tests.snapshots.test_any_tree import CHANGES, PATHS, STARTS, Act, a_desk
from tests.snapshots.test_closed import without_rights


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path / "work", tmp_path / "shelf")
    (desk.root / "d/deep").mkdir(parents=True)
    for name in ("a", "b", "d/c", "d/deep/e"):
        (desk.root / name).write_text(name)
    return desk


def _kinds(desk: Desk) -> dict[str, str]:
    assert desk.last is not None
    return {change.path: change.kind for change in desk.last.changes if change.kind != "time"}


def _nodes(tree: Tree) -> Mapping[str, Mapping[str, Entry]]:
    return {path: dict(node) for path, node in tree.nodes.items()}


def _settled(desk: Desk) -> Tree:
    tree = desk.take()
    while tree.unsure:
        tree = desk.take()
    return tree


def _check(desk: Desk, before: Tree) -> Tree:
    """A look at everything, which must come to the same from what a look at known paths has left as from
    `before`."""
    workspace = desk.workspace
    other = Desk(desk.root, desk.shelf.directory.parent / "other", workspace.budget, workspace.leave_out)
    other.tree = before
    other.contents = desk.contents
    assert desk.tree is not None
    assert _nodes(load(desk.shelf.whole, desk.tree.blob)) == _nodes(desk.tree)
    tree, expected = desk.take(), other.take()
    assert _nodes(tree) == _nodes(expected)
    assert (tree.top, tree.not_covered) == (expected.top, expected.not_covered)
    assert (tree.files, tree.bytes) == (expected.files, expected.bytes)
    for _, entry in tree.entries():
        if entry.kind == "file" and entry.content:
            assert len(desk.contents.get(entry.content)) == entry.stat.size
    return tree


def test_only_what_is_asked_for_is_looked_at(desk: Desk) -> None:
    before = _settled(desk)
    (desk.root / "a").write_text("changed")
    (desk.root / "d/c").write_text("changed")
    (desk.root / "b").unlink()
    tree = desk.take(only=["d/c"])
    assert _kinds(desk) == {"d/c": "content"}
    assert tree.nodes[""]["a"] is before.nodes[""]["a"]
    assert tree.nodes["d/deep"] is before.nodes["d/deep"]
    _check(desk, before)
    assert _kinds(desk) == {"a": "content", "b": "removed"}


def test_where_nothing_has_changed_the_tree_is_the_one_from_before(desk: Desk) -> None:
    before = _settled(desk)
    assert desk.take(only=["a", "d/c", "d/deep", "not/there"]) is before
    assert desk.last is not None
    assert (desk.last.blobs, desk.last.packs, desk.last.changes) == ((), (), ())


def test_a_first_look_is_at_everything(desk: Desk) -> None:
    assert set(desk.take(only=["a"]).nodes) == {"", "d", "d/deep"}
    (desk.root / "b").write_text("changed")
    other = desk.again()
    other.take(only=["a"], first=True)
    assert _kinds(other) == {"b": "content"}
    assert other.last is not None
    assert set(other.last.packs) >= set(desk.packs)


def test_a_new_directory_has_only_what_is_asked_for_until_the_next_look(desk: Desk) -> None:
    before = _settled(desk)
    (desk.root / "new/inner").mkdir(parents=True)
    for name in ("new/inner/wanted", "new/inner/beside", "new/beside"):
        (desk.root / name).write_text(name)
    tree = desk.take(only=["new/inner/wanted"])
    assert _kinds(desk) == {"new": "added", "new/inner": "added", "new/inner/wanted": "added"}
    assert (tree.files, tree.bytes) == (before.files + 1, before.bytes + len("new/inner/wanted"))
    _check(desk, before)
    assert _kinds(desk) == {"new/inner/beside": "added", "new/beside": "added"}


def test_what_has_gone_or_become_something_else_is_seen_with_all_below(desk: Desk) -> None:
    before = _settled(desk)
    (desk.root / "d/deep/e").unlink()
    (desk.root / "d/deep").rmdir()
    (desk.root / "d/deep").write_text("a file")
    (desk.root / "a").unlink()
    (desk.root / "a/inner").mkdir(parents=True)
    (desk.root / "a/inner/f").write_text("f")
    tree = desk.take(only=["d/deep/e", "a", "a/inner/f", "b/below", "d/c"])
    assert _kinds(desk) == {
        "d/deep": "kind",
        "d/deep/e": "removed",
        "a": "kind",
        "a/inner": "added",
        "a/inner/f": "added",
    }
    assert set(tree.nodes) == {"", "d", "a", "a/inner"}
    assert _nodes(_check(desk, before)) == _nodes(tree)
    (desk.root / "d/c").unlink()
    (desk.root / "d/deep").unlink()
    (desk.root / "d").rmdir()
    desk.take(only=["d/c"])
    assert _kinds(desk) == {"d": "removed", "d/c": "removed", "d/deep": "removed"}


def test_a_directory_is_looked_at_with_all_below_and_once(desk: Desk) -> None:
    before = _settled(desk)
    (desk.root / "d/deep/e").write_text("changed")
    (desk.root / "d/deep/new").write_text("new")
    (desk.root / "b").write_text("changed")
    desk.take(only=["d/deep/e", "d", "d/deep"])
    assert _kinds(desk) == {"d/deep/e": "content", "d/deep/new": "added"}
    _check(desk, before)


@pytest.mark.parametrize(
    "path", ["", "/", "..", "../x", "d/../a", "./a", "d//c", "a\0b", "link/c", "x" * 300]
)
def test_a_path_that_leads_elsewhere_is_not_followed(desk: Desk, path: str) -> None:
    (desk.root / "link").symlink_to("d")
    before = _settled(desk)
    for name in ("a", "d/c"):
        (desk.root / name).write_text("changed")
    assert desk.take(only=[path]) is before


def test_what_a_look_was_not_sure_of_stays_so_until_it_is_looked_at(desk: Desk) -> None:
    before = desk.take()
    assert before.unsure == {"a", "b", "d/c", "d/deep/e"}
    for name in ("a", "d/deep/e"):
        seen = (desk.root / name).stat()
        (desk.root / name).write_text("x" * seen.st_size)
        os.utime(desk.root / name, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    tree = desk.take(only=["d/deep"])
    assert _kinds(desk) == {"d/deep/e": "content"}
    assert {"a", "b", "d/c"} <= tree.unsure
    (desk.root / "d/c").unlink()
    assert desk.take(only=["d/c"]).unsure >= {"a", "b"}
    desk.take()
    assert _kinds(desk) == {"a": "content"}


def test_a_file_with_several_names_is_looked_at_under_all_of_them(desk: Desk) -> None:
    os.link(desk.root / "d/c", desk.root / "again")
    before = _settled(desk)
    shown = picture(desk.root)
    (desk.root / "again").write_text("changed in place")
    tree = desk.take(only=["again"])
    assert _kinds(desk) == {"again": "content", "d/c": "content"}
    assert tree.get("again") == tree.get("d/c")
    (desk.root / "swapped").write_text("instead")
    (desk.root / "swapped").rename(desk.root / "again")
    desk.take(only=["again", "swapped"])
    assert _kinds(desk) == {"again": "content"}
    desk.go_back(before)
    assert differing(picture(desk.root), shown) == {}


def test_what_is_not_covered_is_so_still(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "work", tmp_path / "shelf", Budget(3, 100), [str(tmp_path / "work/state")])
    for name in ("state/x", "large/x", "a", "was/x"):
        (desk.root / name).parent.mkdir(exist_ok=True)
        (desk.root / name).write_text("x" * (200 if name == "large/x" else 10))
    for name in ("pipe", "other"):
        os.mkfifo(desk.root / name)
    before = _settled(desk)
    gaps = {gap.path: gap.why for gap in before.not_covered}
    assert gaps == {"state": "set_aside", "large": "large", "pipe": "special", "other": "special"}
    for name in ("state/x", "large/x", "large/y"):
        (desk.root / name).write_text("changed")
    assert desk.take(only=["state/x", "large/x", "large/y", "pipe", "other/x"]) is before
    (desk.root / "pipe").unlink()
    (desk.root / "pipe").write_text("a file now")
    (desk.root / "was/x").unlink()
    os.mkfifo(desk.root / "was/x")
    tree = desk.take(only=["pipe", "was/x"])
    assert {gap.path for gap in tree.not_covered} == {"state", "large", "other", "was/x"}
    assert _kinds(desk) == {"pipe": "added"}
    assert (tree.files, tree.bytes) == (2, 20)
    _check(desk, before)


def test_over_the_budget_the_largest_files_are_left_out(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "work", tmp_path / "shelf", Budget(10, 100))
    for name in ("a", "b"):
        (desk.root / name).write_text("x" * 10)
    before = _settled(desk)
    (desk.root / "a").write_text("y" * 95)
    tree = desk.take(Sources(listed=lambda: None), only=["a"])
    assert [(gap.path, gap.why) for gap in tree.not_covered] == [("a", "large")]
    assert (tree.files, tree.bytes) == (1, 10)
    _check(desk, before)


def test_a_path_too_deep_is_named_where_it_is_cut(desk: Desk) -> None:
    before = _settled(desk)
    path = "/".join(["d"] * 260)
    (desk.root / path).mkdir(parents=True)
    tree = desk.take(only=[f"{path}/file"])
    assert [(gap.path, gap.why) for gap in tree.not_covered] == [("/".join(["d"] * 257), "deep")]
    assert desk.take(only=[f"{path}/file"]).blob == tree.blob
    _check(desk, before)


def test_what_is_closed_is_opened_only_where_it_was_closed_since() -> None:
    def act(desk: Desk) -> None:
        for above in ("early", "late", "late/inner"):
            (desk.root / above).mkdir()
            for name in ("x", "y"):
                (desk.root / above / name).write_text(name)
        (desk.root / "early").chmod(0)
        before = _settled(desk)
        for name in ("late/x", "late/inner/y"):
            (desk.root / name).write_text("changed")
        for name in ("late/inner", "late"):
            (desk.root / name).chmod(0)
        tree = desk.take(only=["early/x", "late/y"])
        assert _kinds(desk) == {
            "late": "mode",
            "late/inner": "mode",
            "late/x": "content",
            "late/inner/y": "content",
        }
        assert tree.get("early/x") is before.get("early/x")
        assert (desk.root / "late").stat().st_mode & 0o777 == 0
        (desk.root / "early").chmod(0o700)
        (desk.root / "early/x").write_text("changed")
        (desk.root).chmod(0)
        assert desk.take(only=["late/x"]).get("early/x") != before.get("early/x")
        assert desk.take(only=["late/x", "early"]).not_covered == ()
        assert (desk.root).stat().st_mode & 0o777 == 0
        for name in ("", "late", "late/inner"):
            (desk.root / name).chmod(0o700)
        _check(desk, before)

    without_rights(act)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make what is somebody else's")
def test_what_cannot_be_entered_is_named_still() -> None:
    def prepare(root: Path) -> None:
        for name in ("theirs", "lost"):
            (root / name).mkdir()
            (root / name / "x").write_text("x")
        (root / "theirs").chmod(0o700)

    def act(desk: Desk) -> None:
        before = _settled(desk)
        assert [gap.path for gap in before.not_covered] == ["theirs"]
        tree = desk.take(only=["theirs/x", "theirs/new", "lost/x"])
        assert (tree.blob, tree.not_covered) == (before.blob, before.not_covered)
        _check(desk, before)

    without_rights(act, prepare)


def test_an_abandoned_look_closes_what_it_had_opened() -> None:
    def act(desk: Desk) -> None:
        (desk.root / "d").mkdir()
        (desk.root / "d/x").write_text("x")
        desk.take()
        (desk.root / "d").chmod(0)

        def stop(done: int, of: int) -> None:
            raise InterruptedError(f"{done} of {of}")

        with pytest.raises(InterruptedError):
            desk.take(Sources(progress=stop), only=["d/x"])
        assert (desk.root / "d").stat().st_mode & 0o777 == 0

    without_rights(act)


def test_the_root_must_be_there(desk: Desk, tmp_path: Path) -> None:
    before = desk.take()
    with pytest.raises(FileNotFoundError):
        look_at(str(tmp_path / "elsewhere"), before, ["a"], frozenset())


def _seen(nodes: Mapping[str, Node]) -> dict[str, Entry]:
    return {
        f"{above}/{name}".lstrip("/"): entry for above, node in nodes.items() for name, entry in node.items()
    }


@settings(max_examples=150, deadline=None)
@given(STARTS, CHANGES, st.lists(st.sampled_from(PATHS), max_size=4), CHANGES)
def test_nothing_is_lost_by_a_look_at_known_paths(
    start: list[Act], changes: list[Act], paths: list[str], more: list[Act]
) -> None:
    with a_desk() as desk:
        for act in start:
            act.do(desk.root)
        before = desk.take()
        for act in changes:
            act.do(desk.root)
        tree = desk.take(only=paths)
        fresh = Desk(desk.root, desk.shelf.directory.parent / "fresh").take()
        expected, found = _seen(fresh.nodes), _seen(tree.nodes)
        for path in expected.keys() | found.keys():
            if is_in_any(path, paths):
                assert found.get(path) == expected.get(path), path
            else:
                assert found.get(path) in (expected.get(path), before.get(path)), path
        assert set(tree.nodes) == {"", *(path for path, entry in found.items() if entry.kind == "directory")}
        for act in more:
            act.do(desk.root)
        _check(desk, before)
