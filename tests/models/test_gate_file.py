"""One file that all gates with a key share."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path
from struct import pack

import pytest

from hames.models.gate_file import GateFile, Hold
from hames.models.gate_state import OPEN, GateState, decode, encode

USER = Path(__file__).with_name("gate_user.py")
SHUT = GateState(1, 5, 2_000, 1_000, why="busy")


def shut(_: GateState) -> GateState:
    return SHUT


def open_again(_: GateState) -> GateState:
    return OPEN


def same(state: GateState) -> GateState:
    return state


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gates" / "one"


def test_what_one_writes_all_read_and_nothing_is_there_before(path: Path) -> None:
    one, other = GateFile(str(path)), GateFile(str(path))
    assert one.read() == other.read() == OPEN
    assert not path.parent.exists()
    assert one.change(shut) == SHUT
    assert one.read() == other.read() == SHUT
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert other.change(same) == SHUT
    other.change(open_again)
    assert one.read() == OPEN
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    "content", [b"\0" * 300, b"{}", encode(SHUT)[:-9], encode(SHUT)[1:], b"00000000 {}\n", b"x" * 10_000]
)
def test_a_torn_or_foreign_file_counts_as_open_and_is_replaced(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    file = GateFile(str(path))
    assert file.read() == OPEN
    assert path.read_bytes() == b""
    path.write_bytes(content)
    assert file.change(shut) == SHUT
    assert decode(path.read_bytes()) == SHUT
    assert GateFile(str(path)).read() == SHUT


def test_a_place_is_held_once_until_it_is_closed(path: Path) -> None:
    one, other = GateFile(str(path)), GateFile(str(path))
    first, second, third = one.hold(5, 3), other.hold(5, 3, 1), one.hold(5, 3, 1)
    assert first is not None
    assert second is not None
    assert third is not None
    assert other.hold(5, 3, 2) is None
    apart = other.hold(8, 1)
    assert apart is not None
    second.close()
    second.close()
    again = one.hold(5, 3)
    assert again is not None
    assert other.hold(5, 3) is None
    for hold in (first, third, again, apart):
        hold.close()
    assert _open_files(path) == 0


@pytest.mark.parametrize("shared", [True, False])
def test_a_place_is_held_alone_only_if_all_beside_it_are_free(path: Path, *, shared: bool) -> None:
    file = GateFile(str(path), shared=shared)
    behind = file.hold(4, 1)
    assert behind is not None
    assert file.hold_alone(0, 5) is None
    first = file.hold_alone(0, 4)
    assert first is not None
    assert file.hold_alone(0, 4) is None
    # Those beside it stay free for others.
    beside = [file.hold(0, 4), file.hold(0, 4), file.hold(0, 4)]
    assert None not in beside
    assert file.hold(0, 4) is None
    for hold in (behind, first, *beside):
        assert hold is not None
        hold.close()
    alone = file.hold_alone(0, 5)
    assert alone is not None
    alone.close()


def test_the_state_can_be_changed_while_places_are_held(path: Path) -> None:
    one, other = GateFile(str(path)), GateFile(str(path))
    held = one.hold(0, 1)
    assert held is not None
    assert other.change(shut) == SHUT
    assert one.change(open_again) == OPEN
    assert other.hold(0, 1) is None
    held.close()


def test_a_place_can_be_taken_while_the_state_is_changed(path: Path) -> None:
    one, other = GateFile(str(path)), GateFile(str(path))
    taken: list[Hold | None] = []

    def take(state: GateState) -> GateState:
        taken.append(one.hold(0, 1))
        return state

    one.change(take)
    assert other.hold(0, 1) is None
    assert taken[0] is not None
    taken[0].close()


def test_whoever_was_stopped_while_it_changed_the_state_is_not_waited_for(path: Path) -> None:
    file = GateFile(str(path))
    file.change(shut)
    with path.open("r+b") as stopped:
        # The byte that guards changes.
        fcntl.fcntl(stopped, fcntl.F_OFD_SETLK, pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, 1 << 20, 1, 0))
        assert file.change(open_again) == OPEN
    assert GateFile(str(path)).read() == OPEN


def test_a_process_that_is_killed_leaves_a_state_that_can_be_read(path: Path) -> None:
    command = [sys.executable, str(USER), "churn", str(path)]
    seen: set[int] = set()
    for _ in range(8):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n"
            # It is in the midst of it: what is read here was written meanwhile.
            while len(seen) < 4:
                seen.add(GateFile(str(path)).read().until_ms)
            process.kill()
        assert process.returncode == -signal.SIGKILL
        state = decode(path.read_bytes())
        assert state is not None
        assert state.strikes <= 2
        hold = GateFile(str(path)).hold(0, 1)
        assert hold is not None
        hold.close()
        seen.clear()


@pytest.mark.parametrize("place", ["file/gate", "nowhere/gates/gate", "directory", "link"])
def test_where_no_file_can_be_the_state_and_the_places_are_its_own(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "file")
    file = GateFile(str(tmp_path / place))
    assert file.read() == OPEN
    assert file.change(shut) == file.read() == SHUT
    assert file.change(open_again) == file.read() == OPEN
    _holds_here(file)
    assert (tmp_path / "file").read_bytes() == b""


def test_what_could_not_be_written_is_kept_until_it_can_be(tmp_path: Path) -> None:
    (tmp_path / "gates").write_bytes(b"")
    path = tmp_path / "gates" / "one"
    file = GateFile(str(path))
    file.change(shut)
    (tmp_path / "gates").unlink()
    assert file.read() == SHUT
    assert GateFile(str(path)).read() == OPEN
    file.change(same)
    assert GateFile(str(path)).read() == SHUT
    GateFile(str(path)).change(open_again)
    assert file.read() == OPEN


def test_a_full_disk_stops_nobody() -> None:
    file = GateFile("/dev/full")
    assert file.change(shut) == file.read() == SHUT
    assert file.change(open_again) == file.read() == OPEN


def test_a_file_that_cannot_be_read_counts_as_open() -> None:
    # Its start belongs to no memory of this process.
    file = GateFile("/proc/self/mem")
    assert file.change(same) == OPEN
    assert file.change(shut) == file.read() == SHUT


def test_a_system_without_such_locks_shares_the_state_and_counts_places_for_itself(path: Path) -> None:
    one, other = GateFile(str(path), shared=False), GateFile(str(path), shared=False)
    one.change(shut)
    assert other.read() == SHUT
    _holds_here(one)


def test_places_that_the_system_will_not_lock_are_counted_here(path: Path) -> None:
    file, before_the_start = GateFile(str(path)), -(1 << 30)
    held = file.hold(before_the_start, 1)
    assert held is not None
    assert file.hold(before_the_start, 1) is None
    assert _open_files(path) == 0
    held.close()


def _holds_here(file: GateFile) -> None:
    held = [file.hold(3, 2), file.hold(3, 2)]
    assert file.hold(3, 2) is None
    assert None not in held
    for hold in held:
        assert hold is not None
        hold.close()
    again = file.hold(3, 2, 1)
    assert again is not None
    again.close()


def _open_files(path: Path) -> int:
    return sum(1 for link in Path("/proc/self/fd").iterdir() if link.is_symlink() and _leads_to(link, path))


def _leads_to(link: Path, path: Path) -> bool:
    try:
        return os.readlink(link) == str(path)
    except FileNotFoundError:
        return False
