"""What is left out when a tree is larger than what snapshots cover."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from hames.snapshots.entries import FIRST_FILE_MODE, Node, NotCovered, Why, ancestors, is_in_any, join, split
from hames.snapshots.roots import is_further

Listed = Callable[[], set[bytes] | None]
"""The files below the root that git would not ignore, as raw relative paths (a nested repository as one, with
a slash at its end); None where there is no git."""


class Fitted(NamedTuple):
    """What is covered after all, and what is not."""

    nodes: dict[str, Node]
    left_out: list[NotCovered]
    files: int
    bytes: int


class Budget(NamedTuple):
    """What a snapshot covers at most."""

    files: int
    bytes: int

    def holds(self, files: int, size: int) -> bool:
        """Whether so much can be covered."""
        return files <= self.files and size <= self.bytes


def fit(nodes: Mapping[str, Node], budget: Budget, listed: Listed | None) -> Fitted:
    """Leave out what git would ignore, all of it; and then, while it is too much, the largest files.

    A directory of which nothing is left is named as one, and is no entry itself.
    """
    sizes = {
        join(above, name): entry.stat.size
        for above, node in nodes.items()
        for name, entry in node.items()
        if entry.stat.mode >= FIRST_FILE_MODE
    }
    wanted = None if listed is None else listed()
    out: dict[str, Why] = {}
    if wanted is not None:
        whole = {os.fsdecode(path[:-1]) for path in wanted if path.endswith(b"/")}
        out = {path: "ignored" for path in sizes if not _is_wanted(path, wanted, whole)}
    files = len(sizes) - len(out)
    total = sum(sizes.values()) - sum(sizes[path] for path in out)
    if not budget.holds(files, total):
        for path in sorted(sizes.keys() - out.keys(), key=lambda path: (-sizes[path], path)):
            out[path] = "large"
            files -= 1
            total -= sizes[path]
            if budget.holds(files, total):
                break
    left_out, gone = _as_directories(out, sizes)
    return Fitted(_without(nodes, out, gone), left_out, files, total)


def _is_wanted(path: str, wanted: set[bytes], whole: set[str]) -> bool:
    """What git keeps for itself is not ignored, either; of what is beside the workspace nobody knows."""
    if os.fsencode(path) in wanted or "/.git/" in f"/{path}" or is_further(path):
        return True
    return bool(whole) and any(above in whole for above in ancestors(path))


def _as_directories(out: Mapping[str, Why], sizes: Mapping[str, int]) -> tuple[list[NotCovered], set[str]]:
    """What is left out, with directories of which nothing remains as one; and those directories."""
    remain = {above for path in sizes.keys() - out.keys() for above in ancestors(path)}
    found: dict[str, NotCovered] = {}
    for path, why in out.items():
        at = path
        for above in ancestors(path):
            if not above or above in remain:
                break
            at = above
        known = found.get(at, NotCovered(at, why))
        found[at] = NotCovered(at, known.why, known.files + 1, known.bytes + sizes[path])
    return list(found.values()), {at for at in found if at not in sizes}


def _without(nodes: Mapping[str, Node], out: Iterable[str], gone: set[str]) -> dict[str, Node]:
    leaving: dict[str, set[str]] = {}
    for path in (*out, *gone):
        above, name = split(path)
        leaving.setdefault(above, set()).add(name)
    kept: dict[str, Node] = {}
    for above, node in nodes.items():
        if gone and is_in_any(above, gone):
            continue
        names = leaving.get(above)
        kept[above] = node if names is None else {n: entry for n, entry in node.items() if n not in names}
    return kept
