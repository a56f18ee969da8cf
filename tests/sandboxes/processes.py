"""Real processes: started and heard, killed, waited for, and looked for on this machine."""

import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL

import anyio
import msgspec
from anyio.abc import Process

from hames.testing.launcher_suite import ENOUGH_S, alive
from tests.sandboxes.harness import Order

HARNESS = Path(__file__).with_name("harness.py")


@asynccontextmanager
async def heard(
    argv: Sequence[str], env: Mapping[str, str] | None = None
) -> AsyncGenerator[tuple[Process, bytes]]:
    """A process that has said something, and what. It is killed in the end if it still runs."""
    async with await anyio.open_process(argv, env=env, stdin=DEVNULL, stderr=None) as process:
        try:
            assert process.stdout is not None
            with anyio.fail_after(ENOUGH_S):
                said = await process.stdout.receive()
            yield process, said
        finally:
            if process.returncode is None:
                process.kill()


@asynccontextmanager
async def harness(order: Order) -> AsyncGenerator[tuple[Process, int]]:
    """A harness that has started its commands, and the process of its supervisor."""
    argv = (sys.executable, str(HARNESS), msgspec.json.encode(order).decode())
    async with heard(argv) as (process, said):
        yield process, int(said)


async def kill(process: Process) -> None:
    """End a process as a crash does, and collect it."""
    process.send_signal(signal.SIGKILL)
    await process.wait()


async def until_gone(pid: int) -> None:
    """Return when the process has ended, a zombie or not."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with anyio.fail_after(ENOUGH_S):
        await anyio.wait_readable(pidfd)
    os.close(pidfd)


async def until_reaped(pid: int) -> None:
    """Return when a child of ours has ended, and nothing of it is left."""
    await until_gone(pid)
    os.waitpid(pid, os.WNOHANG)  # noqa: ASYNC222  it does not block


async def until_alive(token: str, least: int = 1) -> list[int]:
    """Return when so many processes have the token among their arguments: a shell may have said something
    and be about to become another program."""
    with anyio.fail_after(ENOUGH_S):
        while len(found := alive(token)) < least:
            await anyio.lowlevel.checkpoint()
    return found


async def until_none(token: str) -> None:
    """Return when no process has the token among its arguments."""
    while left := alive(token):
        for pid in left:
            await until_gone(pid)


def supervisors(below: str | Path) -> list[int]:
    """The supervisors that work in this directory, or below it."""
    found: list[int] = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        supervises = any("hames.sandboxes.supervisor" in word for word in words)
        if supervises and any(word.startswith(str(below)) for word in words):
            found.append(int(name))
    return found
