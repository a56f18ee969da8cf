"""Check, repair, delete and sweep, on real stores with real damage."""

import fcntl
import os
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from hames.core.errors import DamagedLog, SessionBusy, SessionMissing, StoreError
from hames.core.events import (
    AnyEvent,
    CallFinished,
    CallLost,
    CallStarted,
    CommandFact,
    JobFinished,
    JobStarted,
    Repaired,
    TurnStarted,
    UserSpoke,
)
from hames.core.ids import BlobId, CallId, JobId, SessionId, blob_id
from hames.core.messages import Text
from hames.core.ports import Damage
from hames.sandboxes.runtime import remove_tree
from hames.stores.upkeep import SqliteUpkeep
from hames.testing.store_suite import BIG
from tests.stores.ground import ONE, SHARED, SMALL, TWO, Ground, Pace, names

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def ground(tmp_path: Path) -> Ground:
    made = Ground(tmp_path)
    await made.fill()
    return made


def said(damages: Sequence[Damage]) -> list[tuple[int, str]]:
    assert {damage.session for damage in damages} <= {ONE}
    return [(damage.seq, damage.what) for damage in damages]


async def test_nothing_is_wrong_with_a_whole_store(ground: Ground) -> None:
    for session, count in ((None, 2), (TWO, 1)):
        checked = await ground.upkeep.check(session)
        assert (checked.sessions, checked.damages, checked.known, checked.notes) == (count, (), (), ())
    assert (await ground.upkeep.repair()).damages == ()
    assert len(await ground.events(ONE)) == 7


DAMAGES: list[tuple[str, list[tuple[int, str]]]] = [
    (
        "UPDATE event SET data = replace(data, 'do', 'go') WHERE session = '01one' AND seq = 2",
        [(2, "entry 2 does not match its hash")],
    ),
    (
        "UPDATE event SET hash = '' WHERE session = '01one' AND seq = 2",
        [(2, "entry 2 is whole, but its hash was damaged")],
    ),
    ("DELETE FROM event WHERE session = '01one' AND seq = 7", [(7, "entry 7 is missing")]),
    (
        "UPDATE event SET data = x'7b22ff' WHERE session = '01one' AND seq = 3",
        [(3, "entry 3 cannot be read")],
    ),
    (
        "UPDATE event SET type = x'ff' WHERE session = '01one' AND seq = 3",
        [(3, "entry 3 cannot be read")],
    ),
    (
        "UPDATE event SET seq = 'three' WHERE session = '01one' AND seq = 3",
        [
            (0, "has 1 rows that belong to no place in it"),
            (3, "entry 3 is missing"),
            (4, "entry 4 cannot be checked: what stands before it is damaged"),
        ],
    ),
    ("UPDATE session SET head = 6 WHERE id = '01one'", [(0, "has 7 entries, not 6 as listed")]),
    (
        "UPDATE session SET head_hash = '' WHERE id = '01one'",
        [(0, "does not end with the hash that is listed")],
    ),
    ("DELETE FROM session WHERE id = '01one'", [(0, "is missing in the list of sessions")]),
    (
        f"DELETE FROM blob WHERE sha256 = '{blob_id(SMALL)}'",
        [(4, f"blob {blob_id(SMALL)} is missing")],
    ),
    (
        f"UPDATE blob SET data = x'00' WHERE sha256 = '{blob_id(SMALL)}'",
        [(4, f"blob {blob_id(SMALL)} does not match its address")],
    ),
    (
        f"UPDATE blob SET size = 3 WHERE sha256 = '{blob_id(BIG)}'",
        [(5, f"blob {blob_id(BIG)} is listed with 3 bytes and has {len(BIG)}")],
    ),
]


