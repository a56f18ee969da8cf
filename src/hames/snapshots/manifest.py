"""Trees as bytes: whole, or as the difference from another one.

`hames tree`, a version byte, then a record in MessagePack, deflated. Entries are kept by column, sorted by
path; paths and link targets are raw bytes, numbers little-endian.
"""

import os
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping

import msgspec

from hames.core.errors import DamagedLog, NewerLog
from hames.core.ids import BlobId, blob_id
from hames.snapshots.entries import Draft, Entry, NotCovered, Stat, Tree, Why, split

VERSION = 1
_START = b"hames tree" + bytes([VERSION])
_LONGEST_CHAIN = 1000
_SECOND = 10**9
_HALF = 2**63
_WRAP = 2**64 - 1

ReadWhole = Callable[[BlobId], bytes]
"""All bytes of a blob. Raises `DamagedLog`."""


class _Columns(msgspec.Struct, frozen=True, array_like=True):
    count: int
    paths: bytes
    modes: bytes
    inodes: bytes
    sizes: bytes
    mtimes_s: bytes
    mtimes_ns: bytes
    ctime_lags: bytes
    lengths: bytes
    contents: bytes


class _Record(msgspec.Struct, frozen=True, array_like=True):
    """What a manifest says. With a `base`: only what differs from that one; `removed` are paths of it."""

    base: str
    top: _Columns
    entries: _Columns
    removed: bytes
    taken_ns: int
    unsure: bytes
    not_covered: tuple[tuple[bytes, Why, int, int], ...] | None
    files: int
    bytes: int
    whole_bytes: int
    delta_bytes: int
    links: int


def whole(draft: Draft) -> tuple[Tree, bytes]:
    """The tree, and its manifest, which needs no other."""
    payload = _encode(_record(draft, list(draft.entries()), ()))
    return _tree(draft, payload, (len(payload), 0, 0)), payload


def delta(draft: Draft, base: Tree, changed: Mapping[str, Entry | None]) -> tuple[Tree, bytes]:
    """The tree, and its manifest: a difference from `base`, or a whole one if that has become cheaper.

    `changed` maps each path that differs to its entry, or to None when it is gone.
    """
    entries = [(path, entry) for path, entry in changed.items() if entry is not None]
    gone = [path for path, entry in changed.items() if entry is None]
    record = _record(draft, entries, gone, base)
    payload = _encode(record)
    if base.delta_bytes + len(payload) > base.whole_bytes or base.links >= _LONGEST_CHAIN:
        return whole(draft)
    return _tree(draft, payload, (base.whole_bytes, record.delta_bytes + len(payload), record.links)), payload


def load(read: ReadWhole, blob: BlobId) -> Tree:
    """A tree from its manifest and those that it builds on.

    Raises `DamagedLog`, and `NewerLog` for a manifest of another version.
    """
    chain = [(blob, payload := read(blob), _decode(blob, payload))]
    while base := chain[-1][2].base:
        chain.append((BlobId(base), payload := read(BlobId(base)), _decode(BlobId(base), payload)))
    nodes: dict[str, dict[str, Entry]] = {"": {}}
    not_covered: tuple[NotCovered, ...] = ()
    for name, _, record in reversed(chain):
        _fold(nodes, name, record)
        if record.not_covered is not None:
            not_covered = tuple(
                NotCovered(os.fsdecode(path), why, files, size)
                for path, why, files, size in record.not_covered
            )
    last = chain[0][2]
    unsure = frozenset(_names(last.unsure))
    top = _rows(blob, last.top)[""]
    draft = Draft(top, nodes, last.taken_ns, unsure, not_covered, last.files, last.bytes)
    own = len(chain[0][1])
    sums = (last.whole_bytes, last.delta_bytes + own, last.links) if last.base else (own, 0, 0)
    return _tree(draft, chain[0][1], sums)


def _tree(draft: Draft, payload: bytes, sums: tuple[int, int, int]) -> Tree:
    whole_bytes, delta_bytes, links = sums
    return Tree(
        **msgspec.structs.asdict(draft),
        blob=blob_id(payload),
        whole_bytes=whole_bytes,
        delta_bytes=delta_bytes,
        links=links,
    )


