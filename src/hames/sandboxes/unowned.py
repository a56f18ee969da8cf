"""Ending sandboxes whose supervisor is gone; used by hames itself, outside of them."""

import contextlib
import os
import select
import signal
import time

from hames.sandboxes.runtime import SANDBOX

_LAST_S = 2.0


def end_unowned(session: str) -> None:
    """End all that is left in sandboxes of a session without a supervisor; returns when it is gone.

    Bubblewrap ends with its parent, but only from some time after its start on, and what it has forked
    before may wait for it for ever. The supervisor carries the mark, too, so that a process is found that
    it had not yet made another program.
    """
    mark = f"{SANDBOX}={session}".encode()
    until = time.monotonic() + _LAST_S
    while time.monotonic() < until:
        found = [fd for pid in _others() if (fd := _marked(pid, mark)) >= 0]
        if not found:
            return
        for fd in found:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
        for fd in found:
            _await_end(fd, until)
            os.close(fd)


def _others() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def _marked(pid: int, mark: bytes) -> int:
    """A descriptor of the process if it carries the mark and lives, else -1."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return -1
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            # A dead process has no environment any more.
            if mark in file.read().split(b"\0"):
                return fd
    except OSError:
        pass
    os.close(fd)
    return -1


def _await_end(fd: int, until: float) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.poll(max(0, int((until - time.monotonic()) * 1000)))