@pytest.mark.parametrize(("statement", "what"), DAMAGES, ids=[what[0][1][:40] for _, what in DAMAGES])
async def test_damage_is_named_repaired_and_then_known(
    statement: str, what: list[tuple[int, str]], ground: Ground
) -> None:
    before = await ground.events(TWO)
    ground.change(statement)
    for asked in (None, ONE):
        checked = await ground.upkeep.check(asked)
        assert said(checked.damages) == what
        assert checked.known == ()
    mended = await ground.upkeep.repair(ONE)
    assert said(mended.damages) == what
    assert mended.set_aside == ""
    again = await ground.upkeep.check()
    assert again.damages == ()
    assert sorted(said(again.known)) == sorted(what)
    events = await ground.events(ONE)
    kept = [event for event in events if not isinstance(event, Repaired)]
    assert len(kept) >= 6
    assert len([event for event in events if isinstance(event, Repaired)]) == len(what)
    assert await ground.events(TWO) == before
    async with await ground.open() as store:
        rows = await store.sessions()
        assert {row.session: row.events for row in rows} == {ONE: len(events), TWO: len(before)}
        claim, _ = await store.append(await store.claim(ONE), [TurnStarted(2)])
        assert claim.head == len(events) + 1


async def test_a_session_that_was_not_listed_is_listed_as_it_was(ground: Ground) -> None:
    async with await ground.open() as store:
        before = {row.session: row for row in await store.sessions()}[ONE]
    ground.change("DELETE FROM session WHERE id = '01one'")
    await ground.upkeep.repair()
    async with await ground.open() as store:
        after = {row.session: row for row in await store.sessions()}[ONE]
    assert (after.title, after.workspace, after.ending) == (before.title, before.workspace, before.ending)
    assert after.opened_ms == before.opened_ms


@pytest.mark.parametrize("spoil", ["gone", "changed", "short"])
async def test_a_blob_file_that_is_gone_or_wrong_is_named_and_what_is_there_is_kept(
    spoil: str, ground: Ground
) -> None:
    file = ground.file(blob_id(BIG))
    wrong = {"changed": b"!" + BIG[1:], "short": BIG[:-1]}.get(spoil)
    file.unlink()
    if wrong is not None:
        file.write_bytes(wrong)
    (damage,) = (await ground.upkeep.check()).damages
    assert (damage.session, damage.seq) == (ONE, 5)
    assert damage.what.startswith(f"blob {blob_id(BIG)} ")
    await ground.upkeep.repair(ONE)
    assert (await ground.upkeep.check()).damages == ()
    told = (await ground.events(ONE))[-1]
    kept = None if wrong is None else blob_id(wrong)
    assert told == Repaired(5, 5, damage.what, kept=kept, blobs=(blob_id(BIG),))
    async with await ground.open() as store:
        with pytest.raises(DamagedLog, match="is missing"):
            await store.get(blob_id(BIG))
        if wrong is not None and kept is not None:
            assert await store.get(kept) == wrong


async def test_a_blob_that_cannot_be_read_at_all_is_damage(ground: Ground) -> None:
    file = ground.file(blob_id(BIG))
    file.unlink()
    file.mkdir()
    (damage,) = (await ground.upkeep.check(ONE)).damages
    assert "cannot be read: Is a directory" in damage.what


async def test_what_a_damaged_entry_held_is_kept(ground: Ground) -> None:
    ground.change("UPDATE event SET data = replace(data, 'do', 'go') WHERE session = '01one' AND seq = 2")
    await ground.upkeep.repair()
    event = (await ground.events(ONE))[1]
    assert isinstance(event, Repaired)
    assert event.kept is not None
    async with await ground.open() as store:
        assert b'"go it"' in await store.get(event.kept)


async def test_reading_a_damaged_session_names_the_command_that_repairs_it(ground: Ground) -> None:
    ground.change("DELETE FROM event WHERE session = '01one' AND seq = 3")
    async with await ground.open() as store:
        with pytest.raises(DamagedLog, match=f"`hames sessions repair {ONE}`"):
            await store.read(ONE)


