"""Commands that outlive the harness, and who may have them then: real processes, killed for real."""

import os
import signal
import socket
from pathlib import Path

import anyio
import pytest

from hames.core.errors import Fenced, LauncherError
from hames.core.ids import JobId
from hames.core.ports import CommandSpec, Sandbox
from hames.sandboxes.launch import CommandLauncher
from hames.sandboxes.process import SupervisorProcess
from hames.sandboxes.runtime import FENCED
from hames.sandboxes.unconfined import Unconfined
from hames.sandboxes.wire import Frames, encode
from hames.testing.launcher_suite import ENOUGH_S, alive, until_said
from tests.sandboxes.conftest import SESSION, entered
from tests.sandboxes.harness import Order
from tests.sandboxes.processes import harness, kill, supervisors, until_alive, until_gone, until_reaped

pytestmark = pytest.mark.anyio

KINDS = pytest.mark.parametrize("kind", ["none", pytest.param("bubblewrap", marks=pytest.mark.needs_bwrap)])


def _spec(job: str, workspace: Path, script: str) -> CommandSpec:
    return CommandSpec(JobId(job), ("bash", "-c", script), str(workspace), {"PATH": "/usr/bin:/bin"})


def _root(tmp_path: Path) -> Path:
    return tmp_path / "state" / "run"


def _order(kind: str, tmp_path: Path, workspace: Path, *scripts: str) -> Order:
    return Order(SESSION, kind, str(_root(tmp_path)), str(workspace), list(scripts))


async def _next_owner(
    kind: str, tmp_path: Path, bubblewrap: Sandbox, epoch: int = 2
) -> tuple[SupervisorProcess, CommandLauncher]:
    process = await entered(_root(tmp_path), epoch=epoch, enclosed=kind != "none")
    sandbox = Unconfined() if kind == "none" else bubblewrap
    return process, CommandLauncher(process, sandbox, grace_s=0.2)


# The harness is killed


@KINDS
async def test_commands_go_on_when_the_harness_is_killed_and_the_next_owner_has_them(
    kind: str, tmp_path: Path, workspace: Path, bubblewrap: Sandbox
) -> None:
    os.mkfifo(workspace / "go")
    (workspace / "file").write_text("x")
    ended = "echo ended; exit 3"
    runs = "echo once >>ran; echo before; read <go; echo after; exit 4"
    order = _order(kind, tmp_path, workspace, ended, runs)
    order.reads = str(workspace / "file")
    async with harness(order) as (process, supervisor):
        await kill(process)
    owner, launcher = await _next_owner(kind, tmp_path, bubblewrap)
    assert owner.connect().pid == supervisor
    first = await launcher.attach(JobId("0.0"))
    assert first is not None
    end = await first.wait()
    assert end is not None
    assert (end.fact.exit_code, (await first.output(0, 100)).data) == (3, b"ended\n")
    second = await launcher.attach(JobId("1.0"))
    assert second is not None
    await until_said(second, "before")
    (workspace / "go").write_text("on\n")
    with anyio.fail_after(ENOUGH_S):
        end = await second.wait()
    assert end is not None
    assert (end.fact.exit_code, (await second.output(0, 100)).data) == (4, b"before\nafter\n")
    assert (workspace / "ran").read_text() == "once\n"
    for job in ("0.0", "1.0"):
        launcher.release(JobId(job))
    await launcher.close()
    await until_gone(supervisor)
    assert not _root(tmp_path).exists() or os.listdir(_root(tmp_path)) == []


@KINDS
async def test_a_time_limit_counts_from_the_start_also_for_the_next_owner(
    kind: str, tmp_path: Path, workspace: Path, bubblewrap: Sandbox
) -> None:
    async with harness(_order(kind, tmp_path, workspace, "exec sleep 1000")) as (process, _):
        await kill(process)
    _, launcher = await _next_owner(kind, tmp_path, bubblewrap)
    running = await launcher.attach(JobId("0.0"))
    assert running is not None
    with anyio.fail_after(ENOUGH_S):
        assert await running.wait(0.001, from_start=True) is None
        assert await running.wait(0.001) is None
    assert (await running.stop()).fact.stopped
    launcher.release(JobId("0.0"))
    await launcher.close()


