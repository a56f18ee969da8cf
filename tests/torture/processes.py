"""Which processes belong to a run: found by its token, whoever their parent has become."""

import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import anyio


class Found(NamedTuple):
    """A process, and its command line."""

    pid: int
    line: bytes


def belonging(token: str) -> list[Found]:
    """Every process with the token in its arguments, its environment, its directory or an open file.

    A zombie is none: its end has only not been collected yet.
    """
    wanted, here = token.encode(), os.getpid()
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return [found for pid in pids if pid != here and (found := _look(pid, wanted)) is not None]


def _look(pid: int, wanted: bytes) -> Found | None:
    place = Path("/proc", str(pid))
    try:
        line = (place / "cmdline").read_bytes().replace(b"\0", b" ")
        if not line or b") Z " in (place / "stat").read_bytes():
            return None
        if wanted in line or wanted in (place / "environ").read_bytes():
            return Found(pid, line)
        links = [place / "cwd", *(place / "fd").iterdir()]
        if any(wanted in os.readlink(os.fsencode(link)) for link in links):
            return Found(pid, line)
    except OSError:
        return None  # It has ended, or is about to.
    return None


def kill(pids: Iterable[int]) -> int:
    """SIGKILL to each; returns how many there were."""
    sent = 0
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        sent += 1
    return sent


def freeze(token: str) -> list[int]:
    """Stop all processes of a run where they are, also those that are being started meanwhile."""
    stopped: set[int] = set()
    while new := {found.pid for found in belonging(token)} - stopped:
        for pid in new:
            try:
                os.kill(pid, signal.SIGSTOP)
            except ProcessLookupError:
                continue
        stopped |= new
    return sorted(stopped)


async def gone(pids: Iterable[int], within_s: float) -> bool:
    """Whether all of these have ended; waits for it, at most `within_s`."""
    with anyio.move_on_after(within_s):
        for pid in pids:
            try:
                file = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            try:
                await anyio.wait_readable(file)
            finally:
                os.close(file)
        return True
    return False


async def none_left(token: str, within_s: float) -> list[Found]:
    """What is left of a run after `within_s` at most: nothing, as it should be."""
    with anyio.move_on_after(within_s):
        while left := belonging(token):
            await gone((found.pid for found in left), within_s)
    return belonging(token)
