"""One look at the whole tree: what is as it was, what is new, what is not covered. Reads no content."""

import errno
import fcntl
import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from hames.snapshots.beneath import OPEN_DIRECTORY, OPEN_FILE, Beneath, open_above, set_mode
from hames.snapshots.entries import (
    DIRECTORY,
    FILE,
    FIRST_FILE_MODE,
    FORMAT_MASK,
    LINK,
    Entry,
    Node,
    NotCovered,
    Stat,
    Tree,
    Why,
    depth,
    is_temporary,
    join,
    read_stat,
    split,
    weigh,
)
from hames.snapshots.roots import holds_further, is_further, name_of, path_of, without_further

DEEPEST = 256
"""Directories below directories, at most: each open one takes a descriptor."""

_NOTHING: Node = {}
_STAYS: frozenset[Why] = frozenset(("ignored", "large", "many"))


class Scan(NamedTuple):
    """What a scan found. Entries of `fresh` files and links have no content yet; their nodes are new. `again`
    are those that the scan before was not sure of. Only nodes of `touched` are not those from before, as far
    as `fresh` and `again` do not change them.

    `opened` are directories that their owner, who we are, had closed since the scan before: they were opened
    to see what is inside, and have these modes again after `close_again`.
    """

    top: Entry
    nodes: dict[str, Node]
    fresh: list[tuple[str, str]]
    missed: list[NotCovered]
    files: int
    bytes: int
    opened: dict[str, int]
    again: frozenset[str]
    touched: set[str]


def scan(
    root: str,
    before: Tree | None,
    set_aside: frozenset[str] = frozenset(),
    most: int = 10**9,
    further: tuple[str, ...] = (),
) -> Scan:
    """Look at all below `root` and the `further` directories beside it, comparing with `before`; nodes
    without a difference are those of `before`.

    `set_aside` are paths of a tree that are passed over, and so is what `before` left out for the budget.
    After `most` files, directories are not entered any more. Raises `OSError` when `root` cannot be seen;
    what is beside it need not be there.
    """
    return Scanner(before, set_aside, most, further).run(root)


