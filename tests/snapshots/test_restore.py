"""A restore: what it touches, what it leaves, and what is left when it is cut short."""

import fcntl
import os
import random
import signal
import subprocess
from pathlib import Path

import pytest

from hames.core.errors import DamagedLog
from hames.core.ids import blob_id
from hames.snapshots.capture import Capturer
from hames.snapshots.contents import Contents
from hames.snapshots.entries import is_temporary, temporary_name
from hames.snapshots.plan import Plan, plan
from hames.snapshots.restore import restore
from tests.snapshots.desk import Desk, differing, picture


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "work", tmp_path / "shelf")


def _mixed(root: Path) -> None:
    """Something of everything that a restore has to do."""
    for name in ("kept/deep", "gone/inner", "closed", "swapped"):
        (root / name).mkdir(parents=True)
    for name in (
        "kept/a",
        "kept/deep/b",
        "gone/c",
        "gone/inner/d",
        "closed/e",
        "swapped/f",
        "plain",
        "mode",
        "time",
    ):
        (root / name).write_text(name * 50)
    os.link(root / "kept/a", root / "kept/joined")
    os.symlink("plain", root / "link")
    os.truncate(root / "plain", 9_000_000)
    (root / "mode").chmod(0o4750)
    (root / "closed").chmod(0o500)
    os.utime(root / "kept", ns=(1, 10**18 + 1))


SPOIL = """
rm -rf gone swapped link; printf x > swapped; mkdir link; printf y > link/z
chmod 700 closed; rm closed/e; chmod 500 closed; printf x > plain; chmod 600 mode; touch time
cp kept/a t; mv t kept/a; printf q >> kept/deep/b; mkdir -p new/dir; printf n > new/dir/file; ln -s x new/link
"""


def _spoil(root: Path) -> None:
    subprocess.run(["bash", "-ec", SPOIL], cwd=root, check=True)


def test_a_restore_killed_at_any_change_of_the_disk_is_completed_by_doing_it_again(desk: Desk) -> None:
    _mixed(desk.root)
    to = desk.take()
    before = picture(desk.root)
    number, changes = 0, 10**9
    while number < changes:
        _spoil(desk.root)
        was = desk.take()
        now = desk.take()
        number += 1
        changes = killed_restore(desk, plan(now, was, to), number)
        ended = desk.again().apply(plan(now, was, to))
        assert (ended.conflicts, ended.failures) == ((), ())
        assert differing(picture(desk.root), before) == {}, number
    assert changes > 60


def killed_restore(desk: Desk, what: Plan, number: int) -> int:
    """A restore in a process of its own that kills itself before change `number` of the disk; when it came to
    its end before that, the changes that there were."""
    count = 0

    def watch(_what: str, _path: str) -> None:
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            done = desk.apply(what, watch)
            os._exit(count if not (done.conflicts or done.failures) else 255)
        finally:
            os._exit(255)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert 0 < ended < 255 or ended == -signal.SIGKILL
    return ended if ended > 0 else 10**9


def test_a_restore_killed_at_random_and_done_anew_from_a_fresh_look_loses_nothing(desk: Desk) -> None:
    _mixed(desk.root)
    to = desk.take()
    contents = {path: seen.content for path, seen in picture(desk.root).items()}
    for number in random.Random(4).sample(range(1, 60), 8):
        _spoil(desk.root)
        was = desk.take()
        killed_restore(desk, plan(desk.take(), was, to), number)
        now = desk.take()
        what = plan(now, was, to)
        desk.apply(what)
        assert what.conflicts == ()
        assert {path: seen.content for path, seen in picture(desk.root).items()} == contents
        assert not any(map(is_temporary, (path.name for path in desk.root.rglob("*"))))


def test_only_what_the_agent_changed_is_touched(desk: Desk) -> None:
    (desk.root / "agent").write_text("one")
    (desk.root / "user").write_text("one")
    before = desk.take()
    (desk.root / "agent").write_text("two")
    desk.take()
    (desk.root / "user").write_text("mine")
    what, done = desk.go_back(before)
    assert done.done == ("agent",)
    assert what.conflicts == ()
    assert (desk.root / "user").read_text() == "mine"


def test_a_file_that_the_user_has_changed_since_is_listed_and_kept(desk: Desk) -> None:
    file = desk.root / "file"
    file.write_text("one")
    before = desk.take()
    file.write_text("two")
    desk.take()
    file.write_text("mine")
    what, done = desk.go_back(before)
    assert [(each.path, each.why) for each in what.conflicts] == [("file", "changed")]
    assert done.done == ()
    assert file.read_text() == "mine"


@pytest.mark.parametrize("force", ["directory/file", "directory"])
def test_a_forced_path_is_restored_over_the_users_change(desk: Desk, force: str) -> None:
    file = desk.root / "directory/file"
    file.parent.mkdir()
    file.write_text("one")
    before = desk.take()
    file.write_text("two")
    desk.take()
    file.write_text("mine")
    what, _ = desk.go_back(before, [force])
    assert what.conflicts == ()
    assert file.read_text() == "one"


