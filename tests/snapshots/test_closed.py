"""What a mode closes to its own owner: it is an entry still, comes back, and nobody is locked out."""

import errno
import os
import resource
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from hames.snapshots.capture import Sources
from hames.snapshots.plan import plan
from hames.snapshots.restore import Failure
from hames.snapshots.roots import name_of
from tests.snapshots.desk import Desk, differing, picture

NOBODY = 65534


def without_rights(act: Callable[[Desk], None], prepare: Callable[[Path], None] | None = None) -> None:
    """Run `act` in a process that modes hold for."""
    with tempfile.TemporaryDirectory() as scratch:
        if os.getuid() == 0:
            os.chown(scratch, NOBODY, NOBODY)
        root = Path(scratch, "work")
        root.mkdir()
        if os.getuid() == 0:
            os.chown(root, NOBODY, NOBODY)
        if prepare is not None:
            prepare(root)
        out, into = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                if os.getuid() == 0:
                    os.setgroups([])
                    os.setgid(NOBODY)
                    os.setuid(NOBODY)
                os.umask(0o022)
                act(Desk(root, Path(scratch, "shelf")))
                os._exit(0)
            finally:
                os.write(into, traceback.format_exc().encode())
                os._exit(1)
        os.close(into)
        with open(out) as words:
            said = words.read()
        assert os.waitpid(child, 0)[1] == 0, said
        for above, _, _ in os.walk(scratch):
            os.chmod(above, 0o700)


def _fill(desk: Desk) -> None:
    (desk.root / "d/deep").mkdir(parents=True)
    for name in ("file", "d/inner", "d/deep/inner"):
        (desk.root / name).write_text(name)


def test_closed_files_and_directories_are_opened_again() -> None:
    def act(desk: Desk) -> None:
        _fill(desk)
        before, shown = desk.take(), picture(desk.root)
        for path in ("file", "d/deep", "d", ""):
            (desk.root / path).chmod(0)
        tree = desk.take()
        assert tree.not_covered == ()
        assert {path for path, _ in tree.entries()} == {path for path, _ in before.entries()}
        what, done = desk.again().go_back(before)
        assert (what.conflicts, done.conflicts, done.failures) == ((), (), ())
        assert differing(picture(desk.root), shown) == {}

    without_rights(act)


def test_changes_in_closed_directories_are_undone_and_they_are_closed_again() -> None:
    def act(desk: Desk) -> None:
        _fill(desk)
        for path in ("d/deep", "d"):
            (desk.root / path).chmod(0o500)
        before = desk.take()
        shown = picture(desk.root)
        for path in ("d", "d/deep"):
            (desk.root / path).chmod(0o700)
        (desk.root / "d/inner").unlink()
        (desk.root / "d/deep/inner").write_text("other")
        (desk.root / "d/deep/new").write_text("new")
        for path in ("d/deep", "d"):
            (desk.root / path).chmod(0o500)
        desk.take()
        what, done = desk.go_back(before)
        assert (what.conflicts, done.conflicts, done.failures) == ((), (), ())
        assert differing(picture(desk.root), shown) == {}

    without_rights(act)


def test_a_closed_directory_is_looked_into_once_and_stays_closed() -> None:
    def act(desk: Desk) -> None:
        _fill(desk)
        (desk.root / "d/deep").chmod(0o100)
        (desk.root / "d").chmod(0o500)
        tree = desk.take()
        assert tree.not_covered == ()
        assert tree.get("d/deep/inner") is not None
        assert (desk.root / "d/deep").stat().st_mode & 0o777 == 0o100
        assert desk.take().blob == tree.blob

    without_rights(act)


def test_a_directory_closed_while_it_was_known_keeps_what_it_had() -> None:
    def act(desk: Desk) -> None:
        _fill(desk)
        desk.take()
        (desk.root / "d").chmod(0o600)
        desk.take()
        tree = desk.take()
        assert tree.get("d/deep/inner") is not None
        assert tree.not_covered == ()
        (desk.root / "d").chmod(0o755)
        (desk.root / "d/deep/inner").write_text("changed")
        assert desk.take().get("d/deep/inner") != tree.get("d/deep/inner")

    without_rights(act)


def test_what_is_somebody_elses_and_closed_is_named_and_stays() -> None:
    def act(desk: Desk) -> None:
        before = desk.take()
        gaps = [("closed", "unreadable"), ("file", "unreadable"), ("listed/inner", "unreadable")]
        assert [(gap.path, gap.why) for gap in before.not_covered] == gaps
        assert desk.take().blob == before.blob
        (desk.root / "new").write_text("new")
        desk.take()
        what, done = desk.go_back(before)
        assert (what.conflicts, done.failures, done.done) == ((), (), ("new",))

    def prepare(root: Path) -> None:
        for name, mode in (("closed", 0o700), ("listed", 0o744)):
            (root / name).mkdir()
            (root / name / "inner").write_text("theirs")
            (root / name).chmod(mode)
        (root / "file").write_text("theirs")
        (root / "file").chmod(0o600)

    if os.getuid() != 0:
        pytest.skip("only root can make files for somebody else")
    without_rights(act, prepare)


