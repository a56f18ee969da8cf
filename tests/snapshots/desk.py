"""A workspace, what is stored of it, and pictures of it to compare."""

import os
import stat
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from hames.assembly.system import SystemClock
from hames.core.errors import DamagedLog
from hames.core.ids import BlobId, blob_id
from hames.snapshots.budget import Budget
from hames.snapshots.capture import NO_SOURCES, Captured, Capturer, Sources, Workspace
from hames.snapshots.contents import Contents
from hames.snapshots.entries import Tree
from hames.snapshots.manifest import load
from hames.snapshots.plan import Plan, plan
from hames.snapshots.restore import Restored, restore
from hames.snapshots.writing import Watch

LARGE = Budget(100_000, 10**10)


class Shelf:
    """Blobs in a directory, as a store keeps them."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.written = 0

    def put(self, data: bytes) -> BlobId:
        blob = blob_id(data)
        (self.directory / blob).write_bytes(data)
        self.written += len(data)
        return blob

    def read(self, blob: BlobId, start: int, limit: int) -> bytes:
        try:
            with (self.directory / blob).open("rb") as file:
                file.seek(start)
                return file.read(limit)
        except FileNotFoundError as error:
            raise DamagedLog(f"blob {blob} is missing") from error

    def whole(self, blob: BlobId) -> bytes:
        return self.read(blob, 0, 10**10)

    def commit(self, captured: Captured) -> None:
        """What a session does with a snapshot: the files first, then the rest with the event."""
        for path, blob in captured.pack_files.items():
            self.written += os.stat(path).st_size
            os.rename(path, self.directory / blob)
        for data in captured.blobs:
            self.put(data)


class Desk:
    """One session at work in a workspace. `trees` are its snapshots, `packs` what its log names."""

    def __init__(
        self,
        root: Path,
        shelf: Path,
        budget: Budget = LARGE,
        leave_out: Iterable[str] = (),
        further: Iterable[str] = (),
    ) -> None:
        root.mkdir(exist_ok=True)
        self.root = root
        self.shelf = Shelf(shelf)
        self.scratch = shelf / "scratch"
        self.scratch.mkdir(exist_ok=True)
        self.contents = Contents(self.shelf.read)
        self.workspace = Workspace(
            str(root), lambda: str(self.scratch), tuple(leave_out), budget, tuple(further)
        )
        self.capturer = Capturer(self.workspace, self.contents, SystemClock())
        self.tree: Tree | None = None
        self.packs: list[BlobId] = []
        self.last: Captured | None = None

    def take(
        self, sources: Sources = NO_SOURCES, *, first: bool = False, only: Iterable[str] | None = None
    ) -> Tree:
        captured = self.capturer.capture(self.tree, sources, first=first, only=only)
        self.shelf.commit(captured)
        self.packs += captured.packs
        self.contents.name(captured.packs)
        for pack in captured.made:
            self.contents.learn(pack.blob, pack.where)
        self.tree = captured.tree
        self.last = captured
        assert not list(self.scratch.iterdir())
        return captured.tree

    def again(self) -> "Desk":
        """The same session in a new process: all that it knows is what was stored."""
        workspace = self.workspace
        other = Desk(
            self.root, self.shelf.directory, workspace.budget, workspace.leave_out, workspace.further
        )
        other.contents.name(self.packs)
        other.packs = list(self.packs)
        assert self.tree is not None
        other.tree = load(other.shelf.whole, self.tree.blob)
        return other

    def plan(self, to: Tree, force: Iterable[str] = ()) -> Plan:
        was = self.tree
        assert was is not None
        return plan(self.take(), was, to, force)

    def go_back(self, to: Tree, force: Iterable[str] = ()) -> tuple[Plan, Restored]:
        what = self.plan(to, force)
        return what, self.apply(what)

    def apply(self, what: Plan, watch: Watch | None = None) -> Restored:
        return restore(str(self.root), what, self.contents, watch=watch)


class Seen(NamedTuple):
    """A path in a picture. `with_names`: the other names of the file."""

    mode: int
    content: bytes
    mtime_ns: int
    names: tuple[str, ...]


def picture(root: Path, *, but: Callable[[str], bool] = lambda _: False) -> dict[str, Seen]:
    """All that there is below `root`, made in another way than snapshots are."""
    found: dict[str, tuple[os.stat_result, bytes]] = {}
    names: dict[int, list[str]] = {}
    for above, directories, files in os.walk(root):
        for name in (*directories, *files, *(["."] if above == str(root) else [])):
            full = os.path.join(above, name)
            path = os.path.relpath(full, root)
            if but(path):
                continue
            at = os.lstat(full)
            content = b""
            if stat.S_ISREG(at.st_mode):
                content = _digest(full)
            elif stat.S_ISLNK(at.st_mode):
                content = os.fsencode(os.readlink(full))
            if not stat.S_ISDIR(at.st_mode):
                names.setdefault(at.st_ino, []).append(path)
            found[path] = (at, content)
    return {
        path: Seen(at.st_mode, content, at.st_mtime_ns, tuple(sorted(names.get(at.st_ino, ()))))
        for path, (at, content) in found.items()
    }


_BLOCK = 1 << 16


def _digest(path: str) -> bytes:
    """Of the size, and of all blocks that are not zeros with their places: holes are not read."""
    digest = sha256()
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        digest.update(str(size).encode())
        at = 0
        while at < size:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA) // _BLOCK * _BLOCK
            except OSError:
                break
            part = os.pread(file.fileno(), _BLOCK, at)
            if part.count(0) < len(part):
                digest.update(str(at).encode() + b":" + part)
            at += _BLOCK
    return digest.digest()


def differing(one: dict[str, Seen], other: dict[str, Seen]) -> dict[str, tuple[Seen | None, Seen | None]]:
    """What is not the same, for a clear message."""
    keys = one.keys() | other.keys()
    return {key: (one.get(key), other.get(key)) for key in keys if one.get(key) != other.get(key)}
