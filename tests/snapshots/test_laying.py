"""Laying a tree out elsewhere: all of it, and nothing over what is there."""

import errno
import os
import signal
from pathlib import Path

import pytest
from hypothesis import given, settings

from hames.core.errors import DamagedLog
from hames.snapshots.contents import Contents
from hames.snapshots.entries import Tree
from hames.snapshots.laying import lay_out
from tests.snapshots.desk import Desk, differing, picture
from tests.snapshots.test_any_tree import STARTS, Act, a_desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path / "work", tmp_path / "shelf")
    for name in ("d/deep", "closed", "empty"):
        (desk.root / name).mkdir(parents=True)
    for name in ("a", "d/deep/b", "closed/c"):
        (desk.root / name).write_text(name * 30)
    os.link(desk.root / "a", desk.root / "d/joined")
    os.symlink("../a", desk.root / "d/link")
    (desk.root / "a").chmod(0o4750)
    (desk.root / "closed").chmod(0o500)
    with (desk.root / "holes").open("wb") as file:
        file.truncate(50_000_000)
        file.write(b"x")
    os.utime(desk.root / "d", ns=(5, 10**18 + 7))
    desk.root.chmod(0o711)
    return desk


def test_a_tree_is_laid_out_to_the_byte_the_mode_and_the_time(desk: Desk, tmp_path: Path) -> None:
    tree, shown = desk.take(), picture(desk.root)
    for place in (tmp_path / "made/for/it", tmp_path / "empty"):
        if place.name == "empty":
            place.mkdir(mode=0o700)
        done = lay_out(str(place), tree, desk.contents, sync=True)
        assert (done.conflicts, done.failures) == ((), ())
        assert set(done.done) == {path for path, _ in tree.entries()}
        assert differing(picture(place), shown) == {}
        assert (place / "holes").stat().st_blocks < 1000
    assert differing(picture(desk.root), shown) == {}


def test_a_directory_with_something_in_it_is_refused(desk: Desk, tmp_path: Path) -> None:
    tree = desk.take()
    place = tmp_path / "full"
    (place / "of/things").mkdir(parents=True)
    before = picture(place)
    with pytest.raises(OSError, match="full") as caught:
        lay_out(str(place), tree, desk.contents)
    assert caught.value.errno == errno.ENOTEMPTY
    assert differing(picture(place), before) == {}


def test_a_file_or_a_link_in_the_place_is_refused(desk: Desk, tmp_path: Path) -> None:
    tree = desk.take()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to("target")
    for name in ("file", "link"):
        with pytest.raises(OSError, match=name):
            lay_out(str(tmp_path / name), tree, desk.contents)
    assert (tmp_path / "file").read_text() == "mine"
    assert os.listdir(tmp_path / "target") == []


def test_nothing_is_begun_when_a_content_is_missing(desk: Desk, tmp_path: Path) -> None:
    tree = desk.take()
    with pytest.raises(DamagedLog):
        lay_out(str(tmp_path / "new"), tree, Contents(desk.shelf.read))
    assert os.listdir(tmp_path / "new") == []


def test_one_that_was_killed_anywhere_is_completed(desk: Desk, tmp_path: Path) -> None:
    tree, shown = desk.take(), picture(desk.root)
    number, ended = 0, False
    while not ended:
        place = str(tmp_path / f"new{number}")
        child = os.fork()
        if child == 0:
            _killed(desk, tree, place, number)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, -signal.SIGKILL)
        ended = code == 0
        done = lay_out(place, tree, desk.contents, again=True)
        assert (done.conflicts, done.failures) == ((), ())
        assert differing(picture(Path(place)), shown) == {}, number
        number += 1
    assert number > 30


def _killed(desk: Desk, tree: Tree, place: str, number: int) -> None:
    """Lay the tree out, in a process of its own that is killed before change `number` of the disk."""
    left = number

    def watch(_what: str, _path: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        lay_out(place, tree, desk.contents, watch=watch)
        os._exit(0)
    finally:
        os._exit(1)


def test_what_somebody_has_put_there_since_stays(desk: Desk, tmp_path: Path) -> None:
    tree = desk.take()
    place = tmp_path / "new"
    place.mkdir()
    for name in ("a", "other"):
        (place / name).write_text("mine")
    done = lay_out(str(place), tree, desk.contents, again=True)
    assert {conflict.path for conflict in done.conflicts} == {"a"}
    assert ((place / "a").read_text(), (place / "other").read_text()) == ("mine", "mine")


@settings(max_examples=40, deadline=None)
@given(STARTS)
def test_any_tree_is_laid_out(start: list[Act]) -> None:
    with a_desk() as desk:
        for act in start:
            act.do(desk.root)
        tree = desk.take()
        place = desk.root.parent / "new"
        done = lay_out(str(place), tree, desk.contents)
        assert (done.conflicts, done.failures) == ((), ())
        assert differing(picture(place), picture(desk.root)) == {}
