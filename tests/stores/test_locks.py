"""Who owns a session on this machine."""

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from threading import Thread

import msgspec
import pytest

from hames.core.errors import DamagedLog, SessionBusy, StoreError
from hames.core.events import TurnStarted
from hames.core.ids import SessionId, blob_id
from hames.stores.locks import Holder, SessionLocks
from hames.stores.sqlite import open_sqlite
from hames.testing.clock import VirtualClock
from hames.testing.store_suite import turns

APPENDER = Path(__file__).with_name("appender.py")
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
    assert msgspec.json.decode(left.read_text(), type=Holder) == Holder(os.getpid(), 5)
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


def test_a_lock_that_was_taken_over_is_not_ours_any_more(tmp_path: Path) -> None:
    mine, other = SessionLocks(str(tmp_path)), SessionLocks(str(tmp_path))
    mine.take(ONE, 0)
    assert other.take(ONE, 5, take_over=True)
    assert not other.take(ONE, 5)
    with pytest.raises(SessionBusy):
        mine.take(ONE, 6)
    mine.leave_all()
    assert not other.take(ONE, 7)
    assert [path.name for path in tmp_path.iterdir()] == [f"{ONE}.lock"]
    other.leave(ONE)
    assert list(tmp_path.iterdir()) == []


def test_the_living_owners_are_known_and_the_locks_of_dead_ones_go(tmp_path: Path) -> None:
    mine, other = SessionLocks(str(tmp_path)), SessionLocks(str(tmp_path))
    assert mine.living() == []
    mine.take(ONE, 0)
    other.take(SessionId("01two"), 0)
    (tmp_path / "01dead.lock").write_text('{"pid":1,"since_ms":0}')
    for locks in (mine, other, SessionLocks(str(tmp_path))):
        assert [taken.session for taken in locks.living()] == [ONE, "01two"]
    assert not (tmp_path / "01dead.lock").exists()
    mine.leave_all()
    other.leave_all()
    assert SessionLocks(str(tmp_path / "nowhere")).living() == []


@pytest.fixture
def owner(tmp_path: Path) -> Generator[subprocess.Popen[str]]:
    command = (sys.executable, str(APPENDER), "step", str(tmp_path))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.anyio
async def test_a_stopped_owner_that_wakes_after_a_take_over_writes_nothing(
    owner: subprocess.Popen[str], tmp_path: Path
) -> None:
    session = SessionId("s")
    assert owner.stdin is not None
    assert owner.stdout is not None
    assert owner.stdout.readline() == "ready\n"
    print(file=owner.stdin, flush=True)
    assert owner.stdout.readline() == "1\n"
    owner.send_signal(signal.SIGSTOP)
    print(file=owner.stdin, flush=True)
    async with await open_sqlite(str(tmp_path), VirtualClock()) as store:
        with pytest.raises(SessionBusy, match=f"process {owner.pid} "):
            await store.claim(session)
        claim = await store.claim(session, take_over=True)
        claim, _ = await store.append(claim, [TurnStarted(100)])
        owner.send_signal(signal.SIGCONT)
        assert "was taken over by another owner" in owner.stdout.readline()
        owner.stdin.close()
        assert owner.wait(60) == 0
        claim, _ = await store.append(claim, [TurnStarted(101)])
        entries = await store.read(session)
        assert turns(entries) == [1, 100, 101]
        assert [entry.epoch for entry in entries] == [1, 2, 2]
        assert await store.size(blob_id(b"of the old owner 1")) == 18
        with pytest.raises(DamagedLog):
            await store.size(blob_id(b"of the old owner 2"))


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