@KINDS
async def test_nobody_coming_back_ends_everything_and_that_is_written_down(
    kind: str, tmp_path: Path, workspace: Path, bubblewrap: Sandbox
) -> None:
    token = f"40{os.getpid()}1.5"
    script = f"echo this far; (setsid bash -c 'setsid sleep {token} & exec sleep {token}' &); sleep {token}"
    order = _order(kind, tmp_path, workspace, script, "exit 5")
    order.orphan_s = 0.1
    async with harness(order) as (process, supervisor):
        await until_alive(token, 3)
        await kill(process)
    await until_gone(supervisor)
    assert not alive(token)
    left = sorted(os.listdir(_root(tmp_path) / SESSION))
    assert left == ["0.0.end", "0.0.out", "1.0.end", "1.0.out", "epoch", "lock"]
    owner, launcher = await _next_owner(kind, tmp_path, bubblewrap)
    assert owner.running is None
    first, second = await launcher.attach(JobId("0.0")), await launcher.attach(JobId("1.0"))
    assert first is not None
    assert second is not None
    end = await first.stop()
    assert (end.fact.stopped, end.unattended, end.lost) == (True, True, "")
    assert (await first.output(0, 100)).data == b"this far\n"
    assert (await first.output(-4, 100)).data == b"far\n"
    other = await second.wait()
    assert other is not None
    assert (other.fact.exit_code, other.unattended) == (5, False)
    assert (await second.output(0, 10)).data == b""
    for job in ("0.0", "1.0"):
        launcher.release(JobId(job))
    await launcher.close()
    assert os.listdir(_root(tmp_path)) == []


async def test_a_supervisor_without_commands_leaves_with_its_harness(tmp_path: Path) -> None:
    process = await entered(_root(tmp_path))
    connection = process.connect()
    connection.abandon()
    await until_reaped(connection.pid)
    assert os.listdir(_root(tmp_path)) == []


async def test_a_long_output_is_found_as_it_was(tmp_path: Path, workspace: Path) -> None:
    head, tail = 128 * 1024, 8 * 1024
    process = await entered(_root(tmp_path), orphan_s=0)
    launcher = CommandLauncher(process, Unconfined(), limits=(head, tail))
    running = await launcher.start(_spec("1.0", workspace, "seq -f %07.0f 0 99999"))
    await running.wait()
    places = ((0, 10), (head - 8, 100), (head, 16), (-8, 100), (10**9, 5))
    before = [await running.output(*place) for place in places]
    pid = process.connect().pid
    process.connect().abandon()
    await until_reaped(pid)
    next_one = CommandLauncher(await entered(_root(tmp_path), epoch=2), Unconfined(), limits=(1, 1))
    found = await next_one.attach(JobId("1.0"))
    assert found is not None
    assert [await found.output(*place) for place in places] == before
    kept = Path(found.take_output())
    assert kept.stat().st_size == head + tail
    kept.unlink()
    assert Path(found.take_output()).exists()
    next_one.release(JobId("1.0"))
    await next_one.close()
    assert os.listdir(_root(tmp_path)) == []
    with pytest.raises(LauncherError, match="not in its spool"):
        await found.output(0, 10)
    with pytest.raises(LauncherError, match="cannot be kept"):
        found.take_output()


# The supervisor is killed


