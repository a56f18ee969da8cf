"""Random trees, changed at random: what was captured comes back, and what is the user's stays."""

import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from hames.snapshots.compare import diff
from tests.snapshots.desk import Desk, Seen, differing, picture

NAMES = ("a", "b", "-c", os.fsdecode(b"\xff d\n"))
PATHS = [
    *NAMES,
    *(f"{first}/{second}" for first in NAMES[:3] for second in NAMES),
    *(f"{path}/{last}" for path in ("a/b", "b/a") for last in ("x", "y")),
]


class Act(msgspec.Struct, frozen=True):
    """One change of a tree; what is not possible does nothing."""

    what: str
    path: str
    other: str
    number: int

    def do(self, root: Path) -> None:
        with suppress(OSError):
            DEEDS[self.what](root / self.path, root / self.other, self.number)


def _write(place: Path, _: Path, number: int) -> None:
    if place.is_symlink():
        place.unlink()
    place.write_bytes(b"%d" % number * number * 3)


def _append(place: Path, _: Path, number: int) -> None:
    if not place.is_symlink() and place.exists():
        with place.open("ab") as file:
            file.write(b"+" * number)


def _remove(place: Path, _other: Path, _number: int) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink()


def _mode(place: Path, _: Path, number: int) -> None:
    if not place.is_symlink():
        place.chmod((0o600, 0o644, 0o755, 0o4711, 0o500)[number % 5])


DEEDS: dict[str, Callable[[Path, Path, int], object]] = {
    "write": _write,
    "append": _append,
    "mkdir": lambda place, other, number: place.mkdir(parents=True),
    "link": lambda place, other, number: place.symlink_to(other),
    "join": lambda place, other, number: os.link(place, other, follow_symlinks=False),
    "remove": _remove,
    "move": lambda place, other, number: place.rename(other),
    "mode": _mode,
    "time": lambda place, other, number: os.utime(place, ns=(0, 10**18 + number), follow_symlinks=False),
}

ACTS = st.builds(
    Act,
    st.sampled_from(("write", *DEEDS)),
    st.sampled_from(PATHS),
    st.sampled_from(PATHS),
    st.integers(0, 9),
)
STARTS = st.lists(ACTS.filter(lambda act: act.what != "remove"), max_size=25)
CHANGES = st.lists(ACTS, max_size=12)


@contextmanager
def a_desk() -> Generator[Desk]:
    with tempfile.TemporaryDirectory() as scratch:
        yield Desk(Path(scratch, "work"), Path(scratch, "shelf"))


def _do(acts: list[Act], desk: Desk) -> None:
    for act in acts:
        act.do(desk.root)


@settings(max_examples=80, deadline=None)
@given(STARTS, CHANGES, CHANGES)
def test_a_tree_that_was_captured_comes_back(start: list[Act], change: list[Act], more: list[Act]) -> None:
    with a_desk() as desk:
        _do(start, desk)
        before, shown = desk.take(), picture(desk.root)
        _do(change, desk)
        between, shown_between = desk.take(), picture(desk.root)
        _do(more, desk)
        desk.take()
        for tree, expected in ((before, shown), (between, shown_between), (before, shown)):
            what, done = desk.again().go_back(tree)
            assert (what.conflicts, done.conflicts, done.failures) == ((), (), ())
            assert differing(picture(desk.root), expected) == {}
            desk.take()
            assert diff(tree, desk.take()) == ()


def _like(one: Seen | None, other: Seen | None) -> bool:
    return (one and (one.mode, one.content)) == (other and (other.mode, other.content))


@settings(max_examples=80, deadline=None)
@given(STARTS, CHANGES, CHANGES)
def test_what_the_user_changed_after_the_agent_stays(
    start: list[Act], agent: list[Act], user: list[Act]
) -> None:
    with a_desk() as desk:
        _do(start, desk)
        before, to = desk.take(), picture(desk.root)
        _do(agent, desk)
        desk.take()
        was = picture(desk.root)
        _do(user, desk)
        now = picture(desk.root)
        what, done = desk.go_back(before)
        assert (done.conflicts, done.failures) == ((), ())
        after = picture(desk.root)
        listed = {conflict.path for conflict in what.conflicts}
        for path in (was.keys() | now.keys() | to.keys()) - {"."}:
            if path in listed or _like(was.get(path), to.get(path)):
                assert _like(after.get(path), now.get(path)), path
            else:
                assert _like(after.get(path), to.get(path)), path
            if not _like(now.get(path), was.get(path)) and not _like(now.get(path), to.get(path)):
                cut_short = path not in now and path in was and path in to
                assert path in listed or _like(was.get(path), to.get(path)) or cut_short, path
        for path in listed:
            assert _like(after.get(path), now.get(path)), path


@settings(max_examples=40, deadline=None)
@given(STARTS, st.lists(CHANGES, max_size=6))
def test_what_is_stored_of_a_tree_is_the_tree(start: list[Act], rounds: list[list[Act]]) -> None:
    with a_desk() as desk:
        _do(start, desk)
        desk.take()
        for acts in rounds:
            _do(acts, desk)
            tree = desk.take()
            stored = desk.again().tree
            assert stored is not None
            assert stored.blob == tree.blob
            assert {path: dict(node) for path, node in stored.nodes.items()} == tree.nodes
            assert (stored.top, stored.files, stored.bytes) == (tree.top, tree.files, tree.bytes)
            assert (stored.whole_bytes, stored.delta_bytes, stored.links) == (
                tree.whole_bytes,
                tree.delta_bytes,
                tree.links,
            )
            fresh = Desk(desk.root, desk.shelf.directory)
            again = fresh.take()
            assert {path: dict(node) for path, node in again.nodes.items()} == tree.nodes
            assert (again.files, again.bytes) == (tree.files, tree.bytes)
