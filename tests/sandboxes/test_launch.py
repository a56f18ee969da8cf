"""Commands through the launcher."""

import os
import signal
from pathlib import Path

import pytest

from hames.core.ids import JobId, SessionId
from hames.core.ports import Claim, CommandSpec, Sandbox
from hames.sandboxes.launch import CommandLauncher
from hames.sandboxes.process import SupervisorProcess
from hames.testing.launcher_suite import CHECKS, Bench
from tests.sandboxes.conftest import SESSION

pytestmark = pytest.mark.anyio

HEAD, TAIL = 64 * 1024, 8 * 1024


@pytest.mark.parametrize("number", range(len(CHECKS)), ids=[check.__name__ for check in CHECKS])
async def test_the_launcher_passes_the_suite(
    number: int, process: SupervisorProcess, sandbox: Sandbox, workspace: Path
) -> None:
    launcher = CommandLauncher(process, sandbox, limits=(HEAD, TAIL), grace_s=0.2)
    await CHECKS[number](Bench(launcher, workspace, HEAD, TAIL))


def spec(job: str, command: str, workspace: Path) -> CommandSpec:
    env = {"PATH": "/usr/bin:/bin"}
    return CommandSpec(JobId(job), ("/bin/bash", "-c", command), str(workspace), env)


async def test_what_runs_goes_on_when_the_same_process_claims_the_session_again(
    process: SupervisorProcess, sandbox: Sandbox, workspace: Path
) -> None:
    launcher = CommandLauncher(process, sandbox, grace_s=0.2)
    await launcher.start(spec("1.0", "sleep 1000", workspace))
    pid = process.connect().pid
    for epoch in (2, 3):
        await process.enter(Claim(SessionId(SESSION), epoch, 0))
    assert process.connect().pid == pid
    found = await launcher.attach(JobId("1.0"))
    assert found is not None
    assert (await found.stop()).fact.stopped
    end = await (await launcher.start(spec("2.0", "exit 3", workspace))).wait()
    assert end is not None
    assert end.fact.exit_code == 3


async def test_a_supervisor_that_died_before_the_session_is_claimed_again_is_replaced(
    process: SupervisorProcess, sandbox: Sandbox, workspace: Path
) -> None:
    launcher = CommandLauncher(process, sandbox, grace_s=0.2)
    first = await launcher.start(spec("1.0", "true", workspace))
    await first.wait()
    os.kill(process.connect().pid, signal.SIGKILL)
    await process.enter(Claim(SessionId(SESSION), 2, 0))
    end = await (await launcher.start(spec("2.0", "exit 3", workspace))).wait()
    assert end is not None
    assert end.fact.exit_code == 3
