"""A checkpoint on disk that does not fit, or is damaged, is none."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hames.core.events import TurnStarted
from hames.core.ids import SessionId
from hames.core.ports import Checkpoint
from hames.stores.sqlite import open_sqlite
from hames.testing.clock import VirtualClock
from tests.stores.ground import ONE, Ground

pytestmark = pytest.mark.anyio


async def kept(root: Path, session: SessionId = ONE) -> None:
    async with await open_sqlite(str(root), VirtualClock()) as store:
        claim, _ = await store.append(await store.claim(session), [TurnStarted(1), TurnStarted(2)])
        await store.keep_checkpoint(claim, "us", b"what it comes to")


async def found(root: Path) -> Checkpoint | None:
    async with await open_sqlite(str(root), VirtualClock()) as store:
        return await store.checkpoint(ONE, "us")


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE checkpoint SET data = 'something else'",
        "UPDATE checkpoint SET data = CAST(x'ff00' AS TEXT)",
        "UPDATE checkpoint SET hash = 'another'",
        "UPDATE event SET hash = 'another' WHERE seq = 2",
        "DELETE FROM event WHERE seq = 2",
        "DELETE FROM checkpoint",
    ],
)
async def test_one_that_does_not_fit_the_log_is_not_given(tmp_path: Path, harm: str) -> None:
    await kept(tmp_path)
    assert await found(tmp_path) == Checkpoint(2, b"what it comes to")
    with closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as connection:
        connection.execute(harm)
    assert await found(tmp_path) is None


async def test_it_goes_with_its_session(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    await kept(ground.root)
    await ground.upkeep.delete(ONE)
    with closing(sqlite3.connect(ground.root / "log.db")) as connection:
        assert connection.execute("SELECT COUNT(*) FROM checkpoint").fetchone() == (0,)