@KINDS
async def test_what_a_killed_supervisor_left_is_told(
    kind: str, tmp_path: Path, workspace: Path, bubblewrap: Sandbox
) -> None:
    token = f"40{os.getpid()}2.5"
    scripts = (f"echo this far; exec sleep {token}", "echo whole; exit 6")
    async with harness(_order(kind, tmp_path, workspace, *scripts)) as (process, supervisor):
        _, launcher = await _next_owner(kind, tmp_path, bubblewrap)
        ended = await launcher.attach(JobId("1.0"))
        runs = await launcher.attach(JobId("0.0"))
        assert ended is not None
        assert runs is not None
        await ended.wait()
        await until_said(runs, "this far")
        await until_alive(token)
        os.kill(supervisor, signal.SIGKILL)
        with pytest.raises(LauncherError, match="ended unexpectedly"):
            await runs.wait()
        await kill(process)
    found = await launcher.attach(JobId("0.0"))
    assert found is not None
    end = await found.wait()
    assert end is not None
    assert "its supervisor is gone without a word of how it ended" in end.lost
    assert (await found.output(0, 100)).data == b"this far\n"
    ended = await launcher.attach(JobId("1.0"))
    assert ended is not None
    known = await ended.wait()
    assert known is not None
    assert (known.fact.exit_code, (await ended.output(0, 100)).data) == (6, b"whole\n")
    if kind == "none":
        (pid,) = alive(token)
        assert f"these are alive: {pid}" in end.lost
        os.kill(pid, signal.SIGKILL)
    else:
        for pid in alive(token):
            await until_gone(pid)
        again = await launcher.attach(JobId("0.0"))
        assert again is not None
        assert "none of its processes is alive" in (await again.stop()).lost
    for job in ("0.0", "1.0"):
        launcher.release(JobId(job))
    await launcher.close()
    assert os.listdir(_root(tmp_path)) == []


async def test_a_new_supervisor_keeps_the_ends_that_an_old_one_left_and_nothing_else(
    tmp_path: Path, workspace: Path
) -> None:
    process = await entered(_root(tmp_path))
    launcher = CommandLauncher(process, Unconfined())
    await (await launcher.start(_spec("1.0", workspace, "exit 7"))).wait()
    connection = process.connect()
    os.kill(connection.pid, signal.SIGKILL)
    connection.abandon()
    await until_reaped(connection.pid)
    (_root(tmp_path) / SESSION / "tmp" / "file").write_text("old")
    (_root(tmp_path) / SESSION / "files-1-1.worker").write_text("old")
    await (await launcher.start(_spec("2.0", workspace, "exit 0"))).wait()
    left = os.listdir(_root(tmp_path) / SESSION)
    assert "1.0.end" in left
    assert "files-1-1.worker" not in left
    assert os.listdir(_root(tmp_path) / SESSION / "tmp") == []
    found = await launcher.attach(JobId("1.0"))
    assert found is not None
    end = await found.wait()
    assert end is not None
    assert end.fact.exit_code == 7
    twice = await launcher.start(_spec("1.0", workspace, "touch twice"))
    with pytest.raises(LauncherError, match="was not started"):
        await twice.wait()
    assert os.listdir(workspace) == []
    for job in ("1.0", "2.0"):
        launcher.release(JobId(job))
    await launcher.close()
    assert os.listdir(_root(tmp_path)) == []


# Owners


async def test_the_next_owner_cuts_the_old_one_off(tmp_path: Path, workspace: Path) -> None:
    old = await entered(_root(tmp_path))
    launcher = CommandLauncher(old, Unconfined(), grace_s=0.2)
    running = await launcher.start(_spec("1.0", workspace, "exec sleep 1000"))
    assert await running.wait(0) is None
    pid = old.connect().pid
    new = await entered(_root(tmp_path), epoch=2)
    assert new.connect().pid == pid
    with pytest.raises(LauncherError, match=FENCED):
        await running.wait()
    for _ in range(2):
        with pytest.raises(LauncherError, match=FENCED):
            await launcher.start(_spec("2.0", workspace, "touch made"))
        with pytest.raises(LauncherError, match=FENCED):
            await launcher.attach(JobId("1.0"))
    await launcher.close()
    taken = await CommandLauncher(new, Unconfined(), grace_s=0.2).attach(JobId("1.0"))
    assert taken is not None
    assert await taken.wait(0) is None
    await taken.stop()
    assert os.listdir(workspace) == []
    with pytest.raises(Fenced):
        await entered(_root(tmp_path), epoch=1)
    await new.close()
    await until_reaped(pid)


