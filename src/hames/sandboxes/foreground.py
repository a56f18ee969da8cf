"""One command in a sandbox with the terminal's own input and output: `hames exec`."""

import contextlib
import os
import signal
from collections.abc import AsyncIterator
from typing import NamedTuple

import anyio

from hames.core.errors import SandboxError
from hames.core.ids import JobId
from hames.core.ports import CommandSpec, LaunchPlan, Sandbox
from hames.sandboxes.pipes import STATUS, first_inside, has_run

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGWINCH)
_AS_A_SHELL = ("/bin/sh", "-c", 'cd -- "$1" || exit 125; shift; exec "$@"', "sh")
"""Gives 127 and 126, and the usual words, for a program that is missing or cannot be run."""

_GONE_S = 5.0


class _Started(NamedTuple):
    pid: int
    pidfd: int
    status: int


def _spawn(plan: LaunchPlan) -> _Started:
    """Start it with descriptors 0 to 2 as they are, and no others but the status pipe.

    In a sandbox it leaves the terminal's process group, so that signals reach it by us alone.
    """
    status, status_end = os.pipe()
    closed = [
        (os.POSIX_SPAWN_CLOSE, fd)
        for fd in map(int, os.listdir("/proc/self/fd"))
        if fd > 2 and fd != status_end and _inherited(fd)
    ]
    actions = [*closed, (os.POSIX_SPAWN_DUP2, status_end, STATUS)]
    defaults = (signal.SIGPIPE, signal.SIGXFSZ)
    program, argv, env = plan.argv[0], plan.argv, dict(plan.env)
    try:
        if plan.reports_start:
            pid = os.posix_spawnp(program, argv, env, file_actions=actions, setsigdef=defaults, setpgroup=0)
        else:
            pid = os.posix_spawnp(program, argv, env, file_actions=actions, setsigdef=defaults)
    except OSError:
        os.close(status)
        raise
    finally:
        os.close(status_end)
    os.set_blocking(status, False)
    return _Started(pid, os.pidfd_open(pid), status)


def _inherited(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False


def _reap(started: _Started) -> int:
    """The exit code; a command that still runs is ended."""
    if os.waitid(os.P_PID, started.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        os.kill(started.pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(started.pid, 0)[1])
    os.close(started.pidfd)
    return code


async def _until_gone(init: int) -> None:
    """The kernel ends the sandbox's init after bubblewrap, and everything inside before that is over."""
    if not init:
        return
    try:
        pidfd = os.pidfd_open(init)
    except OSError:
        return
    with anyio.move_on_after(_GONE_S):
        await anyio.wait_readable(pidfd)
    os.close(pidfd)


class _Status:
    """What bubblewrap says on the status pipe."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.said = b""

    def read(self) -> bytes:
        """All that has been said so far."""
        with contextlib.suppress(BlockingIOError):
            self.said += os.read(self._fd, 64 * 1024)
        return self.said

    def end(self) -> bytes:
        """All that was said; nothing more will be."""
        said = self.read()
        os.close(self._fd)
        return said


async def run_foreground(sandbox: Sandbox, argv: tuple[str, ...], cwd: str, env: dict[str, str]) -> int:
    """Run one command and return its exit status, 128 and the signal's number for one that was killed.

    Signals that we get are passed on. Raises `SandboxError` when the sandbox did not start.
    """
    spec = CommandSpec(JobId("exec"), (*_AS_A_SHELL, cwd, *argv), cwd, env)
    plan = sandbox.wrap(spec)
    # Signals are ours before the command is there: none can end us and leave it behind.
    with anyio.open_signal_receiver(*_FORWARDED) as signals:
        try:
            started = _spawn(plan)
        except OSError as error:
            report = await sandbox.probe()
            raise SandboxError(report.problem or f"cannot run {plan.argv[0]}: {error.strerror}") from error
        status = _Status(started.status)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(_pass_on, signals, started, plan, status)
                await anyio.wait_readable(started.pidfd)
                group.cancel_scope.cancel()
        finally:
            code = _reap(started)
            said = status.end()
            with anyio.CancelScope(shield=True):
                await _until_gone(first_inside(said))
    if plan.reports_start and code > 0 and not has_run(said):
        report = await sandbox.probe()
        raise SandboxError(report.problem or "the sandbox did not start; what it said stands above")
    return code if code >= 0 else 128 - code


async def _pass_on(
    signals: AsyncIterator[signal.Signals], started: _Started, plan: LaunchPlan, status: _Status
) -> None:
    """In a sandbox to the command's group, else to the command. Keys of the terminal reach a command
    without a sandbox by themselves."""
    async for number in signals:
        child = first_inside(status.read()) if plan.reports_start else 0
        try:
            if child:
                os.killpg(child, number)
            elif plan.reports_start or number in (signal.SIGTERM, signal.SIGHUP):
                os.kill(started.pid, number)
        except ProcessLookupError:
            continue
