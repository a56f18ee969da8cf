"""Reading while others write: each entry is what was there at one moment, or is none."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hames.core.limits import SNAPSHOT_CHUNK_BYTES
from hames.snapshots.capture import Sources
from hames.snapshots.entries import HOLE
from hames.snapshots.reading import is_zeros, read_entry
from tests.snapshots.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "work", tmp_path / "shelf")


def _remove(place: Path) -> None:
    place.unlink()


def _to_link(place: Path) -> None:
    place.unlink()
    place.symlink_to("/etc/passwd")


def _to_directory(place: Path) -> None:
    place.unlink()
    place.mkdir()


def _to_pipe(place: Path) -> None:
    place.unlink()
    os.mkfifo(place)


def _directory_to_link(place: Path) -> None:
    place.parent.rename(place.parent.with_name("aside"))
    place.parent.symlink_to("/etc")


def _directory_gone(place: Path) -> None:
    place.unlink()
    place.parent.rmdir()


def _directory_to_file(place: Path) -> None:
    _directory_gone(place)
    place.parent.write_text("a file")


@pytest.mark.parametrize(
    "change",
    [_remove, _to_link, _to_directory, _to_pipe, _directory_to_link, _directory_gone, _directory_to_file],
)
def test_what_goes_or_turns_into_something_else_before_it_is_read_is_met_again_by_the_next_look(
    desk: Desk, change: Callable[[Path], None]
) -> None:
    (desk.root / "d").mkdir()
    (desk.root / "d/passwd").write_text("mine")

    def at(done: int, of: int) -> None:
        change(desk.root / "d/passwd")

    tree = desk.take(Sources(progress=at))
    entry = tree.get("d/passwd")
    assert entry is None or entry.content == b"/etc/passwd"
    assert tree.files == len([each for _, each in tree.entries() if each.kind != "directory"])
    seen = desk.take()
    fresh = Desk(desk.root, desk.shelf.directory).take()
    assert {path: dict(node) for path, node in seen.nodes.items()} == fresh.nodes


def test_a_file_is_read_as_it_was_at_one_moment(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"1" * (SNAPSHOT_CHUNK_BYTES + 5))
    kept: list[bytes] = []

    def keep(_: bytes, data: bytes) -> None:
        if len(kept) < 2:
            # Between two chunks: what has been read so far does not hold any more.
            file.write_bytes(b"2" * (SNAPSHOT_CHUNK_BYTES + 5 + len(kept)))
        kept.append(data[:1] + data[-1:])

    above = os.open(tmp_path, os.O_RDONLY)
    try:
        found = read_entry(above, "f", keep)
    finally:
        os.close(above)
    assert found is not None
    assert found.settled
    assert kept[-2:] == [b"22", b"22"]
    assert found.entry.stat.size == file.stat().st_size


def test_a_file_that_shrinks_is_no_longer_than_what_was_read(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"1" * (2 * SNAPSHOT_CHUNK_BYTES))

    def keep(_: bytes, data: bytes) -> None:
        os.truncate(file, file.stat().st_size - 1)

    above = os.open(tmp_path, os.O_RDONLY)
    try:
        found = read_entry(above, "f", keep)
    finally:
        os.close(above)
    assert found is not None
    assert not found.settled
    assert len(found.entry.chunks()) == -(-found.entry.stat.size // SNAPSHOT_CHUNK_BYTES)


@pytest.mark.parametrize("size", [1, 65_535, 65_536, 65_537, SNAPSHOT_CHUNK_BYTES, SNAPSHOT_CHUNK_BYTES + 1])
@pytest.mark.parametrize("at", [None, 0, -1])
def test_only_what_is_all_zeros_is_a_hole(tmp_path: Path, size: int, at: int | None) -> None:
    data = bytearray(size)
    if at is not None:
        data[at] = 1
    (tmp_path / "f").write_bytes(data)
    kept: dict[bytes, bytes] = {}
    above = os.open(tmp_path, os.O_RDONLY)
    try:
        found = read_entry(above, "f", kept.__setitem__)
    finally:
        os.close(above)
    assert found is not None
    again = b"".join(
        bytes(min(SNAPSHOT_CHUNK_BYTES, size - number * SNAPSHOT_CHUNK_BYTES))
        if address == HOLE
        else kept[address]
        for number, address in enumerate(found.entry.chunks())
    )
    assert again == data
    assert (HOLE in found.entry.chunks()) == (at is None or size > SNAPSHOT_CHUNK_BYTES)


def test_zeros_with_something_in_the_middle_are_none() -> None:
    assert is_zeros(bytes(200_000))
    assert not is_zeros(bytes(100_000) + b"x" + bytes(100_000))
    assert not is_zeros(b"")
