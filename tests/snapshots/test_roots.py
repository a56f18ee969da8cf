"""Directories beside the workspace: looked at and brought back with it, and never made or removed."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hames.snapshots.budget import Budget
from hames.snapshots.compare import changed_paths, diff
from hames.snapshots.entries import NotCovered, Tree
from hames.snapshots.laying import lay_out
from hames.snapshots.overlay import Interval, replay
from hames.snapshots.plan import Obstacle, Plan, Step, plan
from hames.snapshots.roots import (
    beside,
    is_further,
    known_roots,
    name_of,
    path_of,
    root_of,
    roots_in,
    shown_gaps,
    shown_path,
    tree_path,
    workspace_of,
)
from hames.snapshots.scan import scan
from hames.snapshots.shown import shown
from tests.snapshots.desk import LARGE, Desk, Seen, differing, picture
from tests.snapshots.test_any_tree import CHANGES, STARTS, Act
from tests.snapshots.test_restore import killed_restore


class Two:
    """A workspace, and a directory beside it."""

    def __init__(self, root: Path, budget: Budget = LARGE) -> None:
        self.other = root / "other"
        self.other.mkdir()
        self.desk = Desk(root / "work", root / "shelf", budget, (), (str(self.other),))
        self.name = name_of(str(self.other))

    def fill(self) -> None:
        for place in (self.desk.root, self.other):
            (place / "d").mkdir()
            (place / "d" / "deep").write_text("deep")
            (place / "a").write_text(f"a of {place.name}")

    def harm(self) -> None:
        for place in (self.desk.root, self.other):
            shutil.rmtree(place / "d")
            (place / "a").write_text("harm")
            (place / "a").chmod(0o600)
            (place / "new").write_text("new")

    def picture(self) -> dict[str, Seen]:
        found = {f"other/{path}": seen for path, seen in picture(self.other).items()}
        return {**picture(self.desk.root), **found}

    def gaps(self) -> list[tuple[str, str]]:
        assert self.desk.tree is not None
        return [(gap.path, gap.why) for gap in shown_gaps(self.desk.tree.not_covered)]


@pytest.fixture
def two(tmp_path: Path) -> Two:
    two = Two(tmp_path)
    two.fill()
    return two


def listed(what: Plan) -> list[tuple[str, Obstacle]]:
    return [(shown_path(conflict.path), conflict.why) for conflict in what.conflicts]


# Names


NAME = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1)


@given(st.lists(NAME, min_size=1))
def test_a_name_has_no_slash_and_tells_the_path_again(names: list[str]) -> None:
    path = "/" + "/".join(names)
    name = name_of(path)
    assert "/" not in name
    assert is_further(name)
    assert path_of(name) == path
    assert shown_path(name) == path
    assert shown_path(f"{name}/a/b") == os.path.join(path, "a/b")
    assert (root_of(f"{name}/a/b"), root_of("a/b")) == (name, "")


def test_a_directory_that_is_looked_at_already_is_not_taken_twice() -> None:
    assert beside("/w", ["/w", "/w/a", "/x", "/x/y", "/xy", "/x", "/"]) == ("/x", "/xy")
    assert beside("/a/w", ["/a/b", "/a"]) == ("/a/b", "/a")
    assert beside("/", ["/a"]) == ()


def test_an_absolute_path_is_one_of_the_innermost_directory_that_is_looked_at() -> None:
    further = ("/a", "/a/b")
    assert tree_path("/a/w/x", "/a/w", further) == "x"
    assert tree_path("/a/w", "/a/w", further) == ""
    assert tree_path("/a/x", "/a/w", further) == f"{name_of('/a')}/x"
    assert tree_path("/a/b", "/a/w", further) == name_of("/a/b")
    assert tree_path("/a/b/x", "/a/w", further) == f"{name_of('/a/b')}/x"
    assert tree_path("/ab", "/a/w", further) is None
    assert tree_path(f"/a/w/{name_of('/a')}/x", "/a/w", further) is None


# Looks and restores


def test_what_was_done_beside_the_workspace_goes_back_with_it(two: Two) -> None:
    two.other.chmod(0o750)
    before, was = two.desk.take(), two.picture()
    assert before.files == 4
    two.harm()
    two.other.chmod(0o777)
    two.desk.take()
    what, done = two.desk.again().go_back(before)
    assert (what.conflicts, done.conflicts, done.failures) == ((), (), ())
    assert differing(two.picture(), was) == {}
    assert diff(before, two.desk.take()) == ()


@pytest.mark.parametrize("forced", [False, True])
def test_what_somebody_changed_beside_the_workspace_stays_unless_it_is_forced(two: Two, forced: bool) -> None:
    before = two.desk.take()
    two.harm()
    two.desk.take()
    (two.other / "a").write_text("mine")
    lines = shown(f"{two.name}/a", before.get(f"{two.name}/a"), two.desk.contents, str(two.desk.root))
    assert {"-a of other", "+mine"} <= set(lines)
    what, _ = two.desk.go_back(before, [two.name] if forced else [])
    assert listed(what) == ([] if forced else [(f"{two.other}/a", "changed")])
    assert (two.other / "a").read_text() == ("a of other" if forced else "mine")


def test_what_has_changed_beside_the_workspace_is_told_as_a_whole(two: Two) -> None:
    before = two.desk.take()
    two.harm()
    two.other.chmod(0o700)
    place = str(two.other)
    assert changed_paths(before, two.desk.take()) == (
        f"{place}/",
        f"{place}/a",
        f"{place}/d/",
        f"{place}/new",
        "a",
        "d/",
        "new",
    )


def test_a_look_without_a_change_gives_the_same_tree(two: Two) -> None:
    for _ in range(3):
        os.utime(two.other / "a", ns=(0, 10**18))
        os.utime(two.desk.root / "a", ns=(0, 10**18))
    tree = two.desk.take()
    again = two.desk.again()
    known = again.tree
    assert known is not None
    found = scan(str(again.root), known, frozenset(), 1000, again.workspace.further)
    assert (found.touched, found.fresh, found.missed) == (set(), [], [])
    assert found.nodes[""] is known.nodes[""]
    assert again.take().blob == tree.blob
    (two.other / "new").write_text("new")
    assert not again.capturer.is_as(known)


def test_a_directory_that_is_gone_is_named_and_left_alone_and_looked_at_when_it_is_back(two: Two) -> None:
    before = two.desk.take()
    two.harm()
    two.desk.take()
    two.other.rename(two.other.parent / "away")
    what, _ = two.desk.go_back(before)
    assert listed(what) == [(str(two.other), "not_covered")]
    assert (two.desk.root / "a").read_text() == "a of work"
    assert not two.other.exists()
    assert two.gaps() == [(str(two.other), "elsewhere")]
    assert two.desk.take().files == 2
    assert known_roots(two.desk.take()) == [str(two.other)]
    (two.other.parent / "away").rename(two.other)
    assert two.desk.take().files == 4
    assert two.gaps() == []


@pytest.mark.parametrize("kind", ["file", "link", "below a link"])
def test_no_link_leads_to_another_directory(tmp_path: Path, kind: str) -> None:
    real = tmp_path / "real"
    (real / "sub").mkdir(parents=True)
    (real / "sub" / "secret").write_text("secret")
    way = tmp_path / "way"
    if kind == "file":
        way.write_text("a file")
    else:
        way.symlink_to(real / "sub" if kind == "link" else real)
    place = way / "sub" if kind == "below a link" else way
    desk = Desk(tmp_path / "work", tmp_path / "shelf", LARGE, (), (str(place),))
    tree = desk.take()
    assert [(shown_path(gap.path), gap.why) for gap in tree.not_covered] == [(str(place), "elsewhere")]
    assert tree.files == 0


def test_a_restore_does_not_follow_a_link_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    place = tmp_path / "a" / "other"
    place.mkdir()
    (place / "x").write_text("one")
    desk = Desk(tmp_path / "work", tmp_path / "shelf", LARGE, (), (str(place),))
    before = desk.take()
    (place / "x").write_text("two")
    desk.take()
    what = desk.plan(before)
    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "a").symlink_to(tmp_path / "b")
    done = desk.apply(what)
    assert [conflict.why for conflict in done.conflicts] == ["in_the_way"]
    assert (place / "x").read_text() == "two"


def test_a_name_in_the_workspace_that_is_like_that_of_a_directory_beside_it_is_no_entry(two: Two) -> None:
    before = two.desk.take()
    (two.desk.root / two.name).mkdir()
    (two.desk.root / two.name / "x").write_text("x")
    two.harm()
    assert two.desk.take().files == 4
    assert two.gaps() == [(f"./{two.name}", "reserved")]
    what, done = two.desk.go_back(before)
    assert (what.conflicts, done.failures) == ((), ())
    assert (two.other / "a").read_text() == "a of other"
    assert (two.desk.root / two.name / "x").read_text() == "x"


def test_one_that_was_not_given_is_no_change(two: Two) -> None:
    plain = Desk(two.desk.root, two.desk.shelf.directory)
    without = plain.take()
    two.desk.tree, two.desk.packs = without, plain.packs
    two.desk.contents.name(plain.packs)
    with_it = two.desk.take()
    assert roots_in(with_it) == {two.name}
    assert diff(without, with_it) == ()
    two.harm()
    two.desk.take()
    what, _ = two.desk.go_back(without)
    assert listed(what) == [(str(two.other), "not_covered")]
    assert (two.other / "a").read_text() == "harm"
    plain.tree = with_it
    plain.contents.name(two.desk.packs)
    assert roots_in(plain.take()) == set()
    assert workspace_of(plain.take()) is plain.tree


def test_a_directory_around_the_workspace_passes_it_over(tmp_path: Path) -> None:
    (tmp_path / "around" / "work").mkdir(parents=True)
    around = tmp_path / "around"
    inner = around / "inner"
    inner.mkdir()
    root = around / "work"
    for place in (root, around, inner):
        (place / "x").write_text(place.name)
    further = beside(str(root), [str(inner), str(around)])
    desk = Desk(root, tmp_path / "shelf", LARGE, (), further)
    before = desk.take()
    assert before.files == 3
    assert {shown_path(gap.path) for gap in before.not_covered} == {str(root), str(inner)}
    for place in (root, around, inner):
        (place / "x").write_text("harm")
    desk.take()
    what, done = desk.go_back(before)
    assert (what.conflicts, done.failures) == ((), ())
    assert [(place / "x").read_text() for place in (root, around, inner)] == ["work", "around", "inner"]


def test_all_directories_share_one_budget(tmp_path: Path) -> None:
    two = Two(tmp_path, Budget(3, 10**6))
    two.fill()
    (two.other / "large").write_text("x" * 1000)
    two.desk.take()
    gaps = [(f"{two.other}/large", "large"), (f"{two.other}/a", "large")]
    assert two.gaps() == sorted(gaps)
    two.desk.take()
    assert two.gaps() == sorted(gaps)


def test_one_that_does_not_fit_at_all_stays_left_out(tmp_path: Path) -> None:
    two = Two(tmp_path, Budget(10, 100))
    (two.other / "large").write_text("x" * 1000)
    (two.desk.root / "a").write_text("a")
    for _ in range(2):
        two.desk.take()
        assert two.gaps() == [(str(two.other), "large")]
    assert two.desk.take(only=[f"{two.name}/large"]).files == 1


def test_known_paths_may_be_beside_the_workspace(two: Two) -> None:
    two.desk.take()
    (two.other / "d" / "deep").write_text("deeper")
    (two.other / "a").write_text("not looked at")
    (two.desk.root / "a").write_text("looked at")
    before = two.desk.tree
    assert before is not None
    two.desk.take(only=[f"{two.name}/d/deep", f"{two.name}/d/none", "a"])
    assert two.desk.tree is not None
    assert {change.path for change in diff(before, two.desk.tree)} == {f"{two.name}/d/deep", "a"}
    two.desk.take(only=[two.name])
    assert {change.path for change in diff(before, two.desk.tree)} == {
        f"{two.name}/a",
        f"{two.name}/d/deep",
        "a",
    }


def test_a_known_path_where_all_is_gone_waits_for_the_next_look_at_everything(two: Two) -> None:
    before = two.desk.take()
    two.other.rename(two.other.parent / "away")
    assert two.desk.take(only=[f"{two.name}/a"]).get(f"{two.name}/a") == before.get(f"{two.name}/a")
    assert roots_in(two.desk.take()) == set()
    (two.other.parent / "away").rename(two.other)
    assert roots_in(two.desk.take(only=[f"{two.name}/a"])) == {two.name}


def test_files_with_names_on_both_sides_are_one_file_again(two: Two) -> None:
    os.link(two.desk.root / "a", two.other / "joined")
    before, was = two.desk.take(), two.picture()
    (two.other / "joined").unlink()
    two.desk.take()
    two.desk.go_back(before)
    assert os.path.samefile(two.desk.root / "a", two.other / "joined")
    assert differing(two.picture(), was) == {}


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="there is no other file system")
def test_on_another_file_system_a_further_name_becomes_a_file_of_its_own(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        other = Path(place, "other")
        other.mkdir()
        name = name_of(str(other))
        desk = Desk(tmp_path / "work", tmp_path / "shelf", LARGE, (), (str(other),))
        (desk.root / "a").write_text("one")
        (other / "b").write_text("two")
        tree = desk.take()
        assert tree.not_covered == ()
        entry = tree.get("a")
        making = Step(f"{name}/joined", None, entry, source="a")
        done = desk.apply(Plan((), (making,), (), (), ()))
        assert (done.done, done.failures) == ((f"{name}/joined",), ())
        assert (other / "joined").read_text() == "one"
        assert sorted(path.name for path in other.iterdir()) == ["b", "joined"]


def test_a_copy_has_only_the_workspace(two: Two, tmp_path: Path) -> None:
    tree, was = two.desk.take(), picture(two.desk.root)
    two.harm()
    two.desk.take()
    done = lay_out(str(tmp_path / "copy"), tree, two.desk.contents)
    assert (done.conflicts, done.failures) == ((), ())
    assert differing(picture(tmp_path / "copy"), was) == {}
    assert (two.other / "a").read_text() == "harm"
    assert all(not is_further(gap.path) for gap in workspace_of(tree).not_covered)


def test_a_restore_killed_at_any_change_of_the_disk_is_completed_by_doing_it_again(two: Two) -> None:
    before, was = two.desk.take(), two.picture()
    number, changes = 0, 10**9
    while number < changes:
        two.harm()
        left = two.desk.take()
        now = two.desk.take()
        number += 1
        changes = killed_restore(two.desk, plan(now, left, before), number)
        ended = two.desk.again().apply(plan(now, left, before))
        assert (ended.conflicts, ended.failures) == ((), ())
        assert differing(two.picture(), was) == {}, number
    assert changes > 20


# Over several snapshots


def _replayed(desk: Desk, start: Tree, *trees: Tree, users: list[int], force: tuple[str, ...] = ()) -> Tree:
    every = [start, *trees]
    intervals = [Interval(every[number - 1], every[number]) for number in users]
    return replay(start, intervals, force, trees).tree


def test_one_that_came_later_goes_back_to_what_it_was_then(two: Two) -> None:
    plain = Desk(two.desk.root, two.desk.shelf.directory)
    start = plain.take()
    two.desk.tree, two.desk.packs = start, plain.packs
    two.desk.contents.name(plain.packs)
    came, was = two.desk.take(), two.picture()
    two.harm()
    left = two.desk.take()
    (two.other / "mine").write_text("mine")
    after = two.desk.take()
    for users in ([1], []):
        to = _replayed(two.desk, start, came, left, users=users, force=(two.name,))
        assert diff(to, came) == ()
        assert (to.files, to.bytes) == (came.files, came.bytes)
    to = _replayed(two.desk, start, came, left, after, users=[1, 3])
    two.desk.shelf.put(replay(start, [Interval(start, came), Interval(left, after)], (), [came]).payload)
    what = two.desk.plan(to)
    assert what.conflicts == ()
    two.desk.apply(what)
    (two.other / "mine").unlink()
    assert {path: seen.content for path, seen in two.picture().items()} == {
        path: seen.content for path, seen in was.items()
    }


def test_one_that_was_out_of_sight_goes_back_to_when_the_user_brought_it_again(two: Two) -> None:
    start = two.desk.take()
    (two.other / "a").write_text("agent")
    left = two.desk.take()
    two.other.rename(two.other.parent / "away")
    gone = two.desk.take()
    (two.other.parent / "away").rename(two.other)
    (two.other / "mine").write_text("mine")
    back = two.desk.take()
    (two.other / "a").write_text("agent again")
    last = two.desk.take()
    to = _replayed(two.desk, start, left, gone, back, last, users=[2, 3])
    assert diff(to, back) == ()
    in_one = _replayed(two.desk, start, left, back, last, users=[2])
    assert [(change.path, change.kind) for change in diff(in_one, back)] == [(f"{two.name}/a", "content")]


def test_its_gaps_come_along(two: Two) -> None:
    start = Desk(two.desk.root, two.desk.shelf.directory).take()
    os.mkfifo(two.other / "pipe")
    came = two.desk.take()
    to = _replayed(two.desk, start, came, users=[1])
    assert to.not_covered == (NotCovered(f"{two.name}/pipe", "special"),)


# At random


@settings(max_examples=40, deadline=None)
@given(STARTS, STARTS, CHANGES, CHANGES)
def test_two_trees_that_were_captured_come_back(
    start: list[Act], beside_it: list[Act], change: list[Act], more: list[Act]
) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        two = Two(Path(scratch))
        for number, acts in enumerate((start, beside_it)):
            for act in acts:
                act.do((two.desk.root, two.other)[number])
        before, was = two.desk.take(), two.picture()
        for number, act in enumerate([*change, *more]):
            act.do((two.desk.root, two.other)[number % 2])
        two.desk.take()
        what, done = two.desk.again().go_back(before)
        assert (what.conflicts, done.conflicts, done.failures) == ((), (), ())
        assert differing(two.picture(), was) == {}
        assert diff(before, two.desk.take()) == ()
