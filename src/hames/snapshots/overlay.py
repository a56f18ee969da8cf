"""The tree that files go back to: as it was, with what the user has changed since laid over it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from hames.snapshots.compare import Change, Gaps, differences
from hames.snapshots.entries import Draft, Entry, Node, Tree, ancestors, is_in_any, join, split, weigh
from hames.snapshots.manifest import delta
from hames.snapshots.roots import root_of, roots_in

_NOTHING: Node = {}


class Interval(NamedTuple):
    """Two snapshots, one right after the other, between which only the user was at work."""

    before: Tree
    after: Tree


class Replayed(msgspec.Struct, frozen=True):
    """A tree to go back to. `payload` is its manifest, empty when it is the one that it started from.

    `kept` are the paths that stay as the user made them although the agent had changed them before: what
    they were at the start cannot be had together with it.
    """

    tree: Tree
    payload: bytes
    kept: tuple[str, ...]


def replay(
    start: Tree, intervals: Sequence[Interval], force: Iterable[str] = (), seen: Iterable[Tree] = ()
) -> Replayed:
    """`start` (which must be on the log) with what the user changed in all later `intervals`, in their
    order; so without what anybody else did. At and below the paths of `force` it stays as it was at the
    start.

    A directory that the user has removed stays where something is put back into it, and one that the agent
    has made where the user has put something.

    A directory beside the workspace that `start` does not have is as it was in the first of `seen` that has
    it; and one that was out of sight, as it was when the user brought it back: what was done there meanwhile
    is nobody's.
    """
    bases, ranks = _bases(start, intervals, seen)
    overlay = _Overlay(_with(start, bases), frozenset(force))
    for rank, interval in enumerate(intervals):
        overlay.lay(interval, frozenset(name for name, since in ranks.items() if rank < since))
    return overlay.made(start)


def _bases(
    start: Tree, intervals: Sequence[Interval], seen: Iterable[Tree]
) -> tuple[dict[str, Tree], dict[str, int]]:
    """From which tree each directory beside the workspace is taken, if it is not `start`; and the first of
    the intervals that counts for it."""
    bases: dict[str, Tree] = {}
    ranks: dict[str, int] = {}
    for tree in seen:
        for name in roots_in(tree) - roots_in(start):
            bases.setdefault(name, tree)
    for rank, interval in enumerate(intervals):
        for name in roots_in(interval.after) - roots_in(interval.before):
            bases[name] = interval.after
            ranks[name] = rank + 1
    return bases, ranks


def _with(start: Tree, bases: Mapping[str, Tree]) -> Draft:
    """`start`, with these directories as they are in their trees."""
    if not bases:
        return start
    nodes = {path: node for path, node in start.nodes.items() if root_of(path) not in bases}
    gaps = [gap for gap in start.not_covered if root_of(gap.path) not in bases]
    unsure = {path for path in start.unsure if root_of(path) not in bases}
    top = dict(nodes[""])
    for name, tree in bases.items():
        top[name] = tree.nodes[""][name]
        nodes.update((path, node) for path, node in tree.nodes.items() if root_of(path) == name)
        gaps += [gap for gap in tree.not_covered if root_of(gap.path) == name]
        unsure.update(path for path in tree.unsure if root_of(path) == name)
    nodes[""] = top
    weights = [weigh(node) for node in nodes.values()]
    return Draft(
        start.top,
        nodes,
        start.taken_ns,
        frozenset(unsure),
        tuple(gaps),
        sum(files for files, _ in weights),
        sum(size for _, size in weights),
    )


def changed(start: Tree, paths: Mapping[str, Entry | None]) -> Replayed:
    """`start` (which must be on the log) with these paths as they are given; None: removed."""
    overlay = _Overlay(start, frozenset())
    overlay.put(paths)
    return overlay.made(start)


class _Laid(NamedTuple):
    """What the user last made of a path, in which interval, and all that there was then."""

    entry: Entry | None
    rank: int
    tree: Tree | None


class _Overlay:
    def __init__(self, start: Draft, force: frozenset[str]) -> None:
        self._start = start
        self._force = force
        self._laid: dict[str, _Laid] = {}
        self._kept: set[str] = set()
        self._unsure = set(start.unsure)
        self._rank = 0
        self._top = start.top
        self._nodes: dict[str, Node] = dict(start.nodes)
        self._own: dict[str, dict[str, Entry]] = {}

    def lay(self, interval: Interval, apart: frozenset[str]) -> None:
        """What the user did in an interval, but in the directories `apart`."""
        gaps = Gaps(self._start, interval.before, interval.after)
        self._rank += 1
        for change in differences(interval.before, interval.after):
            if is_in_any(change.path, self._force) or root_of(change.path) in apart:
                continue
            if not gaps.hold(change.path):
                self._lay(change, interval.after)
        self._unsure.update(interval.after.unsure)

    def put(self, paths: Mapping[str, Entry | None]) -> None:
        self._laid.update({path: _Laid(entry, 1, None) for path, entry in paths.items()})

    def made(self, stored: Tree) -> Replayed:
        """The tree; `stored` is the one to build its manifest on."""
        visible = self._visible()
        for path in sorted(self._laid, reverse=True):
            # What is in it still, or again, is not the user's to remove: the agent did.
            if self._laid[path].entry is None and self._get(path) and not self._nodes.get(path):
                self._set(path, None)
        for path in sorted(visible):
            entry, _, tree = self._laid[path]
            for above in reversed([*ancestors(path)]):
                self._let_enter(above, tree)
            if entry is not None and entry.kind != "directory" and self._empty(path):
                self._kept.add(path)
            self._set(path, entry)
        return self._stored(stored)

    def _lay(self, change: Change, tree: Tree) -> None:
        path, before, after = change
        laid = self._laid.get(path, _Laid(self._start.get(path), 0, None))
        if change.kind == "time":
            if laid.entry == before:
                self._laid[path] = laid._replace(entry=after)
            return
        self._laid[path] = _Laid(after, self._rank, tree)
        if not _is_like(laid.entry, before) and not _is_like(laid.entry, after):
            self._kept.add(path)

    def _visible(self) -> set[str]:
        """The paths that can be as the user made them. What was made later hides what was before: a file
        what is below its name, and what is below a name a file."""
        visible: set[str] = set()
        needed: set[str] = set()
        solid: set[str] = set()
        for path, (entry, _, _) in sorted(self._laid.items(), key=lambda item: -item[1].rank):
            if entry is None:
                continue
            over = solid.intersection(ancestors(path))
            self._kept |= over
            if over or (entry.kind != "directory" and path in needed):
                continue
            visible.add(path)
            needed.update(ancestors(path))
            if entry.kind != "directory":
                solid.add(path)
        return visible

    def _stored(self, stored: Tree) -> Replayed:
        start = self._start
        touched = self._own.keys() | (start.nodes.keys() - self._nodes.keys())
        weights = [
            (weigh(self._nodes.get(path, _NOTHING)), weigh(start.nodes.get(path, _NOTHING)))
            for path in touched
        ]
        draft = Draft(
            self._top,
            self._nodes,
            start.taken_ns,
            frozenset(path for path in self._unsure if self._get(path) is not None),
            start.not_covered,
            start.files + sum(after[0] - before[0] for after, before in weights),
            start.bytes + sum(after[1] - before[1] for after, before in weights),
        )
        changes = tuple(differences(stored, draft))
        if not changes:
            return Replayed(stored, b"", ())
        tree, payload = delta(draft, stored, {change.path: change.after for change in changes if change.path})
        kept = sorted(path for path in self._kept if not _is_like(self._get(path), start.get(path)))
        return Replayed(tree, payload, tuple(kept))

    def _let_enter(self, path: str, tree: Tree | None) -> None:
        """There has to be a directory: something of the user's is in it."""
        entry = None if tree is None else tree.get(path)
        if path not in self._nodes and entry is not None:
            self._set(path, entry)
            self._kept.add(path)

    def _empty(self, path: str) -> bool:
        """Take out all below a path. Whether there was something."""
        names = tuple(self._nodes.get(path, _NOTHING))
        for name in names:
            inside = join(path, name)
            self._empty(inside)
            self._set(inside, None)
        return bool(names)

    def _get(self, path: str) -> Entry | None:
        if not path:
            return self._top
        above, name = split(path)
        return self._nodes.get(above, _NOTHING).get(name)

    def _set(self, path: str, entry: Entry | None) -> None:
        if entry is None or entry.kind != "directory":
            self._nodes.pop(path, None)
            self._own.pop(path, None)
        elif path not in self._nodes:
            self._nodes[path] = self._own[path] = {}
        if not path:
            self._top = entry or self._top
            return
        above, name = split(path)
        node = self._own.get(above)
        if node is None:
            self._nodes[above] = node = self._own[above] = dict(self._nodes[above])
        if entry is None:
            del node[name]
        else:
            node[name] = entry


def _is_like(one: Entry | None, other: Entry | None) -> bool:
    return other is None if one is None else one.is_like(other)
