"""Bubblewrap as the boundary."""

import os
import stat
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import pytest

from hames.core.errors import ConfigError, SandboxError
from hames.core.ids import JobId
from hames.core.ports import CommandEnd, CommandSpec, ReadQuery, SandboxPolicy
from hames.sandboxes.bubblewrap import Bubblewrap, find_program
from hames.sandboxes.files import SandboxFiles
from hames.sandboxes.launch import CommandLauncher
from hames.sandboxes.probe import Trial
from hames.sandboxes.process import SupervisorProcess
from hames.sandboxes.profile import Place, workspace_policy
from hames.stores.leftovers import is_left
from hames.testing.sandbox_suite import CHECKS, KEPT, Bench, lay_out
from tests.sandboxes.conftest import bwrap, entered

pytestmark = [pytest.mark.anyio, pytest.mark.needs_bwrap]


@pytest.fixture(params=[False, True], ids=["own-network", "network-of-the-session"])
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[SupervisorProcess]:
    supervisor = await entered(tmp_path / "state" / "run", enclosed=bool(request.param))
    yield supervisor
    await supervisor.close()


@pytest.mark.parametrize("number", range(len(CHECKS)), ids=[check.__name__ for check in CHECKS])
async def test_bubblewrap_passes_the_suite(
    number: int, either: SupervisorProcess, bubblewrap: Bubblewrap, workspace: Path
) -> None:
    home = workspace.parent
    bench = Bench(
        sandbox=bubblewrap,
        launcher=CommandLauncher(either, bubblewrap),
        workspace=workspace,
        protected=workspace / ".git" / "hooks",
        outside=home / "elsewhere",
        masked=home / ".ssh",
        token=home / ".netrc",
    )
    lay_out(bench)
    await CHECKS[number](bench)


async def test_the_commands_of_a_session_reach_each_other_and_nothing_of_the_host(
    enclosed: SupervisorProcess, bubblewrap: Bubblewrap, workspace: Path
) -> None:
    (workspace / "serve.py").write_text(SERVE)
    os.mkfifo(workspace / "ready")
    launcher = CommandLauncher(enclosed, bubblewrap)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        argv = (sys.executable, "serve.py")
        server = await launcher.start(CommandSpec(JobId("1.0"), argv, str(workspace), {}))
        script = (
            'read port <ready; exec 5<>"/dev/tcp/127.0.0.1/$port"; cat <&5; echo >"/dev/tcp/127.0.0.1/$1"'
        )
        argv = ("bash", "-c", script, "bash", str(port))
        spec = CommandSpec(JobId("2.0"), argv, str(workspace), {"PATH": "/usr/bin:/bin"})
        client = await launcher.start(spec)
        with anyio.fail_after(30):
            end = await client.wait()
        output = (await client.output(0, 1000)).data.decode()
        await server.stop()
    assert output.startswith("hello")
    assert "Connection refused" in output
    assert end is not None
    assert end.fact.exit_code != 0


SERVE = """
import socket
server = socket.create_server(("127.0.0.1", 0))
with open("ready", "w") as ready:
    ready.write(f"{server.getsockname()[1]}\\n")
while True:
    client, _ = server.accept()
    client.sendall(b"hello\\n")
    client.close()
"""


async def test_the_commands_of_a_session_share_temporary_files_that_end_with_it(
    enclosed: SupervisorProcess, bubblewrap: Bubblewrap, workspace: Path
) -> None:
    launcher = CommandLauncher(enclosed, bubblewrap)

    async def say(job: str, script: str) -> str:
        argv = ("bash", "-c", script)
        spec = CommandSpec(JobId(job), argv, str(workspace), {"PATH": "/usr/bin:/bin"})
        running = await launcher.start(spec)
        await running.wait()
        launcher.release(running.job)
        return (await running.output(0, 1000)).data.decode()

    await say("1.0", "mkdir -p /tmp/deep/er; echo kept >/tmp/deep/er/file; echo too >/var/tmp/file")
    await say("2.0", "ln -s /etc /tmp/link; mkdir /tmp/closed; touch /tmp/closed/file; chmod 0 /tmp/closed")
    assert await say("3.0", "cat /tmp/deep/er/file /var/tmp/file; stat -c %a /tmp") == "kept\ntoo\n1777\n"
    assert not os.path.lexists("/tmp/link")
    await enclosed.close()
    assert not os.path.lexists(enclosed.directory)
    assert os.path.exists("/etc/passwd")


