"""The state directory: the names in it, and how files there are made durable and locked."""

import fcntl
import os
import sys
import time

from hames.core.errors import StoreError

DATABASE = "log.db"
"""Sessions, events, small blobs."""

BLOBS = "blobs"
"""Payloads over `INLINE_BYTES`, as files."""

LOCKS = "locks"
"""One file for each session in use."""

RUN = "run"
"""Directories that end with a process: of the commands of each session, and of what is not stored yet."""

RUN_LOCK = "lock"
"""Held by the owner of a directory in `RUN` for as long as it lives."""

BUSY_S = 10.0
"""How long a commit waits for another process that is writing."""

_LOOK_S = 0.01


def make_directory(directory: str) -> None:
    """Make `directory` and what is missing above it, durably, for its owner alone."""
    if os.path.isdir(directory):
        return
    above = os.path.dirname(os.path.abspath(directory))
    make_directory(above)
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        if not os.path.isdir(directory):
            raise
    sync_directory(above)


def sync_directory(directory: str) -> None:
    """Make durable which names are in `directory`."""
    file = os.open(directory, os.O_RDONLY)
    try:
        sync(file)
    finally:
        os.close(file)


def sync(file: int) -> None:
    """Make a file durable, on macOS also through the drive's own cache."""
    if sys.platform == "darwin":
        fcntl.fcntl(file, fcntl.F_FULLFSYNC)
    else:
        os.fsync(file)


def lock_within(file: int, kind: int, busy_s: float, why: str) -> None:
    """Lock a file as `flock` does, but wait for `busy_s` at most: who holds it may have been stopped.
    Raises `StoreError` with `why` then."""
    until = time.monotonic() + busy_s
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= until:
                raise StoreError(why) from error
            time.sleep(_LOOK_S)
        else:
            return
