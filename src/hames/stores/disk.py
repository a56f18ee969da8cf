"""Room on the disk: how much the log takes, and a reserve for the day on which there is none."""

import os
from contextlib import suppress

RESERVE_BYTES = 256 * 1024
"""Enough for the endings of some sessions."""


def disk_bytes(directory: str) -> int:
    """What the state directory takes on the disk."""
    total = 0
    # Not by `os.walk`: the commands of a session may have made more levels than Python can go down.
    waiting = [directory]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as found:
            for each in found:
                if each.is_dir(follow_symlinks=False):
                    waiting.append(each.path)
                else:
                    total += _bytes_of(each)
    return total


def _bytes_of(each: "os.DirEntry[str]") -> int:
    try:
        return each.stat(follow_symlinks=False).st_blocks * 512
    except OSError:
        return 0


class Reserve:
    """A file that only takes room. When the disk is full it is given up, for what must still be written."""

    def __init__(self, directory: str) -> None:
        self._path = os.path.join(directory, "reserve")

    def make(self) -> bool:
        """Whether the room is there, now or already."""
        try:
            if os.stat(self._path).st_size == RESERVE_BYTES:
                return True
        except FileNotFoundError:
            pass
        file = None
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            _take_room(file)
        except OSError:
            self.give_up()
            return False
        finally:
            if file is not None:
                os.close(file)
        return True

    def give_up(self) -> None:
        """Let its room be used."""
        with suppress(OSError):
            os.unlink(self._path)


def _take_room(file: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, RESERVE_BYTES)
    else:
        os.pwrite(file, os.urandom(RESERVE_BYTES), 0)
