"""The supervisor and the connection to it, also when one of them dies."""

import os
import signal
import sys
from pathlib import Path

import anyio
import pytest

from hames.core.errors import LauncherError
from hames.core.ids import JobId
from hames.core.ports import CommandSpec, Sandbox
from hames.sandboxes.launch import CommandLauncher
from hames.sandboxes.process import SupervisorProcess
from hames.sandboxes.unconfined import Unconfined
from hames.testing.launcher_suite import ENOUGH_S, alive
from tests.sandboxes.conftest import SESSION, entered
from tests.sandboxes.processes import until_none

pytestmark = pytest.mark.anyio


def _spec(job: str, workspace: Path, *argv: str) -> CommandSpec:
    return CommandSpec(JobId(job), argv, str(workspace), {"PATH": "/usr/bin:/bin"})


async def test_nothing_is_started_or_made_before_it_is_needed(tmp_path: Path) -> None:
    process = await entered(tmp_path / "run")
    launcher = CommandLauncher(process, Unconfined())
    found = await launcher.attach(JobId("1.0"))
    assert found is not None
    end = await found.wait()
    assert end is not None
    assert "nothing that it wrote down is left" in end.lost
    await launcher.close()
    assert process.running is None
    assert not (tmp_path / "run").exists()


async def test_without_a_session_there_is_nobody_to_run_commands_for(tmp_path: Path) -> None:
    process = SupervisorProcess(str(tmp_path))
    with pytest.raises(LauncherError, match="no session has been opened"):
        await CommandLauncher(process, Unconfined()).start(_spec("1.0", tmp_path, "true"))
    await process.close()


@pytest.mark.needs_bwrap
async def test_nothing_in_a_sandbox_outlives_a_supervisor_that_was_killed(
    process: SupervisorProcess, bubblewrap: Sandbox, workspace: Path
) -> None:
    token = f"20{os.getpid()}2.5"
    launcher = CommandLauncher(process, bubblewrap)
    running = await launcher.start(
        _spec("1.0", workspace, "bash", "-c", f"setsid sleep {token} & sleep {token}")
    )
    with anyio.fail_after(ENOUGH_S):
        while len(alive(token)) < 2:
            assert await running.wait(0.01) is None
    os.kill(process.connect().pid, signal.SIGKILL)
    with pytest.raises(LauncherError, match="ended unexpectedly"):
        await running.wait()
    await until_none(token)


async def test_a_lost_supervisor_fails_all_that_wait_and_the_next_start_gets_a_new_one(
    process: SupervisorProcess, workspace: Path
) -> None:
    token = f"20{os.getpid()}4.5"
    launcher = CommandLauncher(process, Unconfined())
    first = [await launcher.start(_spec(f"{number}.0", workspace, "sleep", token)) for number in range(3)]
    lost = process.connect()
    failed: list[str] = []

    async def wait(number: int) -> None:
        try:
            await first[number].wait()
        except LauncherError as error:
            failed.append(str(error))

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(wait, number)
        await anyio.lowlevel.checkpoint()
        os.kill(lost.pid, signal.SIGKILL)
    assert len(failed) == 3
    assert process.running is None
    again = await launcher.start(_spec("9.0", workspace, "true"))
    end = await again.wait()
    assert end is not None
    assert end.fact.exit_code == 0
    assert process.connect() is not lost
    with pytest.raises(LauncherError):
        await first[0].stop()
    for pid in alive(token):
        os.kill(pid, signal.SIGKILL)


async def test_signals_of_the_terminal_do_not_end_the_supervisor(
    process: SupervisorProcess, workspace: Path
) -> None:
    launcher = CommandLauncher(process, Unconfined())
    connection = process.connect()
    assert os.getsid(connection.pid) == connection.pid
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(connection.pid, number)
    running = await launcher.start(_spec("1.0", workspace, "bash", "-c", "kill -TERM $$"))
    end = await running.wait()
    assert end is not None
    assert end.fact.signal == signal.SIGTERM


async def test_a_supervisor_that_cannot_start_says_why(tmp_path: Path, workspace: Path) -> None:
    root = tmp_path / "file"
    process = await entered(root)
    root.write_text("x")
    with pytest.raises(LauncherError, match="cannot make the session's directory"):
        await CommandLauncher(process, Unconfined()).start(_spec("1.0", workspace, "true"))


