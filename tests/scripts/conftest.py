"""A repository of a test's own, with our scripts in it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Repository:
    """A directory with a copy of `scripts/`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(ROOT / "scripts", root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        self.write("scripts/shape_waivers.toml", "")

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def run(self, script: str, *arguments: str) -> tuple[int, str]:
        """The exit status and the output of a script."""
        argv = [sys.executable, f"scripts/{script}", *arguments]
        done = subprocess.run(argv, cwd=self.root, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        return done.returncode, done.stdout


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)
