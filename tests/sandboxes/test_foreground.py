"""One command with the terminal's own input and output."""

import os
import signal
import sys
from pathlib import Path
from subprocess import PIPE

import anyio
import pytest
from anyio.abc import Process

from hames.testing.launcher_suite import ENOUGH_S, alive
from tests.sandboxes.conftest import bwrap

pytestmark = pytest.mark.anyio

SCRIPT = str(Path(__file__).parent / "exec_once.py")


@pytest.fixture(params=["none", pytest.param("bubblewrap", marks=pytest.mark.needs_bwrap)])
def program(request: pytest.FixtureRequest) -> str:
    return "" if request.param == "none" else bwrap()


def _argv(program: str, workspace: Path, *argv: str) -> list[str]:
    return [sys.executable, SCRIPT, program, str(workspace), *argv]


async def _run(program: str, workspace: Path, *argv: str, said: bytes = b"") -> tuple[int, str, str]:
    with anyio.fail_after(ENOUGH_S):
        done = await anyio.run_process(_argv(program, workspace, *argv), input=said, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


async def _said(process: Process, words: bytes) -> None:
    assert process.stdout is not None
    found = b""
    with anyio.fail_after(ENOUGH_S):
        while words not in found:
            found += await process.stdout.receive()


async def test_input_output_and_status_are_the_commands_own(program: str, workspace: Path) -> None:
    script = "cat; pwd; echo error >&2; exit 7"
    status, output, error = await _run(program, workspace, "bash", "-c", script, said=b"given\n")
    assert (status, output, error) == (7, f"given\n{workspace}\n", "error\n")


async def test_a_missing_program_is_127_and_one_that_cannot_be_run_126(program: str, workspace: Path) -> None:
    (workspace / "text").write_text("x")
    assert (await _run(program, workspace, "no-such-program"))[0] == 127
    assert (await _run(program, workspace, "./text"))[0] == 126


async def test_words_are_never_read_as_a_script(program: str, workspace: Path) -> None:
    status, output, _ = await _run(program, workspace, "echo", "$(id)", "; ls", "a b")
    assert (status, output) == (0, "$(id) ; ls a b\n")


async def test_a_signal_is_passed_on(program: str, workspace: Path) -> None:
    script = "trap 'echo caught; exit 9' TERM; echo ready; while :; do sleep 0.01; done"
    argv = _argv(program, workspace, "bash", "-c", script)
    async with await anyio.open_process(argv, stdin=None) as process:
        await _said(process, b"ready\n")
        process.terminate()
        await _said(process, b"caught\n")
        with anyio.fail_after(ENOUGH_S):
            assert await process.wait() == 9


async def test_a_command_that_a_signal_ended_is_128_and_its_number(program: str, workspace: Path) -> None:
    assert (await _run(program, workspace, "bash", "-c", "kill -KILL $$"))[0] == 128 + signal.SIGKILL


@pytest.mark.needs_bwrap
async def test_an_interrupt_reaches_the_command_in_its_sandbox(workspace: Path) -> None:
    script = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.01; done"
    argv = _argv(bwrap(), workspace, "bash", "-c", script)
    async with await anyio.open_process(argv, stdin=None) as process:
        await _said(process, b"ready\n")
        process.send_signal(signal.SIGINT)
        with anyio.fail_after(ENOUGH_S):
            assert await process.wait() == 9


@pytest.mark.needs_bwrap
async def test_nothing_is_left_when_the_command_is_over_or_we_are_killed(workspace: Path) -> None:
    token = f"40{os.getpid()}1.5"
    status, _, _ = await _run(bwrap(), workspace, "bash", "-c", f"setsid sleep {token} & exit 0")
    assert status == 0
    assert not alive(token)
    argv = _argv(bwrap(), workspace, "bash", "-c", f"setsid sleep {token} & echo ready; wait")
    async with await anyio.open_process(argv, stdin=None) as process:
        await _said(process, b"ready\n")
        process.kill()
    with anyio.fail_after(ENOUGH_S):
        while alive(token):
            await anyio.lowlevel.checkpoint()


@pytest.mark.needs_bwrap
async def test_the_boundary_is_the_same(workspace: Path) -> None:
    (workspace.parent / "mine").write_text("kept")
    status, _, _ = await _run(bwrap(), workspace, "sh", "-c", "echo x >../mine")
    assert status != 0
    assert (workspace.parent / "mine").read_text() == "kept"


async def test_descriptors_of_the_caller_are_not_handed_on(program: str, workspace: Path) -> None:
    held = os.open(workspace, os.O_RDONLY)
    os.set_inheritable(held, True)
    try:
        argv = _argv(program, workspace, "sh", "-c", f"test ! -e /proc/self/fd/{held}")
        done = await anyio.run_process(argv, check=False, stdin=PIPE, pass_fds=[held])
    finally:
        os.close(held)
    assert done.returncode == 0


async def test_a_sandbox_that_is_missing_is_told_from_the_command(workspace: Path) -> None:
    status, output, error = await _run("/no/bwrap", workspace, "echo", "run")
    assert (status, output) == (99, "")
    assert "apt-get install bubblewrap" in error


async def test_a_sandbox_that_does_not_start_is_told_from_the_command(
    tmp_path: Path, workspace: Path
) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2; exit 1\n")
    broken.chmod(0o755)
    status, output, error = await _run(str(broken), workspace, "echo", "run")
    assert (status, output) == (99, "")
    assert "AppArmor" in error
