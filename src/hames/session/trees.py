"""A session's snapshots: who looks at the workspace, keeps what it was, and reads it again."""

import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from threading import Event, Lock, Thread
from typing import TypeVar, TypeVarTuple

import anyio
import anyio.from_thread
import anyio.to_thread
import msgspec
from anyio.lowlevel import EventLoopToken, current_token

from hames.core.errors import NO_ROOM, DamagedLog, StoreError, StoreFull
from hames.core.events import SnapshotTaken
from hames.core.ids import BlobId
from hames.core.ports import Look, Notice, Passing, Past, Progress
from hames.core.text import listed
from hames.session.keeping import Shelf
from hames.snapshots import manifest
from hames.snapshots.capture import Captured, Capturer, Sources, Workspace
from hames.snapshots.compare import changed_paths
from hames.snapshots.contents import Contents
from hames.snapshots.entries import NotCovered, Tree
from hames.snapshots.roots import beside, known_roots, shown_gaps

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

SHOWN_GAPS = 5
"""Paths that are named at the first look when they are not covered."""

GLANCE_ENTRIES = 200
"""So few files and directories are looked at in less time than it takes to ask a thread."""

LOOKING = "taking a snapshot of the workspace"

_TELL_EVERY_S = 0.2


class LookGivenUp(Exception):
    """Nobody waits for the look any more."""