class Scanner:
    """One look; see `scan`."""

    def __init__(
        self, before: Tree | None, set_aside: frozenset[str], most: int, further: tuple[str, ...] = ()
    ) -> None:
        self._further = further
        self._before: Mapping[str, Node] = {} if before is None else before.nodes
        self._set_aside = set_aside
        self._missed_before = () if before is None else before.not_covered
        self._left_out = {missed.path: missed for missed in self._missed_before if missed.why in _STAYS}
        self._most = most
        self._device = 0
        self._nodes: dict[str, Node] = {}
        self._fresh: list[tuple[str, str]] = []
        self._missed: list[NotCovered] = []
        self._files = 0 if before is None else before.files
        self._bytes = 0 if before is None else before.bytes
        self._top = None if before is None else before.top
        self._unsure: frozenset[str] = frozenset() if before is None else before.unsure
        self._touched: set[str] = set()
        self._opened: dict[str, int] = {}

    def run(self, root: str) -> Scan:
        """Look. Raises `OSError` when `root` cannot be seen."""
        known = self._before
        node = known.get("", _NOTHING)
        is_held = holds_further(node)
        try:
            # What is beside the root is in no directory that could be listed.
            self._before = {**known, "": without_further(node)} if is_held else known
            self._look(root)
            self._before = known
            if is_held or self._further:
                self._look_beside(node)
        except BaseException:
            shut(root, self._opened)
            raise
        gone = self._before.keys() - self._nodes.keys() if self._touched else ()
        return self._found(root, gone, self._unsure)

    def _found(self, root: str, gone: Iterable[str], again: frozenset[str]) -> Scan:
        found = os.stat(root, follow_symlinks=False)
        entry = Entry(Stat._make(read_stat(found)), b"")
        if "" in self._opened:
            entry = entry._replace(stat=entry.stat._replace(mode=DIRECTORY | self._opened[""]))
        for path in gone:
            self._count(self._before[path], -1)
            self._touched.add(path)
        return Scan(
            entry,
            self._nodes,
            self._fresh,
            self._missed,
            self._files,
            self._bytes,
            self._opened,
            again,
            self._touched,
        )

    def _look(self, root: str) -> None:
        try:
            top = os.open(root, OPEN_DIRECTORY)
        except PermissionError:
            seen = read_stat(os.stat(root, follow_symlinks=False))
            if self._top is not None and self._top.stat == seen and self._carry(""):
                return
            self._opened[""] = set_mode(None, root, None)
            top = os.open(root, OPEN_DIRECTORY)
        try:
            self._device = os.fstat(top).st_dev
            self._directory(top, "", 0)
        finally:
            os.close(top)

    def _look_beside(self, before: Node) -> None:
        """At the further directories; `before` is the node of the root that has them."""
        places = {name_of(path) for path in self._further}
        self._missed = [gap for gap in self._missed if gap.path not in places]
        for name in (name_of(path) for path in self._further):
            if name in self._left_out:
                self._missed.append(self._left_out[name])
            else:
                self._beside(name, before.get(name))
        if self._nodes[""] == before and "" in self._before:
            self._nodes[""] = before
        else:
            self._touched.add("")

    def _beside(self, name: str, known: Entry | None) -> None:
        try:
            above, found = find_beside(name)
        except OSError as error:
            why: Why = "unreadable" if isinstance(error, PermissionError) else "elsewhere"
            self._missed.append(NotCovered(name, why))
            return
        try:
            self._device = found.st_dev
            self._nodes[""] = {**self._nodes[""], name: as_known(found, known)}
            self._enter(above, "", name, 0)
        finally:
            os.close(above)

    def _directory(self, descriptor: int, path: str, depth: int) -> None:
        """All below one directory. The loop is what a scan costs: it makes nothing that outlives it for
        an entry that has not changed."""
        before = self._before.get(path, _NOTHING)
        known_as = before.get
        after: dict[str, Entry] = {}
        below: list[str] = []
        same = True
        take = read_stat
        with os.scandir(descriptor) as found:
            for each in found:
                name = each.name
                known = known_as(name)
                try:
                    seen = take(each.stat(follow_symlinks=False))
                except OSError as error:
                    same = self._unseen(error, path, name, known) and same
                    continue
                if known is not None and known[0] == seen:
                    after[name] = known
                elif self._is_covered(descriptor, path, name, each.stat(follow_symlinks=False)):
                    same = False
                    after[name] = Entry(Stat._make(seen), b"")
                    if seen[0] >= FIRST_FILE_MODE:
                        self._fresh.append((path, name))
                else:
                    continue
                if seen[0] < FIRST_FILE_MODE:
                    below.append(name)
        if same and len(after) == len(before):
            self._nodes[path] = before
            if path not in self._before:
                self._touched.add(path)
        else:
            self._nodes[path] = after
            self._touched.add(path)
            self._count(before, -1)
            self._count(after, 1)
        for name in below:
            self._enter(descriptor, path, name, depth)

    def _enter(self, above: int, path: str, name: str, depth: int) -> None:
        inside = join(path, name)
        if depth >= DEEPEST or self._files > self._most:
            self._pass_over(path, name, "deep" if depth >= DEEPEST else "many")
            return
        try:
            if self._is_closed(above, path, name) and self._carry(inside):
                return
            descriptor = os.open(_real(path, name), OPEN_DIRECTORY, dir_fd=above)
        except PermissionError:
            self._pass_over(path, name, "unreadable")
            return
        except OSError:
            # It has gone, or become something else, since it was listed: the next scan sees what.
            self._drop(path, name)
            return
        try:
            self._directory(descriptor, inside, depth + 1)
        finally:
            os.close(descriptor)

    def _is_closed(self, above: int, path: str, name: str) -> bool:
        """Whether a directory is closed to us and was so before, so that nothing in it can have changed. One
        that was closed since is opened. Raises `OSError`."""
        entry = self._nodes[path][name]
        if entry.stat.mode & 0o500 == 0o500:
            return False
        real = _real(path, name)
        if os.access(real, os.R_OK | os.X_OK, dir_fd=above):
            return False
        if entry is self._before.get(path, _NOTHING).get(name) and join(path, name) in self._before:
            return True
        self._opened[join(path, name)] = set_mode(above, real, None)
        return False

    def _is_covered(self, descriptor: int, path: str, name: str, found: os.stat_result) -> bool:
        """Whether what was not here before, or has changed, is to be an entry."""
        inside = join(path, name)
        if inside in self._set_aside:
            self._missed.append(NotCovered(inside, "set_aside"))
        elif inside in self._left_out:
            self._missed.append(self._left_out[inside])
        elif not path and is_further(name):
            # It must not be taken for a gap in the directory whose name it has.
            self._missed.append(NotCovered(f"./{name}", "reserved"))
        elif is_temporary(name) and found.st_mode >= FIRST_FILE_MODE:
            _remove_leftover(descriptor, name, found)
        elif found.st_mode & FORMAT_MASK not in (FILE, DIRECTORY, LINK):
            self._missed.append(NotCovered(inside, "special"))
        elif found.st_dev != self._device:
            self._missed.append(NotCovered(inside, "mount"))
        else:
            return True
        return False

    def _unseen(self, error: OSError, path: str, name: str, known: Entry | None) -> bool:
        """A name that cannot be looked at. Whether all is as it was."""
        if isinstance(error, PermissionError):
            self._missed.append(NotCovered(join(path, name), "unreadable"))
        return known is None

    def _carry(self, path: str) -> bool:
        """Take over what was known of all below a directory that is closed now."""
        node = self._before.get(path)
        if node is None:
            return False
        self._nodes[path] = node
        self._missed += [missed for missed in self._missed_before if split(missed.path)[0] == path]
        for name, entry in node.items():
            if entry.kind == "directory":
                self._carry(join(path, name))
        return True

    def _pass_over(self, path: str, name: str, why: Why) -> None:
        self._drop(path, name)
        self._missed.append(NotCovered(join(path, name), why))

    def _drop(self, path: str, name: str) -> None:
        self._nodes[path] = {key: entry for key, entry in self._nodes[path].items() if key != name}
        self._touched.add(path)

    def _count(self, node: Node, sign: int) -> None:
        files, size = weigh(node)
        self._files += sign * files
        self._bytes += sign * size


