"""Who has the store open: many at a time, or one alone while the file itself is replaced."""

import fcntl
import os

from hames.core.errors import StoreError
from hames.stores.directory import lock_within, make_directory

_NAME = "log.lock"
_REPLACED_S = 60.0


def be_present(directory: str, busy_s: float = _REPLACED_S) -> int:
    """A descriptor that says, while it is open, that this process uses the store in `directory`.

    Waits for whoever is replacing the file, for `busy_s` at most. Raises `StoreError` and `OSError`.
    """
    file = _open(directory)
    try:
        why = f"the log in {directory} is being repaired; `fuser {directory}/{_NAME}` finds by whom"
        lock_within(file, fcntl.LOCK_SH, busy_s, why)
    except BaseException:
        os.close(file)
        raise
    return file


def be_alone(directory: str) -> int:
    """A descriptor that keeps everybody else out while it is open. Raises `StoreError` and `OSError`."""
    file = _open(directory)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(file)
        raise StoreError(
            f"another process uses the log in {directory}: end it first; `fuser {directory}/{_NAME}` finds it"
        ) from error
    return file


def _open(directory: str) -> int:
    make_directory(directory)
    return os.open(os.path.join(directory, _NAME), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
