"""What differs between two trees, in words that a person is shown."""

import fcntl
import os
import time
from pathlib import Path

import pytest

from hames.snapshots.capture import Capturer
from hames.snapshots.compare import changed_paths, diff, differences, joined
from hames.snapshots.entries import temporary_name
from hames.testing.clock import VirtualClock
from tests.snapshots.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path / "work", tmp_path / "shelf")
    (desk.root / "d/deep").mkdir(parents=True)
    for name in ("a", "b", "d/c", "d/deep/e"):
        (desk.root / name).write_text(name)
    (desk.root / "link").symlink_to("a")
    return desk


def test_each_change_has_its_kind_and_only_times_are_none(desk: Desk) -> None:
    before = desk.take()
    (desk.root / "a").write_text("other")
    (desk.root / "b").chmod(0o600)
    os.utime(desk.root / "d/c", ns=(0, 0))
    (desk.root / "d/deep/e").unlink()
    (desk.root / "d/deep").rmdir()
    (desk.root / "link").unlink()
    (desk.root / "link").mkdir()
    (desk.root / "new").write_text("new")
    after = desk.take()
    expected = {
        "a": "content",
        "b": "mode",
        "d/deep": "removed",
        "d/deep/e": "removed",
        "link": "kind",
        "new": "added",
    }
    assert {change.path: change.kind for change in diff(before, after)} == expected
    assert {change.path: change.kind for change in diff(before, desk.again().take())} == expected
    times = {change.path for change in differences(before, after) if change.kind == "time"}
    assert times == {"", "d", "d/c"}


def test_the_same_bytes_with_another_length_of_zeros_are_another_content(desk: Desk) -> None:
    (desk.root / "a").write_bytes(bytes(10))
    before = desk.take()
    (desk.root / "a").write_bytes(bytes(11))
    assert [(change.path, change.kind) for change in diff(before, desk.take())] == [("a", "content")]


def test_the_root_counts_with_its_mode(desk: Desk) -> None:
    before = desk.take()
    desk.root.chmod(0o700)
    assert [(change.path, change.kind) for change in diff(before, desk.take())] == [("", "mode")]


def test_what_changed_is_named_with_what_came_or_went_as_a_whole(desk: Desk) -> None:
    for name in (".git/objects/1", "d/.git/index", "d/node_modules/x/y", ".hg", "d/odd/f"):
        (desk.root / name).parent.mkdir(parents=True, exist_ok=True)
        (desk.root / name).write_text("old")
    before = desk.take()
    assert changed_paths(before, before) == ()
    (desk.root / "a").write_text("other")
    (desk.root / "b").unlink()
    (desk.root / "b").mkdir()
    (desk.root / "b/below").write_text("new")
    (desk.root / "d/odd").chmod(0o700)
    (desk.root / "d/odd/f").write_text("other")
    (desk.root / "d/deep/e").unlink()
    (desk.root / "d/deep").rmdir()
    (desk.root / "d/deep-not").mkdir()
    (desk.root / "new/below").mkdir(parents=True)
    (desk.root / ".git/objects/2").write_text("new")
    (desk.root / ".git/HEAD").write_text("new")
    (desk.root / "d/.git").chmod(0o700)
    (desk.root / "d/.git/index").write_text("other")
    (desk.root / "d/node_modules/x/node_modules").mkdir()
    (desk.root / ".hg").write_text("other")
    os.utime(desk.root / "d/c", ns=(0, 0))
    assert changed_paths(before, desk.take()) == (
        ".git/",
        ".hg",
        "a",
        "b/",
        "d/.git/",
        "d/deep/",
        "d/deep-not/",
        "d/node_modules/",
        "d/odd/",
        "d/odd/f",
        "new/",
    )


def test_a_directory_that_became_a_link_is_named_as_one(desk: Desk) -> None:
    before = desk.take()
    (desk.root / "d/deep/e").unlink()
    (desk.root / "d/deep").rmdir()
    (desk.root / "d/deep").symlink_to("..")
    desk.root.chmod(0o700)
    assert changed_paths(before, desk.take()) == ("./", "d/deep")


def test_names_of_one_file_are_known_by_the_first(desk: Desk) -> None:
    os.link(desk.root / "d/c", desk.root / "z")
    os.link(desk.root / "d/c", desk.root / "d/deep/y")
    assert joined(desk.take()) == {"d/c": "d/c", "z": "d/c", "d/deep/y": "d/c"}


def test_names_of_one_file_are_joined_though_a_leftover_of_it_goes_while_they_are_looked_at(
    desk: Desk,
) -> None:
    later = VirtualClock(time.time() + 3600)  # Nothing here has changed just now.
    desk.capturer = Capturer(desk.workspace, desk.contents, later)
    (desk.root / "also").write_text("one")
    (desk.root / "names").mkdir()
    for name in ("one", "two", temporary_name(3)):
        os.link(desk.root / "also", desk.root / "names" / name)
    with (desk.root / "names" / temporary_name(3)).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # As long as a restore is at work on it, it stays.
        desk.take()
    tree = desk.take()
    assert tree.nodes[""]["also"].stat.ctime_ns != tree.nodes["names"]["two"].stat.ctime_ns
    assert joined(tree) == dict.fromkeys(("also", "names/one", "names/two"), "also")
