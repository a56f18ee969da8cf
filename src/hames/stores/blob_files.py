"""Big payloads as files, named by their content: `ab/abcdef...` below one directory."""

import errno
import fcntl
import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from itertools import count

from hames.core.ids import BlobId
from hames.stores.directory import BUSY_S, lock_within, make_directory, sync, sync_directory
from hames.stores.rows import blob_missing

FRESH = "new."
"""How a file begins that is not whole yet."""

_CHUNK = 1024 * 1024


class BlobFiles:
    """A file is there whole or not at all, and durable before `put` or `take` return.

    These block: call them in a thread. They raise `OSError`, `DamagedLog` for a blob that is not there, and
    `StoreError` when a sweep does not end within `busy_s`.
    """

    def __init__(self, directory: str, busy_s: float = BUSY_S) -> None:
        self._directory = directory
        self._busy_s = busy_s
        self._names = count()

    def put(self, blob: BlobId, data: bytes) -> None:
        """Keep `data` under its content address."""
        with self._shared():
            place = self._place(blob)
            if not _is_there(place, len(data)):
                self._make(place, (data,))
            # Also when it was there: whoever renamed it may not have come to this line.
            sync_directory(os.path.dirname(place))

    def take(self, path: str, blob: BlobId, size: int) -> None:
        """Move the file at `path`, whose content has the address `blob`, in here."""
        with self._shared():
            place = self._place(blob)
            if _is_there(place, size):
                os.unlink(path)
            else:
                self._move(path, place)
            sync_directory(os.path.dirname(place))

    def slice(self, blob: BlobId, start: int, limit: int) -> bytes:
        """At most `limit` bytes from `start`."""
        try:
            file = os.open(self.path(blob), os.O_RDONLY)
        except FileNotFoundError as error:
            raise blob_missing(blob) from error
        try:
            parts: list[bytes] = []
            while limit > 0 and (part := os.pread(file, min(limit, _CHUNK), start)):
                parts.append(part)
                start += len(part)
                limit -= len(part)
            return b"".join(parts)
        finally:
            os.close(file)

    @contextmanager
    def sweeping(self) -> Generator[None]:
        """Nobody brings a file meanwhile. Raises `BlockingIOError` when somebody is bringing one."""
        with self._locked() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield

    def all(self) -> Iterator[tuple[str, os.stat_result]]:
        """The path and the state of every file here."""
        for above, _, names in os.walk(self._directory):
            for name in names:
                path = os.path.join(above, name)
                try:
                    yield path, os.stat(path, follow_symlinks=False)
                except FileNotFoundError:
                    continue

    def path(self, blob: BlobId) -> str:
        """Where the file of `blob` is, if there is one."""
        return os.path.join(self._directory, blob[:2], blob)

    def size(self, blob: BlobId) -> int:
        try:
            return os.stat(self.path(blob)).st_size
        except FileNotFoundError as error:
            raise blob_missing(blob) from error

    @contextmanager
    def _shared(self) -> Generator[None]:
        # A file that is there already, or not named yet, is not swept between this and its first name.
        with self._locked() as file:
            why = f"another process is sweeping {self._directory}, and does not come to an end"
            lock_within(file, fcntl.LOCK_SH, self._busy_s, why)
            yield

    @contextmanager
    def _locked(self) -> Generator[int]:
        """What the lock is held on, for as long as it is."""
        make_directory(self._directory)
        file = os.open(self._directory, os.O_RDONLY)
        try:
            yield file
        finally:
            os.close(file)

    def _place(self, blob: BlobId) -> str:
        place = self.path(blob)
        make_directory(os.path.dirname(place))
        return place

    def _move(self, path: str, place: str) -> None:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            os.fchmod(file, 0o600)
            os.utime(file)
            sync(file)
            os.rename(path, place)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._make(place, _chunks(file))
            os.unlink(path)
        finally:
            os.close(file)

    def _make(self, place: str, parts: Iterable[bytes]) -> None:
        fresh, file = self._fresh()
        try:
            for part in parts:
                _write_all(file, part)
            sync(file)
            os.rename(fresh, place)
        except BaseException:
            os.unlink(fresh)
            raise
        finally:
            os.close(file)

    def _fresh(self) -> tuple[str, int]:
        while True:
            name = os.path.join(self._directory, f"{FRESH}{os.getpid()}.{next(self._names)}")
            try:
                return name, os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                # Left by a process that died and had the same number.
                continue


def address(path: str) -> tuple[BlobId, int]:
    """The content address and the size of a regular file, read in pieces."""
    digest = sha256()
    size = 0
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        for chunk in _chunks(file):
            digest.update(chunk)
            size += len(chunk)
    finally:
        os.close(file)
    return BlobId(digest.hexdigest()), size


def _chunks(file: int) -> Iterator[bytes]:
    start = 0
    while chunk := os.pread(file, _CHUNK, start):
        yield chunk
        start += len(chunk)


def _is_there(place: str, size: int) -> bool:
    """Whether the whole file is there; if it is, it counts as brought now."""
    try:
        if os.stat(place).st_size != size:
            return False
        os.utime(place)
    except FileNotFoundError:
        return False
    return True


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
