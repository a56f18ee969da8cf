"""The tables, and logs of older layouts."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hames.core.events import TurnStarted
from hames.core.ids import SessionId
from hames.stores.database import open_database
from hames.stores.layout import COLUMNS, SCHEMA
from hames.stores.sqlite import open_sqlite
from hames.testing.clock import VirtualClock


def test_the_columns_are_those_of_the_tables(tmp_path: Path) -> None:
    with closing(open_database(str(tmp_path))) as connection:
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        ]
        found = {
            table: tuple(name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})"))
            for table in tables
        }
    assert found == COLUMNS


@pytest.mark.anyio
async def test_a_log_of_the_first_layout_is_read_and_gone_on_with(tmp_path: Path) -> None:
    one = SessionId("01one")
    async with await open_sqlite(str(tmp_path), VirtualClock()) as store:
        await store.append(await store.claim(one), [TurnStarted(1)], (b"kept",))
    with closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as connection:
        for table in ("deleted", "inbox", "outbox", "checkpoint"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("ALTER TABLE blob DROP COLUMN at_ms")
        connection.execute("PRAGMA user_version = 1")
    async with await open_sqlite(str(tmp_path), VirtualClock()) as store:
        await store.append(await store.claim(one), [TurnStarted(2)], (b"kept", b"new"))
        assert [entry.event for entry in await store.read(one)] == [TurnStarted(1), TurnStarted(2)]
    with closing(sqlite3.connect(tmp_path / "log.db")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
