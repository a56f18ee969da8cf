"""The runtime directory of a session: the names in it, and how an end is written, read and removed there.

Used by the supervisor and by whoever comes after it; standard library only, and little of that.
"""

import os
import stat
from binascii import crc32

from hames.sandboxes.wire import Frame, Frames, Items, encode

LOCK, SOCKET, EPOCH, LOG = "lock", "socket", "epoch", "log"
OUTPUT, END, KEPT, WORKER = ".out", ".end", ".kept", ".worker"
SHARED = {"/tmp": "tmp", "/var/tmp": "var-tmp"}  # noqa: S108 - names of mount points
"""What a session's commands share of temporary files: where they see it, and its name here."""

JOB, SANDBOX = "HAMES_JOB", "HAMES_SANDBOX"
"""Variables that mark processes: a command without a sandbox by `mark_of` and the job, all in a sandbox by
`mark_of`."""

FENCED = "another owner has taken the session over"

COPY_BYTES = 64 * 1024
"""A smaller output is kept beside its end as well: one sync makes both durable."""

_SUM_BYTES = 4


def mark_of(directory: str) -> str:
    """What processes of this session are known by: its id, and a number for the place of its directory, since
    a state directory may have been copied."""
    return f"{directory.rpartition('/')[2]}-{crc32(directory.encode('utf-8', 'surrogateescape')):08x}"


def is_name(job: str) -> bool:
    """Whether files can be named after `job`."""
    return bool(job) and "/" not in job and not job.startswith(".") and len(job) <= 200


class EndFile:
    """How one command ended, on disk: whole or not at all, also after a power failure."""

    def __init__(self, path: str) -> None:
        self._path = path

    def write(self, items: Items, output: bytes, *, durable: bool) -> None:
        """Make the file. Raises OSError when it cannot be made."""
        data = encode(items, output)
        data += crc32(data).to_bytes(_SUM_BYTES, "big")
        fresh = f"{self._path}.new"
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            if durable:
                os.fsync(fd)
        except OSError:
            os.unlink(fresh)
            raise
        finally:
            os.close(fd)
        os.rename(fresh, self._path)
        if durable:
            sync(os.path.dirname(self._path))

    def sync(self) -> None:
        """Make durable what was written, if it is still there."""
        if sync(self._path):
            sync(os.path.dirname(self._path))

    def read(self) -> Frame | None:
        """What was written; None for no file, and for one that was torn."""
        try:
            with open(self._path, "rb") as file:
                data = file.read()
        except OSError:
            return None
        body, total = data[:-_SUM_BYTES], int.from_bytes(data[-_SUM_BYTES:], "big")
        if crc32(body) != total:
            return None
        try:
            (frame,) = Frames().feed(body)
        except ValueError:
            return None
        return frame if frame.get("state") == "over" else None


def sync(path: str) -> bool:
    """Make a file or a directory durable; False when there is none any more, or the disk fails."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        os.fsync(fd)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def forget(directory: str, job: str) -> None:
    """Remove the files of a command whose end is on the log."""
    if is_name(job):
        for suffix in (OUTPUT, END, KEPT):
            remove(f"{directory}/{job}{suffix}")


def remove(path: str) -> None:
    """Remove a file, if there is one."""
    try:
        os.unlink(path)
    except OSError:
        return


def read_epoch(directory: str) -> int:
    """The highest epoch that has owned the session here, 0 when none has."""
    try:
        with open(f"{directory}/{EPOCH}", "rb") as file:
            return int(file.read() or b"0")
    except (OSError, ValueError):
        return 0


def write_epoch(directory: str, epoch: int) -> None:
    """Leave word that this epoch owns the session. Raises OSError."""
    fresh = f"{directory}/{EPOCH}.{os.getpid()}"
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(fd, b"%d" % epoch)
    finally:
        os.close(fd)
    os.rename(fresh, f"{directory}/{EPOCH}")


def clear(directory: str, *, but: tuple[str, ...]) -> None:
    """Remove all in `directory` whose name does not end with one of `but`."""
    for name in os.listdir(directory):
        if not name.endswith(but):
            remove_tree(f"{directory}/{name}")


def remove_tree(path: str) -> None:
    """Remove a file or a directory with all that is in it, never through a symbolic link, however deep.

    Nobody may change the tree meanwhile. What cannot be removed is left.
    """
    try:
        if stat.S_ISDIR(os.lstat(path).st_mode):
            _empty(path)
            os.rmdir(path)
        else:
            os.unlink(path)
    except OSError:
        return


def _empty(top: str) -> None:
    """Directories in directories are moved up first: so no path gets long, and nothing is recursive."""
    os.chmod(top, 0o700)
    number = 0
    while names := os.listdir(top):
        for name in names:
            place = f"{top}/{name}"
            if not stat.S_ISDIR(os.lstat(place).st_mode):
                os.unlink(place)
                continue
            os.chmod(place, 0o700)
            for inner in os.listdir(place):
                if stat.S_ISDIR(os.lstat(f"{place}/{inner}").st_mode):
                    while os.path.lexists(f"{top}/{number}"):
                        number += 1
                    os.chmod(f"{place}/{inner}", 0o700)
                    os.rename(f"{place}/{inner}", f"{top}/{number}")
                else:
                    os.unlink(f"{place}/{inner}")
            os.rmdir(place)
