"""What has changed below a directory since a time, as far as its files tell; run by the file worker."""

import os
import stat
import time

from hames.sandboxes.wire import Frame, Items

Answer = tuple[Items, bytes]

_LOOK_S = 5.0
_COARSE_NS = 10_000_000
"""The kernel's time for files may be so much behind the clock."""

_AS_ONE = (".git", ".hg", ".svn", "node_modules", "__pycache__")
"""Directories that are named as one, whatever has changed inside."""


def find_changed(frame: Frame) -> Answer:
    """The first `most` paths, a directory with `/` at its end; how many there are; whether all was looked at.

    A directory is named when something was removed or renamed in it: it has changed, and none of what is
    in it has.
    """
    since_ns = int(frame.get("since_ms")) * 1_000_000 - _COARSE_NS
    most, root = int(frame.get("most")), frame.get("path")
    until = time.monotonic() + _LOOK_S
    found: list[str] = []
    total, whole, todo = 0, True, [root]
    while todo and whole:
        directory = todo.pop()
        try:
            names, below = _look(directory, since_ns)
        except OSError:
            # It is gone, or out of reach: then what it lay in has changed, or nobody may know.
            if directory == root:
                raise
            continue
        todo += below
        total += len(names)
        found += names[: most - len(found)]
        whole = time.monotonic() < until
    items = [("path", os.path.relpath(path, root) + "/" * path.endswith("/")) for path in found]
    return [*items, ("total", str(total)), ("whole", "1" if whole and not todo else "")], b""


def _look(directory: str, since_ns: int) -> tuple[list[str], list[str]]:
    """What has changed right in a directory, and the directories below that are to be looked through."""
    changed: list[str] = []
    below: list[str] = []
    with os.scandir(directory) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            try:
                facts = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if not stat.S_ISDIR(facts.st_mode):
                if facts.st_ctime_ns >= since_ns:
                    changed.append(entry.path)
            elif entry.name not in _AS_ONE:
                below.append(entry.path)
            elif _any(entry.path, since_ns):
                changed.append(f"{entry.path}/")
    if not changed and os.stat(directory).st_ctime_ns >= since_ns:
        changed.append(f"{directory}/")
    return changed, below


def _any(directory: str, since_ns: int) -> bool:
    return any(
        os.lstat(os.path.join(above, name)).st_ctime_ns >= since_ns
        for above, _, names in os.walk(directory)
        for name in (".", *names)
    )
