"""A state directory with two sessions, for tests of its maintenance."""

import sqlite3
from contextlib import closing
from pathlib import Path

import anyio

from hames.core.events import (
    AnyEvent,
    CallFinished,
    OutputFact,
    SessionOpened,
    TurnEnded,
    TurnStarted,
    UserSpoke,
)
from hames.core.ids import BlobId, CallId, SessionId, blob_id
from hames.core.limits import LOG_FORMAT
from hames.core.messages import Text
from hames.sandboxes.runtime import remove_tree
from hames.stores.sqlite import SqliteStore, open_sqlite
from hames.stores.upkeep import SqliteUpkeep
from hames.testing.clock import VirtualClock
from hames.testing.store_suite import BIG

ONE = SessionId("01one")
TWO = SessionId("01two")
SMALL = b"a small output"
SHARED = b"named by both"


def names(*blobs: bytes) -> list[AnyEvent]:
    return [
        CallFinished(CallId(f"1.{number}"), "ok", (), output=OutputFact(blob_id(data), len(data), len(data)))
        for number, data in enumerate(blobs)
    ]


def story(session: SessionId, *blobs: bytes) -> list[AnyEvent]:
    return [
        SessionOpened(session, LOG_FORMAT, "0", "/w"),
        UserSpoke((Text("do it"),)),
        TurnStarted(1),
        *names(*blobs),
        TurnEnded(1, "done", ""),
    ]


class Ground:
    """A state directory, with two sessions in it."""

    def __init__(self, root: Path) -> None:
        self.root = root / "state"
        self.clock = VirtualClock(1_750_000_000, jump=True)
        self.upkeep = SqliteUpkeep(str(self.root), self.clock, remove_tree)

    async def open(self) -> SqliteStore:
        return await open_sqlite(str(self.root), self.clock)

    async def fill(self) -> None:
        async with await self.open() as store:
            for session, own in ((ONE, (SMALL, BIG)), (TWO, (b"two",))):
                claim = await store.claim(session)
                await store.append(claim, story(session, *own, SHARED), (*own, SHARED))

    def change(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.root / "log.db", isolation_level=None)) as connection:
            assert connection.execute(statement, values).rowcount > 0

    def count(self, table: str) -> int:
        with closing(sqlite3.connect(self.root / "log.db")) as connection:
            return int(connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])

    def file(self, blob: BlobId) -> Path:
        return self.root / "blobs" / blob[:2] / blob

    async def events(self, session: SessionId) -> list[AnyEvent | None]:
        async with await self.open() as store:
            return [entry.event for entry in await store.read(session)]


class Pace(VirtualClock):
    """A clock on which each wait is over once a session beside has gone on, or rests."""

    def __init__(self) -> None:
        super().__init__(1_750_000_000)
        self._moved = anyio.Event()

    def go_on(self) -> None:
        """The session has done something, and will do more."""
        self._moved.set()
        self._moved = anyio.Event()

    def rest(self) -> None:
        """The session does nothing until it has gone on."""
        self._moved.set()

    async def sleep(self, seconds: float) -> None:
        await self._moved.wait()
