"""Going back with what the user made in between: trees of plain values, and real ones."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hames.snapshots.compare import diff
from hames.snapshots.entries import DIRECTORY, FILE, Draft, Entry, NotCovered, Stat, Tree, ancestors, split
from hames.snapshots.manifest import load, whole
from hames.snapshots.overlay import Interval, Replayed, changed, replay
from tests.snapshots.desk import Desk, differing, picture
from tests.snapshots.test_any_tree import ACTS, STARTS, Act, a_desk

World = Mapping[str, str]
"""Paths with what is there: `/` for a directory, anything else for a file with that in it."""


def _tree(world: World, *gaps: NotCovered) -> Tree:
    nodes: dict[str, dict[str, Entry]] = {"": {}}
    for path, value in sorted(world.items()):
        above, name = split(path)
        mode = DIRECTORY | 0o755 if value == "/" else FILE | 0o644
        nodes[above][name] = Entry(Stat(mode, 1, len(value), 0, 0), b"" if value == "/" else value.encode())
        if value == "/":
            nodes[path] = {}
    top = Entry(Stat(DIRECTORY | 0o755, 1, 0, 0, 0), b"")
    files = [value for value in world.values() if value != "/"]
    return whole(Draft(top, nodes, 0, frozenset(), gaps, len(files), sum(map(len, files))))[0]


def _world(tree: Tree) -> dict[str, str]:
    return {
        path: "/" if entry.kind == "directory" else entry.content.decode() for path, entry in tree.entries()
    }


def _replay(worlds: Sequence[World], users: Sequence[int], force: Sequence[str] = ()) -> Replayed:
    """`users` are the numbers of the worlds that the user had made of the ones before."""
    trees = [_tree(world) for world in worlds]
    done = replay(trees[0], [Interval(trees[number - 1], trees[number]) for number in users], force)
    files = [value for value in _world(done.tree).values() if value != "/"]
    assert (done.tree.files, done.tree.bytes) == (len(files), sum(map(len, files)))
    return done


def test_without_a_change_by_the_user_the_start_itself_is_gone_back_to() -> None:
    start = _tree({"a": "1"})
    assert replay(start, []) == Replayed(start, b"", ())
    assert replay(start, [Interval(start, start)]) == Replayed(start, b"", ())


def test_what_the_user_made_in_between_stays_and_what_the_agent_did_goes() -> None:
    done = _replay(
        [
            {"a": "1", "b": "1", "c": "1"},
            {"a": "2", "b": "1", "c": "1", "agent": "x"},
            {"a": "2", "b": "2", "agent": "x", "mine": "y"},
            {"a": "3", "b": "3", "agent": "z"},
        ],
        [2],
    )
    assert _world(done.tree) == {"a": "1", "b": "2", "mine": "y"}
    assert done.kept == ()


BOTH = [{"a": "1"}, {"a": "2"}, {"a": "3"}]


def test_what_the_user_changed_after_the_agent_stays_and_is_named_unless_it_is_forced() -> None:
    done = _replay(BOTH, [2])
    assert (_world(done.tree), done.kept) == ({"a": "3"}, ("a",))
    forced = _replay(BOTH, [2], ["a"])
    assert (_world(forced.tree), forced.kept, forced.payload) == ({"a": "1"}, (), b"")


@pytest.mark.parametrize(
    ("worlds", "users", "left", "kept"),
    [
        pytest.param([{"a": "1"}, {"a": "2"}, {}], [2], {}, ("a",), id="removed"),
        pytest.param([{}, {"a": "1"}, {}], [2], {}, (), id="the agent's own, removed"),
        pytest.param([{}, {"a": "1"}, {"a": "2"}], [2], {"a": "2"}, ("a",), id="the agent's own, changed"),
        pytest.param([{"a": "1"}, {"a": "2"}, {"a": "1"}], [2], {"a": "1"}, (), id="put back"),
        pytest.param([*BOTH, {"a": "1"}], [2, 3], {"a": "1"}, (), id="put back later"),
        pytest.param([*BOTH, {"a": "4"}], [2], {"a": "3"}, ("a",), id="changed by the agent again"),
        pytest.param(
            [{"d": "/", "d/x": "1"}, {"d": "/"}, {}], [2], {"d": "/", "d/x": "1"}, (), id="directory needed"
        ),
        pytest.param(
            [{}, {"d": "/"}, {"d": "/", "d/x": "1"}], [2], {"d": "/", "d/x": "1"}, ("d",), id="into"
        ),
        pytest.param(
            [{"d": "0"}, {"d": "/"}, {"d": "/", "d/x": "1"}],
            [2],
            {"d": "/", "d/x": "1"},
            ("d",),
            id="into what was a file",
        ),
        pytest.param(
            [{"d": "/", "d/e": "/", "d/e/x": "1"}, {"d": "/"}, {"d": "0"}],
            [2],
            {"d": "0"},
            ("d",),
            id="a file instead",
        ),
        pytest.param(
            [{}, {"d": "/", "d/x": "1"}, {"e": "/", "e/x": "1"}], [2], {"e": "/", "e/x": "1"}, (), id="moved"
        ),
    ],
)
def test_where_both_were_at_work(
    worlds: list[World], users: list[int], left: World, kept: tuple[str, ...]
) -> None:
    done = _replay(worlds, users)
    assert (_world(done.tree), done.kept) == (left, kept)


def test_what_no_snapshot_covers_is_no_change_by_the_user() -> None:
    start = _tree({"a": "1", "b": "1"})
    less = _tree({"b": "1"}, NotCovered("a", "large"))
    assert replay(start, [Interval(start, less), Interval(less, start)]).tree == start


def test_a_mode_of_the_root_is_the_users_too() -> None:
    start = _tree({"a": "1"})
    top = Entry(start.top.stat._replace(mode=DIRECTORY | 0o700), b"")
    other = whole(Draft(top, start.nodes, 0, frozenset("a"), (), 1, 1))[0]
    done = replay(start, [Interval(start, other)])
    assert (done.tree.top, done.tree.unsure) == (top, {"a"})


def test_paths_are_set_to_what_they_are_given_as() -> None:
    start = _tree({"a": "1", "b": "1", "d": "/", "d/x": "1"})
    other = _tree({"a": "2", "e": "/", "e/y": "1"})
    paths = {"a": other.get("a"), "d/x": None, "d": None, "e": other.get("e"), "e/y": other.get("e/y")}
    done = changed(start, paths)
    assert _world(done.tree) == {"a": "2", "b": "1", "e": "/", "e/y": "1"}
    assert done.payload


NAMES = ("a", "b", "a/x", "a/y", "a/x/1", "b/x")
VALUES = st.sampled_from(("1", "2", "3", "/", ""))
CHANGES = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=4)


def _changed(world: World, changes: Sequence[tuple[str, str]]) -> World:
    after: dict[str, str] = dict(world)
    for path, value in changes:
        if value != "/" or after.get(path) != "/":
            for inside in [each for each in after if each == path or each.startswith(f"{path}/")]:
                del after[inside]
        if value:
            for above in ancestors(path):
                if above:
                    after = {key: each for key, each in after.items() if key != above or each == "/"}
                    after[above] = "/"
            after[path] = value
    return after


def _last_change(worlds: Sequence[World], users: Iterable[int], path: str) -> int:
    """When the user last changed a path."""
    at = (number for number in users if worlds[number].get(path) != worlds[number - 1].get(path))
    return max(at, default=0)


@settings(max_examples=400, deadline=None)
@example([("a/x", "1")], [(True, [("a/x/1", "1")]), (False, [("a", "1")]), (True, [("a/x", "1")])], "")
@given(CHANGES, st.lists(st.tuples(st.booleans(), CHANGES), max_size=6), st.sampled_from(("", *NAMES)))
def test_it_is_the_start_plus_what_the_user_did(
    begin: list[tuple[str, str]], rounds: list[tuple[bool, list[tuple[str, str]]]], forced: str
) -> None:
    worlds = [_changed({}, begin)]
    for _, changes in rounds:
        worlds.append(_changed(worlds[-1], changes))
    users = [number for number, (by_user, _) in enumerate(rounds, 1) if by_user]
    force = [forced] if forced else []
    done = _replay(worlds, users, force)
    found, start = _world(done.tree), worlds[0]
    if len(users) == len(rounds) and not force:
        assert (found, done.kept) == (worlds[-1], ())
    for path in found:
        assert split(path)[0] == "" or found[split(path)[0]] == "/"
    for path in NAMES:
        at = [number for number in users if worlds[number].get(path) != worlds[number - 1].get(path)]
        is_forced = bool(forced) and (path == forced or path.startswith(f"{forced}/"))
        wanted = start.get(path) if is_forced or not at else worlds[at[-1]].get(path)
        if found.get(path) != wanted:
            # Only because a directory is needed, or something else was put in the place of one above.
            needed = found.get(path) == "/" and any(each.startswith(f"{path}/") for each in found)
            hidden = any(found.get(above, "/") != "/" for above in ancestors(path) if above)
            assert needed or hidden, path
            later = [
                above for above in ancestors(path) if _last_change(worlds, users, above) > max(at, default=0)
            ]
            assert needed or later or {*ancestors(path)} & {*done.kept}, path
    for path in done.kept:
        assert found.get(path) != start.get(path)
        assert len(users) < len(rounds) or force


@settings(max_examples=40, deadline=None)
@given(STARTS, st.lists(st.tuples(st.booleans(), st.lists(ACTS, max_size=5)), max_size=5))
def test_it_can_be_gone_back_to(start: list[Act], rounds: list[tuple[bool, list[Act]]]) -> None:
    with a_desk() as desk:
        for act in start:
            act.do(desk.root)
        began, shown = desk.take(), picture(desk.root)
        intervals: list[Interval] = []
        for by_user, acts in rounds:
            before = desk.tree
            assert before is not None
            for act in acts:
                act.do(desk.root)
            after = desk.take()
            if by_user:
                intervals.append(Interval(before, after))
        last = picture(desk.root)
        done = replay(began, intervals)
        if done.payload:
            desk.shelf.put(done.payload)
        stored = load(desk.shelf.whole, done.tree.blob)
        assert {path: dict(node) for path, node in stored.nodes.items()} == done.tree.nodes
        what, restored = desk.go_back(done.tree)
        assert (what.conflicts, restored.conflicts, restored.failures) == ((), (), ())
        assert diff(done.tree, desk.take()) == ()
        if not intervals:
            assert differing(picture(desk.root), shown) == {}
        if len(intervals) == len(rounds):
            assert differing(picture(desk.root), last) == {}


def test_names_and_times_that_the_user_gave_a_file_stay(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "work", tmp_path / "shelf")
    for name in ("file", "touched", "agents"):
        (desk.root / name).write_text(name)
    start = desk.take()
    (desk.root / "agents").write_text("other")
    between = desk.take()
    os.link(desk.root / "file", desk.root / "again")
    os.utime(desk.root / "touched", ns=(5, 5))
    os.utime(desk.root / "agents", ns=(6, 6))
    interval = Interval(between, desk.take())
    (desk.root / "agents").unlink()
    desk.take()
    done = replay(start, [interval])
    assert done.kept == ()
    desk.go_back(done.tree)
    assert (desk.root / "file").stat().st_ino == (desk.root / "again").stat().st_ino
    assert (desk.root / "touched").stat().st_mtime_ns == 5
    old = start.get("agents")
    assert old is not None
    assert (desk.root / "agents").stat().st_mtime_ns == old.stat.mtime_ns
