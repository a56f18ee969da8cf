"""Blobs in files."""

import os
from pathlib import Path

import pytest

from hames.core.ids import blob_id
from hames.stores.blob_files import BlobFiles, address

DATA = os.urandom(3 * 1024 * 1024 + 7)


def test_the_address_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(DATA)
    assert address(str(file)) == (blob_id(DATA), len(DATA))


def test_a_file_comes_in_from_another_filesystem(tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm", f"hames-test-{os.getpid()}")
    if not elsewhere.parent.is_dir() or elsewhere.parent.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second filesystem to write to")
    files = BlobFiles(str(tmp_path / "blobs"))
    elsewhere.write_bytes(DATA)
    try:
        files.take(str(elsewhere), blob_id(DATA), len(DATA))
        assert not elsewhere.exists()
    finally:
        elsewhere.unlink(missing_ok=True)
    assert files.slice(blob_id(DATA), 0, len(DATA)) == DATA
    assert [path.name for path in (tmp_path / "blobs").iterdir()] == [blob_id(DATA)[:2]]


def test_what_a_dead_process_left_half_written_is_not_in_the_way(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"new.{os.getpid()}.{number}").write_bytes(b"half")
    BlobFiles(str(tmp_path)).put(blob_id(DATA), DATA)
    assert BlobFiles(str(tmp_path)).slice(blob_id(DATA), 0, len(DATA)) == DATA


def test_a_blob_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    place = tmp_path / blob_id(DATA)[:2] / blob_id(DATA)
    place.mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        BlobFiles(str(tmp_path)).put(blob_id(DATA), DATA)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("start", [0, 1, len(DATA) - 1, len(DATA), len(DATA) + 1])
@pytest.mark.parametrize("limit", [0, 1, 2 * 1024 * 1024, len(DATA) * 2])
def test_a_slice_is_cut_exactly(start: int, limit: int, tmp_path: Path) -> None:
    files = BlobFiles(str(tmp_path))
    files.put(blob_id(DATA), DATA)
    assert files.slice(blob_id(DATA), start, limit) == DATA[start : start + limit]
