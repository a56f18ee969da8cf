"""The SQLite store."""

import sqlite3
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import msgspec
import pytest

from hames.core.errors import DamagedLog, Fenced, NewerLog, StoreError
from hames.core.events import AnyEvent, CallFinished, Entry, OutputFact, TurnStarted
from hames.core.ids import BlobId, CallId, SessionId, blob_id
from hames.core.limits import INLINE_BYTES
from hames.stores import rows
from hames.stores.sqlite import SqliteStore, open_sqlite
from hames.testing import past_suite, sharing_suite
from hames.testing.clock import VirtualClock
from hames.testing.store_suite import BIG, CHECKS, Bench, FullStore

pytestmark = pytest.mark.anyio

ALL = (*CHECKS, *sharing_suite.CHECKS, *past_suite.CHECKS)

ONE = SessionId("01one")
TWO = SessionId("01two")


async def _open(tmp_path: Path) -> SqliteStore:
    return await open_sqlite(str(tmp_path / "state"), VirtualClock())


@pytest.mark.parametrize("number", range(len(ALL)), ids=[check.__name__ for check in ALL])
async def test_a_sqlite_store_passes_the_suite(number: int, tmp_path: Path) -> None:
    clock = VirtualClock()

    @asynccontextmanager
    async def opened() -> AsyncGenerator[FullStore]:
        async with await open_sqlite(str(tmp_path / "state"), clock) as store:
            yield store

    await ALL[number](Bench(opened, clock, tmp_path))


async def _two_sessions(tmp_path: Path, blobs: Sequence[bytes] = ()) -> tuple[Entry, ...]:
    events: list[AnyEvent] = [TurnStarted(turn) for turn in range(1, 6)]
    async with await _open(tmp_path) as store:
        await store.append(await store.claim(ONE), events, blobs)
        _, entries = await store.append(await store.claim(TWO), events)
    return entries


def _change(tmp_path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(tmp_path / "state" / "log.db", isolation_level=None)) as connection:
        assert connection.execute(statement, values).rowcount == 1


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        (
            "UPDATE event SET data = replace(data, 'turn', 'burn') WHERE session = '01one' AND seq = 3",
            "entry 3 ",
        ),
        ("UPDATE event SET at_ms = at_ms + 1 WHERE session = '01one' AND seq = 2", "entry 2 "),
        ("UPDATE event SET hash = '' WHERE session = '01one' AND seq = 1", "entry 1 "),
        ("UPDATE event SET seq = 'three' WHERE session = '01one' AND seq = 3", "entry 3 is missing"),
        ("DELETE FROM event WHERE session = '01one' AND seq = 4", "entry 4 is missing"),
        ("DELETE FROM event WHERE session = '01one' AND seq = 5", "entry 5 is missing"),
    ],
)
async def test_a_damaged_session_is_named_and_spares_the_others(
    statement: str, what: str, tmp_path: Path
) -> None:
    entries = await _two_sessions(tmp_path)
    _change(tmp_path, statement)
    async with await _open(tmp_path) as store:
        with pytest.raises(DamagedLog, match=f"session {ONE} is damaged: {what}"):
            await store.read(ONE)
        assert tuple(await store.read(TWO)) == entries


async def test_a_row_that_is_in_the_way_is_damage_of_its_own_session(tmp_path: Path) -> None:
    await _two_sessions(tmp_path)
    _change(tmp_path, "UPDATE event SET seq = 6 WHERE session = '01one' AND seq = 5")
    async with await _open(tmp_path) as store:
        with pytest.raises(DamagedLog):
            await store.append(await store.claim(ONE), [TurnStarted(6)])
        await store.append(await store.claim(TWO), [TurnStarted(6)])


@pytest.mark.parametrize("ignorable", [0, 1])
async def test_a_type_of_the_future_is_skipped_if_it_may_be(ignorable: int, tmp_path: Path) -> None:
    entries = await _two_sessions(tmp_path)
    future = rows.Row(TWO, 6, 1, 5, "TeaServed", 3, ignorable, b'{"type":"TeaServed"}', "")
    tip = rows.link(entries[-1].hash, future)
    _change(
        tmp_path,
        "INSERT INTO event VALUES (?, 6, 1, 5, 'TeaServed', 3, ?, ?, ?)",
        TWO,
        ignorable,
        future.data,
        tip,
    )
    _change(tmp_path, "UPDATE session SET head = 6, head_hash = ? WHERE id = ?", tip, TWO)
    async with await _open(tmp_path) as store:
        if ignorable:
            found = await store.read(TWO)
            assert tuple(found[:5]) == entries
            assert found[5] == Entry(TWO, 6, 1, 5, None, tip)
        else:
            with pytest.raises(NewerLog, match="entry 6 of session 01two"):
                await store.read(TWO)


