"""Who keeps the snapshots of each session, by the settings."""

from collections.abc import Sequence
from contextlib import ExitStack
from threading import Lock

from hames.assembly.settings import Settings
from hames.context.view import View
from hames.core.errors import FileProblem, LauncherError, SandboxError
from hames.core.ports import Files, Past, SearchQuery
from hames.session.trees import Keeper, Keeping, NoTrees, Shelf
from hames.snapshots.budget import Budget
from hames.snapshots.capture import Workspace
from hames.stores.scratch import scratch

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
        self._leave_out = (where.state, where.config, where.cache, *masked)
        self._state = where.state
        self._open = ExitStack()
        self._scratch = ""
        self._made: list[Keeper] = []
        self._lock = Lock()

    def of(self, view: View) -> Keeping:
        """The keeper of the session that has come to `view`."""
        if not self._settings.undo:
            return NoTrees()
        root = view.opened.workspace if view.opened is not None else self._settings.workspace
        budget = Budget(self._settings.undo_files, self._settings.undo_bytes)
        past = None if view.tree is None else Past(view.tree, tuple(view.packs))
        keeper = Keeper(Workspace(root, self._scratch_made, self._leave_out, budget), self._shelf, past)
        self._made.append(keeper)
        return keeper

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


async def listed(files: Files, workspace: str) -> set[bytes] | None:
    """The files of the workspace that git would not ignore; None where ripgrep cannot say."""
    query = SearchQuery(_LISTED, workspace, LISTED_BYTES, LISTED_BYTES)
    try:
        found = await files.search(query)
    except (FileProblem, LauncherError, SandboxError):
        return None
    return set(found.data.split(b"\n")) if found.exit_code == 0 and not found.cut else None