def test_a_file_that_the_user_has_removed_since_stays_away(desk: Desk) -> None:
    file = desk.root / "file"
    file.write_text("one")
    before = desk.take()
    file.write_text("two")
    desk.take()
    file.unlink()
    what, _ = desk.go_back(before)
    assert [each.path for each in what.conflicts] == ["file"]
    assert not file.exists()


def test_a_users_file_in_a_directory_of_the_agent_keeps_the_directory(desk: Desk) -> None:
    before = desk.take()
    (desk.root / "made/deep").mkdir(parents=True)
    (desk.root / "made/deep/agent").write_text("agent")
    desk.take()
    (desk.root / "made/deep/user").write_text("user")
    what, done = desk.go_back(before)
    assert [(each.path, each.why) for each in what.conflicts] == [
        ("made", "not_empty"),
        ("made/deep", "not_empty"),
    ]
    assert done.done == ("made/deep/agent",)
    assert [path.name for path in (desk.root / "made/deep").iterdir()] == ["user"]


def test_a_users_file_where_a_directory_was_stays_and_all_below_is_listed(desk: Desk) -> None:
    (desk.root / "d").mkdir()
    (desk.root / "d/file").write_text("one")
    before = desk.take()
    (desk.root / "d/file").unlink()
    (desk.root / "d").rmdir()
    desk.take()
    (desk.root / "d").write_text("mine")
    what, _ = desk.go_back(before)
    assert [(each.path, each.why) for each in what.conflicts] == [("d", "changed"), ("d/file", "in_the_way")]
    assert (desk.root / "d").read_text() == "mine"