class Keeper:
    """`Keeping` for one session. `past` is its last tree, and all packs that its log has named.

    Looks are taken in threads, one at a time. What one has found is handed out by the next call of `look`,
    also when whoever wanted it has left.
    """

    def __init__(self, workspace: Workspace, shelf: Shelf, past: Past | None) -> None:
        self._workspace = workspace
        self._shelf = shelf
        self._past = past
        self._contents = Contents(self._read, () if past is None else past.packs)
        self._named = None if past is None else past.tree
        self._before: Tree | None = None
        self._found: list[tuple[SnapshotTaken, tuple[bytes, ...]]] = []
        self._lock = Lock()
        self._token: EventLoopToken | None = None
        self._begun = False
        self._told_s = 0.0
        self._told: Progress | None = None
        self._ending = Event()

    @property
    def not_covered(self) -> tuple[NotCovered, ...]:
        return () if self._before is None else self._before.not_covered

    def begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._token = current_token()
            Thread(target=self._begin, name="hames-first-look", daemon=True).start()

    def close(self) -> None:
        self._ending.set()

    async def look(self, paths: Sequence[str] | None = None) -> Look:
        stop = Event()
        try:
            tree = self._same_at_a_glance() or await self._in_thread(lambda: self._look(stop, paths))
        except OSError as error:
            if error.errno in NO_ROOM:
                raise StoreFull(f"there is no room for a snapshot of the workspace: {error}") from error
            tree = None  # The workspace cannot be looked at: it is gone, or closed to us.
        except anyio.get_cancelled_exc_class():
            stop.set()
            raise
        found, self._found = self._found, []
        return Look(tree, tuple(event for event, _ in found), tuple(b for _, blobs in found for b in blobs))

    async def changed(self, before: BlobId, after: BlobId) -> Sequence[str]:
        if before == after:
            return ()
        return await self._in_thread(lambda: changed_paths(self._load(before), self._load(after)))

    async def load(self, tree: BlobId) -> Tree:
        return await self._in_thread(lambda: self._load(tree))

    async def work(self, function: Callable[[Contents], T]) -> T:
        def locked() -> T:
            with self._lock:
                return function(self._contents)

        return await self._in_thread(locked)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        self._begun = True
        self._token = current_token()
        return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)

    def _same_at_a_glance(self) -> BlobId | None:
        """The tree from before if nothing has changed, where that is seen quickly; else None. Raises
        `OSError`."""
        before = self._before
        if before is None or before.files + len(before.nodes) > GLANCE_ENTRIES:
            return None
        if not self._lock.acquire(blocking=False):
            return None
        try:
            return before.blob if self._capturer().is_as(before) else None
        finally:
            self._lock.release()

    # From here on: in a thread.

    def _begin(self) -> None:
        try:
            self._look(Event(), None)
        except Exception:  # noqa: BLE001 - whoever looks next meets the same, and is heard
            return

    def _look(self, stop: Event, paths: Sequence[str] | None) -> BlobId:
        with self._lock:
            captured = self._captured(stop, paths)
            if self._told is not None:
                self._tell(Progress(LOOKING, self._told.total, self._told.total))
                self._told = None
            self._keep_files(captured.pack_files)
            is_first, self._before = self._before is None, captured.tree
            tree = captured.tree.blob
            if tree != self._named:
                self._found.append((SnapshotTaken(tree, captured.packs), captured.blobs))
                self._named = tree
            for pack in captured.made:
                self._contents.learn(pack.blob, pack.where)
            self._contents.name(captured.packs)
            if is_first:
                self._name_gaps(captured.not_covered)
            return tree

    def _keep_files(self, files: Mapping[str, BlobId]) -> None:
        try:
            for path in files:
                self._on_loop(self._shelf.blobs.keep_file, path)
        except BaseException:
            for path in files:
                with suppress(OSError):
                    os.unlink(path)
            raise

    def _captured(self, stop: Event, paths: Sequence[str] | None) -> Captured:
        self._told_s = self._shelf.clock.elapsed()
        sources = Sources(listed=self._listed, progress=partial(self._progress, stop))
        if self._before is None:
            before, is_others = self._last_known()
            # All is looked at: what has changed since that tree was not done by the call that is to come.
            return self._capturer().capture(before, sources, first=is_others)
        only = None if paths is None else self._inside(paths)
        return self._capturer().capture(self._before, sources, only=only)

    def _inside(self, paths: Sequence[str]) -> list[str]:
        found = (self._workspace.inside(os.path.normpath(path)) for path in paths)
        return [path for path in found if path]

    def _capturer(self) -> Capturer:
        return Capturer(self._workspace, self._contents, self._shelf.clock)

    def _last_known(self) -> tuple[Tree | None, bool]:
        """A tree to compare with at the first look, and whether it is of another session."""
        past, is_others = self._past, False
        if past is None:
            past, is_others = self._on_loop(self._shelf.others.last, self._workspace.root), True
        if past is None:
            return None, False
        if is_others and not self._on_loop(self._shelf.others.hold, (past.tree, *past.packs)):
            return None, False
        try:
            tree = manifest.load(self._read_whole, past.tree)
            self._contents.name(past.packs)
            self._contents.find(())
        except (DamagedLog, StoreError):
            # It is of no use, and must not be built upon: all is read and kept again.
            self._contents = Contents(self._read)
            self._past = None
            return None, False
        if not is_others:
            self._also(known_roots(tree))
        return tree, is_others

    def _also(self, roots: Sequence[str]) -> None:
        """What the session has looked at beside its workspace is looked at on and on, also where this run
        was not given it: else what was done there could not be taken back."""
        workspace = self._workspace
        further = beside(workspace.root, (*roots, *workspace.further))
        self._workspace = msgspec.structs.replace(workspace, further=further)

    def _load(self, tree: BlobId) -> Tree:
        before = self._before
        if before is not None and before.blob == tree:
            return before
        return manifest.load(self._read_whole, tree)

    def _read(self, blob: BlobId, start: int, size: int) -> bytes:
        return self._on_loop(self._shelf.blobs.get, blob, start, size)

    def _read_whole(self, blob: BlobId) -> bytes:
        return self._on_loop(self._shelf.blobs.get, blob)

    def _listed(self) -> set[bytes] | None:
        return None if self._shelf.listed is None else self._on_loop(self._shelf.listed)

    def _progress(self, stop: Event, done: int, total: int) -> None:
        self._go_on(stop)
        now_s = self._shelf.clock.elapsed()
        if now_s - self._told_s >= _TELL_EVERY_S:
            self._told_s = now_s
            self._told = Progress(LOOKING, done, total)
            self._tell(self._told)

    def _name_gaps(self, gaps: Sequence[NotCovered]) -> None:
        named = shown_gaps(gap for gap in gaps if gap.why != "set_aside")
        if named:
            self._tell(Notice(not_covered(named)))

    def _go_on(self, stop: Event | None = None) -> None:
        """Raises `LookGivenUp` when nobody waits any more: the event loop may soon be gone."""
        if self._ending.is_set() or (stop is not None and stop.is_set()):
            raise LookGivenUp

    def _tell(self, what: Passing) -> None:
        self._go_on()
        anyio.from_thread.run_sync(self._shelf.tell, what, token=self._token)

    def _on_loop(
        self, function: Callable[[*Arguments], Coroutine[object, object, T]], *args: *Arguments
    ) -> T:
        self._go_on()
        return anyio.from_thread.run(function, *args, token=self._token)


def not_covered(gaps: Sequence[NotCovered]) -> str:
    """What undo leaves alone, in words."""
    return f"undo does not cover: {listed((f'{gap.path} ({_how_much(gap)})' for gap in gaps), SHOWN_GAPS)}"


def _how_much(gap: NotCovered) -> str:
    return f"{gap.why}, {gap.files} files, {gap.bytes} bytes" if gap.files else gap.why
