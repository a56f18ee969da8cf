"""Opening the SQLite file, and what its errors are told as."""

import fcntl
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from hames.core.errors import DamagedLog, NewerLog, StoreError
from hames.core.events import TurnStarted
from hames.core.ids import SessionId, blob_id
from hames.stores.blob_files import BlobFiles
from hames.stores.database import SCHEMA, open_database
from hames.stores.presence import be_present
from hames.stores.sqlite import open_sqlite
from hames.testing.clock import VirtualClock

APPENDER = Path(__file__).with_name("appender.py")
ONE = SessionId("01one")


def _fresh(directory: Path) -> Path:
    open_database(str(directory)).close()
    return directory / "log.db"


def test_a_fresh_database_commits_durably_and_marks_its_layout(tmp_path: Path) -> None:
    with closing(open_database(str(tmp_path / "a" / "b"))) as connection:
        names = ("journal_mode", "synchronous", "user_version", "checkpoint_fullfsync", "fullfsync")
        found = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names}
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "user_version": SCHEMA,
        "checkpoint_fullfsync": 1,
        "fullfsync": 1,
    }
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["log.db"]


def test_a_half_made_database_of_a_dead_process_is_made_anew(tmp_path: Path) -> None:
    for name in ("log.db.new", "log.db.new-wal"):
        (tmp_path / name).write_bytes(b"half")
    _fresh(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["log.db"]


def test_a_layout_of_the_future_asks_for_an_upgrade(tmp_path: Path) -> None:
    path = _fresh(tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    with pytest.raises(NewerLog, match="newer hames .*upgrade hames"):
        open_database(str(tmp_path))


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not a log of hames: move it away"):
        open_database(str(tmp_path))
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    path.write_bytes(b"shopping list\n" * 1000)
    with pytest.raises(StoreError, match=r"log\.db is not a log of hames: move it away"):
        open_database(str(tmp_path))
    assert path.read_bytes() == b"shopping list\n" * 1000


@pytest.mark.anyio
async def test_a_torn_database_is_called_damaged(tmp_path: Path) -> None:
    async with await open_sqlite(str(tmp_path), VirtualClock()) as store:
        await store.append(await store.claim(ONE), [TurnStarted(1)])
    _tear(tmp_path / "log.db")
    with pytest.raises(DamagedLog, match=r"log\.db is damaged"):
        async with await open_sqlite(str(tmp_path), VirtualClock()) as store:
            await store.read(ONE)


def _tear(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + bytes(len(whole) - 4096))


def test_a_directory_in_the_place_of_the_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "log.db").mkdir()
    with pytest.raises(StoreError, match=r"cannot write .*log\.db"):
        open_database(str(tmp_path))


def test_a_file_in_the_place_of_the_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StoreError, match="cannot use .*state"):
        open_database(str(tmp_path / "state"))


@pytest.mark.parametrize("made_before", [False, True])
def test_a_directory_that_cannot_be_written_is_named(made_before: bool, tmp_path: Path) -> None:
    if made_before:
        _fresh(tmp_path)
    # A read-only mount, because permissions do not bind root.
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec "$2" "$3" open "$1"'
    command = ("unshare", "-Urm", "sh", "-c", script, "sh", str(tmp_path), sys.executable, str(APPENDER))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "Traceback" not in done.stderr and done.returncode != 0:
        pytest.skip(f"no mount namespace here: {done.stderr.strip()}")
    assert done.stderr == ""
    assert done.stdout.startswith("cannot write ")
    assert f"make {tmp_path} writable" in done.stdout


@pytest.mark.anyio
async def test_a_locked_database_says_how_to_find_who_locks_it(tmp_path: Path) -> None:
    async with await open_sqlite(str(tmp_path), VirtualClock(), busy_s=0.01) as store:
        claim = await store.claim(ONE)
        with closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="locked by another process: find it with `fuser"):
                await store.append(claim, [TurnStarted(1)])
        claim, _ = await store.append(claim, [TurnStarted(1)])
        assert claim.head == 1


def test_processes_that_start_at_once_share_a_fresh_directory(tmp_path: Path) -> None:
    directory = str(tmp_path / "state")
    command = (sys.executable, str(APPENDER), "few", directory)
    started = [subprocess.Popen((*command, f"s{number}"), stderr=subprocess.PIPE) for number in range(4)]
    said = [process.communicate(timeout=60)[1] for process in started]
    assert said == [b""] * 4
    with closing(open_database(directory)) as connection:
        heads = connection.execute("SELECT id, head FROM session ORDER BY id").fetchall()
    assert heads == [(f"s{number}", 60) for number in range(4)]


def test_a_full_disk_is_said_and_the_store_goes_on_when_there_is_room(tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o size=1m none "$1" && exec "$2" "$3" fill "$1"'
    command = ("unshare", "-Urm", "sh", "-c", script, "sh", str(tmp_path), sys.executable, str(APPENDER))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "Traceback" not in done.stderr and done.returncode != 0:
        pytest.skip(f"no mount namespace here: {done.stderr.strip()}")
    _went_on(done, str(tmp_path))


def test_a_limit_on_file_sizes_is_a_full_disk(tmp_path: Path) -> None:
    command = (sys.executable, str(APPENDER), "fill", str(tmp_path), "300000")
    _went_on(subprocess.run(command, capture_output=True, text=True, timeout=60, check=False), str(tmp_path))


class _Met(msgspec.Struct, frozen=True):
    beside: dict[str, bool]
    acknowledged: int
    words: list[str]
    head: int
    read: int
    blob: str


def _went_on(done: subprocess.CompletedProcess[str], directory: str) -> None:
    assert done.stderr == ""
    met = msgspec.json.decode(done.stdout, type=_Met)
    assert met.beside == {"first": True, "big": False, "small": True, "other": True}
    assert met.acknowledged > 3
    assert met.head == met.read == met.acknowledged + 3
    assert met.blob == "after"
    for words in met.words:
        assert directory in words
        assert "no space is left" in words
        assert "Nothing that was acknowledged is lost" in words


def _bring(state: str) -> None:
    BlobFiles(f"{state}/blobs", 0.0).put(blob_id(b"x"), b"x")


LOCKED: list[tuple[str, Callable[[str], object], str]] = [
    ("", lambda state: open_database(state, 0.0), "another process is making .*log.db"),
    ("log.lock", lambda state: be_present(state, 0.0), "is being repaired"),
    ("blobs", _bring, "another process is sweeping"),
]


@pytest.mark.parametrize(("place", "act", "words"), LOCKED)
def test_a_process_that_was_stopped_with_a_lock_is_not_waited_for_for_ever(
    place: str, act: Callable[[str], object], words: str, tmp_path: Path
) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "log.lock").touch()
    file = os.open(tmp_path / place, os.O_RDONLY)
    fcntl.flock(file, fcntl.LOCK_EX)
    with pytest.raises(StoreError, match=words):
        act(str(tmp_path))
    os.close(file)
    act(str(tmp_path))
