from pathlib import Path
from random import Random

import pytest

from tests.torture.disk import Disk
from tests.torture.recorder import Operation

ROOT = Path("/disk")


def done(kind: str, name: str = "", offset: int = 0, more: bytes = b"") -> Operation:
    return Operation(kind, str(ROOT / name) if name else str(ROOT), offset, more, 0)


def after(tmp_path: Path, *operations: Operation, random: Random | None = None) -> dict[str, bytes]:
    """What is left of these operations when the power is lost after them."""
    disk = Disk(ROOT)
    for operation in operations:
        disk.do(operation)
    target = tmp_path / "after"
    disk.lose_power(target, random)
    found = {str(path.relative_to(target)): path for path in target.rglob("*")}
    return {name: path.read_bytes() for name, path in found.items() if path.is_file()}


WRITTEN = (done("O", "a"), done("W", "a", 0, b"one"))


def test_what_was_never_synced_is_gone(tmp_path: Path) -> None:
    assert after(tmp_path, *WRITTEN) == {}


def test_a_synced_file_without_a_synced_name_is_gone(tmp_path: Path) -> None:
    assert after(tmp_path, *WRITTEN, done("S", "a")) == {}


def test_a_synced_name_without_synced_content_is_an_empty_file(tmp_path: Path) -> None:
    assert after(tmp_path, *WRITTEN, done("S")) == {"a": b""}


def test_what_was_synced_lasts_and_what_came_later_does_not(tmp_path: Path) -> None:
    synced = (*WRITTEN, done("S", "a"), done("S"))
    later = (done("W", "a", 3, b"two"), done("U", "a"), done("O", "b"))
    assert after(tmp_path, *synced, *later) == {"a": b"one"}


def test_a_rename_lasts_when_its_directory_is_synced(tmp_path: Path) -> None:
    moved = (*WRITTEN, done("S", "a"), done("S"), done("R", "a", 0, bytes(ROOT / "b")))
    assert after(tmp_path, *moved) == {"a": b"one"}
    assert after(tmp_path / "synced", *moved, done("S")) == {"b": b"one"}


def test_a_second_name_lasts_when_its_directory_is_synced(tmp_path: Path) -> None:
    named = (*WRITTEN, done("S", "a"), done("S"), done("L", "a", 0, bytes(ROOT / "b")), done("U", "a"))
    assert after(tmp_path, *named) == {"a": b"one"}
    assert after(tmp_path / "synced", *named, done("S")) == {"b": b"one"}


def test_a_file_in_a_directory_needs_both_names(tmp_path: Path) -> None:
    made = (done("D", "d"), done("O", "d/a"), done("W", "d/a", 0, b"one"), done("S", "d/a"), done("S", "d"))
    assert after(tmp_path, *made) == {}
    assert after(tmp_path / "synced", *made, done("S")) == {"d/a": b"one"}


def test_a_synced_cut_lasts(tmp_path: Path) -> None:
    assert after(tmp_path, *WRITTEN, done("T", "a", 1), done("S", "a"), done("S")) == {"a": b"o"}


@pytest.mark.parametrize("seed", range(20))
def test_at_random_a_write_is_there_or_not_but_what_was_synced_always_is(tmp_path: Path, seed: int) -> None:
    synced = (*WRITTEN, done("S", "a"), done("S"))
    left = after(tmp_path, *synced, done("W", "a", 3, b"two"), random=Random(seed))
    assert left["a"] in (b"one", b"onetwo")
