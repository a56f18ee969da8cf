"""Commands through the launcher."""

from pathlib import Path

import pytest

from hames.core.ports import Sandbox
from hames.sandboxes.launch import CommandLauncher
from hames.sandboxes.process import SupervisorProcess
from hames.testing.launcher_suite import CHECKS, Bench

pytestmark = pytest.mark.anyio

HEAD, TAIL = 64 * 1024, 8 * 1024


@pytest.mark.parametrize("number", range(len(CHECKS)), ids=[check.__name__ for check in CHECKS])
async def test_the_launcher_passes_the_suite(
    number: int, process: SupervisorProcess, sandbox: Sandbox, workspace: Path
) -> None:
    launcher = CommandLauncher(process, sandbox, limits=(HEAD, TAIL), grace_s=0.2)
    await CHECKS[number](Bench(launcher, workspace, HEAD, TAIL))
