"""Lays a tree out in a directory of its own."""

import errno
import os

from hames.snapshots.contents import Contents
from hames.snapshots.entries import Draft, Entry, Stat, Tree, is_temporary, read_stat
from hames.snapshots.manifest import whole
from hames.snapshots.plan import plan
from hames.snapshots.restore import Restored, restore
from hames.snapshots.roots import workspace_of
from hames.snapshots.writing import Watch


def lay_out(
    directory: str,
    tree: Tree,
    contents: Contents,
    *,
    again: bool = False,
    sync: bool = False,
    watch: Watch | None = None,
) -> Restored:
    """Make all of the workspace of `tree` in `directory`, which is made, too, unless it is there and empty.
    What the tree does not cover is not there then.

    `again`: one that was cut short is completed; what is there by then, and is not of the tree, stays.
    Raises `OSError` (of `ENOTEMPTY` for a directory with something in it), and otherwise as `restore` does.
    """
    os.makedirs(directory, exist_ok=True)
    found = os.stat(directory, follow_symlinks=False)
    if not again and not all(map(is_temporary, os.listdir(directory))):
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), directory)
    top = Entry(Stat._make(read_stat(found)), b"")
    empty, _ = whole(Draft(top, {"": {}}, 0, frozenset(), (), 0, 0))
    return restore(directory, plan(empty, empty, workspace_of(tree)), contents, sync=sync, watch=watch)
