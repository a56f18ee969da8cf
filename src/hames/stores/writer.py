"""One process's way to the database: commits in groups, with room kept for endings on a full disk."""

import os
from collections.abc import Callable
from sqlite3 import Connection
from typing import TypeVar, TypeVarTuple

import anyio.to_thread

from hames.core.errors import StoreFull
from hames.stores.database import file_error, open_database
from hames.stores.disk import Reserve
from hames.stores.group import GroupCommit
from hames.stores.presence import be_present

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class Writer:
    """Opened once, closed once. What fails is raised as a `StoreError` in words.

    After a full disk the reserve has been given up. Until it can be made again, only an `ending` is written.
    """

    def __init__(self, directory: str, busy_s: float) -> None:
        self._directory = directory
        self._busy_s = busy_s
        self._group = GroupCommit(directory, self._connect)
        self._reserve = Reserve(directory)
        self._present: int | None = None
        self._full: StoreFull | None = None

    async def open(self) -> None:
        """Connect. Raises what opening the database raises."""
        await self._group.open()

    async def close(self) -> None:
        """Finish what waits, and disconnect."""
        try:
            await self._group.close()
        finally:
            self._leave()

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run `query` outside any transaction."""
        return await self._group.read(query)

    async def commit(self, work: Callable[[Connection], T], *, ending: bool = False) -> T:
        """Do `work` in a transaction; durable on return. It may be run more than once."""
        await self.make_room(ending=ending)
        try:
            return await self._group.write(work)
        except StoreFull as error:
            await self._give_up_reserve(error)
            raise

    async def make_room(self, *, ending: bool) -> None:
        """Refuse what is no ending as long as the disk is full. Raises `StoreFull`."""
        if self._full is None or ending:
            return
        if not await self.in_thread(self._reserve.make):
            raise StoreFull(str(self._full))
        self._full = None

    async def in_thread(self, work: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        """Work on files beside the database."""
        try:
            return await anyio.to_thread.run_sync(work, *arguments)
        except OSError as error:
            problem = file_error(error, self._directory)
            if isinstance(problem, StoreFull):
                await self._give_up_reserve(problem)
            raise problem from error

    async def _give_up_reserve(self, error: StoreFull) -> None:
        self._full = error
        await anyio.to_thread.run_sync(self._reserve.give_up)

    def _connect(self) -> Connection:
        try:
            self._present = be_present(self._directory)
        except OSError as error:
            raise file_error(error, self._directory) from error
        try:
            connection = open_database(self._directory, self._busy_s)
        except BaseException:
            self._leave()
            raise
        self._reserve.make()
        return connection

    def _leave(self) -> None:
        if self._present is not None:
            os.close(self._present)
            self._present = None
