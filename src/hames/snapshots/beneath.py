"""Directories below one root, or beside it, opened name by name: no link is ever followed."""

import errno
import os
from types import TracebackType
from typing import NamedTuple

from hames.snapshots.entries import DIRECTORY, FORMAT_MASK, LINK, split
from hames.snapshots.roots import is_further, path_of

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Also what is no file is opened by these at once: look at what it is."""

_OPEN_PLACE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_ABOVE = _OPEN_PLACE | os.O_DIRECTORY


class Place(NamedTuple):
    """Where a path is: the directory that it is in, and its name there."""

    directory: int
    name: str


class Beneath:
    """Opens directories below a root, and below those beside it that a tree has. With `unlock`, one that its
    mode closes is opened for the work, and its mode noted in `unlocked`: whoever works there closes it again.

    A descriptor is good until the next call. Raises `OSError`.
    """

    def __init__(self, root: str, *, unlock: bool = False) -> None:
        self._unlock = unlock
        self.unlocked: dict[str, int] = {}
        self._names: list[str] = []
        self._open: list[int] = []
        self._beside = -1
        try:
            self._open.append(os.open(root, OPEN_DIRECTORY))
        except PermissionError:
            if not unlock:
                raise
            self._unlock_at(None, root, "")
            self._open.append(os.open(root, OPEN_DIRECTORY))

    def __enter__(self) -> "Beneath":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._open:
            os.close(self._open.pop())
        self._leave_beside()

    def directory(self, path: str) -> int:
        """A descriptor of the directory at `path`, relative to the root."""
        names = path.split("/") if path else []
        held = self._names
        shared = 0
        for name, other in zip(names, held, strict=False):
            if name != other:
                break
            shared += 1
        self._back_to(shared)
        for name in names[shared:]:
            self._open.append(self._enter(name))
            held.append(name)
        return self._open[-1]

    def place(self, path: str) -> Place:
        """Where a path is; of a directory beside the root, where it really is."""
        above, name = split(path)
        if above or not is_further(name):
            return Place(self.directory(above), name)
        self._leave_beside()
        real = path_of(name)
        self._beside = open_above(real)
        return Place(self._beside, os.path.basename(real))

    def forget(self, path: str) -> None:
        """The directory at `path` is not what it was: open it anew the next time."""
        names = path.split("/")
        if self._names[: len(names)] == names:
            self._back_to(len(names) - 1)

    def unlock(self, path: str) -> None:
        """Let the owner read, enter and change the directory at `path`."""
        descriptor = self.directory(path)
        mode = os.fstat(descriptor).st_mode & 0o7777
        self.unlocked.setdefault(path, mode)
        os.fchmod(descriptor, mode | 0o700)

    def _enter(self, name: str) -> int:
        is_beside = not self._names and is_further(name)
        above, last = self.place(name) if is_beside else (self._open[-1], name)
        try:
            return os.open(last, OPEN_DIRECTORY, dir_fd=above)
        except PermissionError:
            if not self._unlock:
                raise
        path = "/".join((*self._names, name))
        try:
            self._unlock_at(above, last, path)
        except PermissionError:
            if is_beside:
                raise
            # The directory above can be read, but not entered.
            self.unlock("/".join(self._names))
            self._unlock_at(above, last, path)
        return os.open(last, OPEN_DIRECTORY, dir_fd=above)

    def _unlock_at(self, above: int | None, name: str, path: str) -> None:
        mode = set_mode(above, name, None)
        self.unlocked.setdefault(path, mode)

    def _leave_beside(self) -> None:
        if self._beside >= 0:
            os.close(self._beside)
            self._beside = -1

    def _back_to(self, depth: int) -> None:
        while len(self._names) > depth:
            self._names.pop()
            os.close(self._open.pop())


def open_above(path: str) -> int:
    """A descriptor of the directory that an absolute path is in. Raises `OSError`, also where one of the
    names on the way is a link: whoever may write there could lead elsewhere with it."""
    held = os.open("/", _OPEN_ABOVE)
    for name in path.strip("/").split("/")[:-1]:
        above = held
        try:
            held = os.open(name, _OPEN_ABOVE, dir_fd=above)
        finally:
            os.close(above)
    return held


def set_mode(above: int | None, name: str, mode: int | None) -> int:
    """Set the mode of what `name` is in the directory `above`, also where it cannot be opened; never that of
    a link's target. None opens a directory for its owner. Gives the mode from before."""
    place = os.open(name, _OPEN_PLACE, dir_fd=above)
    try:
        found = os.fstat(place).st_mode
        if found & FORMAT_MASK == LINK or (mode is None and found & FORMAT_MASK != DIRECTORY):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
        before = found & 0o7777
        os.chmod(f"/proc/self/fd/{place}", before | 0o700 if mode is None else mode)
        return before
    finally:
        os.close(place)


def stat_at(above: int, name: str) -> os.stat_result | None:
    """What is at `name` in the directory `above`, if there is something."""
    try:
        return os.stat(name, dir_fd=above, follow_symlinks=False)
    except FileNotFoundError:
        return None
