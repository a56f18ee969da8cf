"""The memory store."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hames.stores.memory import MemoryStore
from hames.testing import past_suite, sharing_suite
from hames.testing.clock import VirtualClock
from hames.testing.store_suite import CHECKS, Bench, FullStore

pytestmark = pytest.mark.anyio

ALL = (*CHECKS, *sharing_suite.CHECKS, *past_suite.CHECKS)


@pytest.mark.parametrize("number", range(len(ALL)), ids=[check.__name__ for check in ALL])
async def test_a_memory_store_passes_the_suite(number: int, tmp_path: Path) -> None:
    clock = VirtualClock()
    store = MemoryStore(clock)

    @asynccontextmanager
    async def opened() -> AsyncGenerator[FullStore]:
        yield store

    await ALL[number](Bench(opened, clock, tmp_path))