async def test_a_session_in_use_is_checked_but_not_repaired_or_deleted(ground: Ground) -> None:
    ground.change("UPDATE event SET at_ms = 7 WHERE session = '01one' AND seq = 3")
    async with await ground.open() as store:
        await store.claim(ONE)
        await store.claim(TWO)
        assert len((await ground.upkeep.check()).damages) == 1
        with pytest.raises(SessionBusy):
            await ground.upkeep.repair()
        with pytest.raises(SessionBusy):
            await ground.upkeep.delete(TWO)
    assert len(await ground.events(TWO)) == 6


async def test_a_session_that_is_not_there_is_missing(ground: Ground) -> None:
    for asked in (ground.upkeep.check, ground.upkeep.repair, ground.upkeep.delete):
        with pytest.raises(SessionMissing, match="no session 01none"):
            await asked(SessionId("01none"))


async def test_maintenance_that_meets_maintenance_waits_and_then_says_so(ground: Ground) -> None:
    file = os.open(ground.root / "locks", os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="other maintenance runs"):
            await ground.upkeep.sweep()
    finally:
        os.close(file)
    await ground.upkeep.sweep()


# The file itself


def tear(path: Path, first: int, last: int) -> None:
    """Overwrite pages `first` to `last` (from 1) of a database."""
    with path.open("r+b") as file:
        file.seek((first - 1) * 4096)
        file.write(b"\xa5" * 4096 * (last - first + 1))


def page_of(path: Path, wanted: bytes) -> int:
    return path.read_bytes().rindex(wanted) // 4096 + 1


async def test_a_torn_database_is_salvaged_row_by_row_and_the_old_file_is_kept(ground: Ground) -> None:
    async with await ground.open() as store:
        claim = await store.claim(SessionId("01long"))
        for turn in range(1, 400):
            claim, _ = await store.append(claim, [UserSpoke((Text(f"word {turn} " + "x" * 200),))])
    path = ground.root / "log.db"
    tear(path, page_of(path, b"word 200 "), page_of(path, b"word 200 "))
    torn = path.read_bytes()
    checked = await ground.upkeep.check()
    assert [damage.session for damage in checked.damages] == [None]
    assert "`hames sessions repair`" in checked.damages[0].what
    mended = await ground.upkeep.repair()
    assert Path(mended.set_aside) == ground.root / "log.db.damaged-20250615T150640Z"
    assert Path(mended.set_aside).read_bytes() == torn
    assert {damage.session for damage in mended.damages} == {"01long"}
    assert (await ground.upkeep.check()).damages == ()
    assert len(await ground.events(ONE)) == 7
    events = await ground.events(SessionId("01long"))
    kept = [event for event in events if isinstance(event, UserSpoke)]
    assert len(kept) > 380


