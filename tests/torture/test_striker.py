import subprocess
import sys
from pathlib import Path
from signal import SIGKILL

import pytest

from tests.torture.striker import Strike, Striker

CHANGES = """
import os, sys
place = os.open(sys.argv[1], os.O_RDONLY)
os.mkdir("made", dir_fd=place)
file = os.open("file", os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=place)
os.pwrite(file, b"one", 0)
os.fsync(file)
os.link("file", "other", src_dir_fd=place, dst_dir_fd=place)
os.rename("other", "moved", src_dir_fd=place, dst_dir_fd=place)
os.unlink("moved", dir_fd=place)
"""
OPENS = """
import sys
for name in "abc":
    with open(f"{sys.argv[1]}/{name}") as file:
        print(file.read(), end="", flush=True)
"""
STARTS = """
import subprocess, sys
subprocess.run([sys.executable, "-c", "import os, sys; os.mkdir(sys.argv[1])", f"{sys.argv[1]}/by-child"])
"""


class Struck:
    """A process that was to be struck, and what is left of its work."""

    def __init__(self, root: Path, strike: Strike, script: str) -> None:
        self.code, self.said = 0, b""
        ran = subprocess.run(
            [sys.executable, "-c", script, str(strike.directory)],
            check=False,
            env={"PATH": "/usr/bin:/bin", **Striker(root).armed(strike)},
            stdout=subprocess.PIPE,
        )
        self.code, self.said = ran.returncode, ran.stdout
        self.left = sorted(path.name for path in strike.directory.iterdir())


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    (tmp_path / "watched").mkdir()
    return tmp_path / "watched"


@pytest.mark.parametrize(
    ("number", "left"),
    [
        (1, []),
        (2, ["made"]),
        (3, ["file", "made"]),
        (5, ["file", "made"]),
        (6, ["file", "made", "other"]),
        (7, ["file", "made", "moved"]),
    ],
)
def test_a_process_is_killed_right_before_a_change_of_the_disk(
    tmp_path: Path, watched: Path, number: int, left: list[str]
) -> None:
    struck = Struck(tmp_path, Strike("changes", number, watched), CHANGES)
    assert (struck.code, struck.left) == (-SIGKILL, left)
    if left:
        assert number == 2 or (watched / "file").stat().st_size == (3 if number > 3 else 0)


def test_a_process_that_does_less_comes_to_its_end(tmp_path: Path, watched: Path) -> None:
    assert Struck(tmp_path, Strike("changes", 8, watched), CHANGES).code == 0


def test_what_is_done_elsewhere_is_not_counted(tmp_path: Path, watched: Path) -> None:
    (watched / "below").mkdir()
    (tmp_path / "watched-too").mkdir()
    script = CHANGES.replace("sys.argv[1]", repr(str(tmp_path / "watched-too")))
    assert Struck(tmp_path, Strike("changes", 1, watched), script).code == 0


def test_a_process_is_killed_right_before_it_opens_something(tmp_path: Path, watched: Path) -> None:
    for name in "abc":
        (watched / name).write_text(name)
    struck = Struck(tmp_path, Strike("opens", 3, watched), OPENS)
    assert (struck.code, struck.said) == (-SIGKILL, b"ab")


def test_what_a_struck_process_starts_is_left_alone(tmp_path: Path, watched: Path) -> None:
    struck = Struck(tmp_path, Strike("changes", 1, watched), STARTS)
    assert (struck.code, struck.left) == (0, ["by-child"])
