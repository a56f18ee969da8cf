"""The files of a runtime directory."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.sandboxes.runtime import (
    EndFile,
    clear,
    forget,
    is_name,
    read_epoch,
    remove_tree,
    sync,
    write_epoch,
)

ITEMS = [("state", "over"), ("exit_code", "3"), ("cwd", "/a b")]


@pytest.mark.parametrize("durable", [True, False])
def test_an_end_is_read_as_it_was_written(tmp_path: Path, durable: bool) -> None:
    end = EndFile(str(tmp_path / "1.0.end"))
    assert end.read() is None
    end.write(ITEMS, b"output\0", durable=durable)
    end.sync()
    read = end.read()
    assert read is not None
    assert (read.get("exit_code"), read.get("cwd"), read.body) == ("3", "/a b", b"output\0")
    assert os.listdir(tmp_path) == ["1.0.end"]


@given(st.data())
def test_a_torn_or_damaged_end_is_none(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("end") / "1.0.end"
    end = EndFile(str(path))
    end.write(ITEMS, b"output", durable=False)
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(whole[:at])
    elif data.draw(st.booleans()):
        path.write_bytes(whole[:at] + bytes(len(whole) - at) if any(whole[at:]) else b"")
    else:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    assert end.read() is None


def test_other_words_with_a_right_sum_are_none(tmp_path: Path) -> None:
    end = EndFile(str(tmp_path / "1.0.end"))
    end.write([("state", "running")], b"", durable=False)
    assert end.read() is None
    (tmp_path / "1.0.end").write_bytes(b"")
    assert end.read() is None


def test_an_end_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full"):
        _on_a_full_disk(tmp_path)
    with pytest.raises(FileNotFoundError):
        EndFile(str(tmp_path / "gone" / "1.0.end")).write(ITEMS, b"", durable=True)
    assert not sync(str(tmp_path / "gone"))


def _on_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "1.0.end.new").symlink_to("/dev/full")
    try:
        EndFile(str(tmp_path / "1.0.end")).write(ITEMS, b"", durable=False)
    except OSError as error:
        assert not (tmp_path / "1.0.end").exists()
        raise OSError("full") from error


def test_the_epoch_is_kept(tmp_path: Path) -> None:
    assert read_epoch(str(tmp_path)) == 0
    write_epoch(str(tmp_path), 7)
    assert read_epoch(str(tmp_path)) == 7
    (tmp_path / "epoch").write_text("nonsense")
    assert read_epoch(str(tmp_path)) == 0


def test_a_command_is_forgotten_with_all_its_files_and_no_others(tmp_path: Path) -> None:
    for name in ("1.0.out", "1.0.end", "1.0.kept", "1.1.out"):
        (tmp_path / name).write_text("x")
    forget(str(tmp_path), "1.0")
    forget(str(tmp_path), "../1.1")
    forget(str(tmp_path), "1.0")
    assert os.listdir(tmp_path) == ["1.1.out"]


@pytest.mark.parametrize(
    ("name", "good"), [("1.0", True), ("", False), ("a/b", False), (".x", False), ("x" * 300, False)]
)
def test_not_everything_can_be_a_name(name: str, good: bool) -> None:
    assert is_name(name) is good


def test_a_tree_is_removed_however_deep_closed_or_linked(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("kept")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "0").mkdir()
    (tree / "0" / "file").write_text("x")
    (tree / "link").symlink_to(outside)
    (tree / "loop").symlink_to(tree)
    (tree / "closed" / "inner").mkdir(parents=True)
    (tree / "closed" / "inner" / "file").write_text("x")
    (tree / "closed" / "inner").chmod(0)
    (tree / "closed").chmod(0)
    here = os.open(tree, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deep", dir_fd=here)
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    remove_tree(str(tree))
    assert os.listdir(tmp_path) == ["outside"]
    assert (outside / "file").read_text() == "kept"
    remove_tree(str(tree))


def test_a_directory_is_cleared_but_for_some(tmp_path: Path) -> None:
    for name in ("1.0.out", "socket", "log"):
        (tmp_path / name).write_text("x")
    (tmp_path / "tmp").mkdir()
    clear(str(tmp_path), but=(".out", "log"))
    assert sorted(os.listdir(tmp_path)) == ["1.0.out", "log"]
