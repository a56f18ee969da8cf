"""Manifests: trees as bytes, whole and as differences."""

import zlib
from collections.abc import Mapping

import msgspec
import pytest

from hames.core.errors import DamagedLog, NewerLog
from hames.core.ids import BlobId, blob_id
from hames.snapshots.entries import Draft, Entry, Node, NotCovered, Stat, Tree
from hames.snapshots.manifest import delta, load, whole

TOP = Entry(Stat(0o040755, 1, 4096, 5, 6), b"")


def _file(number: int, content: bytes = b"a" * 32) -> Entry:
    return Entry(Stat(0o100644, number, 3, number, number + 1), content)


def _draft(nodes: Mapping[str, Node], *gaps: NotCovered) -> Draft:
    return Draft(TOP, nodes, 12345, frozenset(("f1", "odd\udcff")), gaps, 3, 9)


class Blobs(dict[BlobId, bytes]):
    def keep(self, made: tuple[Tree, bytes]) -> Tree:
        tree, payload = made
        assert tree.blob == blob_id(payload)
        self[tree.blob] = payload
        return tree


@pytest.mark.parametrize("mtime_ns", [0, -1, -(2**31) * 10**9, 2**34 * 10**9 + 7, 10**18])
def test_any_time_that_a_file_can_have_is_kept(mtime_ns: int) -> None:
    blobs = Blobs()
    entry = Entry(Stat(0o100644, 2**63 + 1, 2**40, mtime_ns, 1_800_000_000_000_000_001), b"b" * 64)
    tree = blobs.keep(whole(_draft({"": {"a": entry}})))
    assert load(blobs.__getitem__, tree.blob) == tree


def test_a_chain_of_differences_is_followed_to_the_whole_one() -> None:
    blobs = Blobs()
    names = {f"f{number}": _file(number) for number in range(400)}
    first = blobs.keep(whole(_draft({"": names}, NotCovered("gap\udc80", "large", 1, 7))))
    directory = Entry(Stat(0o040700, 5, 0, 0, 0), b"")
    link = Entry(Stat(0o120777, 6, 3, 0, 0), b"\xff x")
    nodes: dict[str, Node] = {"": {**names, "d": directory}, "d": {"x": _file(9), "l": link}}
    second = blobs.keep(
        delta(_draft(nodes, *first.not_covered), first, {"d": directory, "d/x": _file(9), "d/l": link})
    )
    swapped: dict[str, Node] = {"": {**names, "d": _file(7)}}
    third = blobs.keep(delta(_draft(swapped), second, {"d": _file(7), "d/x": None, "d/l": None}))
    assert [tree.links for tree in (first, second, third)] == [0, 1, 2]
    for tree in (first, second, third):
        assert load(blobs.__getitem__, tree.blob) == tree
    assert third.not_covered == ()


def test_a_difference_that_is_no_cheaper_is_stored_whole() -> None:
    first = whole(_draft({"": {"a": _file(1)}}))[0]
    tree, _ = delta(_draft({"": {"b": _file(2)}}), first, {"a": None, "b": _file(2)})
    assert tree.links == 0


def test_a_chain_is_not_followed_for_ever() -> None:
    names = {f"f{number}": _file(number) for number in range(4000)}
    tree = whole(_draft({"": names}))[0]
    long = msgspec.structs.replace(tree, links=1000)
    assert delta(_draft({"": {**names, "f1": _file(9)}}), tree, {"f1": _file(9)})[0].links == 1
    assert delta(_draft({"": {**names, "f1": _file(9)}}), long, {"f1": _file(9)})[0].links == 0


def _payload() -> bytes:
    return whole(_draft({"": {"a": _file(1)}}))[1]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"something else",
        _payload()[:-3],
        _payload()[:11] + zlib.compress(b"\x93\x01\x02\x03"),
    ],
)
def test_what_is_no_whole_manifest_is_damage(data: bytes) -> None:
    with pytest.raises(DamagedLog):
        load({blob_id(data): data}.__getitem__, blob_id(data))


def test_columns_that_do_not_fit_each_other_are_damage() -> None:
    record = msgspec.msgpack.decode(zlib.decompress(_payload()[11:]))
    record[2][0] = 2
    data = _payload()[:11] + zlib.compress(msgspec.msgpack.encode(record))
    with pytest.raises(DamagedLog):
        load({blob_id(data): data}.__getitem__, blob_id(data))


def test_a_manifest_of_a_later_version_is_not_guessed_at() -> None:
    data = _payload().replace(b"hames tree\x01", b"hames tree\x02", 1)
    with pytest.raises(NewerLog, match="version 2"):
        load({blob_id(data): data}.__getitem__, blob_id(data))