async def test_an_owner_that_was_replaced_before_it_started_anything_starts_nothing(
    tmp_path: Path, workspace: Path
) -> None:
    (_root(tmp_path) / SESSION).mkdir(parents=True, mode=0o700)
    old = await entered(_root(tmp_path))
    await entered(_root(tmp_path), epoch=2)
    with pytest.raises(LauncherError, match=FENCED):
        await CommandLauncher(old, Unconfined()).start(_spec("1.0", workspace, "touch made"))
    await old.close()
    assert os.listdir(workspace) == []
    assert os.listdir(_root(tmp_path) / SESSION) == ["epoch"]


async def test_a_supervisor_of_an_owner_that_was_replaced_meanwhile_leaves_at_once(
    tmp_path: Path, workspace: Path
) -> None:
    old = await entered(_root(tmp_path))
    connection = old.connect()
    os.kill(connection.pid, signal.SIGSTOP)
    (_root(tmp_path) / SESSION / "epoch").write_text("2")
    os.kill(connection.pid, signal.SIGCONT)
    with pytest.raises(LauncherError):
        await connection.ask([("do", "attach"), ("job", "1.0")])
    with pytest.raises(LauncherError, match=FENCED):
        old.connect()


async def test_a_start_under_an_old_epoch_is_refused(process: SupervisorProcess, workspace: Path) -> None:
    launcher = CommandLauncher(process, Unconfined())
    process.connect()
    process.epoch = 0
    running = await launcher.start(_spec("1.0", workspace, "touch made"))
    with pytest.raises(LauncherError, match="another owner"):
        await running.wait()
    assert os.listdir(workspace) == []


@pytest.mark.needs_bwrap
async def test_a_session_that_loses_its_sandbox_loses_the_network_of_it_too(
    tmp_path: Path, workspace: Path, bubblewrap: Sandbox
) -> None:
    token = f"40{os.getpid()}3.5"
    async with harness(_order("bubblewrap", tmp_path, workspace, f"exec sleep {token}")) as (process, pid):
        await kill(process)
    open_one = await entered(_root(tmp_path), epoch=2, enclosed=False)
    assert open_one.running is None
    await until_gone(pid)
    assert not alive(token)
    found = await CommandLauncher(open_one, Unconfined()).attach(JobId("0.0"))
    assert found is not None
    assert (await found.stop()).fact.stopped


# Closing


async def test_an_end_that_is_not_on_the_log_outlives_the_close(tmp_path: Path, workspace: Path) -> None:
    process = await entered(_root(tmp_path))
    launcher = CommandLauncher(process, Unconfined())
    running = await launcher.start(_spec("1.0", workspace, "echo here; exec sleep 1000"))
    await until_said(running, "here")
    await launcher.close()
    again = CommandLauncher(await entered(_root(tmp_path), epoch=2), Unconfined())
    found = await again.attach(JobId("1.0"))
    assert found is not None
    end = await found.wait()
    assert end is not None
    assert (end.fact.stopped, end.unattended) == (True, False)
    assert (await found.output(0, 10)).data == b"here\n"


@KINDS
async def test_a_detached_command_stays_and_the_others_do_not(
    kind: str, tmp_path: Path, workspace: Path, bubblewrap: Sandbox
) -> None:
    token, other = f"40{os.getpid()}4.5", f"40{os.getpid()}5.5"
    process, launcher = await _next_owner(kind, tmp_path, bubblewrap, epoch=1)
    running = await launcher.start(_spec("1.0", workspace, f"echo up; exec sleep {token}"))
    await launcher.start(_spec("2.0", workspace, f"exec sleep {other}"))
    await launcher.detach(JobId("1.0"))
    await until_said(running, "up")
    await until_alive(token)
    pid = process.connect().pid
    launcher.release(JobId("2.0"))
    await launcher.close()
    assert alive(token)
    assert not alive(other)
    await launcher.detach(JobId("1.0"))
    _, again = await _next_owner(kind, tmp_path, bubblewrap)
    found = await again.attach(JobId("1.0"))
    assert found is not None
    assert (await found.stop()).fact.stopped
    again.release(JobId("1.0"))
    await again.close()
    await until_reaped(pid)
    assert not alive(token)
    assert os.listdir(_root(tmp_path)) == []