async def test_a_directory_that_others_can_enter_is_refused(tmp_path: Path, workspace: Path) -> None:
    shared = tmp_path / "run" / SESSION
    shared.mkdir(parents=True)
    shared.chmod(0o755)
    with pytest.raises(LauncherError, match="chmod 700"):
        await entered(tmp_path / "run")


async def test_a_state_directory_with_a_long_name_is_no_obstacle(tmp_path: Path, workspace: Path) -> None:
    root = tmp_path / ("long" * 40)
    process = await entered(root, orphan_s=600)
    running = await CommandLauncher(process, Unconfined()).start(_spec("1.0", workspace, "sleep", "600"))
    assert await running.wait(0) is None
    process.connect().abandon()
    again = await entered(root, epoch=2)
    assert again.running is not None
    await again.close()


async def test_a_cancelled_start_leaves_nothing_running(
    process: SupervisorProcess, sandbox: Sandbox, workspace: Path
) -> None:
    token = f"20{os.getpid()}3.5"
    launcher = CommandLauncher(process, sandbox)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await launcher.start(_spec("1.0", workspace, "sleep", token))
    assert scope.cancelled_caught
    found = await launcher.attach(JobId("1.0"))
    assert found is None or (await found.stop()).lost
    assert not alive(token)


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_commands_run_under_every_event_loop(process: SupervisorProcess, workspace: Path) -> None:
    launcher = CommandLauncher(process, Unconfined())
    ends: list[int | None] = []

    async def one(number: int) -> None:
        running = await launcher.start(_spec(f"{number}.0", workspace, "bash", "-c", f"exit {number}"))
        end = await running.wait()
        assert end is not None
        ends.append(end.fact.exit_code)

    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(one, number)
    assert sorted(ends, key=str) == [0, 1, 2, 3, 4]


async def test_the_supervisor_imports_little() -> None:
    script = (
        "import sys; sys.path.append(sys.argv[1]); import hames.sandboxes.supervisor;"
        "print(*[name for name in ('json', 're', 'enum', 'socket', 'subprocess', 'typing', 'collections',"
        " 'signal', 'asyncio', 'anyio', 'msgspec', 'site', 'pathlib', 'tempfile') if name in sys.modules])"
    )
    root = str(Path(sys.modules["hames"].__path__[0]).parent)
    done = await anyio.run_process([sys.executable, "-I", "-S", "-c", script, root])
    assert done.stdout.split() == []


async def test_requests_stay_whole_when_the_supervisor_does_not_read(
    process: SupervisorProcess, workspace: Path
) -> None:
    launcher = CommandLauncher(process, Unconfined())
    pid = process.connect().pid
    sizes: dict[int, bytes] = {}
    cancelled = anyio.CancelScope()

    async def one(number: int) -> None:
        argv = ("bash", "-c", 'echo "${#1}"', "bash", "x" * (100_000 + number))
        running = await launcher.start(_spec(f"{number}.0", workspace, *argv))
        await running.wait()
        sizes[number] = (await running.output(0, 100)).data

    async def given_up() -> None:
        with cancelled:
            await launcher.start(_spec("9.0", workspace, "touch", "made", "x" * 100_000))

    async with anyio.create_task_group() as group:
        os.kill(pid, signal.SIGSTOP)
        for number in range(6):
            group.start_soon(one, number)
        group.start_soon(given_up)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        cancelled.cancel()
        await anyio.lowlevel.checkpoint()
        os.kill(pid, signal.SIGCONT)
    assert sizes == {number: f"{100_000 + number}\n".encode() for number in range(6)}
    assert cancelled.cancelled_caught
    assert not os.access(workspace / "made", os.F_OK)


async def test_whoever_waits_to_be_sent_learns_that_the_supervisor_is_lost(
    process: SupervisorProcess, workspace: Path
) -> None:
    launcher = CommandLauncher(process, Unconfined())
    pid = process.connect().pid
    failed: list[str] = []

    async def one(number: int) -> None:
        try:
            running = await launcher.start(_spec(f"{number}.0", workspace, "true", "x" * 100_000))
            await running.wait()
        except LauncherError as error:
            failed.append(str(error))

    async with anyio.create_task_group() as group:
        os.kill(pid, signal.SIGSTOP)
        for number in range(6):
            group.start_soon(one, number)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        os.kill(pid, signal.SIGKILL)
    assert len(failed) == 6
