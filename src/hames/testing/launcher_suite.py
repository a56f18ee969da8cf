"""What every launcher must do, in whatever sandbox. Run each of `CHECKS` against one of yours."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import msgspec

from hames.core.errors import ArgumentProblem, LauncherError
from hames.core.ids import JobId
from hames.core.ports import CommandEnd, CommandSpec, Launcher, Running

ENOUGH_S = 30.0
"""No check takes so long, but on a machine that is stuck."""


class Bench(msgspec.Struct, frozen=True):
    """Where a check runs. `workspace` can be written by commands; `head` and `tail` are the bytes that
    the launcher keeps of an output, and small. Between SIGTERM and SIGKILL lies a short time only."""

    launcher: Launcher
    workspace: Path
    head: int
    tail: int


def spec(bench: Bench, job: str, script: str, timeout_s: float | None = None) -> CommandSpec:
    """A command of bash in the workspace."""
    env = {"PATH": "/usr/bin:/bin", "GIVEN": "value"}
    return CommandSpec(JobId(job), ("bash", "-c", script), str(bench.workspace), env, timeout_s)


async def run(bench: Bench, job: str, script: str, timeout_s: float | None = None) -> tuple[CommandEnd, str]:
    """A command from start to end, with all that was kept of its output."""
    with anyio.fail_after(ENOUGH_S):
        running = await bench.launcher.start(spec(bench, job, script, timeout_s))
        return await finish(running)


async def finish(running: Running) -> tuple[CommandEnd, str]:
    """The end of a command, and its output."""
    with anyio.fail_after(ENOUGH_S):
        end = await running.wait()
    assert end is not None
    return end, (await running.output(0, 1_000_000)).data.decode("utf-8", "replace")


def alive(token: str) -> list[int]:
    """The processes on this machine with `token` among their arguments."""
    found: list[int] = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                words = Path(f"/proc/{name}/cmdline").read_bytes()
            except OSError:
                continue
            if token.encode() in words.split(b"\0"):
                found.append(int(name))
    return found


def content(path: str) -> bytes:
    """The bytes of a file."""
    return Path(path).read_bytes()


async def until_said(running: Running, words: str) -> None:
    """Return when the command has printed `words`."""
    with anyio.fail_after(ENOUGH_S):
        while words.encode() not in (await running.output(0, 100_000)).data:
            assert await running.wait(0.01) is None


async def the_facts_of_an_end_are_told_apart(bench: Bench) -> None:
    end, output = await run(bench, "1.0", "echo out; echo err >&2; exit 3")
    assert (end.fact.exit_code, end.fact.signal) == (3, None)
    assert (end.fact.timed_out, end.fact.stopped, end.not_started) == (False, False, "")
    assert output == "out\nerr\n"
    assert end.output_bytes == end.kept_bytes == len(output)
    assert end.fact.elapsed_s > 0
    assert end.fact.memory_kb > 0


async def time_on_the_processor_is_counted(bench: Bench) -> None:
    end, _ = await run(bench, "1.0", "i=0; while ((i < 60000)); do ((i++)); done; exit 0")
    assert end.fact.cpu_s > 0.02


async def nothing_can_be_read_from_standard_input(bench: Bench) -> None:
    end, output = await run(bench, "1.0", "cat; echo end")
    assert (end.fact.exit_code, output) == (0, "end\n")


async def nothing_is_inherited(bench: Bench) -> None:
    _, output = await run(bench, "1.0", "echo /proc/self/fd/*; exec env")
    first, _, rest = output.partition("\n")
    assert [Path(word).name for word in first.split()][:4] == ["0", "1", "2", "3"]
    assert len(first.split()) <= 5
    names = {line.partition("=")[0] for line in rest.splitlines()}
    assert names <= {"PATH", "GIVEN", "PWD", "SHLVL", "_", "HAMES_JOB", "HAMES_SANDBOX"}
    assert "GIVEN=value" in rest.splitlines()


async def a_command_is_over_when_its_process_ends(bench: Bench) -> None:
    token = f"10{os.getpid()}1.5"
    end, output = await run(bench, "1.0", f"sleep {token} & echo started")
    assert (end.fact.exit_code, output) == (0, "started\n")
    assert not alive(token)


async def a_time_out_is_told_beside_the_exit_code(bench: Bench) -> None:
    script = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done"
    end, output = await run(bench, "1.0", script, 0.3)
    assert (end.fact.timed_out, end.fact.stopped, end.fact.exit_code) == (True, False, 0)
    assert output.startswith("ready\n")
    assert output.endswith("bye\n")


async def who_ignores_the_first_signal_is_killed(bench: Bench) -> None:
    token = f"10{os.getpid()}2.5"
    script = f"trap '' TERM; echo ready; sleep {token}; exit 0"
    running = await bench.launcher.start(spec(bench, "1.0", script))
    await until_said(running, "ready")
    with anyio.fail_after(ENOUGH_S):
        end = await running.stop()
    assert end.fact.stopped
    assert end.fact.exit_code != 0
    assert not alive(token)


async def a_stop_ends_the_whole_tree(bench: Bench) -> None:
    token = f"10{os.getpid()}3.5"
    sleep = f"sleep {token}"
    escape = f"(setsid bash -c 'setsid {sleep} & setsid {sleep} & {sleep}' &) ; {sleep} & "
    wait = f"until [ $(pgrep -fc '^sleep {token}') -ge 4 ]; do :; done; echo ready; wait"
    running = await bench.launcher.start(spec(bench, "1.0", escape + wait))
    await until_said(running, "ready")
    assert len(alive(token)) >= 4
    with anyio.fail_after(ENOUGH_S):
        end = await running.stop()
    assert end.fact.stopped
    assert not alive(token)


async def a_stop_right_after_the_start_ends_it(bench: Bench) -> None:
    token = f"10{os.getpid()}4.5"
    for number in range(5):
        running = await bench.launcher.start(spec(bench, f"{number}.0", f"exec sleep {token}"))
        with anyio.fail_after(ENOUGH_S):
            end = await running.stop()
        assert end.fact.stopped
        assert not end.not_started
        assert not alive(token)


async def a_stop_after_the_end_changes_nothing(bench: Bench) -> None:
    running = await bench.launcher.start(spec(bench, "1.0", "exit 7"))
    end, _ = await finish(running)
    assert await running.stop() == end


async def the_last_directory_is_reported(bench: Bench) -> None:
    script = "echo /first >&3; echo nonsense >&3; echo 7 >&3; echo /last/one >&3; printf /cut >&3"
    end, _ = await run(bench, "1.0", script)
    assert (end.fact.cwd, end.left) == ("/last/one", 0)
    end, _ = await run(bench, "2.0", "exit 0")
    assert (end.fact.cwd, end.left) == (None, 0)


async def what_it_left_running_is_counted(bench: Bench) -> None:
    end, _ = await run(bench, "1.0", "sleep 1000 & sleep 1000 & { pwd; jobs -rp; } >&3")
    assert end.left == 2


async def noise_on_the_control_pipe_does_no_harm(bench: Bench) -> None:
    script = "trap 'echo x' PIPE; timeout 0.2 yes nonsense >&3; exit 4"
    end, _ = await run(bench, "1.0", script)
    assert (end.fact.exit_code, end.not_started) == (4, "")


async def huge_output_keeps_its_head_and_its_tail(bench: Bench) -> None:
    total = 3 * (bench.head + bench.tail)
    count = total // 8
    running = await bench.launcher.start(spec(bench, "1.0", f"seq -f %07.0f 0 {count - 1}"))
    end, _ = await finish(running)
    assert end.output_bytes == count * 8
    assert end.kept_bytes == bench.head + bench.tail
    whole = "".join(f"{number:07d}\n" for number in range(count)).encode()
    assert content(end.spool) == whole[: bench.head] + whole[-bench.tail :]
    first = await running.output(bench.head - 8, 100)
    assert (first.start, first.data) == (bench.head - 8, whole[bench.head - 8 : bench.head])
    assert first.total == len(whole)
    gap = await running.output(bench.head, 16)
    assert (gap.start, gap.data) == (len(whole) - bench.tail, whole[-bench.tail :][:16])
    last = await running.output(-8, 100)
    assert (last.start, last.data) == (len(whole) - 8, whole[-8:])
    beyond = await running.output(len(whole) + 5, 100)
    assert (beyond.start, beyond.data) == (len(whole), b"")


async def output_can_be_read_while_it_comes(bench: Bench) -> None:
    many = 2 * (bench.head + bench.tail)
    script = f"echo early; read <first; head -c {many} /dev/zero; echo late; read <second"
    # A pipe for each time: the second read of one may find its first writer there, who is just leaving.
    os.mkfifo(bench.workspace / "first")
    os.mkfifo(bench.workspace / "second")
    running = await bench.launcher.start(spec(bench, "1.0", script))
    await until_said(running, "early\n")
    (bench.workspace / "first").write_text("on\n")
    with anyio.fail_after(ENOUGH_S):
        while (await running.output(-5, 5)).data != b"late\n":
            assert await running.wait(0.01) is None
    piece = await running.output(bench.head + 1, 10)
    assert piece.total == 6 + many + 5
    assert piece.start == piece.total - bench.tail
    (bench.workspace / "second").write_text("on\n")
    end, _ = await finish(running)
    assert end.output_bytes == 6 + many + 5


async def a_wait_may_end_before_the_command(bench: Bench) -> None:
    running = await bench.launcher.start(spec(bench, "1.0", "exec sleep 1000"))
    assert await running.wait(0.01) is None
    with anyio.move_on_after(0.05) as scope:
        await running.wait()
    assert scope.cancelled_caught
    assert await running.wait(0) is None
    assert (await running.stop()).fact.stopped


async def many_commands_run_side_by_side(bench: Bench) -> None:
    codes: dict[int, int | None] = {}

    async def one(number: int) -> None:
        end, output = await run(bench, f"{number}.0", f"echo {number}; exit {number}")
        assert output == f"{number}\n"
        codes[number] = end.fact.exit_code

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(one, number)
    assert codes == {number: number for number in range(20)}


async def waiting_goes_on_when_another_waiter_is_cancelled(bench: Bench) -> None:
    os.mkfifo(bench.workspace / "go")
    slow = await bench.launcher.start(spec(bench, "1.0", "exec sleep 1000"))
    quick = await bench.launcher.start(spec(bench, "2.0", "read <go; exit 5"))
    ends: list[CommandEnd] = []

    async def wait_for_quick() -> None:
        ends.append((await finish(quick))[0])

    async with anyio.create_task_group() as group:
        async with anyio.create_task_group() as first:
            first.start_soon(slow.wait)
            await anyio.lowlevel.checkpoint()
            group.start_soon(wait_for_quick)
            await anyio.lowlevel.checkpoint()
            first.cancel_scope.cancel()
        (bench.workspace / "go").write_text("on\n")
    assert [end.fact.exit_code for end in ends] == [5]
    await slow.stop()


async def a_command_can_be_found_again(bench: Bench) -> None:
    await bench.launcher.start(spec(bench, "1.0", "echo here; exit 2"))
    found = await bench.launcher.attach(JobId("1.0"))
    assert found is not None
    end, output = await finish(found)
    assert (end.fact.exit_code, output, found.job) == (2, "here\n", "1.0")
    assert await bench.launcher.attach(JobId("9.9")) is None


async def a_name_is_used_once(bench: Bench) -> None:
    await bench.launcher.start(spec(bench, "1.0", "exit 0"))
    try:
        await bench.launcher.start(spec(bench, "1.0", "touch twice"))
    except LauncherError as error:
        words = str(error)
    else:
        words = ""
    assert "started before" in words
    assert not (bench.workspace / "twice").exists()


async def a_program_that_is_missing_was_not_started(bench: Bench) -> None:
    asked = CommandSpec(JobId("1.0"), ("no-such-program",), str(bench.workspace), {"PATH": "/usr/bin:/bin"})
    end, _ = await finish(await bench.launcher.start(asked))
    assert "no-such-program" in end.not_started
    assert (end.fact.exit_code, end.fact.signal) == (None, None)


async def a_directory_that_is_missing_is_named(bench: Bench) -> None:
    asked = CommandSpec(JobId("1.0"), ("true",), str(bench.workspace / "gone"), {"PATH": "/usr/bin:/bin"})
    end, _ = await finish(await bench.launcher.start(asked))
    assert str(bench.workspace / "gone") in end.not_started


async def text_that_no_process_can_get_is_refused(bench: Bench) -> None:
    for text in ("a\0b", "\ud800"):
        try:
            await bench.launcher.start(spec(bench, "1.0", text))
        except ArgumentProblem as problem:
            words = str(problem)
        else:
            words = ""
        assert words
    end, _ = await run(bench, "1.0", "exit 0")
    assert end.fact.exit_code == 0


async def closing_ends_everything(bench: Bench) -> None:
    token = f"10{os.getpid()}5.5"
    running = await bench.launcher.start(spec(bench, "1.0", f"setsid sleep {token} & echo ready; wait"))
    await until_said(running, "ready")
    with anyio.fail_after(ENOUGH_S):
        await bench.launcher.close()
    assert not alive(token)


CHECKS: tuple[Callable[[Bench], Awaitable[None]], ...] = (
    the_facts_of_an_end_are_told_apart,
    time_on_the_processor_is_counted,
    nothing_can_be_read_from_standard_input,
    nothing_is_inherited,
    a_command_is_over_when_its_process_ends,
    a_time_out_is_told_beside_the_exit_code,
    who_ignores_the_first_signal_is_killed,
    a_stop_ends_the_whole_tree,
    a_stop_right_after_the_start_ends_it,
    a_stop_after_the_end_changes_nothing,
    the_last_directory_is_reported,
    what_it_left_running_is_counted,
    noise_on_the_control_pipe_does_no_harm,
    huge_output_keeps_its_head_and_its_tail,
    output_can_be_read_while_it_comes,
    a_wait_may_end_before_the_command,
    many_commands_run_side_by_side,
    waiting_goes_on_when_another_waiter_is_cancelled,
    a_command_can_be_found_again,
    a_name_is_used_once,
    a_program_that_is_missing_was_not_started,
    a_directory_that_is_missing_is_named,
    text_that_no_process_can_get_is_refused,
    closing_ends_everything,
)
