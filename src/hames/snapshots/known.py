"""A look at known paths only: all that is beside them is taken over from the look before."""

import os
from collections.abc import Iterable, Iterator

from hames.snapshots.beneath import Beneath
from hames.snapshots.entries import (
    FIRST_FILE_MODE,
    Entry,
    Stat,
    Tree,
    is_in_any,
    join,
    read_stat,
)
from hames.snapshots.roots import is_further, known_roots
from hames.snapshots.scan import DEEPEST, Scan, Scanner, as_known, find_beside, shut


def look_at(root: str, before: Tree, paths: Iterable[str], set_aside: frozenset[str]) -> Scan | None:
    """As `scan`, but only at these paths of the tree, all that is below them, and the directories above them;
    None when nothing is different. What is beside them in a directory that is new is no entry yet.

    A path that leads out, or through a link, is not followed. A file that has changed and has other names is
    looked at under all that are known. Raises `OSError` when `root` cannot be seen.
    """
    wanted = {path for path in paths if _is_plain(path)}
    return _KnownPaths(before, wanted, set_aside).look(root)


def _is_plain(path: str) -> bool:
    return "\0" not in path and not {"", ".", ".."}.intersection(path.split("/"))


class _KnownPaths(Scanner):
    """`_nodes` are only those of directories that were entered."""

    def __init__(self, before: Tree, wanted: set[str], set_aside: frozenset[str]) -> None:
        super().__init__(before, set_aside, 10**9, tuple(known_roots(before)))
        self._tree = before
        self._wanted = wanted
        self._enters: dict[str, bool] = {}
        self._seen: set[str] = set()
        self._whole: set[str] = set()
        self._gone: set[str] = set()
        self._shared: set[int] = set()
        self._devices: dict[str, int] = {}

    def look(self, root: str) -> Scan | None:
        try:
            beneath = Beneath(root)
        except PermissionError:
            # It is closed: a look at all can tell whether it was so before.
            return self.run(root)
        try:
            with beneath:
                self._nodes[""] = self._before[""]
                self._devices[""] = os.fstat(beneath.directory("")).st_dev
                # What is above a path comes before it.
                for path in sorted(self._wanted):
                    self._path(beneath, path)
                for path in self._further_names():
                    self._path(beneath, path)
        except BaseException:
            shut(root, self._opened)
            raise
        return self._merged(root)

    def _merged(self, root: str) -> Scan | None:
        before = self._tree
        again = frozenset(path for path in before.unsure if self._is_seen(path))
        found = self._found(root, self._gone - self._nodes.keys(), again)
        missed = [gap for gap in before.not_covered if not self._is_seen(gap.path)] + found.missed
        same = not found.touched and not again and found.top == before.top
        if same and set(missed) == set(before.not_covered):
            return None
        nodes = dict(before.nodes)
        for path in self._gone:
            del nodes[path]
        nodes.update(found.nodes)
        return found._replace(nodes=nodes, missed=missed)

    def _is_seen(self, path: str) -> bool:
        return path in self._seen or is_in_any(path, self._whole)

    def _path(self, beneath: Beneath, path: str) -> None:
        names = path.split("/")
        above = ""
        if is_further(path) and names[0] not in self._enters:
            self._enters[names[0]] = self._root(beneath, names[0], whole=len(names) == 1)
        self._device = self._devices.get(names[0], self._devices[""])
        for depth, name in enumerate(names):
            inside = join(above, name)
            if inside not in self._enters:
                last = depth == len(names) - 1
                self._enters[inside] = self._name(beneath, above, name, depth, last=last)
            if not self._enters[inside]:
                return
            above = inside

    def _root(self, beneath: Beneath, name: str, *, whole: bool) -> bool:
        """As `_name`, of a directory beside the root."""
        try:
            above, found = find_beside(name)
        except OSError:
            # It is what it was, until the next look at everything.
            return False
        os.close(above)
        self._seen.add(name)
        self._devices[name] = self._device = found.st_dev
        known = self._nodes[""][name]
        if as_known(found, known) is not known:
            self._set("", name, as_known(found, known))
        return self._directory_at(beneath, "", name, 0, last=whole)

    def _name(self, beneath: Beneath, above: str, name: str, depth: int, *, last: bool) -> bool:
        """Look at one name in a directory. Whether to look below it, at what is asked for only."""
        inside = join(above, name)
        try:
            place = beneath.directory(above)
            found = os.stat(name, dir_fd=place, follow_symlinks=False)
        except FileNotFoundError:
            self._leave(above, name)
            return False
        except OSError:
            # It cannot be seen just now, so it is what it was, until the next look.
            return False
        self._seen.add(inside)
        known = self._nodes[above].get(name)
        changed = known is None or known.stat != read_stat(found)
        if changed:
            if not self._is_covered(place, above, name, found):
                self._leave(above, name)
                return False
            self._set(above, name, Entry(Stat._make(read_stat(found)), b""))
        if found.st_mode < FIRST_FILE_MODE:
            return self._directory_at(beneath, above, name, depth, last=last)
        if known is not None and known.kind == "directory":
            self._purge(inside)
        if changed:
            self._fresh.append((above, name))
        if found.st_nlink > 1 and (changed or inside in self._unsure):
            self._shared.add(found.st_ino)
        return False

    def _directory_at(self, beneath: Beneath, above: str, name: str, depth: int, *, last: bool) -> bool:
        inside = join(above, name)
        place = beneath.place(inside).directory
        if depth >= DEEPEST:
            self._pass_over(above, name, "deep")
            return False
        whole = last
        try:
            if not whole and self._is_closed(place, above, name):
                # It was so before: nothing in it can have changed.
                return False
            # One that was closed since was opened by this: what was done in it before that is to be seen.
            whole = whole or inside in self._opened
            if not whole:
                beneath.directory(inside)
        except OSError as error:
            if isinstance(error, PermissionError):
                self._purge(inside)
                self._pass_over(above, name, "unreadable")
            return False
        if whole:
            self._purge(inside)
            self._enter(place, above, name, depth)
            return False
        node = self._before.get(inside)
        if node is None:
            self._touched.add(inside)
        self._nodes[inside] = {} if node is None else node
        return True

    def _leave(self, above: str, name: str) -> None:
        """There is no entry, and nothing below it."""
        inside = join(above, name)
        self._purge(inside)
        if name in self._nodes[above]:
            self._set(above, name, None)

    def _purge(self, path: str) -> None:
        """Take out what was known of all below a path."""
        self._whole.add(path)
        node = self._before.get(path)
        if node is None:
            return
        self._gone.add(path)
        for name, entry in node.items():
            if entry.stat.mode < FIRST_FILE_MODE:
                self._purge(join(path, name))

    def _set(self, above: str, name: str, entry: Entry | None) -> None:
        node = dict(self._nodes[above])
        held = node.pop(name, None)
        if entry is not None:
            node[name] = entry
        self._count({} if held is None else {name: held}, -1)
        self._count({} if entry is None else {name: entry}, 1)
        self._nodes[above] = node
        self._touched.add(above)

    def _further_names(self) -> Iterator[str]:
        """The other names of files that have changed, or may have."""
        if not self._shared:
            return
        for above, node in self._before.items():
            for name, entry in node.items():
                if entry.stat.inode in self._shared and entry.stat.mode >= FIRST_FILE_MODE:
                    yield join(above, name)
