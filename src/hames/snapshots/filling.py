"""Gives the entries that a scan found new, or not sure, their content."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from hames.snapshots.beneath import Beneath
from hames.snapshots.entries import FIRST_FILE_MODE, Entry, Node, NotCovered, Tree, join, split
from hames.snapshots.reading import Found, Keep, read_closed, read_entry
from hames.snapshots.scan import Scan

_COARSE_NS = 20_000_000
"""The kernel's times of changes lag behind by up to 10 ms: closer than this, two may look like one."""

_VERY_COARSE_NS = 2_100_000_000
"""The same, where times are whole seconds, or two."""

Progress = Callable[[int, int], None]
"""Told how many files have been read, of how many. What it raises ends the capture."""


class Filled(NamedTuple):
    """The entries with their content. `unsure` may yet change without showing it; the nodes of `touched` were
    changed."""

    nodes: dict[str, Node]
    unsure: frozenset[str]
    unreadable: list[NotCovered]
    files: int
    bytes: int
    touched: AbstractSet[str]


class Filler:
    """Reads for one snapshot: a scan that began at `taken_ns` found `found`, compared with `before`."""

    def __init__(self, before: Tree | None, found: Scan, taken_ns: int, keep: Keep) -> None:
        self._before = before
        self._wanted = {*found.fresh, *map(split, found.again)}
        self._nodes = found.nodes
        self._taken_ns = taken_ns
        self._keep = keep
        self._files = found.files
        self._bytes = found.bytes
        self._own: dict[str, dict[str, Entry]] = {}
        self._unsure: set[str] = set()
        self._unreadable: list[NotCovered] = []

    def fill(self, root: str, progress: Progress | None) -> Filled:
        """Read all. Raises `OSError` when `root` is gone."""
        nodes = self._nodes
        listed = sorted(key for key in self._wanted if _is_to_be_read(nodes.get(key[0]), key[1]))
        if listed:
            self._read(root, listed, progress)
        touched = self._own.keys()
        return Filled(nodes, frozenset(self._unsure), self._unreadable, self._files, self._bytes, touched)

    def _read(self, root: str, listed: list[tuple[str, str]], progress: Progress | None) -> None:
        try:
            beneath = Beneath(root)
        except PermissionError:
            # It is closed, and was so when this was read: nothing in it can have changed.
            return
        with beneath:
            for number, (above, name) in enumerate(listed):
                if progress is not None:
                    progress(number, len(listed))
                self._one(beneath, above, name)

    def _one(self, beneath: Beneath, above: str, name: str) -> None:
        listed = self._nodes[above][name]
        try:
            found = self._found(beneath, above, name, listed)
        except PermissionError:
            self._set(above, name, listed, None)
            self._unreadable.append(NotCovered(join(above, name), "unreadable"))
            return
        except (FileNotFoundError, NotADirectoryError):
            found = None
        if found is None:
            self._set(above, name, listed, None)
            return
        entry = found.entry
        if entry != listed:
            self._set(above, name, listed, entry)
        if not found.settled or self._may_hide(entry.stat.ctime_ns):
            self._unsure.add(join(above, name))

    def _found(self, beneath: Beneath, above: str, name: str, listed: Entry) -> Found | None:
        try:
            place = beneath.directory(above)
            return read_entry(place, name, self._keep)
        except PermissionError:
            if self._before is not None and self._before.get(join(above, name)) == listed:
                # It is closed, or its directory is, and was so when it was read: it cannot have changed.
                return Found(listed, settled=True)
        return read_closed(beneath.directory(above), name, listed.permissions, self._keep)

    def _may_hide(self, ctime_ns: int) -> bool:
        """Whether another change, right after this look, could have the same time."""
        age = self._taken_ns - ctime_ns
        return age < _COARSE_NS or (age < _VERY_COARSE_NS and ctime_ns % 10**9 == 0)

    def _set(self, above: str, name: str, listed: Entry, entry: Entry | None) -> None:
        node = self._own.get(above)
        if node is None:
            # The node may be shared with the tree from before.
            node = self._own[above] = dict(self._nodes[above])
            self._nodes[above] = node
        if entry is None:
            del node[name]
            self._files -= 1
            self._bytes -= listed.stat.size
        else:
            node[name] = entry
            self._bytes += entry.stat.size - listed.stat.size


def _is_to_be_read(node: Node | None, name: str) -> bool:
    entry = None if node is None else node.get(name)
    return entry is not None and entry.stat.mode >= FIRST_FILE_MODE
