import os
import signal
from collections.abc import Callable
from pathlib import Path

import anyio
import msgspec
import pytest

from hames.core.errors import ArgumentProblem
from hames.core.events import JobStarted
from hames.core.ids import CallId, JobId
from hames.core.limits import COMMAND_TIMEOUT_MAX_S, COMMAND_TIMEOUT_S, SHOWN_BYTES
from hames.core.messages import plain
from hames.core.ports import CommandSpec
from hames.testing.local import LocalCommand, LocalLauncher
from hames.testing.tool_suite import check_tool
from hames.tools.bash import Bash, Manner, Shell
from tests.tools.bench import Bench

pytestmark = pytest.mark.anyio


class Asking(LocalLauncher):
    """Remembers what it was asked to start."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.asked: list[CommandSpec] = []

    async def start(self, spec: CommandSpec) -> LocalCommand:
        self.asked.append(spec)
        return await super().start(spec)


def tool(bench: Bench) -> Bash:
    shell = Shell("/bin/bash", {"PATH": os.environ["PATH"]}, bench.cwd)
    return Bash(bench.launcher, bench.blobs, shell)


async def test_bash_keeps_the_rules_of_all_tools(bench: Bench) -> None:
    await check_tool(tool(bench), '{"command": "echo hello"}', bench.context())


async def test_the_command_itself_is_what_is_judged(bench: Bench) -> None:
    prepared = bench.toolbox.prepare("bash", '{"cmd": "echo a | sh", "description": "try"}')
    assert prepared.action.subject("/").command == "echo a | sh"
    assert prepared.action.effect == "effectful"


@pytest.mark.parametrize(
    ("command", "exit_code"),
    [
        ("true", 0),
        ("false", 1),
        ("exit 7", 7),
        ("set -eu; false; echo no", 1),
        ("nonsense", 127),
        ("if then", 2),
    ],
)
async def test_the_exit_code_is_the_commands_own(bench: Bench, command: str, exit_code: int) -> None:
    result = await bench.run("bash", command=command)
    assert result.command
    assert result.command.exit_code == exit_code
    assert result.outcome == ("failed" if exit_code else "ok")


@pytest.mark.parametrize(
    ("command", "is_told"),
    [
        ("apply_patch <<'EOF'\n*** Begin Patch\n*** Delete File: a\n*** End Patch\nEOF", True),
        ("cd . && apply_patch '*** Begin Patch'", True),
        ("apply_patch x; true", False),
        ("nonsense", False),
    ],
)
async def test_a_patch_that_is_given_to_the_shell_is_sent_to_its_tool(
    bench: Bench, command: str, is_told: bool
) -> None:
    text = await bench.say("bash", command=command)
    assert ("[apply_patch is no command but a tool: call that" in text) is is_told


@pytest.mark.parametrize(
    "command",
    [
        "cd sub",
        "cd sub; exit 3",
        "cd sub # and no more",
        "cd sub; cat <<X\nhello\nX",
        "cd sub; set -u; echo done",
        "cd sub; exec 3>file; echo to the file >&3",
        "cd sub; hames=x; echo $hames",
        "cd sub && sleep 100 &\ncd sub",
    ],
)
async def test_the_directory_is_kept_for_the_next_call(bench: Bench, command: str) -> None:
    (bench.place / "sub").mkdir()
    await bench.run("bash", command=command)
    assert await bench.say("bash", command="pwd") == "/work/sub"
    file = bench.place / "sub/file"
    assert not file.exists() or file.read_text() == "to the file\n"


async def test_variables_are_not_kept(bench: Bench) -> None:
    await bench.run("bash", command="export A=1; B=2")
    assert await bench.say("bash", command='echo "[$A$B]"') == "[]"


async def test_a_gone_directory_is_told_and_left(bench: Bench) -> None:
    (bench.place / "sub").mkdir()
    await bench.run("bash", command="cd sub")
    (bench.place / "sub").rmdir()
    result = await bench.run("bash", command="echo never")
    assert result.outcome == "not_run"
    assert "[now in " in plain(result.parts)
    assert await bench.say("bash", command="pwd") == "/work"


async def test_nonsense_on_the_control_pipe_moves_nothing(bench: Bench) -> None:
    result = await bench.run(
        "bash", command="trap - EXIT; for fd in /proc/self/fd/1?; do echo ../x >$fd; done"
    )
    assert result.command
    assert result.command.cwd is None


async def test_what_the_model_is_told_of_commands(bench: Bench, pinned: Callable[[str, str], None]) -> None:
    (bench.place / "sub").mkdir()
    commands = (
        "echo out; echo err >&2",
        "true",
        "false",
        "cd sub; echo there",
        "printf 'no line feed'",
        "printf '\\033[31mred\\033[0m\\n 10%%\\r 50%%\\r100%%\\n'; exit 3",
        "echo one\necho two )\n",
        "if then",
        "kill -KILL $$",
        "sleep 1000 & sleep 1000 & echo started",
        "true & wait; echo waited",
        "head -c 1000000 /dev/zero | tr '\\0' '\\1'",
        "printf '\\177ELF\\2\\0\\0\\0'",
    )
    pinned("bash", "\n---\n".join([await bench.say("bash", command=command) for command in commands]))


async def test_a_command_over_its_time_goes_on_in_the_background(bench: Bench) -> None:
    os.mkfifo(bench.place / "go")
    result = await bench.run("bash", command="echo started; read <go; echo ended; exit 3", timeout=300)
    assert result.job == JobStarted(JobId("1.0"), CallId("1.0"), "echo started; read <go; echo ended; exit 3")
    assert result.outcome == "ok"
    assert plain(result.parts) == (
        "started\n[it still runs, now in the background as job 1.0: wait for it with job(action=wait, "
        "job_id=1.0), or stop it; it is stopped 600 s after its start]"
    )
    (bench.place / "go").write_text("on\n")
    assert await bench.say("job", action="wait", job_id="1.0") == "started\nended\n[job 1.0 ended [exit 3]]"


async def test_where_it_is_to_be_so_a_command_over_its_time_is_stopped_with_its_children(
    bench: Bench,
) -> None:
    shell = Shell("/bin/bash", {"PATH": os.environ["PATH"]}, bench.cwd, Manner(stops_at_timeout=True))
    arguments = '{"command": "echo started; sleep 1000 & echo $!; wait", "timeout": 300}'
    action = Bash(bench.launcher, bench.blobs, shell).prepare(arguments)
    first, child, *rest = plain((await action.run(bench.context())).parts).split("\n")
    assert first == "started"
    assert rest == ["[timed out after 0.3 s; stopped]", "[ended by signal 9]"]
    await gone(int(child))


@pytest.mark.parametrize(
    ("asked_ms", "timeout_s"),
    [
        (None, COMMAND_TIMEOUT_S),
        (0, COMMAND_TIMEOUT_S),
        (5000, 5.0),
        ("1500", 1.5),
        (9**9, COMMAND_TIMEOUT_MAX_S),
    ],
)
async def test_the_time_out_is_bounded(bench: Bench, asked_ms: object, timeout_s: float) -> None:
    launcher = Asking(bench.place)
    arguments = msgspec.json.encode({"command": "true", "timeout": asked_ms}).decode()
    for stops in (True, False):
        shell = Shell("/bin/bash", {"PATH": os.environ["PATH"]}, bench.cwd, Manner(stops_at_timeout=stops))
        await Bash(launcher, bench.blobs, shell).prepare(arguments).run(bench.context())
    assert [spec.timeout_s for spec in launcher.asked] == [timeout_s, COMMAND_TIMEOUT_MAX_S]


async def test_a_cancelled_command_is_gone_before_the_cancellation_goes_on(bench: Bench) -> None:
    pids: list[int] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.run_raw, "bash", '{"command": "sleep 1000 & echo $! > pid; wait"}')
        while not pids:
            await anyio.lowlevel.checkpoint()
            file = bench.place / "pid"
            pids = [int(line) for line in file.read_text().split()] if file.exists() else []
        tasks.cancel_scope.cancel()
    await gone(pids[0])


async def gone(pid: int) -> None:
    """Returns when the process is no more than an entry that nobody has waited for."""
    with anyio.fail_after(5):
        while alive(pid):
            await anyio.lowlevel.checkpoint()


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


async def test_a_command_in_the_background_returns_at_once(bench: Bench) -> None:
    result = await bench.run("bash", command="sleep 1000", run_in_background=True)
    assert result.job == JobStarted(JobId("1.0"), CallId("1.0"), "sleep 1000")
    assert "1.0" in bench.launcher.commands
    assert (
        plain(result.parts)
        == "running in the background as job 1.0; see it with job(action=output, job_id=1.0)"
    )


@pytest.mark.parametrize(
    "command",
    [
        "yes 'a line of ten megabytes of output' | head -c 10000000",
        "head -c 10000000 /dev/zero | tr '\\0' x",
        "yes '\"quotes\" and \\ and \ttabs' | head -c 500000; exit 3",
        "yes 漢字漢字 | head -c 500000; cd /; exit 4",
        "head -c 1000000 /dev/urandom",
    ],
)
async def test_huge_output_stays_within_its_bound_and_is_kept_whole(bench: Bench, command: str) -> None:
    result = await bench.run("bash", command=command)
    wire = {"role": "tool", "tool_call_id": "call_00_" + "x" * 24, "content": plain(result.parts)}
    assert len(msgspec.json.encode(wire)) <= SHOWN_BYTES
    assert result.output
    assert await bench.blobs.size(result.output.blob) == result.output.bytes == result.output.kept >= 500_000
    assert "output://1.0" in plain(result.parts)
    code = result.command.exit_code if result.command else None
    assert not code or f"[exit {code}]" in plain(result.parts)


async def test_short_output_is_not_kept_twice(bench: Bench) -> None:
    assert (await bench.run("bash", command="echo short")).output is None
    assert not bench.blobs.kept


async def test_a_command_too_long_for_the_kernel_is_refused_before_it_starts(bench: Bench) -> None:
    with pytest.raises(ArgumentProblem, match="write it to a file"):
        bench.toolbox.prepare("bash", msgspec.json.encode({"command": "x" * 130_000}).decode())


async def test_a_signal_is_told_apart_from_an_exit(bench: Bench) -> None:
    result = await bench.run("bash", command="kill -TERM $$")
    assert result.command
    assert (result.command.exit_code, result.command.signal) == (None, signal.SIGTERM)


async def test_a_command_that_nobody_owns_does_not_begin(bench: Bench) -> None:
    launcher = Asking(bench.place)
    shell = Shell("/bin/bash", {"PATH": os.environ["PATH"]}, bench.cwd)
    mark = bench.place / "begun"
    arguments = msgspec.json.encode({"command": f"touch {mark}"}).decode()
    await Bash(launcher, bench.blobs, shell).prepare(arguments).run(bench.context())
    mark.unlink()
    (spec,) = launcher.asked
    hears, speaks = os.pipe()
    os.close(hears)
    moved = ("/bin/bash", "-c", f'exec 3>&{speaks}; exec "$@"', "bash", *spec.argv)
    child = await anyio.run_process(moved, env=spec.env, pass_fds=(speaks,), check=False)
    os.close(speaks)
    assert child.returncode == -signal.SIGPIPE
    assert not mark.exists()