def find_beside(name: str) -> tuple[int, os.stat_result]:
    """A descriptor of what a further directory is in, and what the kernel says of it. Raises `OSError`,
    also where it is no directory, or is behind a link."""
    above = open_above(path_of(name))
    try:
        return above, _directory_in(above, _real("", name))
    except BaseException:
        os.close(above)
        raise


def _directory_in(above: int, name: str) -> os.stat_result:
    found = os.stat(name, dir_fd=above, follow_symlinks=False)
    if found.st_mode & FORMAT_MASK != DIRECTORY:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name)
    return found


def as_known(found: os.stat_result, known: Entry | None) -> Entry:
    """The entry of a directory: the one from before if nothing about it is different."""
    seen = Stat._make(read_stat(found))
    return known if known is not None and known.stat == seen else Entry(seen, b"")


def _real(above: str, name: str) -> str:
    """What the disk calls an entry."""
    return os.path.basename(path_of(name)) if not above and is_further(name) else name


def close_again(root: str, found: Scan, nodes: dict[str, Node]) -> Entry:
    """Close what the scan had opened, with the entries in `nodes` as they are then. Gives the root's."""
    top = found.top
    for path, stat in shut(root, found.opened).items():
        if not path:
            top = Entry(stat, b"")
            continue
        above, name = split(path)
        if name in nodes.get(above, _NOTHING):
            nodes[above] = {**nodes[above], name: Entry(stat, b"")}
    return top


def shut(root: str, opened: Mapping[str, int]) -> dict[str, Stat]:
    """Give directories these modes, and what the kernel says of them then; those that are gone stay so."""
    stats: dict[str, Stat] = {}
    if not opened:
        return stats
    with Beneath(root) as beneath:
        for path in sorted(opened, key=depth, reverse=True):
            try:
                place = beneath.directory(path)
                os.fchmod(place, opened[path])
                stats[path] = Stat._make(read_stat(os.fstat(place)))
            except FileNotFoundError:
                continue
    return stats


def _remove_leftover(above: int, name: str, found: os.stat_result) -> None:
    """Remove what a restore left half-written, unless one is at work on it."""
    try:
        if found.st_mode & FORMAT_MASK == FILE:
            held = os.open(name, OPEN_FILE, dir_fd=above)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _unlink_unseen(above, name)
            finally:
                os.close(held)
        else:
            _unlink_unseen(above, name)
    except OSError:
        # Not ours to remove, or already gone: it is no entry in any case.
        return


def _unlink_unseen(above: int, name: str) -> None:
    times = os.fstat(above)
    os.unlink(name, dir_fd=above)
    os.utime(above, ns=(times.st_atime_ns, times.st_mtime_ns))