def test_what_was_changed_before_it_was_closed_is_undone() -> None:
    def act(desk: Desk) -> None:
        _fill(desk)
        before, shown = desk.take(), picture(desk.root)
        for name in ("file", "d/inner", "d/deep/inner"):
            (desk.root / name).write_text("other")
            (desk.root / name).chmod(0o200)
        for name in ("d/deep", "d", ""):
            (desk.root / name).chmod(0)
        tree = desk.take()
        assert tree.not_covered == ()
        assert desk.take().blob == desk.take().blob
        what, done = desk.go_back(before)
        assert (what.conflicts, done.conflicts, done.failures) == ((), (), ())
        assert differing(picture(desk.root), shown) == {}

    without_rights(act)


def test_an_abandoned_look_closes_what_it_opened() -> None:
    def act(desk: Desk) -> None:
        _fill(desk)
        desk.take()
        (desk.root / "d").chmod(0)

        def stop(done: int, of: int) -> None:
            raise InterruptedError

        (desk.root / "file").write_text("other")
        with pytest.raises(InterruptedError):
            desk.take(Sources(progress=stop))
        assert (desk.root / "d").stat().st_mode & 0o777 == 0

    without_rights(act)


def test_what_the_system_refuses_is_listed_in_its_words_and_the_rest_is_done() -> None:
    def act(desk: Desk) -> None:
        _fill(desk)
        (desk.root / "large").write_bytes(b"x" * 10_000)
        before = desk.take()
        for name in ("file", "large"):
            (desk.root / name).unlink()
        was = desk.take()
        what = plan(was, was, before)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
        done = desk.apply(what)
        assert done.done == ("file",)
        assert done.failures == (Failure("large", os.strerror(errno.EFBIG)),)
        assert {path.name for path in desk.root.iterdir()} == {"d", "file"}

    without_rights(act)


def test_a_closed_file_that_was_replaced_is_not_taken_for_the_old_one() -> None:
    def act(desk: Desk) -> None:
        _fill(desk)
        desk.take()
        (desk.root / "other").write_text("else")
        (desk.root / "other").rename(desk.root / "file")
        (desk.root / "file").chmod(0)
        entry = desk.take().get("file")
        assert entry is not None
        assert desk.contents.get(entry.content) == b"else"
        assert (desk.root / "file").stat().st_mode & 0o777 == 0

    without_rights(act)


def test_a_directory_beside_the_workspace_is_opened_and_closed_again() -> None:
    def act(desk: Desk) -> None:
        _fill(desk)
        other = desk.root.parent / "other"
        other.mkdir()
        (other / "file").write_text("beside")
        desk = Desk(desk.root, desk.shelf.directory, further=(str(other),))
        name = name_of(str(other))
        before, shown = desk.take(), picture(other)
        (other / "file").write_text("harm")
        other.chmod(0)
        tree = desk.take()
        assert tree.not_covered == ()
        assert other.stat().st_mode & 0o777 == 0
        assert desk.take().nodes[name] is desk.take(only=[f"{name}/file"]).nodes[name]
        desk.root.chmod(0)
        assert name in desk.take(only=["file"]).nodes
        desk.root.chmod(0o755)
        desk.take()
        what, done = desk.again().go_back(before)
        assert (what.conflicts, done.conflicts, done.failures) == ((), (), ())
        assert differing(picture(other), shown) == {}

    without_rights(act)


def test_what_is_above_a_directory_beside_the_workspace_is_not_opened() -> None:
    def act(desk: Desk) -> None:
        above = desk.root.parent / "above"
        other = above / "other"
        other.mkdir(parents=True)
        (other / "file").write_text("beside")
        desk = Desk(desk.root, desk.shelf.directory, further=(str(other),))
        before = desk.take()
        (other / "file").write_text("harm")
        desk.take()
        what = desk.plan(before)
        above.chmod(0)
        done = desk.apply(what)
        assert [failure.path for failure in done.failures][:1] == [f"{name_of(str(other))}/file"]
        assert above.stat().st_mode & 0o777 == 0
        assert [(gap.path, gap.why) for gap in desk.take().not_covered] == [
            (name_of(str(other)), "unreadable")
        ]
        above.chmod(0o755)
        assert (other / "file").read_text() == "harm"

    without_rights(act)
