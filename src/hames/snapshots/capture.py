"""Takes a snapshot: looks, reads what is new, and makes what is to be stored of it."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from hames.core.ids import BlobId
from hames.core.limits import SNAPSHOT_BYTES, SNAPSHOT_FILES
from hames.core.ports import Clock
from hames.snapshots.budget import Budget, Listed, fit
from hames.snapshots.compare import Change, Gaps, differences
from hames.snapshots.contents import Contents, Kept, needed
from hames.snapshots.entries import Draft, NotCovered, Tree, join, split
from hames.snapshots.filling import Filler, Progress
from hames.snapshots.keeping import Keeper
from hames.snapshots.known import look_at
from hames.snapshots.manifest import delta, whole
from hames.snapshots.packs import Pack, PackWriter, Scratch
from hames.snapshots.roots import name_of, root_of, tree_path
from hames.snapshots.scan import Scan, close_again, scan


class Workspace(msgspec.Struct, frozen=True):
    """What is captured: all below `root` and the `further` directories (absolute and resolved, each chosen by
    `beside`) but what is at the absolute paths `leave_out`. Large packs are written to `scratch`."""

    root: str
    scratch: Scratch
    leave_out: tuple[str, ...] = ()
    budget: Budget = Budget(SNAPSHOT_FILES, SNAPSHOT_BYTES)
    further: tuple[str, ...] = ()

    def set_aside(self) -> frozenset[str]:
        """What is passed over, as paths of a tree: also a directory in another one that is looked at by
        itself."""
        found: set[str] = set()
        for place, name in ((self.root, ""), *((path, name_of(path)) for path in self.further)):
            below = place.rstrip("/") + "/"
            apart = (*self.leave_out, self.root, *self.further) if self.further else self.leave_out
            found.update(join(name, path[len(below) :]) for path in apart if path.startswith(below))
        return frozenset(found)

    def inside(self, path: str) -> str | None:
        """What an absolute path is called in a tree; None if it is not looked at."""
        return tree_path(path, self.root, self.further)


class Sources(NamedTuple):
    """What a capture asks others: `kept` for contents that other sessions have, `listed` (only when the
    budget does not hold all) for what git does not ignore; `progress` is told how far it is."""

    kept: Kept | None = None
    listed: Listed | None = None
    progress: Progress | None = None


NO_SOURCES = Sources()


class Captured(msgspec.Struct, frozen=True):
    """A snapshot. It is none before one event that names `tree.blob` and `packs` is durable: `blobs` go into
    that transaction, `pack_files` (their address by path) into the store of blobs before it, and
    `Contents.learn` is told of `made` after it. Without a change, `tree.blob` is that of the snapshot before.
    """

    tree: Tree
    blobs: tuple[bytes, ...]
    pack_files: dict[str, BlobId]
    packs: tuple[BlobId, ...]
    changes: tuple[Change, ...]
    made: tuple[Pack, ...]

    @property
    def not_covered(self) -> tuple[NotCovered, ...]:
        """What the snapshot leaves alone."""
        return self.tree.not_covered


class _Drafted(NamedTuple):
    """What was found. Only directories of `touched` differ from before; None: any of them may."""

    draft: Draft
    touched: set[str] | None


class Capturer:
    """Takes the snapshots of one session. `contents` are those of all packs that its log has named."""

    def __init__(self, workspace: Workspace, contents: Contents, clock: Clock) -> None:
        self._workspace = workspace
        self._contents = contents
        self._clock = clock

    def capture(
        self,
        before: Tree | None,
        sources: Sources = NO_SOURCES,
        *,
        first: bool = False,
        only: Iterable[str] | None = None,
    ) -> Captured:
        """The workspace as it is, compared with `before`, which must be on the log.

        `first`: this session's log has none yet, and `before` is of another session, whose packs `contents`
        has. Then all that is needed is named, and the manifest builds on no other.
        `only` these paths (relative to the root, free of links) and the directories above them are looked at,
        with all below them; what has changed beside them is found by the next look at everything. A first one
        is at everything in any case.
        Raises `OSError`; then nothing is left in `scratch`.
        """
        keeper = Keeper(self._contents, PackWriter(self._workspace.scratch), sources.kept)
        taken_ns = int(self._clock.now() * 1e9)
        root = self._workspace.root
        known = None if only is None else tuple(only)
        try:
            if known is None or first or before is None or not _has_roots(before, known):
                found = self._scan(before)
            else:
                found = look_at(root, before, known, self._workspace.set_aside())
                if found is None:
                    return Captured(before, (), {}, (), (), ())
            drafted = self._draft(before, (found, taken_ns), keeper, sources)
            made = keeper.finish()
        except BaseException:
            keeper.discard()
            raise
        return self._captured(before, drafted, (made, list(keeper.borrowed)), first=first)

    def is_as(self, before: Tree) -> bool:
        """Whether nothing has changed since `before`: True only where a look that reads no content can tell.
        Raises `OSError`."""
        if before.unsure:
            return False
        found = self._scan(before)
        if found.opened:
            close_again(self._workspace.root, found, found.nodes)
            return False
        if found.touched or found.fresh or found.top != before.top:
            return False
        return tuple(sorted(found.missed, key=_path)) == before.not_covered

    def _scan(self, before: Tree | None) -> Scan:
        workspace = self._workspace
        most = workspace.budget.files * 10
        return scan(workspace.root, before, workspace.set_aside(), most, workspace.further)

    def _draft(
        self, before: Tree | None, look: tuple[Scan, int], keeper: Keeper, sources: Sources
    ) -> _Drafted:
        root, budget = self._workspace.root, self._workspace.budget
        found, taken_ns = look
        nodes = found.nodes
        fitted = None
        try:
            missed = found.missed
            if not budget.holds(found.files, found.bytes):
                fitted = fit(nodes, budget, sources.listed)
                nodes, missed = fitted.nodes, [*missed, *fitted.left_out]
                found = found._replace(nodes=nodes, files=fitted.files, bytes=fitted.bytes)
            filled = Filler(before, found, taken_ns, keeper.keep).fill(root, sources.progress)
        finally:
            top = close_again(root, found, nodes)
        gaps = tuple(sorted((*missed, *filled.unreadable), key=_path))
        unsure = filled.unsure if before is None else filled.unsure | (before.unsure - found.again)
        draft = Draft(top, nodes, taken_ns, unsure, gaps, filled.files, filled.bytes)
        touched = {*found.touched, *filled.touched, *(split(path)[0] for path in found.opened)}
        return _Drafted(draft, None if fitted else touched)

    def _captured(
        self,
        before: Tree | None,
        drafted: _Drafted,
        packs_of: tuple[list[Pack], list[BlobId]],
        *,
        first: bool,
    ) -> Captured:
        draft, touched = drafted
        made, borrowed = packs_of
        payload = b""
        changed: list[Change] = []
        if before is None:
            tree, payload = whole(draft)
        else:
            tree = msgspec.structs.replace(before, **msgspec.structs.asdict(draft))
            changed = list(differences(before, tree, touched))
            if changed or tree.not_covered != before.not_covered or (first and before.links):
                entries = {change.path: change.after for change in changed if change.path}
                tree, payload = whole(draft) if first else delta(draft, before, entries)
        packs = [*borrowed, *(pack.blob for pack in made)]
        if first or before is None:
            files = (entry.content for _, entry in tree.entries() if entry.kind == "file")
            packs = [*dict.fromkeys((*self._contents.packs_of(needed(files)), *packs))]
        gaps = Gaps(tree)
        return Captured(
            tree,
            tuple(data for data in (payload, *(pack.payload for pack in made)) if data),
            {pack.path: pack.blob for pack in made if pack.payload is None},
            tuple(packs),
            tuple(sorted(change for change in changed if not gaps.hold(change.path))),
            tuple(made),
        )


def _has_roots(before: Tree, paths: Iterable[str]) -> bool:
    """Whether all directories that the paths are in were there before."""
    return all(before.get(root_of(path)) is not None for path in paths)


def _path(gap: NotCovered) -> str:
    return gap.path
