"""A process' own directory for files that are not in the store yet. `hames gc` removes it after a kill."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress

from hames.stores.directory import RUN, RUN_LOCK, make_directory


@contextmanager
def scratch(directory: str) -> Generator[str]:
    """A directory below `directory`, that of the store. What is left in it at the end goes with it.

    Its name says which process made it, and a lock that the process lives: its number may be used again.
    Raises `OSError`.
    """
    above = os.path.join(directory, RUN)
    path, held = _made(above)
    try:
        yield path
    finally:
        # What cannot be removed now is for `hames gc`, with the lock that nobody holds any more.
        with suppress(OSError):
            _remove(path)
        os.close(held)


def _made(above: str) -> tuple[str, int]:
    number = 0
    while True:
        path = os.path.join(above, f"{os.getpid()}-packs{number or ''}")
        number += 1
        make_directory(above)
        # It may be there, left by a process that had the same number. And before it is locked it may be swept
        # by a process that sees other numbers than we do.
        with suppress(FileExistsError, FileNotFoundError):
            os.mkdir(path, 0o700)
            return path, _locked(path)


def _remove(path: str) -> None:
    # The lock goes last.
    for name in sorted(os.listdir(path), key=lambda name: name == RUN_LOCK):
        os.unlink(os.path.join(path, name))
    os.rmdir(path)


def _locked(path: str) -> int:
    # It gets its name when it is locked: nobody ever sees it free.
    fresh = os.path.join(path, f"{RUN_LOCK}.new")
    held = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.rename(fresh, os.path.join(path, RUN_LOCK))
    except BaseException:
        os.close(held)
        raise
    return held
