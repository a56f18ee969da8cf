"""Directories beside the workspace that a tree holds too: each in its root, under a name made of its path."""

from collections.abc import Iterable

import msgspec

from hames.core.paths import is_within
from hames.snapshots.entries import Draft, Node, NotCovered, Tree, join

_START = "\x1fhames:"


def name_of(path: str) -> str:
    """The name that a directory of this absolute path has in the root of a tree."""
    return _START + path.replace("%", "%25").replace("/", "%2F")


def is_further(path: str) -> bool:
    """Whether a path of a tree is that of such a directory, or below one."""
    return path.startswith(_START)


def path_of(name: str) -> str:
    """The absolute path that a name was made of."""
    return name[len(_START) :].replace("%2F", "/").replace("%25", "%")


def holds_further(node: Node) -> bool:
    """Whether the root of a tree may have such directories; quick where it has none."""
    return _START in "\0".join(node)


def roots_in(tree: Draft) -> frozenset[str]:
    """The names of such directories that a tree has."""
    node = tree.nodes[""]
    return frozenset(filter(is_further, node)) if holds_further(node) else frozenset()


def roots_not_in_all(trees: Iterable[Draft]) -> frozenset[str]:
    """The names of those that some of these trees have, and others do not."""
    every = [roots_in(tree) for tree in trees]
    return every[0].union(*every) - every[0].intersection(*every)


def root_of(path: str) -> str:
    """The name of the directory that a path of a tree is in; empty for the workspace."""
    return path.partition("/")[0] if is_further(path) else ""


def known_roots(tree: Draft) -> list[str]:
    """The absolute paths of such directories that a tree has, or misses."""
    missed = {gap.path for gap in tree.not_covered if is_further(gap.path) and "/" not in gap.path}
    return [path_of(name) for name in sorted(roots_in(tree) | missed)]


def workspace_of(tree: Tree) -> Tree:
    """A tree without such directories, to be planned with: its manifest is that of all."""
    if not roots_in(tree):
        return tree
    nodes = {path: node for path, node in tree.nodes.items() if not is_further(path)}
    nodes[""] = without_further(nodes[""])
    gaps = tuple(gap for gap in tree.not_covered if not is_further(gap.path))
    return msgspec.structs.replace(tree, nodes=nodes, not_covered=gaps)


def without_further(node: Node) -> Node:
    """What is in the workspace itself."""
    return {name: entry for name, entry in node.items() if not is_further(name)}


def beside(root: str, paths: Iterable[str]) -> tuple[str, ...]:
    """Of some absolute paths those that are to be looked at beside the workspace `root`: not those in it, or
    in one that is named earlier. One that is around it, or around an earlier one, is: that passes it over."""
    found: list[str] = []
    for path in paths:
        if path != "/" and not any(is_within(path, held) for held in (root, *found)):
            found.append(path)
    return tuple(found)


def tree_path(path: str, root: str, further: Iterable[str]) -> str | None:
    """What an absolute path is called in a tree of `root` with these directories; None if it is in none."""
    around = [place for place in (root, *further) if is_within(path, place)]
    if not around:
        return None
    place = max(around, key=len)
    inside = "" if path == place else path[len(place.rstrip("/")) + 1 :]
    if place != root:
        return join(name_of(place), inside) if inside else name_of(place)
    return None if is_further(inside) else inside


def shown_path(path: str) -> str:
    """A path of a tree as a person knows it: relative to the workspace, or absolute."""
    if not is_further(path):
        return path
    name, slash, inside = path.partition("/")
    return f"{path_of(name)}{slash}{inside}"


def shown_gaps(gaps: Iterable[NotCovered]) -> tuple[NotCovered, ...]:
    """The same, of what is not covered."""
    return tuple(msgspec.structs.replace(gap, path=shown_path(gap.path)) for gap in gaps)
