"""What the log lets the supervisor do."""

import os
from pathlib import Path

import pytest

from hames.core.errors import LauncherError
from hames.core.events import (
    AnyEvent,
    CallFinished,
    CallLost,
    CallStarted,
    CommandFact,
    GoalChecked,
    GoalCheckStarted,
    JobFinished,
    JobStarted,
)
from hames.core.ids import CallId, JobId
from hames.core.ports import CommandSpec, TextDelta
from hames.sandboxes.launch import START_WITHIN_S, CommandLauncher
from hames.sandboxes.process import SupervisorProcess
from hames.sandboxes.settling import Settling
from hames.sandboxes.unconfined import Unconfined
from hames.testing.entries import entries

pytestmark = pytest.mark.anyio
CALL = CallId("1.0")


def _tell(settling: Settling, event: AnyEvent) -> None:
    (entry,) = entries(event)
    settling.entry(entry)


async def _ended(launcher: CommandLauncher, workspace: Path) -> None:
    spec = CommandSpec(JobId("1.0"), ("/bin/echo", "kept"), str(workspace), {})
    await (await launcher.start(spec)).wait()


def _left(process: SupervisorProcess) -> list[str]:
    return sorted(name for name in os.listdir(process.directory) if name.startswith("1.0"))


CHECKED = GoalChecked(check=CALL, command="make", passed=True, fact=CommandFact())


@pytest.mark.parametrize("event", [CallFinished(CALL, "ok", ()), CallLost(CALL, (), "why"), CHECKED])
async def test_an_end_is_kept_until_it_is_on_the_log(
    process: SupervisorProcess, workspace: Path, event: AnyEvent
) -> None:
    launcher = CommandLauncher(process, Unconfined())
    settling = Settling(launcher)
    await _ended(launcher, workspace)
    settling.delta(1, TextDelta("of no interest"))
    assert await launcher.attach(JobId("2.0")) is None
    assert _left(process) == ["1.0.end", "1.0.out"]
    _tell(settling, event)
    assert await launcher.attach(JobId("1.0")) is None
    assert _left(process) == []


async def test_a_job_is_kept_until_its_own_end_is_on_the_log(
    process: SupervisorProcess, workspace: Path
) -> None:
    launcher = CommandLauncher(process, Unconfined())
    settling = Settling(launcher)
    await _ended(launcher, workspace)
    _tell(settling, JobStarted(JobId("1.0"), CALL, "echo"))
    _tell(settling, CallFinished(CALL, "ok", ()))
    assert await launcher.attach(JobId("1.0")) is not None
    _tell(settling, JobFinished(JobId("1.0"), CommandFact(), None, ""))
    assert await launcher.attach(JobId("1.0")) is None


async def test_a_call_that_is_no_command_releases_nothing(
    process: SupervisorProcess, workspace: Path
) -> None:
    launcher = CommandLauncher(process, Unconfined())
    _tell(Settling(launcher), CallFinished(CALL, "ok", ()))
    assert process.releases() == []


@pytest.mark.parametrize("event", [CallStarted(CALL), GoalCheckStarted(CALL)])
async def test_a_start_that_was_decided_on_too_long_ago_is_refused(
    process: SupervisorProcess, workspace: Path, event: AnyEvent
) -> None:
    now = [0.0]
    launcher = CommandLauncher(process, Unconfined(), monotonic=lambda: now[0])
    _tell(Settling(launcher), event)
    now[0] = START_WITHIN_S * 10
    running = await launcher.start(CommandSpec(JobId("1.0"), ("/bin/touch", "made"), str(workspace), {}))
    with pytest.raises(LauncherError, match="held up for too long"):
        await running.wait()
    assert await launcher.attach(JobId("1.0")) is None
    assert os.listdir(workspace) == []
