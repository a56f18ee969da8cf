"""What dead processes left, and what is still of use."""

import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from hames.core.ids import SessionId
from hames.stores.leftovers import half_written, is_in_use, is_left, runs

SESSION = SessionId("0" * 26)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    made = tmp_path / "run" / SESSION
    made.mkdir(parents=True)
    return made


def test_a_directory_stays_while_something_of_its_session_has_no_end(run: Path) -> None:
    assert [*runs(str(run.parent.parent))] == [str(run)]
    assert not is_left(str(run), lambda session: session == SESSION)
    assert is_left(str(run), lambda _: False)


def test_a_directory_whose_supervisor_lives_is_in_use(run: Path) -> None:
    (run / "lock").write_bytes(b"")
    assert not is_in_use(str(run))
    with (run / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert is_in_use(str(run))
        assert not is_left(str(run), lambda _: False)
    assert is_left(str(run), lambda _: False)


def test_the_directory_of_a_process_goes_with_it(tmp_path: Path) -> None:
    child = subprocess.Popen(["sleep", "60"])
    path = tmp_path / "run" / f"{child.pid}-00aa"
    path.mkdir(parents=True)
    (path.parent / "notes").mkdir()
    (path.parent / "file").write_bytes(b"")
    try:
        assert not is_left(str(path), lambda _: False)
    finally:
        child.kill()
        child.wait()
    assert is_left(str(path), lambda _: True)
    assert not is_left(str(path.parent / "notes"), lambda _: False)
    assert [*runs(str(tmp_path))] == [str(path), str(path.parent / "notes")]
    assert [*runs(str(tmp_path / "nowhere"))] == []


def test_what_was_half_written_is_found_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "blobs" / "ab").mkdir(parents=True)
    (tmp_path / "locks").mkdir()
    half = {"log.db.new", "log.db.new-wal", "probe.7", "blobs/new.7.0", "locks/01x.lock.7"}
    for name in (
        *half,
        "log.db",
        "log.db-wal",
        "log.db.damaged-1",
        "blobs/ab/ab",
        "locks/01x.lock",
        "locks/a.lock.b.lock",
    ):
        (tmp_path / name).write_bytes(b"")
    assert {os.path.relpath(path, tmp_path) for path in half_written(str(tmp_path))} == half
    (tmp_path / "empty").mkdir()
    assert list(half_written(str(tmp_path / "empty"))) == []