async def test_every_page_of_the_database_may_be_torn(ground: Ground) -> None:
    path = ground.root / "log.db"
    whole = path.read_bytes()
    for page in range(2, len(whole) // 4096 + 1):
        path.write_bytes(whole)
        tear(path, page, page)
        await ground.upkeep.repair()
        assert (await ground.upkeep.check()).damages == ()
        async with await ground.open() as store:
            for row in await store.sessions():
                await store.read(row.session)
                await store.append(await store.claim(row.session), [TurnStarted(2)])


async def test_a_salvage_that_was_stopped_half_way_is_gone_on_with(ground: Ground) -> None:
    (ground.root / "log.db").rename(ground.root / "log.db.salvaged")
    (ground.root / "log.db").write_bytes(b"the damaged one")
    with pytest.raises(DamagedLog, match="a repair of .* was interrupted: run `hames sessions repair`"):
        await ground.open()
    assert len((await ground.upkeep.check()).damages) == 1
    mended = await ground.upkeep.repair()
    assert Path(mended.set_aside).read_bytes() == b"the damaged one"
    assert len(await ground.events(ONE)) == 7


async def test_a_database_in_use_is_not_replaced(ground: Ground) -> None:
    async with await ground.open():
        (ground.root / "log.db.salvaged").write_bytes(b"")
        with pytest.raises(StoreError, match="another process uses the log .* end it first"):
            await ground.upkeep.repair()


# Disk


async def test_a_deleted_session_takes_the_blobs_with_it_that_no_other_names(ground: Ground) -> None:
    told = await ground.upkeep.delete(ONE)
    assert (told.session, told.title, told.events) == (ONE, "do it", 7)
    assert not ground.file(blob_id(BIG)).exists()
    async with await ground.open() as store:
        assert [row.session for row in await store.sessions()] == [TWO]
        with pytest.raises(SessionMissing):
            await store.read(ONE)
        for data in (SMALL, BIG):
            with pytest.raises(DamagedLog):
                await store.get(blob_id(data))
        assert await store.get(blob_id(SHARED)) == SHARED
    assert (await ground.upkeep.check()).damages == ()
    with closing(sqlite3.connect(ground.root / "log.db")) as connection:
        buried = connection.execute("SELECT id, at_ms, events FROM deleted").fetchall()
    assert buried == [(ONE, 1_750_000_000_000, 7)]


async def test_a_session_whose_commands_still_run_is_not_deleted(ground: Ground) -> None:
    run = ground.root / "run" / ONE
    run.mkdir(parents=True)
    with (run / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SessionBusy, match="still running"):
            await ground.upkeep.delete(ONE)
    await ground.upkeep.delete(ONE)
    assert not run.exists()


async def test_a_sweep_takes_what_nothing_names_and_no_more(ground: Ground) -> None:
    stray = ground.file(BlobId("ab" * 32))
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes(b"no row knows it")
    (ground.root / "blobs" / "new.1.0").write_bytes(b"half")
    (ground.root / "locks" / "01x.lock.77").write_bytes(b"")
    (ground.root / "locks" / "01dead.lock").write_bytes(b"")
    assert "1 files in blobs/ are known to no row" in (await ground.upkeep.check()).notes[0]
    async with await ground.open() as store:
        claim = await store.claim(SessionId("01never"))
        await store.append(claim, [], (b"unnamed", BIG + b"unnamed"))
    swept = await ground.upkeep.sweep()
    assert (swept.blobs, swept.leftovers, swept.waiting) == (3, 2, 0)
    assert (await ground.upkeep.check()).damages == ()
    assert ground.count("blob") == 4
    assert ground.count("session") == 2
    assert list((ground.root / "locks").iterdir()) == []
    left = [path for path in (ground.root / "blobs").rglob("*") if path.is_file()]
    assert left == [ground.file(blob_id(BIG))]
    assert (await ground.upkeep.sweep()).blobs == 0


async def test_a_run_directory_is_swept_once_everything_of_its_session_has_an_end(ground: Ground) -> None:
    session = SessionId("0" * 26)
    run = ground.root / "run" / session
    (run / "tmp").mkdir(parents=True)
    call = CallId("1.0")
    command = CommandFact(exit_code=0)
    steps: list[list[AnyEvent]] = [
        [CallStarted(call)],
        [CallFinished(call, "ok", ()), JobStarted(JobId("1.1"), call, "sleep 9")],
        [JobFinished(JobId("1.1"), command, None, ""), CallStarted(CallId("2.0"))],
        [CallLost(CallId("2.0"), (), "")],
    ]
    for events in steps:
        async with await ground.open() as store:
            await store.append(await store.claim(session), events)
            await ground.upkeep.sweep()
            assert run.exists()
        await ground.upkeep.sweep()
        assert run.exists() == (events is not steps[-1])


async def test_a_damaged_session_stops_no_sweep(ground: Ground) -> None:
    session = SessionId("0" * 26)
    async with await ground.open() as store:
        await store.append(await store.claim(session), [CallStarted(CallId("1.0"))])
    ground.change("UPDATE event SET data = x'7b22ff' WHERE session = ?", session)
    (ground.root / "run" / session).mkdir(parents=True)
    await ground.upkeep.sweep()
    assert (await ground.upkeep.check()).damages[0].session == session


async def test_a_tree_too_deep_for_python_that_a_command_left_is_swept_with_its_run(ground: Ground) -> None:
    await ground.fill()
    run = ground.root / "run" / ("0" * 26)
    (run / "tmp").mkdir(parents=True)
    here = os.open(run / "tmp", os.O_RDONLY)
    for _ in range(sys.getrecursionlimit() + 10):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert (await ground.upkeep.sweep()).leftovers == 1
    assert not run.exists()


async def test_a_blob_that_a_running_session_brought_but_has_not_named_yet_stays(ground: Ground) -> None:
    spools = [ground.root / "small-spool", ground.root / "big-spool"]
    contents = [b"kept", BIG + b"kept"]
    async with await ground.open() as store:
        claim = await store.claim(ONE)
        for path, data in zip(spools, contents, strict=True):
            path.write_bytes(data)
            os.utime(path, (0, 0))
            await store.keep_file(str(path))
        claim, _ = await store.append(claim, [TurnStarted(2)])
        assert (await ground.upkeep.sweep()).waiting == 2
        claim, _ = await store.append(claim, names(*contents))
        assert (await ground.upkeep.sweep()).waiting == 0
        for data in contents:
            assert await store.get(blob_id(data)) == data


async def test_sweeps_beside_a_session_at_work_take_nothing_from_it(ground: Ground) -> None:
    pace = Pace()
    upkeep = SqliteUpkeep(str(ground.root), pace, remove_tree)

    async def sweep(done: anyio.Event) -> None:
        await upkeep.sweep()
        done.set()

    async with await ground.open() as store, anyio.create_task_group() as tasks:
        claim = await store.claim(ONE)
        for number in range(24):
            kept, swept = ground.root / f"spool-{number}", anyio.Event()
            big, small = BIG + b"%d" % number, b"small %d" % number
            kept.write_bytes(big)
            os.utime(kept, (0, 0))
            for step in range(3):
                pace.go_on()
                if step == number % 3:
                    tasks.start_soon(sweep, swept)
                    if number % 2:
                        await swept.wait()
                if step == 0:
                    await store.keep_file(str(kept))
                elif step == 1:
                    claim, _ = await store.append(claim, [TurnStarted(number)], (small,))
                else:
                    claim, _ = await store.append(claim, names(big, small))
            pace.rest()
            await swept.wait()
    assert (await ground.upkeep.check()).damages == ()


async def test_a_blob_that_was_garbage_and_is_brought_again_stays(ground: Ground) -> None:
    async with await ground.open() as store:
        await store.append(await store.claim(TWO), [], (b"again", BIG + b"again"))
    for path in (ground.root / "blobs").rglob("*"):
        os.utime(path, (0, 0))
    ground.change("UPDATE blob SET at_ms = 0")
    async with await ground.open() as store:
        claim = await store.claim(ONE)
        claim, _ = await store.append(claim, [], (b"again", BIG + b"again"))
        swept = await ground.upkeep.sweep()
        assert (swept.blobs, swept.waiting) == (0, 2)
        await store.append(claim, names(b"again", BIG + b"again"))
    assert (await ground.upkeep.check()).damages == ()


async def test_a_sweep_gives_the_space_back(ground: Ground) -> None:
    noise = [os.urandom(60_000) for _ in range(60)]
    async with await ground.open() as store:
        claim = await store.claim(SessionId("01noise"))
        await store.append(claim, names(*noise), noise)
    told = await ground.upkeep.delete(SessionId("01noise"))
    assert told.freed_bytes > 3_000_000
    assert (ground.root / "log.db").stat().st_size < 500_000
    assert (await ground.upkeep.check()).damages == ()