def _record(
    draft: Draft, entries: list[tuple[str, Entry]], gone: Iterable[str], base: Tree | None = None
) -> _Record:
    same_gaps = base is not None and draft.not_covered == base.not_covered
    return _Record(
        "" if base is None else base.blob,
        _columns([("", draft.top)]),
        _columns(sorted(entries)),
        _joined(sorted(gone)),
        draft.taken_ns,
        _joined(sorted(draft.unsure)),
        None
        if same_gaps
        else tuple((os.fsencode(gap.path), gap.why, gap.files, gap.bytes) for gap in draft.not_covered),
        draft.files,
        draft.bytes,
        0 if base is None else base.whole_bytes,
        0 if base is None else base.delta_bytes,
        0 if base is None else base.links + 1,
    )


def _encode(record: _Record) -> bytes:
    return _START + zlib.compress(msgspec.msgpack.encode(record), 1)


def _decode(blob: BlobId, payload: bytes) -> _Record:
    if payload[: len(_START) - 1] != _START[:-1]:
        raise DamagedLog(f"blob {blob} is no snapshot")
    if payload[len(_START) - 1] != VERSION:
        found = payload[len(_START) - 1]
        raise NewerLog(f"snapshot {blob} has version {found}; this hames reads version {VERSION}")
    try:
        return msgspec.msgpack.decode(zlib.decompress(payload[len(_START) :]), type=_Record)
    except (zlib.error, msgspec.DecodeError) as error:
        raise DamagedLog(f"snapshot {blob} is damaged: {error}") from error


def _columns(rows: list[tuple[str, Entry]]) -> _Columns:
    count = len(rows)
    stats = [entry.stat for _, entry in rows]
    contents = [entry.content for _, entry in rows]
    return _Columns(
        count,
        _joined(path for path, _ in rows),
        struct.pack(f"<{count}I", *(stat.mode for stat in stats)),
        struct.pack(f"<{count}Q", *(stat.inode for stat in stats)),
        struct.pack(f"<{count}Q", *(stat.size for stat in stats)),
        struct.pack(f"<{count}q", *(stat.mtime_ns // _SECOND for stat in stats)),
        struct.pack(f"<{count}I", *(stat.mtime_ns % _SECOND for stat in stats)),
        struct.pack(f"<{count}Q", *(stat.ctime_ns - stat.mtime_ns & _WRAP for stat in stats)),
        struct.pack(f"<{count}I", *map(len, contents)),
        b"".join(contents),
    )


def _rows(blob: BlobId, columns: _Columns) -> dict[str, Entry]:
    count = columns.count
    rows: dict[str, Entry] = {}
    try:
        paths = os.fsdecode(columns.paths).split("\0") if count else []
        numbers = zip(
            paths,
            struct.unpack(f"<{count}I", columns.modes),
            struct.unpack(f"<{count}Q", columns.inodes),
            struct.unpack(f"<{count}Q", columns.sizes),
            struct.unpack(f"<{count}q", columns.mtimes_s),
            struct.unpack(f"<{count}I", columns.mtimes_ns),
            struct.unpack(f"<{count}Q", columns.ctime_lags),
            struct.unpack(f"<{count}I", columns.lengths),
            strict=True,
        )
        at = 0
        for path, mode, inode, size, seconds, rest, lag, length in numbers:
            mtime = seconds * _SECOND + rest
            # A time far from now takes more than 64 bits; how far it is from the other one is kept modulo.
            ctime = (mtime + lag + _HALF & _WRAP) - _HALF
            stat = Stat(mode, inode, size, mtime, ctime)
            rows[path] = Entry(stat, columns.contents[at : at + length])
            at += length
    except (struct.error, ValueError) as error:
        raise DamagedLog(f"snapshot {blob} is damaged: {error}") from error
    return rows


def _fold(nodes: dict[str, dict[str, Entry]], blob: BlobId, record: _Record) -> None:
    """Make `nodes` what they are after `record`."""
    for path in _names(record.removed):
        above, name = split(path)
        nodes.get(above, {}).pop(name, None)
        nodes.pop(path, None)
    for path, entry in _rows(blob, record.entries).items():
        above, name = split(path)
        nodes.setdefault(above, {})[name] = entry
        if entry.kind == "directory":
            nodes.setdefault(path, {})
        else:
            nodes.pop(path, None)


def _joined(paths: Iterable[str]) -> bytes:
    return os.fsencode("\0".join(paths))


def _names(joined: bytes) -> list[str]:
    return os.fsdecode(joined).split("\0") if joined else []
