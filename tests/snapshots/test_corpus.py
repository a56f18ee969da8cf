"""Whatever was done to a repository, it comes back; and what the user did after it stays."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from hames.snapshots.compare import diff
from tests.snapshots.desk import Desk, Seen, differing, picture
from tests.snapshots.scripts import PREPARE, SCRIPTS

ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "HOME": "/nonexistent",
    "LC_ALL": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_EDITOR": "true",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "protocol.file.allow",
    "GIT_CONFIG_VALUE_0": "always",
    "FILTER_BRANCH_SQUELCH_WARNING": "1",
}
LEFT_ALONE = {"pipes_and_sockets": {"pipe", "s"}}
"""What is in no snapshot, and so stays."""

QUESTIONS = (
    "git fsck --full --strict",
    "git log --all --format='%H %s %D'",
    "git stash list",
    "git --no-optional-locks status --porcelain --ignored",
    "git -C vendor/library --no-optional-locks status --porcelain=2 --branch",
    "git -C nested --no-optional-locks status --porcelain",
    "git reflog --all",
)


def bash(script: str, where: Path, *, check: bool = True) -> str:
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=where,
        env=ENVIRONMENT,
        capture_output=True,
        check=False,
        errors="surrogateescape",
    )
    assert done.returncode == 0 or not check, (script, done.stdout, done.stderr)
    return f"{done.returncode}\n{done.stdout}"


class Prepared(NamedTuple):
    """The repository that each script gets a copy of."""

    root: Path
    picture: dict[str, Seen]
    answers: list[str]


def answers(root: Path) -> list[str]:
    return [bash(question, root, check=False) for question in QUESTIONS]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    root = tmp_path_factory.mktemp("prepared") / "repository"
    root.mkdir()
    bash("set -e\n" + PREPARE, root)
    yield Prepared(root, picture(root), answers(root))
    shutil.rmtree(root.parent)


@pytest.fixture
def desk(prepared: Prepared, tmp_path: Path) -> Iterator[Desk]:
    root = tmp_path / "repository"
    subprocess.run(["cp", "-a", "--sparse=always", str(prepared.root), str(root)], check=True)
    shutil.copytree(prepared.root.parent / "library", tmp_path / "library")
    yield Desk(root, tmp_path / "shelf")
    shutil.rmtree(root)


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_a_script_destroys_is_brought_back(name: str, prepared: Prepared, desk: Desk) -> None:
    before = desk.take()
    bash(SCRIPTS[name], desk.root, check=False)
    spared = LEFT_ALONE.get(name, set())
    assert differing(picture(desk.root, but=spared.__contains__), prepared.picture), "the script does nothing"
    desk.take()
    what, restored = desk.again().go_back(before)
    assert (what.conflicts, restored.conflicts, restored.failures) == ((), (), ())
    assert differing(picture(desk.root, but=spared.__contains__), prepared.picture) == {}
    assert spared or answers(desk.root) == prepared.answers


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_the_user_does_after_a_script_stays(name: str, prepared: Prepared, desk: Desk) -> None:
    before = desk.take()
    bash(SCRIPTS[name], desk.root, check=False)
    desk.take()
    changed = {change.path for change in diff(before, desk.take())}
    mine = {"src/app.py": b"mine", "README.md": b"my words", "src/deep/mine": b"new", "mine": b"new"}
    written = [path for path, data in mine.items() if _write(desk.root / path, data)]
    mine.update((path, (desk.root / path).read_bytes()) for path in written)
    what, restored = desk.go_back(before)
    assert (restored.conflicts, restored.failures) == ((), ())
    for path in written:
        assert (desk.root / path).read_bytes() == mine[path]
    listed = {conflict.path for conflict in what.conflicts}
    assert changed.intersection(written) <= listed
    others = {path for path in prepared.picture if path not in (*written, *listed)}
    now = picture(desk.root)
    held = {above for path in (*written, *listed) for above in map(str, Path(path).parents)}
    wrong = {
        path: found
        for path, found in differing(now, prepared.picture).items()
        if path in others and path not in held and not _is_below(path, listed)
    }
    assert wrong == {}


def _write(path: Path, data: bytes) -> bool:
    """As a user would: not through a link, and only where it is possible."""
    if path.is_symlink() or path.is_dir() or path.parent.is_symlink() or not path.parent.is_dir():
        return False
    path.write_bytes(data)
    return True


def _is_below(path: str, listed: set[str]) -> bool:
    return any(str(above) in listed for above in Path(path).parents)
