"""Reads what is new in a tree: each file as it was at one moment, and its chunks to whoever keeps them."""

import errno
import os
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

from hames.core.limits import SNAPSHOT_CHUNK_BYTES
from hames.snapshots.beneath import OPEN_FILE, set_mode, stat_at
from hames.snapshots.entries import FILE, FORMAT_MASK, HOLE, Entry, Stat, read_stat

_TRIES = 4
_ZEROS = bytes(64 * 1024)

Keep = Callable[[bytes, bytes], None]
"""Given the address and the bytes of each chunk, also of one that is known."""


class Found(NamedTuple):
    """A file or link as it was read. Not `settled`: it changed meanwhile, each time it was tried."""

    entry: Entry
    settled: bool


def read_entry(above: int, name: str, keep: Keep) -> Found | None:
    """What is at `name` in the directory `above`; None when there is no file or link.

    Raises `PermissionError` for what cannot be read.
    """
    found: Found | None = None
    for _ in range(_TRIES):
        seen = stat_at(above, name)
        if seen is None:
            return None
        match seen.st_mode & FORMAT_MASK:
            case 0o100000:
                found = _file(above, name, keep)
            case 0o120000:
                found = _link(above, name, seen)
            case _:
                return None
        if found is not None and found.settled:
            return found
    return found


def read_closed(above: int, name: str, permissions: int, keep: Keep) -> Found | None:
    """As `read_entry`, for a file that its mode closes to us, its owner: it is opened for that long.

    Raises `PermissionError` when we are not.
    """
    set_mode(above, name, permissions | 0o400)
    try:
        found = read_entry(above, name, keep)
    finally:
        set_mode(above, name, permissions)
    after = stat_at(above, name)
    if found is None or after is None:
        return None
    stat = found.entry.stat
    now = Stat._make(read_stat(after))
    same = (stat.inode, stat.size, stat.mtime_ns) == (now.inode, now.size, now.mtime_ns)
    entry = Entry(now._replace(size=stat.size), found.entry.content)
    return Found(entry, found.settled and same)


def _link(above: int, name: str, seen: os.stat_result) -> Found | None:
    try:
        target = os.readlink(name, dir_fd=above)
    except OSError:
        # It is gone, or is no link any more.
        return None
    after = stat_at(above, name)
    same = after is not None and read_stat(after) == read_stat(seen)
    return Found(Entry(Stat._make(read_stat(seen)), os.fsencode(target)), same)


def _file(above: int, name: str, keep: Keep) -> Found | None:
    try:
        file = os.open(name, OPEN_FILE, dir_fd=above)
    except PermissionError:
        raise
    except OSError:
        # It is gone, or is no file any more.
        return None
    try:
        before = Stat._make(read_stat(os.fstat(file)))
        if before.mode & FORMAT_MASK != FILE:
            return None
        content, size = _chunks(file, before.size, keep)
        same = size == before.size and read_stat(os.fstat(file)) == before
        return Found(Entry(before._replace(size=size), content), same)
    finally:
        os.close(file)


def _chunks(file: int, size: int, keep: Keep) -> tuple[bytes, int]:
    """The addresses of the chunks, and how many bytes there were; no more than `size` is read."""
    addresses: list[bytes] = []
    start = 0
    while start < size:
        whole_end = _hole_end(file, start, size) - SNAPSHOT_CHUNK_BYTES
        while start <= whole_end:
            addresses.append(HOLE)
            start += SNAPSHOT_CHUNK_BYTES
        wanted = min(SNAPSHOT_CHUNK_BYTES, size - start)
        data = _read(file, start, wanted)
        if data:
            addresses.append(_address(data, keep))
            start += len(data)
        if len(data) < wanted:
            break
    return b"".join(addresses), start


def _hole_end(file: int, start: int, size: int) -> int:
    """Where the hole ends that `start` is in; `start` itself when it is in none."""
    if size - start <= SNAPSHOT_CHUNK_BYTES:
        return start
    try:
        return os.lseek(file, start, os.SEEK_DATA)
    except OSError as error:
        return size if error.errno == errno.ENXIO else start


def _read(file: int, start: int, wanted: int) -> bytes:
    data = os.pread(file, wanted, start)
    while data and len(data) < wanted:
        more = os.pread(file, wanted - len(data), start + len(data))
        if not more:
            break
        data += more
    return data


def _address(data: bytes, keep: Keep) -> bytes:
    if is_zeros(data):
        return HOLE
    address = sha256(data).digest()
    keep(address, data)
    return address


def is_zeros(data: bytes) -> bool:
    """Whether there is nothing but zeros in some bytes."""
    if not data or data[0] or data[-1]:
        return False
    step = len(_ZEROS)
    return all(
        data[at : at + step] == _ZEROS[: min(step, len(data) - at)] for at in range(0, len(data), step)
    )
