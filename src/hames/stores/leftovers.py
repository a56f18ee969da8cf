"""What dead processes left in the state directory: half-written files, and directories of runs."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import suppress

from hames.core.ids import SessionId, is_session_id
from hames.stores import blob_files, database
from hames.stores.directory import BLOBS, LOCKS, RUN, RUN_LOCK
from hames.stores.locks import SUFFIX


def half_written(directory: str) -> Iterator[str]:
    """Files that were never finished. Nobody is writing one: the caller keeps out whoever could."""
    for name in os.listdir(directory):
        if name.startswith((database.FRESH, database.PROBE)):
            yield os.path.join(directory, name)
    for below, begun in ((BLOBS, blob_files.FRESH), (LOCKS, f"{SUFFIX}.")):
        with suppress(FileNotFoundError):
            for name in os.listdir(os.path.join(directory, below)):
                if begun in name and not name.endswith(SUFFIX):
                    yield os.path.join(directory, below, name)


def runs(directory: str) -> Iterator[str]:
    """The directories of runs."""
    above = os.path.join(directory, RUN)
    with suppress(FileNotFoundError):
        for name in sorted(os.listdir(above)):
            path = os.path.join(above, name)
            if os.path.isdir(path) and not os.path.islink(path):
                yield path


def is_left(path: str, unsettled: Callable[[SessionId], bool]) -> bool:
    """Whether a run's directory is of no more use.

    `unsettled` tells whether a session has a call or a job without an end: its real outcome may be here.
    """
    name = os.path.basename(path)
    if is_session_id(name):
        return not is_in_use(path) and not unsettled(SessionId(name))
    pid = name.partition("-")[0]
    if not pid.isdigit():
        return False
    if os.path.exists(os.path.join(path, RUN_LOCK)):
        # Another process may have the number by now, or have it where we do not see it.
        return not is_in_use(path)
    return not os.path.exists(f"/proc/{pid}")


def is_in_use(path: str) -> bool:
    """Whether the supervisor or the process lives that owns a run's directory: it holds the lock there."""
    try:
        file = os.open(os.path.join(path, RUN_LOCK), os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
