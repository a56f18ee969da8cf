"""What dead processes left, and what is still of use."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from hames.core.ids import SessionId
from hames.stores.disk import disk_bytes
from hames.stores.leftovers import RUN_KEPT_S, half_written, is_in_use, is_left, remove, runs

SESSION = SessionId("0" * 26)
NOW = 2_000_000_000.0


@pytest.fixture
def run(tmp_path: Path) -> Path:
    made = tmp_path / "run" / SESSION
    made.mkdir(parents=True)
    os.utime(made, (0, NOW - RUN_KEPT_S - 1))
    return made


def test_a_directory_stays_while_its_turn_is_open_and_goes_a_day_after_it_is_over(run: Path) -> None:
    assert [*runs(str(run.parent.parent))] == [str(run)]
    assert not is_left(str(run), NOW, lambda _: "open")
    assert is_left(str(run), NOW, lambda _: "done")
    assert not is_left(str(run), NOW - 2, lambda _: "done")
    assert is_left(str(run), 0, lambda _: None)


def test_the_directory_of_a_process_goes_with_it(tmp_path: Path) -> None:
    child = subprocess.Popen(["sleep", "60"])
    path = tmp_path / "run" / f"{child.pid}-00aa"
    path.mkdir(parents=True)
    (path.parent / "notes").mkdir()
    (path.parent / "file").write_bytes(b"")
    try:
        assert not is_left(str(path), NOW, lambda _: None)
    finally:
        child.kill()
        child.wait()
    assert is_left(str(path), NOW, lambda _: None)
    assert not is_left(str(path.parent / "notes"), NOW, lambda _: None)
    assert [*runs(str(tmp_path))] == [str(path), str(path.parent / "notes")]
    assert [*runs(str(tmp_path / "nowhere"))] == []


def test_a_directory_that_a_process_listens_or_works_in_is_in_use(run: Path) -> None:
    assert not is_in_use(str(run))
    above = os.open(run, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{above}/supervisor")
        os.close(above)
        assert not is_in_use(str(run))
        server.listen()
        assert is_in_use(str(run))
        assert not is_left(str(run), NOW, lambda _: None)
    assert not is_in_use(str(run))
    with subprocess.Popen(["sleep", "60"], cwd=run) as child:
        assert is_in_use(str(run))
        child.kill()
    with (run / "spool").open("w"):
        assert is_in_use(str(run))
    assert not is_in_use(str(run))


def test_what_was_half_written_is_found_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "blobs" / "ab").mkdir(parents=True)
    (tmp_path / "locks").mkdir()
    half = {"log.db.new", "log.db.new-wal", "probe.7", "blobs/new.7.0", "locks/01x.lock.7"}
    for name in (*half, "log.db", "log.db-wal", "log.db.damaged-1", "blobs/ab/ab", "locks/01x.lock"):
        (tmp_path / name).write_bytes(b"")
    assert {os.path.relpath(path, tmp_path) for path in half_written(str(tmp_path))} == half
    (tmp_path / "empty").mkdir()
    assert list(half_written(str(tmp_path / "empty"))) == []


def test_whatever_was_left_can_be_removed(run: Path) -> None:
    (run / "below").mkdir()
    (run / "below" / "file").write_bytes(b"x" * 10_000)
    assert disk_bytes(str(run)) >= 10_000
    (run / "below").chmod(0)
    remove(str(run))
    assert not run.exists()
    remove(str(run))
    (run.parent / "link").symlink_to(run.parent)
    remove(str(run.parent / "link"))
    assert list(run.parent.iterdir()) == []