async def test_a_supervisor_that_stayed_leaves_with_the_last_detached_command(
    tmp_path: Path, workspace: Path
) -> None:
    os.mkfifo(workspace / "go")
    process = await entered(_root(tmp_path))
    launcher = CommandLauncher(process, Unconfined())
    await launcher.start(_spec("1.0", workspace, "read <go; exit 8"))
    await launcher.detach(JobId("1.0"))
    pid = process.connect().pid
    await launcher.close()
    (workspace / "go").write_text("on\n")
    await until_reaped(pid)
    found = await CommandLauncher(await entered(_root(tmp_path), epoch=2), Unconfined()).attach(JobId("1.0"))
    assert found is not None
    end = await found.wait()
    assert end is not None
    assert end.fact.exit_code == 8


async def test_an_end_that_cannot_be_written_is_told_all_the_same(
    process: SupervisorProcess, workspace: Path
) -> None:
    launcher = CommandLauncher(process, Unconfined())
    await (await launcher.start(_spec("0.0", workspace, "exit 0"))).wait()
    (Path(process.directory) / "1.0.end.new").mkdir()
    end = await (await launcher.start(_spec("1.0", workspace, "exit 9"))).wait()
    assert end is not None
    assert end.fact.exit_code == 9


# Strangers


def _stranger(process: SupervisorProcess) -> socket.socket:
    fd = os.open(process.directory, os.O_RDONLY)
    here = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    here.settimeout(ENOUGH_S)
    here.connect(f"/proc/self/fd/{fd}/socket")
    os.close(fd)
    return here


async def test_who_is_not_the_owner_is_not_listened_to(process: SupervisorProcess, workspace: Path) -> None:
    launcher = CommandLauncher(process, Unconfined())
    running = await launcher.start(_spec("1.0", workspace, "exec sleep 1000"))
    assert await running.wait(0) is None
    for said in (
        encode([("do", "stop"), ("job", "1.0"), ("number", "1")]),
        encode([("do", "close"), ("number", "1")]),
        b"\xff" * 100,
        encode([("do", "hello"), ("epoch", "0"), ("orphan_s", "0")]),
        encode([("do", "hello"), ("epoch", "nonsense")]),
    ):
        with _stranger(process) as stranger:
            stranger.sendall(said)
            answer = await anyio.to_thread.run_sync(stranger.recv, 1000)
            assert answer == b"" or Frames().feed(answer)[0].get("fenced")
    assert await running.wait(0) is None
    await running.stop()
    launcher.release(JobId("1.0"))


async def test_a_second_supervisor_does_not_start_beside_a_living_one(
    process: SupervisorProcess, workspace: Path
) -> None:
    token = f"40{os.getpid()}6.5"
    launcher = CommandLauncher(process, Unconfined())
    running = await launcher.start(_spec("1.0", workspace, f"exec sleep {token}"))
    assert await running.wait(0) is None
    await until_alive(token)
    (Path(process.directory) / "socket").unlink()
    process.connect().abandon()
    other = CommandLauncher(process, Unconfined())
    refused = await other.start(_spec("2.0", workspace, "touch made"))
    with pytest.raises(LauncherError, match="another supervisor has the session"):
        await refused.wait()
    assert os.listdir(workspace) == []
    for pid in supervisors(process.directory):
        os.kill(pid, signal.SIGKILL)
        await until_reaped(pid)
    for pid in alive(token):
        os.kill(pid, signal.SIGKILL)