def test_a_link_in_place_of_a_directory_is_never_followed(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/file").write_text("precious")
    (desk.root / "d").mkdir()
    (desk.root / "d/file").write_text("one")
    before = desk.take()
    (desk.root / "d/file").write_text("two")
    was = desk.take()
    what = plan(desk.take(), was, before)
    os.rename(desk.root / "d", desk.root / "aside")
    os.symlink(tmp_path / "elsewhere", desk.root / "d")
    done = desk.apply(what)
    assert [each.why for each in done.conflicts] == ["in_the_way"]
    assert (tmp_path / "elsewhere/file").read_text() == "precious"
    assert os.readlink(desk.root / "d") == str(tmp_path / "elsewhere")


@pytest.mark.parametrize("change", ["write", "replace", "remove", "create", "chmod"])
def test_a_change_between_the_plan_and_the_restore_is_seen_at_the_last_moment(
    desk: Desk, change: str
) -> None:
    file = desk.root / "file"
    if change != "create":
        file.write_text("one")
    else:
        (desk.root / "gone").write_text("one")
    before = desk.take()
    if change == "create":
        (desk.root / "gone").unlink()
        file = desk.root / "gone"
    else:
        file.write_text("two")
    was = desk.take()
    what = plan(desk.take(), was, before)
    match change:
        case "replace":
            (desk.root / "other").write_text("two")
            os.rename(desk.root / "other", file)
        case "remove":
            file.unlink()
        case "chmod":
            file.chmod(0o600)
        case _:
            file.write_text("mine")
    there = file.read_text() if file.exists() else None
    done = desk.apply(what)
    assert [each.path for each in done.conflicts] == [file.name]
    assert (file.read_text() if file.exists() else None) == there


def test_what_comes_while_a_file_is_being_written_is_not_replaced(desk: Desk) -> None:
    for name in ("changed", "made"):
        (desk.root / name).write_text("one")
    before = desk.take()
    (desk.root / "changed").write_text("two")
    (desk.root / "made").unlink()
    was = desk.take()
    what = plan(desk.take(), was, before)

    def watch(act: str, path: str) -> None:
        if act == "truncate" and path == "changed":
            (desk.root / path).write_text("mine")
        if act == "place" and path == "made":
            (desk.root / path).write_text("mine")

    done = desk.apply(what, watch)
    assert {each.path for each in done.conflicts} == {"changed", "made"}
    assert [(path.name, path.read_text()) for path in sorted(desk.root.iterdir())] == [
        ("changed", "mine"),
        ("made", "mine"),
    ]


def test_a_name_that_the_user_has_given_a_file_keeps_its_mode(desk: Desk) -> None:
    for name in ("a", "b"):
        (desk.root / name).write_text("one")
    os.link(desk.root / "a", desk.root / "joined")
    before = desk.take()
    for name in ("a", "b"):
        (desk.root / name).chmod(0o600)
    desk.take()
    os.link(desk.root / "a", desk.root / "mine")
    what, _ = desk.go_back(before)
    assert what.conflicts == ()
    seen = picture(desk.root)
    assert {name: (seen[name].mode & 0o777, seen[name].names) for name in ("a", "b", "joined", "mine")} == {
        "a": (0o644, ("a", "joined")),
        "b": (0o644, ("b",)),
        "joined": (0o644, ("a", "joined")),
        "mine": (0o600, ("mine",)),
    }


def test_names_that_the_agent_exchanged_between_files_are_sorted_out(desk: Desk) -> None:
    for name, other in (("a", "b"), ("c", "d")):
        (desk.root / name).write_text("same")
        os.utime(desk.root / name, ns=(0, 10**18))
        os.link(desk.root / name, desk.root / other)
    before, shown = desk.take(), picture(desk.root)
    for name in ("b", "c", "d"):
        (desk.root / name).unlink()
        os.link(desk.root / "a", desk.root / name)
    desk.take()
    what, done = desk.go_back(before)
    assert (what.conflicts, done.conflicts) == ((), ())
    assert differing(picture(desk.root), shown) == {}


def test_an_undo_can_be_undone(desk: Desk) -> None:
    _mixed(desk.root)
    one = desk.take()
    _spoil(desk.root)
    two = desk.take()
    spoilt = picture(desk.root)
    desk.go_back(one)
    desk.take()
    desk.go_back(two)
    assert differing(picture(desk.root), spoilt) == {}


def test_nothing_is_changed_when_a_content_is_missing(desk: Desk) -> None:
    (desk.root / "a").write_text("one")
    before = desk.take()
    (desk.root / "a").unlink()
    (desk.root / "b").write_text("new")
    was = desk.take()
    what = plan(was, was, before)
    with pytest.raises(DamagedLog, match="no pack"):
        restore(str(desk.root), what, Contents(desk.shelf.read))
    assert [path.name for path in desk.root.iterdir()] == ["b"]


def test_a_damaged_content_is_never_written(desk: Desk) -> None:
    (desk.root / "a").write_text("one")
    before = desk.take()
    (desk.root / "a").unlink()
    was = desk.take()
    (pack,) = desk.packs
    place = desk.shelf.directory / pack
    data = bytearray(place.read_bytes())
    data[26] ^= 1
    place.write_bytes(data)
    with pytest.raises(DamagedLog):
        desk.apply(plan(was, was, before))
    assert list(desk.root.iterdir()) == []


def test_leftovers_are_no_entries_and_go_with_the_next_look(desk: Desk) -> None:
    (desk.root / "a").write_text("one")
    left = desk.root / temporary_name(3)
    left.write_text("half")
    os.symlink("x", desk.root / temporary_name(4))
    tree = desk.take()
    assert list(tree.nodes[""]) == ["a"]
    assert [path.name for path in desk.root.iterdir()] == ["a"]


def test_a_file_that_somebody_is_writing_for_a_restore_is_left_alone(desk: Desk) -> None:
    left = desk.root / temporary_name(1)
    with left.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert list(desk.take().nodes[""]) == []
        assert left.exists()
        # Nor does another restore take the name.
        (desk.root / "a").write_text("one")
        before = desk.take()
        (desk.root / "a").unlink()
        was = desk.take()
        assert desk.apply(plan(was, was, before)).done == ("a",)
        assert left.exists()
    desk.take()
    assert not left.exists()


def test_the_root_has_its_mode_and_time_back(desk: Desk) -> None:
    desk.root.chmod(0o750)
    before = desk.take()
    seen = desk.root.stat()
    desk.root.chmod(0o777)
    (desk.root / "x").write_text("x")
    desk.take()
    desk.go_back(before)
    assert (desk.root.stat().st_mode, desk.root.stat().st_mtime_ns) == (seen.st_mode, seen.st_mtime_ns)


def test_a_durable_restore_is_the_same(desk: Desk) -> None:
    _mixed(desk.root)
    before = desk.take()
    shown = picture(desk.root)
    _spoil(desk.root)
    was = desk.take()
    done = restore(str(desk.root), plan(was, was, before), desk.contents, sync=True)
    assert done.failures == ()
    assert differing(picture(desk.root), shown) == {}


def test_zeros_come_back_as_holes(desk: Desk) -> None:
    file = desk.root / "sparse"
    with file.open("wb") as out:
        out.truncate(50_000_000)
        out.seek(20_000_000)
        out.write(b"data")
    seen = desk.take()
    file.unlink()
    was = desk.take()
    desk.apply(plan(was, was, seen))
    assert file.stat().st_size == 50_000_000
    assert file.stat().st_blocks * 512 < 1_000_000
    assert file.read_bytes()[20_000_000:20_000_004] == b"data"
    assert blob_id(file.read_bytes()) == blob_id(bytes(20_000_000) + b"data" + bytes(29_999_996))


def test_a_capturer_needs_no_restart_after_a_restore(desk: Desk) -> None:
    (desk.root / "a").write_text("one")
    before = desk.take()
    (desk.root / "a").write_text("two")
    desk.take()
    desk.go_back(before)
    after = desk.take()
    assert isinstance(desk.capturer, Capturer)
    assert after.nodes[""]["a"].is_like(before.nodes[""]["a"])
