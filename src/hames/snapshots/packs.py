"""Packs: many contents in one blob, each compressed by itself, and an index of where they are.

`hames pack`, a version byte, a zero, the start of the index (8 bytes) and the count of contents (4); then the
contents, each with a byte that says how it is kept; then the index: all addresses, and all sizes (4 bytes
each). Numbers are little-endian.
"""

import os
import struct
import zlib
from collections.abc import Callable
from hashlib import sha256
from itertools import accumulate
from typing import NamedTuple

from hames.core.errors import DamagedLog, NewerLog
from hames.core.ids import BlobId, blob_id
from hames.core.limits import PACK_BYTES, PACK_MEMORY_BYTES
from hames.snapshots.entries import ADDRESS_BYTES

Read = Callable[[BlobId, int, int], bytes]
"""The bytes of a blob from a place on, at most so many. Raises `DamagedLog`."""

VERSION = 1
_MAGIC = b"hames pack"
_HEADER = struct.Struct("<10sBxQI")
_RAW, _DEFLATED = b"\0", b"\1"
_SAMPLE_BYTES = 16 * 1024
_READ_BYTES = 1024 * 1024


class Index(NamedTuple):
    """Where the contents of a pack are: number `i` has `sizes[i]` bytes from `starts[i]` on."""

    addresses: list[bytes]
    starts: list[int]
    sizes: list[int]


class Pack(NamedTuple):
    """A pack that was made: as bytes, or as a file that is for the caller to take."""

    blob: BlobId
    payload: bytes | None
    path: str
    where: Index


def pressed(data: bytes) -> bytes:
    """The form in which a content is kept."""
    if len(data) > 2 * _SAMPLE_BYTES and not _presses(data[:_SAMPLE_BYTES]):
        return _RAW + data
    small = zlib.compress(data, 1)
    return _DEFLATED + small if len(small) < len(data) else _RAW + data


def _presses(sample: bytes) -> bool:
    return len(zlib.compress(sample, 1)) < len(sample) * 31 // 32


def unpressed(kept: bytes, most: int) -> bytes:
    """The content again, of at most `most` bytes. Raises `DamagedLog`."""
    if kept[:1] == _RAW:
        return kept[1:]
    try:
        return zlib.decompressobj().decompress(kept[1:], most)
    except zlib.error as error:
        raise DamagedLog(f"a content in a pack is damaged: {error}") from error


Scratch = Callable[[], str]
"""A directory for files that are not in the store yet; asked for only when there is one to be written."""


class PackWriter:
    """Makes packs. What does not fit into memory goes to files in `scratch`, which are removed by `discard`
    unless `finish` has handed them over."""

    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch
        self._made: list[Pack] = []
        self._index = Index([], [], [])
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._next = _HEADER.size
        self._file: int | None = None
        self._path = ""

    def add(self, address: bytes, data: bytes) -> None:
        """Put a content in. Raises `OSError`."""
        kept = pressed(data)
        self._index.addresses.append(address)
        self._index.starts.append(self._next)
        self._index.sizes.append(len(kept))
        self._pending.append(kept)
        self._pending_bytes += len(kept)
        self._next += len(kept)
        if self._pending_bytes > PACK_MEMORY_BYTES:
            self._spill()
        if self._next > PACK_BYTES:
            self._close()

    def finish(self) -> list[Pack]:
        """All packs that were made. Their files are the caller's now."""
        self._close()
        made, self._made = self._made, []
        return made

    def discard(self) -> None:
        """Remove the files that nobody has taken."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            os.unlink(self._path)
        for pack in self._made:
            if pack.path:
                os.unlink(pack.path)
        self._made = []

    def _spill(self) -> None:
        if self._file is None:
            self._file, self._path = self._fresh_file()
            _write(self._file, bytes(_HEADER.size))
        _write(self._file, b"".join(self._pending))
        self._pending.clear()
        self._pending_bytes = 0

    def _fresh_file(self) -> tuple[int, str]:
        number = 0
        scratch = self._scratch()
        while True:
            path = os.path.join(scratch, f"pack.{os.getpid()}.{number}")
            try:
                return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), path
            except FileExistsError:
                number += 1

    def _close(self) -> None:
        if not self._index.addresses:
            return
        index = self._index
        header = _HEADER.pack(_MAGIC, VERSION, self._next, len(index.addresses))
        table = b"".join(index.addresses) + struct.pack(f"<{len(index.sizes)}I", *index.sizes)
        self._pending.append(table)
        if self._file is None:
            payload = header + b"".join(self._pending)
            self._made.append(Pack(blob_id(payload), payload, "", index))
        else:
            self._spill()
            os.pwrite(self._file, header, 0)
            self._made.append(Pack(_address(self._file), None, self._path, index))
            os.close(self._file)
        self._file, self._pending, self._pending_bytes = None, [], 0
        self._index, self._next = Index([], [], []), _HEADER.size


def read_index(read: Read, pack: BlobId) -> Index:
    """The index of a pack. Raises `DamagedLog`, and `NewerLog` for one of another version."""
    first = read(pack, 0, 4096)
    if len(first) < _HEADER.size or not first.startswith(_MAGIC):
        raise DamagedLog(f"blob {pack} is no pack")
    _, version, start, count = _HEADER.unpack_from(first)
    if version != VERSION:
        raise NewerLog(f"pack {pack} has version {version}; this hames reads version {VERSION}")
    length = count * (ADDRESS_BYTES + 4)
    table = first[start : start + length] if start + length <= len(first) else read(pack, start, length)
    if len(table) != length:
        raise DamagedLog(f"pack {pack} has lost its index")
    middle = count * ADDRESS_BYTES
    sizes = list(struct.unpack_from(f"<{count}I", table, middle))
    addresses = [table[at : at + ADDRESS_BYTES] for at in range(0, middle, ADDRESS_BYTES)]
    return Index(addresses, list(accumulate(sizes[:-1], initial=_HEADER.size)), sizes)


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _address(file: int) -> BlobId:
    digest = sha256()
    start = 0
    while part := os.pread(file, _READ_BYTES, start):
        digest.update(part)
        start += len(part)
    return BlobId(digest.hexdigest())
