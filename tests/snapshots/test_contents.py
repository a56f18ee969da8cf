"""Where contents are: over the packs that are named, read when they are needed."""

from hashlib import sha256

import pytest

from hames.core.errors import DamagedLog
from hames.core.ids import BlobId
from hames.snapshots.contents import Contents, needed
from hames.snapshots.entries import HOLE
from hames.snapshots.packs import Pack, PackWriter


def _pack(*contents: bytes) -> Pack:
    writer = PackWriter(lambda: "/nonexistent")
    for content in contents:
        writer.add(sha256(content).digest(), content)
    (pack,) = writer.finish()
    return pack


class Reader:
    """Reads packs, and counts how often."""

    def __init__(self, *packs: Pack) -> None:
        self.packs = {pack.blob: pack.payload or b"" for pack in packs}
        self.reads = 0

    def __call__(self, blob: BlobId, start: int, limit: int) -> bytes:
        self.reads += 1
        if blob not in self.packs:
            raise DamagedLog(f"blob {blob} is missing")
        return self.packs[blob][start : start + limit]


ONE, TWO = _pack(b"a", b"b"), _pack(b"b", b"c")


def test_indexes_are_read_once_and_only_when_something_is_looked_for() -> None:
    reader = Reader(ONE, TWO)
    contents = Contents(reader, [ONE.blob, TWO.blob, ONE.blob])
    assert reader.reads == 0
    assert contents.has(sha256(b"c").digest())
    assert not contents.has(sha256(b"d").digest())
    assert reader.reads == 2
    assert [contents.get(sha256(data).digest()) for data in (b"a", b"b", b"c")] == [b"a", b"b", b"c"]
    assert reader.reads == 5


def test_a_pack_whose_index_is_known_is_not_read() -> None:
    reader = Reader(ONE, TWO)
    contents = Contents(reader, [ONE.blob])
    contents.learn(ONE.blob, ONE.where)
    contents.learn(TWO.blob, TWO.where)
    contents.learn(TWO.blob, TWO.where)
    assert set(contents.find(sha256(data).digest() for data in (b"a", b"c", b"x"))) == {
        sha256(b"a").digest(),
        sha256(b"c").digest(),
    }
    assert reader.reads == 0


def test_the_packs_that_are_needed_are_told_apart() -> None:
    contents = Contents(Reader(ONE, TWO), [ONE.blob, TWO.blob])
    assert contents.packs_of([sha256(b"b").digest()]) == (ONE.blob,)
    assert contents.packs_of([sha256(b"c").digest(), HOLE]) == (TWO.blob,)
    assert contents.packs_of([]) == ()


def test_a_content_that_is_nowhere_or_a_pack_that_is_gone_is_damage() -> None:
    with pytest.raises(DamagedLog, match="in no pack"):
        Contents(Reader()).get(sha256(b"a").digest())
    with pytest.raises(DamagedLog, match="missing"):
        Contents(Reader(), [ONE.blob]).get(sha256(b"a").digest())


def test_a_content_that_is_not_its_address_is_damage() -> None:
    writer = PackWriter(lambda: "/nonexistent")
    writer.add(sha256(b"a").digest(), b"not a")
    (pack,) = writer.finish()
    with pytest.raises(DamagedLog, match="damaged"):
        Contents(Reader(pack), [pack.blob]).get(sha256(b"a").digest())


def test_holes_are_needed_from_nowhere() -> None:
    one, two = sha256(b"a").digest(), sha256(b"b").digest()
    assert needed([one, one + HOLE + two, HOLE, b""]) == {one, two}
