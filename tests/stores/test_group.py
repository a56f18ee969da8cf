"""Group commit."""

import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from sqlite3 import Connection

import anyio
import pytest

from hames.core.errors import DamagedLog, Fenced, StoreError
from hames.stores.group import GroupCommit

pytestmark = pytest.mark.anyio


def _connect(path: Path) -> Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE IF NOT EXISTS item (number INTEGER PRIMARY KEY)")
    return connection


@asynccontextmanager
async def _opened(tmp_path: Path) -> AsyncGenerator[GroupCommit]:
    group = GroupCommit(str(tmp_path), partial(_connect, tmp_path / "log.db"))
    await group.open()
    try:
        yield group
    finally:
        await group.close()


def _add(number: int) -> Callable[[Connection], int]:
    def work(connection: Connection) -> int:
        connection.execute("INSERT INTO item VALUES (?)", (number,))
        return number

    return work


def _commits(tmp_path: Path) -> int:
    # In the header of a frame, the second number is not 0 when the frame ends a commit.
    wal = (tmp_path / "log.db-wal").read_bytes()
    return sum(1 for frame in range(32, len(wal), 24 + 4096) if any(wal[frame + 4 : frame + 8]))


def _numbers(connection: Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT number FROM item ORDER BY number")]


async def test_what_waits_together_is_committed_together(tmp_path: Path) -> None:
    async with _opened(tmp_path) as group:
        before = _commits(tmp_path)
        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(group.write, _add(number))
        assert await group.read(_numbers) == list(range(200))
        assert _commits(tmp_path) - before < 40


async def test_each_is_told_of_its_own_work(tmp_path: Path) -> None:
    told: dict[int, object] = {}

    def fail(connection: Connection) -> int:
        connection.execute("INSERT INTO item VALUES (1000)")
        raise Fenced("not yours")

    def stumble(connection: Connection) -> int:
        connection.execute("INSERT INTO item VALUES (1001)")
        return [1][1]

    async def one(number: int, work: Callable[[Connection], int]) -> None:
        try:
            told[number] = await group.write(work)
        except (StoreError, IndexError) as error:
            told[number] = type(error)

    works = {0: _add(0), 1: fail, 2: _add(2), 3: stumble, 4: _add(2), 5: _add(5)}
    async with _opened(tmp_path) as group:
        async with anyio.create_task_group() as tasks:
            for number, work in works.items():
                tasks.start_soon(one, number, work)
        assert await group.read(_numbers) == [0, 2, 5]
    assert {told[2], told[4]} == {2, DamagedLog}
    assert [told[number] for number in (0, 1, 3, 5)] == [0, Fenced, IndexError, 5]


async def test_a_read_that_fails_is_told_in_our_words(tmp_path: Path) -> None:
    async with _opened(tmp_path) as group:
        with pytest.raises(StoreError, match="no such table"):
            await group.read(lambda connection: connection.execute("SELECT * FROM absent"))
        with pytest.raises(StoreError, match="no such table"):
            await group.write(lambda connection: connection.execute("SELECT * FROM absent"))
        assert await group.write(_add(1)) == 1


async def test_a_connection_that_cannot_be_made_is_told_and_leaves_no_thread(tmp_path: Path) -> None:
    def refuse() -> Connection:
        raise StoreError("not today")

    group = GroupCommit(str(tmp_path), refuse)
    with pytest.raises(StoreError, match="not today"):
        await group.open()
    with pytest.raises(StoreError, match="closed"):
        await group.write(_add(1))


async def test_closing_waits_for_what_was_asked_before(tmp_path: Path) -> None:
    async with _opened(tmp_path) as group, anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(group.write, _add(number))
        await anyio.wait_all_tasks_blocked()
        await group.close()
    assert _numbers(_connect(tmp_path / "log.db")) == list(range(50))


async def test_a_cancelled_writer_is_told_of_a_durable_write(tmp_path: Path) -> None:
    told: list[int] = []

    async def one(number: int) -> None:
        told.append(await group.write(_add(number)))

    async with _opened(tmp_path) as group:
        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(one, number)
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        assert await group.read(_numbers) == sorted(told)
