"""A process' own directory for large packs."""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hames.stores.leftovers import is_left
from hames.stores.scratch import scratch
from tests.stores.ground import Ground

APPENDER = Path(__file__).with_name("appender.py")


@contextmanager
def another(state: Path) -> Generator[tuple[subprocess.Popen[str], Path]]:
    """A process that has begun a file, and where its directory is. It is killed at the end."""
    command = (sys.executable, str(APPENDER), "scratch", str(state))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, Path(process.stdout.readline().rstrip("\n"))
        finally:
            process.kill()


def test_a_directory_is_private_and_gone_at_the_end_with_all_that_is_in_it(tmp_path: Path) -> None:
    with scratch(str(tmp_path)) as place:
        assert Path(place).parent == tmp_path / "run"
        assert Path(place).name == f"{os.getpid()}-packs"
        assert oct(Path(place).stat().st_mode & 0o777) == "0o700"
        (Path(place) / "pack.1.0").write_bytes(b"half")
        assert not is_left(place, lambda _: False)
    assert list((tmp_path / "run").iterdir()) == []


def test_a_directory_that_is_there_belongs_to_somebody_else(tmp_path: Path) -> None:
    theirs = tmp_path / "run" / f"{os.getpid()}-packs"
    theirs.mkdir(parents=True)
    (theirs / "lock").write_bytes(b"")
    with scratch(str(tmp_path)) as first, scratch(str(tmp_path)) as second:
        assert len({str(theirs), first, second}) == 3
        assert is_left(str(theirs), lambda _: False)
        assert not is_left(second, lambda _: False)
    assert list((tmp_path / "run").iterdir()) == [theirs]


def test_what_cannot_be_removed_is_left_for_later(tmp_path: Path) -> None:
    with scratch(str(tmp_path)) as place:
        (Path(place) / "directory").mkdir()
    assert sorted(os.listdir(place)) == ["directory", "lock"]
    assert is_left(place, lambda _: False)


def test_where_no_directory_can_be_made_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(b"")
    with pytest.raises(OSError, match="run"), scratch(str(tmp_path)):
        pass


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_sweep_takes_the_scratch_of_a_killed_process_and_no_other(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    await ground.fill()
    with another(ground.root) as (living, kept), another(ground.root) as (dead, gone):
        assert (await ground.upkeep.sweep()).leftovers == 0
        dead.kill()
        dead.wait()
        assert (kept / "pack.1.0").exists()
        assert (gone / "pack.1.0").exists()
        # The number of the dead one belongs to somebody else by now.
        gone = gone.rename(gone.with_name(f"{living.pid}-packs1"))
        assert (await ground.upkeep.sweep()).leftovers == 1
        assert (kept / "pack.1.0").exists()
        assert not gone.exists()
        living.communicate("")
        assert living.returncode == 0
        assert not kept.exists()
