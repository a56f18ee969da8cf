import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process

from hames.core.errors import LauncherError
from hames.core.ids import JobId, SessionId
from hames.core.ports import Claim, CommandSpec, LaunchPlan, ReadQuery, Sandbox, SandboxReport
from hames.sandboxes.files import SandboxFiles
from hames.sandboxes.launch import CommandLauncher
from hames.sandboxes.process import SupervisorProcess
from hames.sandboxes.runtime import mark_of
from hames.sandboxes.unconfined import Unconfined
from hames.sandboxes.unowned import end_unowned
from hames.testing.launcher_suite import ENOUGH_S
from tests.sandboxes.conftest import SESSION, entered
from tests.sandboxes.processes import heard

pytestmark = pytest.mark.anyio

DIRECTORY = f"/run/{SESSION}"
SILENT = "echo ready; exec sleep 1000"
FORKING = f"({SILENT}) & {SILENT}"


@asynccontextmanager
async def left(directory: str, script: str = SILENT) -> AsyncGenerator[Process]:
    """A process that carries the mark of the session of a runtime directory, and runs."""
    env = {"HAMES_SANDBOX": mark_of(directory), "PATH": os.environ["PATH"]}
    async with heard(("bash", "-c", script), env) as (process, said):
        assert b"ready" in said
        yield process


class Stuck:
    """A sandbox that starts, holds on to what it was given, and never comes to the command."""

    def __init__(self) -> None:
        self.started = 0

    name = "stuck"

    def problem(self) -> str:
        return ""

    def wrap(self, spec: CommandSpec) -> LaunchPlan:
        if self.started:
            return Unconfined().wrap(spec)
        self.started += 1
        return LaunchPlan(("sleep", "1000"), "/", {"PATH": os.environ["PATH"]}, reports_start=True)

    async def probe(self) -> SandboxReport:
        return SandboxReport(self.name, "", True, True, True, "")


async def test_what_is_left_of_a_session_is_ended_with_its_children() -> None:
    async with left(DIRECTORY, FORKING) as process:
        end_unowned(DIRECTORY)
        with anyio.fail_after(ENOUGH_S):
            assert await process.wait() == -signal.SIGKILL
            # The child held on to its output as well.
            assert process.stdout is not None
            assert [data async for data in process.stdout] in ([], [b"ready\n"])


async def test_other_sessions_and_the_caller_are_left_alone() -> None:
    async with left(f"/elsewhere{DIRECTORY}") as copied, left(f"{DIRECTORY}-1") as other:
        program = (
            f"from hames.sandboxes.unowned import end_unowned; end_unowned({DIRECTORY!r}); print('lives')"
        )
        env = {**os.environ, "HAMES_SANDBOX": mark_of(DIRECTORY)}
        caller = await anyio.run_process((sys.executable, "-c", program), env=env)
        assert caller.stdout == b"lives\n"
        for process in (copied, other):
            assert process.returncode is None
            os.kill(process.pid, 0)


async def test_a_session_without_a_supervisor_is_entered_with_nothing_left_of_it(tmp_path: Path) -> None:
    root = tmp_path / "run"
    (root / SESSION).mkdir(parents=True, mode=0o700)
    async with left(str(root / SESSION)) as process:
        owner = await entered(root)
        with anyio.fail_after(ENOUGH_S):
            assert await process.wait() == -signal.SIGKILL
        await owner.close()


async def test_a_lost_supervisor_leaves_no_sandbox_behind(process: SupervisorProcess) -> None:
    connection = process.connect()
    await connection.ask([("do", "attach"), ("job", "1.0")])
    async with left(process.directory) as stuck:
        os.kill(connection.pid, signal.SIGKILL)
        with pytest.raises(LauncherError):
            await connection.ask([("do", "attach"), ("job", "1.0")])
        with anyio.fail_after(ENOUGH_S):
            assert await stuck.wait() == -signal.SIGKILL


@pytest.mark.needs_bwrap
async def test_no_instant_of_a_start_is_a_bad_one_to_kill_the_supervisor(
    tmp_path: Path, workspace: Path, bubblewrap: Sandbox
) -> None:
    for attempt in range(24):
        process = await entered(tmp_path / "run", f"{SESSION}-{attempt}", enclosed=True)
        connection = process.connect()
        await connection.ask([("do", "attach"), ("job", "1.0")])
        running = await CommandLauncher(process, bubblewrap).start(
            CommandSpec(JobId("1.0"), ("sleep", "1000"), str(workspace), {"PATH": "/usr/bin:/bin"})
        )
        until = time.perf_counter() + attempt / 2000
        while time.perf_counter() < until:
            continue
        os.kill(connection.pid, signal.SIGKILL)
        with pytest.raises(LauncherError):
            await running.wait()
        assert marked(process.directory) == []
        await process.close()


def marked(directory: str) -> list[str]:
    """Who carries the mark of a session."""
    mark, found = f"HAMES_SANDBOX={mark_of(directory)}".encode(), list[str]()
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            with contextlib.suppress(OSError):
                if mark in (place / "environ").read_bytes().split(b"\0"):
                    found.append((place / "cmdline").read_text())
    return found


async def test_an_owner_that_was_replaced_ends_nothing_of_the_next_one(
    tmp_path: Path, process: SupervisorProcess
) -> None:
    connection = process.connect()
    await connection.ask([("do", "attach"), ("job", "1.0")])
    os.kill(connection.pid, signal.SIGKILL)
    following = SupervisorProcess(str(tmp_path / "state" / "run"))
    await following.enter(Claim(SessionId(SESSION), 2, 0))
    async with left(process.directory) as theirs:
        with pytest.raises(LauncherError):
            await connection.ask([("do", "attach"), ("job", "1.0")])
        assert theirs.returncode is None
        os.kill(theirs.pid, 0)


async def test_a_worker_whose_sandbox_never_starts_is_not_waited_for_without_a_supervisor(
    process: SupervisorProcess, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    stuck = Stuck()
    files = SandboxFiles(process, stuck, ripgrep="")
    read: list[bytes] = []

    async def reads() -> None:
        read.append((await files.read(ReadQuery(str(tmp_path / "file")))).data)

    with anyio.fail_after(ENOUGH_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reads)
            while not stuck.started:
                await anyio.lowlevel.checkpoint()
            connection = process.connect()
            await connection.ask([("do", "attach"), ("job", "1.0")])
            os.kill(connection.pid, signal.SIGKILL)
    assert read == [b"x"]
    await files.close()


async def test_commands_carry_the_mark_of_their_session(
    process: SupervisorProcess, sandbox: Sandbox, workspace: Path
) -> None:
    launcher = CommandLauncher(process, sandbox)
    argv = ("bash", "-c", "echo $HAMES_SANDBOX:$HAMES_JOB")
    running = await launcher.start(CommandSpec(JobId("1.0"), argv, str(workspace), {"PATH": "/usr/bin:/bin"}))
    await running.wait()
    said = (await running.output(0, 1000)).data.decode()
    mark = mark_of(process.directory)
    assert said == (f":{mark}/1.0\n" if sandbox.name == "none" else f"{mark}:\n")
