import os
from pathlib import Path
from random import Random

import pytest

from tests.torture.past import Past


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    (root / "project" / "d").mkdir(parents=True)
    for name in ("a", "b", "d/c"):
        (root / "project" / name).write_text(name)
    (root / "project" / "link").symlink_to("a")
    return root


def only(found: list[str], words: str) -> None:
    assert [words in each for each in found] == [True], found


def test_a_world_that_is_as_it_was_breaks_no_law(workspace: Path) -> None:
    past = Past(workspace)
    moment = past.take()
    assert list(past.unlike(moment)) == []
    assert list(past.unlike_in(workspace, moment)) == []
    assert list(past.unkept(moment)) == []


def test_what_is_not_as_it_was_is_noticed(workspace: Path) -> None:
    past = Past(workspace)
    moment = past.take()
    file = workspace / "project" / "a"
    was = file.stat()
    file.chmod(0o600)
    only(list(past.unlike(moment)), "'project/a' is 100600")
    file.chmod(was.st_mode)
    os.utime(file, ns=(1, 1))
    only(list(past.unlike(moment)), "of 1, and should be")
    file.write_text("b")
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    only(list(past.unlike(moment)), "'project/a'")
    file.write_text("a")
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    (workspace / "more").write_text("")
    only(list(past.unlike(moment)), "should be not there")
    only(list(past.unlike_in(workspace, moment)), "should be not there")


def test_a_second_name_of_a_file_is_noticed(workspace: Path) -> None:
    past = Past(workspace)
    (workspace / "one").write_text("x")
    (workspace / "two").hardlink_to(workspace / "one")
    moment = past.take()
    seen = (workspace / "two").stat()
    (workspace / "two").unlink()
    (workspace / "two").write_text("x")
    os.utime(workspace / "two", ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert len(list(past.unlike(moment))) == 2


@pytest.mark.parametrize("seed", range(10))
def test_what_the_user_changes_is_to_stay_and_is_no_difference(workspace: Path, seed: int) -> None:
    past, random = Past(workspace), Random(seed)
    moment = past.take()
    path = past.edit(random)
    assert list(past.unlike(moment)) == []
    assert list(past.unkept(moment)) == []
    file = workspace / path
    file.parent.mkdir(exist_ok=True)
    if file.exists():
        file.unlink()
    else:
        file.write_text("put back")
    only(list(past.unkept(moment)), path)
    only(list(past.unlike(moment)), path)


def test_what_the_user_changed_before_a_moment_belongs_to_it(workspace: Path) -> None:
    past = Past(workspace)
    path = past.edit(Random(1))
    moment = past.take()
    (workspace / path).write_text("the agent's")
    assert list(past.unkept(moment)) == []
    only(list(past.unlike(moment)), path)


def test_the_judges_own_things_are_no_part_of_the_world(workspace: Path) -> None:
    (workspace / ".posts").mkdir()
    past = Past(workspace)
    moment = past.take()
    os.mkfifo(workspace / ".posts" / "gate")
    assert list(past.unlike(moment)) == []
