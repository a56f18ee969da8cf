"""What differs between two trees."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Literal, NamedTuple

from hames.snapshots.entries import FIRST_FILE_MODE, Draft, Entry, Node, Tree, is_in_any, join, same_but_names
from hames.snapshots.roots import roots_not_in_all, shown_path

AS_ONE = frozenset((".git", ".hg", ".svn", "node_modules", "__pycache__"))
"""Directories that are named as one, whatever has changed inside."""

_NOTHING: Node = {}


class Gaps:
    """The paths that some trees do not cover, and all below them; also a directory beside the workspace that
    not all of them have: nobody has made or removed it."""

    def __init__(self, *trees: Draft) -> None:
        self._paths = {gap.path for tree in trees for gap in tree.not_covered}
        self._paths |= roots_not_in_all(trees)

    def hold(self, path: str) -> bool:
        """Whether the path is not covered."""
        return bool(self._paths) and is_in_any(path, self._paths)


ChangeKind = Literal["added", "removed", "kind", "content", "mode", "time"]
"""What is different, the weightiest first. `time`: nothing else, or only what cannot be restored."""


class Change(NamedTuple):
    """A path that differs: as it was, and as it became. None: there is nothing."""

    path: str
    before: Entry | None
    after: Entry | None

    @property
    def kind(self) -> ChangeKind:
        """What is different about it."""
        before, after = self.before, self.after
        if before is None or after is None:
            return "added" if before is None else "removed"
        if before.kind != after.kind:
            return "kind"
        if before.is_like(after):
            return "time"
        return "mode" if before.is_like(_with_mode_of(before, after)) else "content"

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory, or was one and is gone."""
        entry = self.after or self.before
        return entry is not None and entry.kind == "directory"


def _with_mode_of(one: Entry, other: Entry) -> Entry:
    return Entry(other.stat._replace(mode=one.stat.mode), other.content)


def diff(before: Tree, after: Tree) -> tuple[Change, ...]:
    """What a person would call changed, in the order of paths: without times and inodes."""
    gaps = Gaps(before, after)
    found = (change for change in differences(before, after) if change.kind != "time")
    return tuple(sorted(change for change in found if not gaps.hold(change.path)))


def changed_paths(before: Tree, after: Tree) -> tuple[str, ...]:
    """The paths of `diff` as a person knows them, in a few names, a directory with `/` at its end: one that
    came or went as a whole stands for all below it, and one of `AS_ONE` for whatever has changed inside."""
    found: dict[str, None] = {}
    whole: set[str] = set()
    for change in diff(before, after):
        path, was, now = change
        if is_in_any(path, whole):
            continue
        if outer := _outermost(path):
            whole.add(outer)
            found[f"{outer}/"] = None
            continue
        if was is None or now is None or was.kind != now.kind:
            whole.add(path)
        found[f"{path or '.'}/" if change.is_directory else path] = None
    return tuple(map(shown_path, found))


def _outermost(path: str) -> str:
    """The outermost directory of `AS_ONE` that the path lies in, or nothing."""
    names = path.split("/")
    return next(("/".join(names[:at]) for at in range(1, len(names)) if names[at - 1] in AS_ONE), "")


def differences(before: Draft, after: Draft, among: Iterable[str] | None = None) -> Iterator[Change]:
    """Everything that differs, inodes and times too; quick where the trees share nodes. The root comes first,
    the rest in no order. Only the directories `among`, where it is known that there is nothing else."""
    if before.top != after.top:
        yield Change("", before.top, after.top)
    old, new = before.nodes, after.nodes
    for above in chain(new, old.keys() - new.keys()) if among is None else among:
        was, node = old.get(above, _NOTHING), new.get(above, _NOTHING)
        if was is not node:
            yield from _of_node(above, was, node)


def _of_node(above: str, was: Node, node: Node) -> Iterator[Change]:
    for name, entry in node.items():
        before = was.get(name)
        if before is not entry and before != entry:
            yield Change(join(above, name), before, entry)
    for name in was.keys() - node.keys():
        yield Change(join(above, name), was[name], None)


def joined(tree: Tree) -> dict[str, str]:
    """Of each file or link that has several names in the tree: the first of its names."""
    nodes = tree.nodes.values()
    inodes = [each[0][1] for node in nodes for each in node.values() if each[0][0] >= FIRST_FILE_MODE]
    if len(set(inodes)) == len(inodes):
        return {}
    seen: dict[int, tuple[str, str, Entry]] = {}
    groups: dict[int, list[str]] = {}
    for above, node in tree.nodes.items():
        for name, entry in node.items():
            stat = entry[0]
            if stat[0] < FIRST_FILE_MODE:
                continue
            other = seen.setdefault(stat[1], (above, name, entry))
            # The number alone can have been given to another file between two looks.
            if other[2] is not entry and same_but_names(other[2][0], stat) and other[2][1] == entry[1]:
                groups.setdefault(stat[1], [join(*other[:2])]).append(join(above, name))
    return {path: min(names) for names in groups.values() for path in names}