def _file(tmp_path: Path, blob: BlobId) -> Path:
    return tmp_path / "state" / "blobs" / blob[:2] / blob


async def test_only_what_is_over_the_limit_becomes_a_file(tmp_path: Path) -> None:
    edge, over = bytes(INLINE_BYTES), bytes(INLINE_BYTES + 1)
    await _two_sessions(tmp_path, (edge, over))
    assert _file(tmp_path, blob_id(over)).read_bytes() == over
    assert not _file(tmp_path, blob_id(edge)).exists()
    assert [path for path in (tmp_path / "state" / "blobs").iterdir() if path.is_file()] == []


async def test_the_state_is_for_its_owner_alone(tmp_path: Path) -> None:
    async with await _open(tmp_path) as store:
        await store.append(await store.claim(ONE), [TurnStarted(1)], (BIG,))
        kept = tmp_path / "kept"
        kept.write_bytes(BIG + b"kept")
        kept.chmod(0o666)
        await store.keep_file(str(kept))
        made = [tmp_path / "state", *(tmp_path / "state").rglob("*")]
        assert len(made) > 8
        assert {path: oct(path.stat().st_mode & 0o777) for path in made} == {
            path: "0o700" if path.is_dir() else "0o600" for path in made
        }


async def test_a_blob_file_that_is_short_or_changed_or_gone_is_damage(tmp_path: Path) -> None:
    await _two_sessions(tmp_path, (BIG,))
    blob = blob_id(BIG)
    file = _file(tmp_path, blob)
    async with await _open(tmp_path) as store:
        file.write_bytes(b"!" + BIG[1:])
        with pytest.raises(DamagedLog, match=blob):
            await store.get(blob)
        file.write_bytes(BIG[:-1])
        with pytest.raises(DamagedLog, match=blob):
            await store.get(blob, len(BIG) - 5)
        with pytest.raises(DamagedLog, match=f"{len(BIG) - 1} of {len(BIG)} bytes"):
            await store.size(blob)
        file.unlink()
        for asked in (store.get, store.size):
            with pytest.raises(DamagedLog, match=f"{blob} is missing"):
                await asked(blob)


async def test_a_blob_row_that_was_changed_is_damage(tmp_path: Path) -> None:
    await _two_sessions(tmp_path, (b"small",))
    _change(tmp_path, "UPDATE blob SET data = 'smell' WHERE sha256 = ?", blob_id(b"small"))
    async with await _open(tmp_path) as store:
        with pytest.raises(DamagedLog, match=blob_id(b"small")):
            await store.get(blob_id(b"small"))


async def test_a_blob_file_lost_before_is_written_again(tmp_path: Path) -> None:
    await _two_sessions(tmp_path, (BIG,))
    _file(tmp_path, blob_id(BIG)).write_bytes(b"torn")
    async with await _open(tmp_path) as store:
        await store.append(await store.claim(ONE), [TurnStarted(6)], (BIG,))
        assert await store.get(blob_id(BIG)) == BIG


async def test_a_kept_file_outlives_the_append_that_was_refused(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_bytes(b"output")
    async with await _open(tmp_path) as store:
        old = await store.claim(ONE)
        claim = await store.claim(ONE)
        blob = await store.keep_file(str(kept))
        with pytest.raises(Fenced):
            await store.append(old, [TurnStarted(1)])
        assert await store.get(blob) == b"output"
        await store.append(claim, [TurnStarted(1)])
    async with await _open(tmp_path) as store:
        assert await store.get(blob) == b"output"


async def test_the_size_of_a_session_counts_its_blobs_and_the_files_it_kept(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_bytes(BIG + b"kept")
    async with await _open(tmp_path) as store:
        claim = await store.claim(ONE)
        blob = await store.keep_file(str(kept))
        event = CallFinished(CallId("1.0"), "ok", (), output=OutputFact(blob, 1, 1))
        claim, _ = await store.append(claim, [event], (BIG, b"small"))
        (row,) = await store.sessions()
        assert row.bytes == len(BIG) * 2 + len("keptsmall") + len(msgspec.json.encode(event))
        await store.append(claim, [], (BIG,))
        assert (await store.sessions())[0].bytes == row.bytes


async def test_a_directory_or_a_link_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    async with await _open(tmp_path) as store:
        for name in ("link", "state"):
            with pytest.raises(StoreError, match=name):
                await store.keep_file(str(tmp_path / name))
    assert (tmp_path / "secret").read_bytes() == b"secret"


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = await _open(tmp_path)
    claim = await store.claim(ONE)
    await store.close()
    await store.close()
    for asked in (store.append(claim, [TurnStarted(1)]), store.claim(TWO), store.read(ONE), store.sessions()):
        with pytest.raises(StoreError, match="closed"):
            await asked
