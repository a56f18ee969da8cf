import subprocess
from pathlib import Path

import pytest

from tests.torture.disk import Disk
from tests.torture.recorder import Recorder

SCRIPT = """
import os, subprocess, sys
name = sys.argv[1] + "/name"
with open(name, "wb", buffering=0) as file:
    file.write(b"one")
    os.fsync(file.fileno())
    os.pwrite(file.fileno(), b"two", 3)
os.link(name, name + "s")
os.rename(name, name + "d")
file = os.open(sys.argv[1], os.O_RDONLY)
os.fsync(file)
print("promised", flush=True)
if sys.argv[2:]:
    subprocess.run([sys.executable, "-I", "-S", "-c", sys.argv[2], sys.argv[1] + "/below"], env={})
"""
NAMED = {"named": b"one", "names": b"one"}
CHILD = "import os, sys; os.mkdir(sys.argv[1])"


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    (tmp_path / "state").mkdir()
    return Recorder(tmp_path / "recorder", tmp_path / "state", tmp_path)


def run(recorder: Recorder, *words: str) -> None:
    command = [str(recorder.python), "-c", SCRIPT, str(recorder.watched), *words]
    subprocess.run(command, check=True, env={"PATH": "/usr/bin:/bin"}, stdout=subprocess.PIPE)


def test_writes_syncs_renames_and_promises_are_recorded_in_their_order(recorder: Recorder) -> None:
    run(recorder)
    seen = [(done.kind, Path(done.path).name, done.offset, done.more) for done in recorder.operations()]
    assert seen == [
        ("O", "name", 1, b""),
        ("W", "name", 0, b"one"),
        ("S", "name", 0, b""),
        ("W", "name", 3, b"two"),
        ("L", "name", 0, bytes(recorder.watched / "names")),
        ("R", "name", 0, bytes(recorder.watched / "named")),
        ("S", "state", 0, b""),
        ("A", "", 0, b"promised\n"),
    ]


def test_a_process_that_is_started_with_an_empty_environment_is_recorded_too(recorder: Recorder) -> None:
    run(recorder, CHILD)
    assert [done.kind for done in recorder.operations()][-1] == "D"
    assert (recorder.watched / "below").is_dir()


def test_a_record_played_on_a_disk_loses_what_was_not_synced(recorder: Recorder, tmp_path: Path) -> None:
    run(recorder)
    disk = Disk(recorder.watched)
    for operation in recorder.operations():
        disk.do(operation)
    disk.lose_power(tmp_path / "after", None)
    assert {path.name: path.read_bytes() for path in (tmp_path / "after").iterdir()} == NAMED


def test_a_record_that_ends_in_the_middle_is_read_up_to_there(recorder: Recorder) -> None:
    run(recorder)
    whole = list(recorder.operations())
    recorder.record.write_bytes(recorder.record.read_bytes()[:-1])
    assert list(recorder.operations()) == whole[:-1]