async def test_files_see_the_temporary_files_of_commands(
    enclosed: SupervisorProcess, bubblewrap: Bubblewrap, workspace: Path
) -> None:
    argv = ("bash", "-c", "echo said >/tmp/file")
    spec = CommandSpec(JobId("1.0"), argv, str(workspace), {"PATH": "/usr/bin:/bin"})
    await (await CommandLauncher(enclosed, bubblewrap).start(spec)).wait()
    files = SandboxFiles(enclosed, bubblewrap, ripgrep="")
    assert (await files.read(ReadQuery("/tmp/file"))).data == b"said\n"
    await files.close()


async def test_what_shows_through_temporary_files_cannot_be_moved_away_for_the_next_command(
    enclosed: SupervisorProcess, bubblewrap: Bubblewrap, workspace: Path
) -> None:
    launcher = CommandLauncher(enclosed, bubblewrap)
    first = Path("/tmp") / workspace.relative_to("/tmp").parts[0]
    scripts = (
        'mv "$1" /tmp/moved; rmdir "$1"; rm -rf --one-file-system "$1"; ln -s /etc "$1"; echo "$?"',
        'test -L "$1" && echo linked; echo here >made; cat made',
    )
    said: list[str] = []
    for number, script in enumerate(scripts):
        argv = ("bash", "-c", script, "bash", str(first))
        spec = CommandSpec(JobId(f"{number}.0"), argv, str(workspace), {"PATH": "/usr/bin:/bin"})
        running = await launcher.start(spec)
        await running.wait()
        said.append((await running.output(0, 10_000)).data.decode())
    assert "Device or resource busy" in said[0]
    assert said[1] == "here\n"
    assert (workspace / "made").read_text() == "here\n"


async def test_commands_cannot_reach_the_supervisor(
    enclosed: SupervisorProcess, bubblewrap: Bubblewrap, workspace: Path
) -> None:
    argv = ("bash", "-c", 'ls -A "$1"; ls -A "$1/.."; ls /proc', "bash", enclosed.connect().directory)
    running = await CommandLauncher(enclosed, bubblewrap).start(
        CommandSpec(JobId("1.0"), argv, str(workspace), {"PATH": "/usr/bin:/bin"})
    )
    await running.wait()
    said = (await running.output(0, 10_000)).data.decode()
    assert "socket" not in said
    assert str(enclosed.connect().pid) not in said.split()


async def _run(
    process: SupervisorProcess, policy: SandboxPolicy, script: str, *arguments: object, cwd: str = ""
) -> tuple[CommandEnd, str]:
    sandbox = Bubblewrap(policy, bwrap(), os.path.join(process.directory, "probe"))
    launcher = CommandLauncher(process, sandbox)
    argv = ("bash", "-c", script, "bash", *map(str, arguments))
    env = {"PATH": "/usr/bin:/bin"}
    running = await launcher.start(CommandSpec(JobId("1.0"), argv, cwd or policy.workspace, env))
    with anyio.fail_after(30):
        end = await running.wait()
        output = await running.output(0, 10_000)
    assert end is not None
    return end, output.data.decode()


