"""Room on the disk, and the reserve."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from hames.stores.disk import RESERVE_BYTES, Reserve, disk_bytes

APPENDER = Path(__file__).with_name("appender.py")


def test_a_reserve_takes_real_room_and_gives_it_up(tmp_path: Path) -> None:
    reserve = Reserve(str(tmp_path))
    before = disk_bytes(str(tmp_path))
    assert reserve.make()
    assert disk_bytes(str(tmp_path)) >= before + RESERVE_BYTES
    assert reserve.make()
    reserve.give_up()
    reserve.give_up()
    assert disk_bytes(str(tmp_path)) == before


def test_a_reserve_that_was_cut_is_made_whole(tmp_path: Path) -> None:
    reserve = Reserve(str(tmp_path))
    (tmp_path / "reserve").write_bytes(b"half")
    assert reserve.make()
    assert (tmp_path / "reserve").stat().st_size == RESERVE_BYTES


def test_where_there_is_no_room_there_is_no_reserve(tmp_path: Path) -> None:
    assert not Reserve(str(tmp_path / "nowhere")).make()
    (tmp_path / "reserve").symlink_to("/dev/full")
    assert not Reserve(str(tmp_path)).make()
    assert not os.path.lexists(tmp_path / "reserve")


class _Ends(msgspec.Struct, frozen=True):
    steps: int
    refused: list[str]
    ended: int
    reserve: list[bool]
    read: int


def test_on_a_full_disk_the_ends_of_sessions_are_still_written(tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o size=2m none "$1" && exec "$2" "$3" ends "$1"'
    command = ("unshare", "-Urm", "sh", "-c", script, "sh", str(tmp_path), sys.executable, str(APPENDER))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "Traceback" not in done.stderr and done.returncode != 0:
        pytest.skip(f"no mount namespace here: {done.stderr.strip()}")
    assert done.stderr == ""
    ends = msgspec.json.decode(done.stdout, type=_Ends)
    assert ends.steps > 3
    # Each session is refused its next step, and the first refusal has given up the reserve.
    assert len(ends.refused) == ends.ended == 5
    assert all("no space is left" in words for words in ends.refused)
    assert ends.reserve == [True, False, True]
    assert ends.read == ends.steps * 2 + 5 + 1
