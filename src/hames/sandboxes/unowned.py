"""Ending sandboxes whose supervisor is gone; used by hames itself, outside of them."""

import contextlib
import os
import select
import signal
import time

from hames.sandboxes.runtime import SANDBOX, mark_of

_LAST_S = 2.0
_NONE, _UNCLEAR = -1, -2
_EXITING, _OF_THE_KERNEL = 0x4, 0x200000


def end_unowned(directory: str) -> None:
    """End all that is left in the sandboxes of a session without a supervisor, whose runtime directory this
    is; returns when it is gone.

    Bubblewrap ends with its parent, but only from some time after its start on, and what it has forked
    before may wait for it for ever. The supervisor carries the mark, too, so that a process is found that
    it had not yet made another program. A process may have forked one more before it ended by itself: so it
    is over only when there is nobody who was not looked at.
    """
    mark = f"{SANDBOX}={mark_of(directory)}".encode()
    until = time.monotonic() + _LAST_S
    known = {os.getpid()}
    while time.monotonic() < until and (strangers := _running() - known):
        looks = {pid: _look(pid, mark) for pid in strangers}
        found = [look for look in looks.values() if look >= 0]
        for fd in found:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
        for fd in found:
            _await_end(fd, until)
            os.close(fd)
        known |= {pid for pid, look in looks.items() if look != _UNCLEAR}


def _running() -> set[int]:
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}


def _look(pid: int, mark: bytes) -> int:
    """A descriptor of the process if it carries the mark."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return _NONE
    try:
        environ = _read(pid, "environ")
        unclear = not environ and _is_becoming(pid)
        if mark in (environ or _read(pid, "environ")).split(b"\0"):
            return fd
    except OSError:
        unclear = False
    os.close(fd)
    return _UNCLEAR if unclear else _NONE


def _is_becoming(pid: int) -> bool:
    """Whether the process is just becoming another program: then it has no arguments and no environment, as
    the dead and the kernel's own have none."""
    if _read(pid, "cmdline"):
        return False
    state, _, _, _, _, _, flags, *_ = _read(pid, "stat").rpartition(b")")[2].split()
    return state not in (b"Z", b"X") and not int(flags) & (_EXITING | _OF_THE_KERNEL)


def _read(pid: int, what: str) -> bytes:
    with open(f"/proc/{pid}/{what}", "rb") as file:
        return file.read()


def _await_end(fd: int, until: float) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.poll(max(0, int((until - time.monotonic()) * 1000)))
