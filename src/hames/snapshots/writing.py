"""Puts one path in its place: beside it first, under a name of our own, and then by one rename."""

import errno
import fcntl
import os
from collections.abc import Callable

from hames.core.limits import SNAPSHOT_CHUNK_BYTES
from hames.snapshots.beneath import OPEN_FILE, stat_at
from hames.snapshots.entries import HOLE, Entry, temporary_name
from hames.snapshots.reading import is_zeros

Content = Callable[[bytes], bytes]
"""A chunk by its address. Raises `DamagedLog`."""

Watch = Callable[[str, str], None]
"""Told of every change of the disk before it is made: what, and of which path."""

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_HOLE_BYTES = 64 * 1024
_NO_LINKS = frozenset((errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK))


class Taken(Exception):
    """Something is at a place where nothing was to be."""


class Writer:
    """Writes entries into directories given by descriptor. `number` must be the same for the same path when
    a restore is done again: what an earlier try left is found by it. All raise `OSError`."""

    def __init__(self, content: Content, watch: Watch, *, sync: bool) -> None:
        self._content = content
        self._watch = watch
        self._sync = sync

    def file(self, above: int, name: str, entry: Entry, number: int, still: Callable[[], bool]) -> bool:
        """Write a file; False, with nothing done, when `still` does not hold once it is written."""
        beside, held = self._create(above, number)
        try:
            self._fill(held, entry, name)
            if not still():
                return False
            self._into_place(above, beside, name, replaces=self._is_there(above, name))
        finally:
            self.forget(above, number, beside)
            os.close(held)
        return True

    def link(self, above: int, name: str, entry: Entry, number: int) -> None:
        """Make a symbolic link."""
        self.forget(above, number)
        beside = temporary_name(number)
        self._watch("symlink", name)
        os.symlink(os.fsdecode(entry.content), beside, dir_fd=above)
        self._watch("time", name)
        _set_time(above, beside, entry.stat.mtime_ns)
        self._into_place(above, beside, name, replaces=self._is_there(above, name))
        self.forget(above, number)

    def further_name(self, source_above: int, source: str, above: int, name: str, number: int) -> None:
        """Make `name` a further name of `source`."""
        self.forget(above, number)
        beside = temporary_name(number)
        self._watch("link", name)
        os.link(source, beside, src_dir_fd=source_above, dst_dir_fd=above, follow_symlinks=False)
        self._into_place(above, beside, name, replaces=self._is_there(above, name))
        self.forget(above, number)

    def forget(self, above: int, number: int, beside: str = "") -> None:
        """Remove what an earlier try, or this one, left beside."""
        beside = beside or temporary_name(number)
        if self._is_there(above, beside):
            self._watch("unlink", beside)
            os.unlink(beside, dir_fd=above)

    def _is_there(self, above: int, name: str) -> bool:
        return stat_at(above, name) is not None

    def _create(self, above: int, number: int) -> tuple[str, int]:
        """A new file beside, held by a lock: a scan takes it for no leftover while somebody writes it."""
        attempt = 0
        while True:
            beside = temporary_name(number, attempt)
            self._watch("create", beside)
            try:
                held = os.open(beside, _CREATE, 0o600, dir_fd=above)
            except FileExistsError:
                if not _is_left(above, beside):
                    attempt += 1
                    continue
                os.unlink(beside, dir_fd=above)
                continue
            fcntl.flock(held, fcntl.LOCK_EX)
            return beside, held

    def _fill(self, held: int, entry: Entry, name: str) -> None:
        size = entry.stat.size
        at = 0
        for address in entry.chunks():
            if address != HOLE:
                self._watch("write", name)
                _write_around_holes(held, self._content(address), at)
            at += SNAPSHOT_CHUNK_BYTES
        self._watch("truncate", name)
        os.ftruncate(held, size)
        # After the writes: they would take the set-user-id bit away.
        self._watch("mode", name)
        os.fchmod(held, entry.permissions)
        self._watch("time", name)
        os.utime(held, ns=(entry.stat.mtime_ns, entry.stat.mtime_ns))
        if self._sync:
            os.fsync(held)

    def _into_place(self, above: int, beside: str, name: str, *, replaces: bool) -> None:
        if not replaces:
            # A link fails where somebody has put something meanwhile; a rename would replace it.
            self._watch("place", name)
            try:
                os.link(beside, name, src_dir_fd=above, dst_dir_fd=above, follow_symlinks=False)
            except FileExistsError as error:
                raise Taken from error
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
            else:
                return
        self._watch("rename", name)
        os.rename(beside, name, src_dir_fd=above, dst_dir_fd=above)


def _set_time(above: int, name: str, mtime_ns: int) -> None:
    os.utime(name, ns=(mtime_ns, mtime_ns), dir_fd=above, follow_symlinks=False)


def _is_left(above: int, name: str) -> bool:
    """Whether nobody is writing the file."""
    try:
        held = os.open(name, OPEN_FILE, dir_fd=above)
    except OSError:
        return True
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(held)
    return True


def _write_around_holes(held: int, data: bytes, start: int) -> None:
    """Write all but the long runs of zeros."""
    if len(data) < _HOLE_BYTES:
        _write(held, data, start)
        return
    for at in range(0, len(data), _HOLE_BYTES):
        part = data[at : at + _HOLE_BYTES]
        if not is_zeros(part):
            _write(held, part, start + at)


def _write(held: int, data: bytes, start: int) -> None:
    view = memoryview(data)
    while view:
        done = os.pwrite(held, view, start)
        view = view[done:]
        start += done
