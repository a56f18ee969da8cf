"""The SQLite store."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hames.stores.sqlite import open_sqlite
from hames.testing.clock import VirtualClock
from hames.testing.store_suite import CHECKS, Bench, FullStore

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("number", range(len(CHECKS)), ids=[check.__name__ for check in CHECKS])
async def test_a_sqlite_store_passes_the_suite(number: int, tmp_path: Path) -> None:
    clock = VirtualClock()

    @asynccontextmanager
    async def opened() -> AsyncGenerator[FullStore]:
        async with await open_sqlite(str(tmp_path / "state"), clock) as store:
            yield store

    await CHECKS[number](Bench(opened, clock, tmp_path))
