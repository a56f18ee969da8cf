"""Finding and ending processes that left their group; used by the supervisor, standard library only."""

import os

SIGKILL, SIGTERM, SIGPIPE, SIGXFSZ = 9, 15, 13, 25
_PARENT, _MEMORY = 1, 20


def kill(pid: int, signal: int, *, group: bool) -> None:
    """Send a signal to a process or a group; none may be there any more."""
    try:
        if group:
            os.killpg(pid, signal)
        else:
            os.kill(pid, signal)
    except (ProcessLookupError, PermissionError):
        return


def adopted(known: set[int]) -> list[int]:
    """The children of this process that are not `known`.

    The kernel's own list is exact here: a dead child stays on it until this process, which has one thread,
    waits for it. Where the kernel does not keep one, all processes are looked at.
    """
    here = os.getpid()
    try:
        with open(f"/proc/self/task/{here}/children", "rb", buffering=0) as file:
            pids = [int(pid) for pid in file.read().split()]
    except FileNotFoundError:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit() and _parent(int(name)) == here]
    return [pid for pid in pids if pid not in known]


def end_adopted(mark: bytes, pids: list[int]) -> bool:
    """Kill those of our children `pids` that carry `mark`, and take leave of the dead.

    Returns whether there were any, or one that was just dying: its own children are adopted only when
    it is dead, so that it must be looked again.
    """
    again = False
    for pid in pids:
        marked = mark in _about(pid, "environ").split(b"\0")
        if marked:
            kill(pid, SIGKILL, group=False)
        if marked or _facts(pid)[_MEMORY] == b"0":
            _take_leave(pid)
            again = True
    return again


def _parent(pid: int) -> int:
    return int(_facts(pid)[_PARENT])


def _facts(pid: int) -> list[bytes]:
    """What stands behind the name in a process' stat; zeros when there is none any more."""
    return _about(pid, "stat").rpartition(b")")[2].split() or [b"0"] * (_MEMORY + 1)


def _about(pid: int, what: str) -> bytes:
    """A file of /proc, empty when there is none any more."""
    try:
        with open(f"/proc/{pid}/{what}", "rb") as file:
            return file.read()
    except OSError:
        return b""


def _take_leave(pid: int) -> None:
    """Wait for a child, if it is dead."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
