"""Look: the workspace before and after what may change it, so that it can be put back."""

from collections.abc import Sequence

import anyio
import msgspec

from hames.core.errors import StoreFull
from hames.core.events import AnyEvent, CallFinished, CallLost, JobFinished
from hames.core.ids import BlobId
from hames.loop.kit import Kit


async def look(kit: Kit, paths: Sequence[str] | None = None) -> BlobId | None:
    """Stage a snapshot of the workspace as it is, and give its address; None where there can be none.

    `paths` are all that can have changed since the last look, where that is known. Raises `StoreFull`.
    """
    seen = await kit.trees.look(paths)
    kit.journal.stage(*seen.events, blobs=seen.blobs)
    return seen.tree


async def look_after(kit: Kit, paths: Sequence[str] | None = None) -> BlobId | None:
    """As `look`, at an end that is to be recorded in any case: also of who is cancelled, or has no room."""
    with anyio.CancelScope(shield=True):
        try:
            return await look(kit, paths)
        except StoreFull:
            return None


async def with_tree(kit: Kit, events: Sequence[AnyEvent]) -> list[AnyEvent]:
    """These events, the ends among them with the tree that was left. Nothing is looked at without one."""
    ends = [event for event in events if isinstance(event, CallFinished | CallLost | JobFinished)]
    if not ends:
        return list(events)
    tree = await look_after(kit)
    change = msgspec.structs.replace
    return [change(event, tree_after=tree) if event in ends else event for event in events]
