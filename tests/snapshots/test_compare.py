"""What differs between two trees, in words that a person is shown."""

import os
from pathlib import Path

import pytest

from hames.snapshots.compare import diff, differences, joined
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


def test_names_of_one_file_are_known_by_the_first(desk: Desk) -> None:
    os.link(desk.root / "d/c", desk.root / "z")
    os.link(desk.root / "d/c", desk.root / "d/deep/y")
    assert joined(desk.take()) == {"d/c": "d/c", "z": "d/c", "d/deep/y": "d/c"}
