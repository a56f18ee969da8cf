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


def younger(since: int) -> list[int]:
    """The processes that were started after the process `since`, as far as their numbers tell: numbers
    are given in a circle, and the newest stands in /proc/loadavg."""
    with open("/proc/loadavg", "rb") as file:
        newest = int(file.read().split()[4])
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    if newest >= since:
        return [pid for pid in pids if since < pid <= newest]
    return [pid for pid in pids if pid > since or pid <= newest]


def end_adopted(mark: bytes, pids: list[int]) -> bool:
    """Kill the children of this process among `pids` that carry `mark`, and take leave of the dead.

    Returns whether there were any, or one that was just dying: its own children are adopted only when
    it is dead, so that it must be looked again.
    """
    here = os.getpid()
    again = False
    for pid in pids:
        facts = _about(pid, "stat").rpartition(b")")[2].split()
        if not facts or int(facts[_PARENT]) != here:
            continue
        marked = mark in _about(pid, "environ").split(b"\0")
        if marked:
            kill(pid, SIGKILL, group=False)
        if marked or facts[_MEMORY] == b"0":
            take_leave(pid)
            again = True
    return again


def _about(pid: int, what: str) -> bytes:
    """A file of /proc, empty when there is none any more."""
    try:
        with open(f"/proc/{pid}/{what}", "rb") as file:
            return file.read()
    except OSError:
        return b""


def take_leave(pid: int) -> None:
    """Wait for a child, if it is dead."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
