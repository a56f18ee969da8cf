"""Who owns a session on this machine."""

import os
import sys
from collections.abc import Generator
from pathlib import Path
from threading import Thread

import pytest

from hames.core.errors import SessionBusy, StoreError
from hames.core.events import TurnStarted
from hames.core.ids import SessionId
from hames.stores.locks import SessionLocks
from hames.stores.sqlite import open_sqlite
from hames.testing.clock import VirtualClock

ONE = SessionId("01one")


@pytest.mark.anyio
async def test_a_second_owner_is_told_who_has_the_session_and_what_to_do(tmp_path: Path) -> None:
    clock = VirtualClock(1_750_000_000)
    async with (
        await open_sqlite(str(tmp_path), clock) as mine,
        await open_sqlite(str(tmp_path), clock) as other,
    ):
        claim = await mine.claim(ONE)
        with pytest.raises(SessionBusy) as refused:
            await other.claim(ONE)
        said = str(refused.value)
        assert f"process {os.getpid()} since 2025-06-15 15:06:40 UTC" in said
        assert f"`kill {os.getpid()}`" in said
        # The refused claim did not fence the owner.
        await mine.append(claim, [TurnStarted(1)])
        assert len(await other.read(ONE)) == 1
        await other.claim(SessionId("01two"))
        await mine.close()
        assert (await other.claim(ONE)).head == 1


def test_a_lock_is_left_without_a_trace_and_can_be_taken_again(tmp_path: Path) -> None:
    first, second = SessionLocks(str(tmp_path / "locks")), SessionLocks(str(tmp_path / "locks"))
    for mine, other in ((first, second), (second, first)):
        assert mine.take(ONE, 0)
        assert not mine.take(ONE, 0)
        with pytest.raises(SessionBusy):
            other.take(ONE, 0)
        mine.leave_all()
        assert list((tmp_path / "locks").iterdir()) == []


def test_a_lock_file_that_nobody_holds_is_no_lock(tmp_path: Path) -> None:
    left = tmp_path / f"{ONE}.lock"
    left.write_text('{"pid":1,"since_ms":0}' + " " * 100)
    locks = SessionLocks(str(tmp_path))
    assert locks.take(ONE, 5)
    assert left.read_text() == f'{{"pid":{os.getpid()},"since_ms":5}}'
    left.unlink()
    locks.leave_all()


def test_an_owner_that_has_only_just_come_is_not_named(tmp_path: Path) -> None:
    mine, other = SessionLocks(str(tmp_path)), SessionLocks(str(tmp_path))
    mine.take(ONE, 0)
    (tmp_path / f"{ONE}.lock").write_text("")
    with pytest.raises(SessionBusy, match="another process"):
        other.take(ONE, 0)
    mine.leave_all()


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "a/b", "/etc", ".hidden", "a b", "a\n", "x" * 129])
def test_an_id_that_is_no_safe_file_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be a session's id"):
        SessionLocks(str(tmp_path)).take(SessionId(name), 0)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def eager_threads() -> Generator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("eager_threads")
def test_of_those_who_take_and_leave_all_the_time_only_one_has_it(tmp_path: Path) -> None:
    inside: list[int] = []
    clashes: list[int] = []

    def contend(number: int) -> None:
        locks = SessionLocks(str(tmp_path))
        for _ in range(400):
            try:
                locks.take(ONE, 0)
            except SessionBusy:
                continue
            inside.append(number)
            for _ in range(5):
                # Lets the others run while it is held.
                os.stat(tmp_path)
                clashes.extend(inside[1:])
            inside.remove(number)
            locks.leave(ONE)

    threads = [Thread(target=contend, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clashes == []
