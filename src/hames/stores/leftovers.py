"""What dead processes left in the state directory: half-written files, and directories of runs."""

import errno
import os
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress

from hames.core.ids import SessionId, is_session_id

RUN_KEPT_S = 24 * 3600
"""How long the directory of a run whose turn is over may still be asked for."""


def half_written(directory: str) -> Iterator[str]:
    """Files that were never finished. Nobody is writing one: the caller keeps out whoever could."""
    for name in os.listdir(directory):
        if name.startswith(("log.db.new", "probe.")):
            yield os.path.join(directory, name)
    for below, begin in (("blobs", "new."), ("locks", "")):
        with suppress(FileNotFoundError):
            for name in os.listdir(os.path.join(directory, below)):
                unfinished = ".lock." in name if not begin else name.startswith(begin)
                if unfinished:
                    yield os.path.join(directory, below, name)


def runs(directory: str) -> Iterator[str]:
    """The directories of runs."""
    above = os.path.join(directory, "run")
    with suppress(FileNotFoundError):
        for name in sorted(os.listdir(above)):
            path = os.path.join(above, name)
            if os.path.isdir(path) and not os.path.islink(path):
                yield path


def is_left(path: str, now: float, ending: Callable[[SessionId], str | None]) -> bool:
    """Whether a run's directory is of no more use.

    `ending` tells how a session's last turn ended, None for a session that is not there. While the turn is
    open the directory may hold the real outcome of a command, so it stays.
    """
    if is_in_use(path):
        return False
    name = os.path.basename(path)
    if not is_session_id(name):
        pid = name.partition("-")[0]
        return pid.isdigit() and not os.path.exists(f"/proc/{pid}")
    ended = ending(SessionId(name))
    return ended is None or (ended != "open" and _newest(path) < now - RUN_KEPT_S)


def is_in_use(path: str) -> bool:
    """Whether a process listens there, works there, or has a file of it open."""
    return any(_listens(path)) or any(_is_below(name, path) for name in _held())


def _listens(path: str) -> Iterator[bool]:
    with suppress(FileNotFoundError):
        for name in os.listdir(path):
            if stat.S_ISSOCK(os.lstat(os.path.join(path, name)).st_mode):
                yield _answers(path, name)


def _answers(path: str, name: str) -> bool:
    # By way of the directory's descriptor: the whole path may be too long for a socket's address.
    above = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"/proc/self/fd/{above}/{name}")
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(above)
    return True


def _held() -> Iterator[str]:
    """Every file and directory that a process we may look at has open or works in."""
    for pid in os.listdir("/proc"):
        if not pid.isdigit():
            continue
        with suppress(OSError):
            yield os.readlink(f"/proc/{pid}/cwd")
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    yield os.readlink(f"/proc/{pid}/fd/{descriptor}")


def _is_below(name: str, path: str) -> bool:
    return name == path or name.startswith(f"{path}/")


def _newest(path: str) -> float:
    return max(os.stat(above, follow_symlinks=False).st_mtime for above, _, _ in os.walk(path))


def remove(path: str) -> None:
    """Remove a file, or a directory with all that is in it, whatever permissions it was left with."""
    if os.path.isdir(path) and not os.path.islink(path):
        for above, _, _ in os.walk(path):
            with suppress(OSError):
                os.chmod(above, 0o700)
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(FileNotFoundError):
            os.unlink(path)