def _file(path: Path, text: str = KEPT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


async def test_a_home_as_workspace_still_hides_its_secrets(
    process: SupervisorProcess, tmp_path: Path
) -> None:
    key = _file(tmp_path / "home" / ".ssh" / "id")
    policy = workspace_policy(Place(str(tmp_path / "home"), str(tmp_path / "home")))
    end, output = await _run(process, policy, 'echo new >made; cat "$1"; echo x >"$1"', key)
    assert end.fact.exit_code != 0
    assert KEPT not in output
    assert key.read_text() == KEPT
    assert (tmp_path / "home" / "made").read_text() == "new\n"


async def test_a_workspace_below_a_mask_can_be_written(process: SupervisorProcess, tmp_path: Path) -> None:
    secret = _file(tmp_path / "outer" / "secret")
    inner = tmp_path / "outer" / "deep" / "project"
    inner.mkdir(parents=True)
    policy = SandboxPolicy(str(inner), masked=(str(tmp_path / "outer"),))
    end, output = await _run(process, policy, 'echo new >made; cat "$1"; ls -A "$2"', secret, secret.parent)
    assert (inner / "made").read_text() == "new\n"
    assert output.endswith("deep\n")
    assert KEPT not in output
    assert end.fact.exit_code == 0


async def test_what_must_be_visible_shows_through_a_mask(process: SupervisorProcess, tmp_path: Path) -> None:
    shown, secret = _file(tmp_path / "hidden" / "tool" / "bin"), _file(tmp_path / "hidden" / "tool" / "key")
    workspace = tmp_path / "project"
    workspace.mkdir()
    policy = SandboxPolicy(
        str(workspace),
        masked=(str(tmp_path / "hidden"), str(secret)),
        visible=(str(tmp_path / "hidden" / "tool"),),
    )
    _, output = await _run(
        process, policy, 'cat "$1"; echo; cat "$2"; echo x >"$1"; ls "$3"', shown, secret, shown
    )
    assert output.startswith(KEPT)
    assert output.count(KEPT) == 1
    assert shown.read_text() == KEPT


async def test_a_virtual_environment_in_the_workspace_can_be_changed(
    process: SupervisorProcess, tmp_path: Path
) -> None:
    venv = tmp_path / "project" / ".venv"
    venv.mkdir(parents=True)
    policy = workspace_policy(Place(str(tmp_path), str(venv.parent), needed=(str(venv),)))
    end, _ = await _run(process, policy, "echo x >.venv/made")
    assert end.fact.exit_code == 0
    assert (venv / "made").exists()


async def test_the_interpreter_runs_inside(
    process: SupervisorProcess, bubblewrap: Bubblewrap, workspace: Path
) -> None:
    launcher = CommandLauncher(process, bubblewrap)
    argv = (sys.executable, "-c", "import msgspec, sys; print(sys.prefix)")
    running = await launcher.start(CommandSpec(JobId("1.0"), argv, str(workspace), {}))
    end = await running.wait()
    assert end is not None
    assert end.fact.exit_code == 0
    assert (await running.output(0, 1000)).data.decode() == f"{sys.prefix}\n"


async def test_plan_mode_writes_nothing(process: SupervisorProcess, place: Place) -> None:
    policy = workspace_policy(place, read_only=True)
    end, _ = await _run(process, policy, "echo x >made")
    assert end.fact.exit_code != 0
    assert os.listdir(place.workspace) == []


async def test_further_directories_can_be_written_but_not_their_control_files(
    process: SupervisorProcess, place: Place, tmp_path: Path
) -> None:
    more = tmp_path / "more"
    hook = _file(more / ".git" / "hooks" / "pre-commit")
    policy = workspace_policy(Place(place.home, place.workspace, writable=(str(more),)))
    await _run(process, policy, 'echo x >"$1/made"; echo x >"$2"', more, hook)
    assert (more / "made").exists()
    assert hook.read_text() == KEPT


async def test_a_control_file_made_later_is_protected_from_then_on(
    process: SupervisorProcess, bubblewrap: Bubblewrap, workspace: Path
) -> None:
    launcher = CommandLauncher(process, bubblewrap)
    ends: list[int | None] = []
    for number in range(2):
        argv = ("bash", "-c", "mkdir -p .git/hooks && echo x >.git/hooks/pre-commit")
        running = await launcher.start(
            CommandSpec(JobId(f"{number}"), argv, str(workspace), {"PATH": "/bin"})
        )
        end = await running.wait()
        assert end is not None
        ends.append(end.fact.exit_code)
    assert ends == [0, 1]


async def test_a_symbolic_link_as_control_file_opens_nothing(
    process: SupervisorProcess, place: Place, tmp_path: Path
) -> None:
    target = _file(tmp_path / "target" / "file")
    (Path(place.workspace) / ".vscode").symlink_to(target.parent)
    await _run(process, workspace_policy(place), 'echo x >.vscode/file; echo x >"$1"', target)
    assert target.read_text() == KEPT


async def test_nothing_is_left_on_the_host(process: SupervisorProcess, place: Place) -> None:
    await _run(process, workspace_policy(place), "exit 0")
    assert os.listdir(place.workspace) == []


async def test_the_network_is_there_when_the_policy_says_so(process: SupervisorProcess, place: Place) -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        policy = workspace_policy(place, network=True)
        end, _ = await _run(process, policy, 'exec 5<>"/dev/tcp/127.0.0.1/$1"', port)
    assert end.fact.exit_code == 0


async def test_variables_of_the_loader_reach_the_command_only(
    process: SupervisorProcess, bubblewrap: Bubblewrap, workspace: Path
) -> None:
    plan = bubblewrap.wrap(CommandSpec(JobId("1.0"), ("env",), str(workspace), {"LD_X": "1", "PATH": "/bin"}))
    assert dict(plan.env) == {"PATH": "/bin"}
    running = await CommandLauncher(process, bubblewrap).start(
        CommandSpec(JobId("1.0"), ("env",), str(workspace), {"LD_X": "1", "PATH": "/bin"})
    )
    await running.wait()
    assert b"LD_X=1\n" in (await running.output(0, 1000)).data


def _program(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


async def test_a_missing_program_stops_the_session_with_the_fix(
    process: SupervisorProcess, place: Place, tmp_path: Path
) -> None:
    sandbox = Bubblewrap(workspace_policy(place), "", str(tmp_path / "run"))
    assert "apt-get install bubblewrap" in sandbox.problem()
    launcher = CommandLauncher(
        process, Bubblewrap(workspace_policy(place), "/no/bwrap", str(tmp_path / "run"))
    )
    running = await launcher.start(CommandSpec(JobId("1.0"), ("touch", "made"), place.workspace, {}))
    with pytest.raises(SandboxError, match="apt-get install bubblewrap"):
        await running.wait()
    assert not (Path(place.workspace) / "made").exists()


async def test_closed_user_namespaces_are_named_with_the_fix(
    process: SupervisorProcess, place: Place, tmp_path: Path
) -> None:
    said = "bwrap: setting up uid map: Permission denied"
    broken = _program(tmp_path / "bwrap", f'echo "{said}" >&2; exit 1')
    sandbox = Bubblewrap(workspace_policy(place), broken, str(tmp_path / "run"))
    report = await sandbox.probe()
    assert said in report.problem
    assert "apparmor_restrict_unprivileged_userns" in report.problem
    assert "--sandbox none" in report.problem
    running = await CommandLauncher(process, sandbox).start(
        CommandSpec(JobId("1.0"), ("touch", "made"), place.workspace, {})
    )
    with pytest.raises(SandboxError, match="AppArmor"):
        await running.wait()


async def test_a_sandbox_that_confines_nothing_is_found_out(place: Place, tmp_path: Path) -> None:
    script = """while [ "$1" != -- ]; do
        case "$1" in --version) echo "bubblewrap 9"; exit;; esac
        shift
    done
    shift; exec "$@"
    """
    sandbox = Bubblewrap(workspace_policy(place), _program(tmp_path / "bwrap", script), str(tmp_path / "run"))
    report = await sandbox.probe()
    assert (report.confines_writes, report.confines_reads, report.confines_network) == (False, False, False)
    assert report.problem == "the sandbox does not hold: it let a command write, read, connect"


async def test_a_probe_leaves_nothing_behind(bubblewrap: Bubblewrap, tmp_path: Path) -> None:
    assert (await bubblewrap.probe()).problem == ""
    assert list((tmp_path / "state" / "run").iterdir()) == []


async def test_what_a_killed_probe_would_leave_is_known_by_its_process(tmp_path: Path) -> None:
    seen: list[str] = []

    def wrap(readable: str, _hidden: str, inner: tuple[str, ...]) -> tuple[str, ...]:
        assert not is_left(os.path.dirname(readable), lambda _: False)
        seen.append(os.path.basename(os.path.dirname(readable)))
        return inner

    await Trial(bwrap(), str(tmp_path), wrap, network=False).report()
    assert seen == [f"{os.getpid()}-probe"]
    of_nobody = seen[0].replace(str(os.getpid()), str(2**30))
    assert is_left(str(tmp_path / of_nobody), lambda _: False)


async def test_a_command_that_could_not_be_started_is_not_taken_for_a_broken_sandbox(
    process: SupervisorProcess, place: Place
) -> None:
    end, _ = await _run(process, workspace_policy(place), "true", cwd="/no/such/place")
    assert "/no/such/place" in end.not_started


def test_a_workspace_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a directory"):
        Bubblewrap(SandboxPolicy(str(tmp_path / "gone")), bwrap(), str(tmp_path))


def test_a_program_is_found_on_the_path(tmp_path: Path) -> None:
    found = _program(tmp_path / "tool", "exit 0")
    (tmp_path / "no").mkdir()
    (tmp_path / "no" / "tool").write_text("not a program")
    assert find_program("tool", f"{tmp_path}/no:relative:{tmp_path}") == found
    assert find_program("tool", f"{tmp_path}/no") == ""
