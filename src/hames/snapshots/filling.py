"""Gives the entries that a scan found new, or not sure, their content."""

from collections.abc import Callable
from typing import NamedTuple

from hames.snapshots.beneath import Beneath
from hames.snapshots.entries import FIRST_FILE_MODE, Entry, Node, NotCovered, Tree, join, split
from hames.snapshots.reading import Keep, read_entry
from hames.snapshots.scan import Scan

_COARSE_NS = 20_000_000
"""The kernel's times of changes lag behind by up to 10 ms: closer than this, two may look like one."""

_VERY_COARSE_NS = 2_100_000_000
"""The same, where times are whole seconds, or two."""

Progress = Callable[[int, int], None]
"""Told how many files have been read, of how many. What it raises ends the capture."""


class Filled(NamedTuple):
    """The entries with their content. `unsure` may yet change without showing it."""

    nodes: dict[str, Node]
    unsure: frozenset[str]
    unreadable: list[NotCovered]
    files: int
    bytes: int


class Filler:
    """Reads for one snapshot: a scan that began at `taken_ns` found `found`, compared with `before`."""

    def __init__(self, before: Tree | None, found: Scan, taken_ns: int, keep: Keep) -> None:
        self._before = before
        self._fresh = found.fresh
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
        wanted = set(self._fresh)
        if self._before is not None:
            wanted.update(map(split, self._before.unsure))
        nodes = self._nodes
        listed = sorted(key for key in wanted if _is_to_be_read(nodes.get(key[0]), key[1]))
        if listed:
            with Beneath(root) as beneath:
                for number, (above, name) in enumerate(listed):
                    if progress is not None:
                        progress(number, len(listed))
                    self._one(beneath, above, name)
        return Filled(nodes, frozenset(self._unsure), self._unreadable, self._files, self._bytes)

    def _one(self, beneath: Beneath, above: str, name: str) -> None:
        listed = self._nodes[above][name]
        try:
            found = read_entry(beneath.directory(above), name, self._keep)
        except PermissionError:
            self._closed(above, name, listed)
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

    def _closed(self, above: str, name: str, listed: Entry) -> None:
        """A file that cannot be read has the content that it had, if only its mode was changed."""
        path = join(above, name)
        known = None if self._before is None else self._before.get(path)
        if known is not None and _only_closed(known, listed):
            self._set(above, name, listed, Entry(listed.stat, known.content))
            self._unsure.add(path)
        else:
            self._set(above, name, listed, None)
            self._unreadable.append(NotCovered(path, "unreadable"))

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


def _only_closed(known: Entry, listed: Entry) -> bool:
    one, other = known.stat, listed.stat
    return (known.kind, one.inode, one.size, one.mtime_ns) == (
        listed.kind,
        other.inode,
        other.size,
        other.mtime_ns,
    )
