"""Who keeps the snapshots of each session, by the settings."""

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from hames.assembly.settings import Settings
from hames.context.view import View
from hames.core.errors import FileProblem, LauncherError, SandboxError
from hames.core.ids import BlobId
from hames.core.paths import is_within
from hames.core.ports import Files, Look, Past, SearchQuery
from hames.session.keeping import Keeping, NoTrees, Shelf
from hames.stores.scratch import scratch

if TYPE_CHECKING:
    from hames.session.trees import Keeper
    from hames.snapshots.contents import Contents
    from hames.snapshots.entries import NotCovered, Tree

T = TypeVar("T")

LISTED_BYTES = 64 * 1024 * 1024
_LISTED = ("--files", "--hidden", "--no-messages", "--no-require-git", "--glob", "!/.git")


class Keepers:
    """Makes the keeper of each session of this process; closed at the end.

    `masked` are absolute paths that no command can see: they are not looked at.
    """

    def __init__(self, settings: Settings, shelf: Shelf, masked: Sequence[str]) -> None:
        where = settings.directories
        self._settings = settings
        self._shelf = shelf
        self._leave_out = (*where.own, *masked)
        # What is ours never goes back.
        self._further = tuple(
            path for path in settings.add_dirs if not any(map(partial(is_within, path), where.own))
        )
        self._state = where.state
        self._open = ExitStack()
        self._scratch = ""
        self._made: list[_Late] = []
        self._lock = Lock()

    def of(self, view: View) -> Keeping:
        """The keeper of the session that has come to `view`."""
        if not self._settings.undo:
            return NoTrees()
        root = self._settings.workspace
        if view.opened is not None and os.path.isdir(view.opened.workspace):
            root = view.opened.workspace
        past = None if view.tree is None else Past(view.tree, tuple(view.packs))
        keeper = _Late(lambda: self._keeper(root, past))
        self._made.append(keeper)
        return keeper

    def _keeper(self, root: str, past: Past | None) -> "Keeper":
        from hames.session.trees import Keeper  # noqa: PLC0415 - not on the way to the first request
        from hames.snapshots.budget import Budget  # noqa: PLC0415 - nor this
        from hames.snapshots.capture import Workspace  # noqa: PLC0415 - nor this
        from hames.snapshots.roots import beside  # noqa: PLC0415 - nor this

        budget = Budget(self._settings.undo_files, self._settings.undo_bytes)
        further = beside(root, self._further)
        workspace = Workspace(root, self._scratch_made, self._leave_out, budget, further)
        return Keeper(workspace, self._shelf, past)

    def close(self) -> None:
        """No more looks."""
        for keeper in self._made:
            keeper.close()
        self._open.close()

    def _scratch_made(self) -> str:
        with self._lock:
            if not self._scratch:
                self._scratch = self._open.enter_context(scratch(self._state))
            return self._scratch


class _Late:
    """A keeper that is made when it is first needed: by then a request is on its way, and there is time."""

    def __init__(self, make: "Callable[[], Keeper]") -> None:
        self._make = make
        self._made: Keeper | None = None

    @property
    def not_covered(self) -> "tuple[NotCovered, ...]":
        return () if self._made is None else self._made.not_covered

    def begin(self) -> None:
        self._keeper().begin()

    async def look(self, paths: Sequence[str] | None = None) -> Look:
        return await self._keeper().look(paths)

    async def changed(self, before: BlobId, after: BlobId) -> Sequence[str]:
        return await self._keeper().changed(before, after)

    async def load(self, tree: BlobId) -> "Tree":
        return await self._keeper().load(tree)

    async def work(self, function: "Callable[[Contents], T]") -> T:
        return await self._keeper().work(function)

    def close(self) -> None:
        if self._made is not None:
            self._made.close()

    def _keeper(self) -> "Keeper":
        if self._made is None:
            self._made = self._make()
        return self._made


async def listed(files: Files, workspace: str) -> set[bytes] | None:
    """The files of the workspace that git would not ignore; None where ripgrep cannot say."""
    query = SearchQuery(_LISTED, workspace, LISTED_BYTES, LISTED_BYTES)
    try:
        found = await files.search(query)
    except (FileProblem, LauncherError, SandboxError):
        return None
    return set(found.data.split(b"\n")) if found.exit_code == 0 and not found.cut else None
