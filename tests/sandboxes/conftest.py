import os
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from hames.core.ids import SessionId
from hames.core.ports import Claim, Sandbox
from hames.sandboxes.bubblewrap import Bubblewrap, find_program
from hames.sandboxes.process import SupervisorProcess
from hames.sandboxes.profile import Place, workspace_policy
from hames.sandboxes.unconfined import Unconfined

SESSION = f"session-{os.getpid()}"
"""Of this run of the tests alone: others may run beside it."""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    path = tmp_path / "home" / "project"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def place(tmp_path: Path, workspace: Path) -> Place:
    return Place(home=str(workspace.parent), workspace=str(workspace), private=(str(tmp_path / "state"),))


@pytest.fixture
def bubblewrap(tmp_path: Path, place: Place) -> Bubblewrap:
    return Bubblewrap(workspace_policy(place), bwrap(), str(tmp_path / "state" / "run"))


@pytest.fixture(params=["none", pytest.param("bubblewrap", marks=pytest.mark.needs_bwrap)])
def sandbox(request: pytest.FixtureRequest, bubblewrap: Bubblewrap) -> Sandbox:
    return Unconfined() if request.param == "none" else bubblewrap


@pytest.fixture
async def process(tmp_path: Path) -> AsyncGenerator[SupervisorProcess]:
    supervisor = await entered(tmp_path / "state" / "run")
    yield supervisor
    await supervisor.close()


@pytest.fixture
async def enclosed(tmp_path: Path) -> AsyncGenerator[SupervisorProcess]:
    supervisor = await entered(tmp_path / "state" / "run", enclosed=True)
    yield supervisor
    await supervisor.close()


async def entered(
    root: Path, session: str = SESSION, epoch: int = 1, *, enclosed: bool = False, orphan_s: float = 60
) -> SupervisorProcess:
    """The supervisor of a session, as an owner of it sees it."""
    supervisor = SupervisorProcess(str(root), enclosed=enclosed, orphan_s=orphan_s)
    await supervisor.enter(Claim(SessionId(session), epoch, 0))
    return supervisor


def bwrap() -> str:
    return find_program("bwrap", os.environ.get("PATH", os.defpath))
