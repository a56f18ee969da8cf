"""Packs: many contents in one blob, found again and checked."""

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hames.core.errors import DamagedLog, NewerLog
from hames.core.ids import BlobId, blob_id
from hames.core.limits import PACK_BYTES, PACK_MEMORY_BYTES
from hames.snapshots.packs import PackWriter, pressed, read_index, unpressed


def _reader(data: bytes) -> "tuple[BlobId, _Read]":
    return blob_id(data), _Read(data)


class _Read:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def __call__(self, blob: BlobId, start: int, limit: int) -> bytes:
        return self.data[start : start + limit]


def _address(number: int) -> bytes:
    return struct.pack("<Q24x", number)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=400), max_size=40))
def test_what_is_put_into_a_pack_is_found_by_its_index(contents: list[bytes]) -> None:
    writer = PackWriter(lambda: "/nonexistent")
    for number, content in enumerate(contents):
        writer.add(_address(number), content)
    made = writer.finish()
    assert len(made) == bool(contents)
    for pack in made:
        assert pack.payload is not None
        blob, read = _reader(pack.payload)
        assert blob == pack.blob
        index = read_index(read, blob)
        assert index == pack.where
        for number, (start, size) in enumerate(zip(index.starts, index.sizes, strict=True)):
            assert index.addresses[number] == _address(number)
            assert unpressed(read(blob, start, size), 400) == contents[number]


def test_contents_that_do_not_shrink_are_kept_as_they_are() -> None:
    noise, words = os.urandom(100_000), b"word " * 20_000
    assert len(pressed(noise)) == len(noise) + 1
    assert len(pressed(words)) < 1000
    assert len(pressed(b"")) == 1
    assert [unpressed(pressed(data), 10**6) for data in (noise, words, b"", b"x")] == [
        noise,
        words,
        b"",
        b"x",
    ]


def test_a_pack_that_outgrows_memory_is_a_file_with_the_same_index(tmp_path: Path) -> None:
    writer = PackWriter(lambda: str(tmp_path))
    contents = [os.urandom(PACK_MEMORY_BYTES // 3) for _ in range(8)]
    (tmp_path / f"pack.{os.getpid()}.0").write_bytes(b"left by a dead process of the same number")
    for number, content in enumerate(contents):
        writer.add(_address(number), content)
    (pack,) = writer.finish()
    data = Path(pack.path).read_bytes()
    assert (pack.payload, pack.blob) == (None, blob_id(data))
    index = read_index(_Read(data), pack.blob)
    assert index == pack.where
    found = [
        unpressed(data[at : at + size], 10**6) for at, size in zip(index.starts, index.sizes, strict=True)
    ]
    assert found == contents
    writer.discard()
    assert Path(pack.path).exists()


def test_a_pack_that_is_large_enough_is_followed_by_another(tmp_path: Path) -> None:
    writer = PackWriter(lambda: str(tmp_path))
    noise = os.urandom(4 * 1024 * 1024)
    for number in range(PACK_BYTES // len(noise) + 2):
        writer.add(_address(number), noise)
    assert len(list(tmp_path.iterdir())) == 2
    first, second = writer.finish()
    assert len(first.where.sizes) > len(second.where.sizes) > 0


def test_what_is_discarded_leaves_no_file(tmp_path: Path) -> None:
    writer = PackWriter(lambda: str(tmp_path))
    noise = os.urandom(4 * 1024 * 1024)
    for number in range(PACK_BYTES // len(noise) + 2):
        writer.add(_address(number), noise)
    writer.discard()
    assert list(tmp_path.iterdir()) == []


def _small_pack() -> bytes:
    writer = PackWriter(lambda: "/nonexistent")
    writer.add(_address(1), b"content")
    (pack,) = writer.finish()
    assert pack.payload is not None
    return pack.payload


@pytest.mark.parametrize("data", [b"", b"x" * 100, _small_pack()[:20], _small_pack()[:-1]])
def test_what_is_no_whole_pack_is_damage(data: bytes) -> None:
    with pytest.raises(DamagedLog):
        read_index(_Read(data), blob_id(data))


def test_a_pack_of_a_later_version_is_not_guessed_at() -> None:
    data = bytearray(_small_pack())
    data[10] = 2
    with pytest.raises(NewerLog, match="version 2"):
        read_index(_Read(bytes(data)), blob_id(bytes(data)))


def test_a_damaged_content_is_told() -> None:
    with pytest.raises(DamagedLog):
        unpressed(b"\1nonsense", 100)
