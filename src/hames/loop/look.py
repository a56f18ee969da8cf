"""Look: the workspace before and after what may change it, so that it can be put back."""

from collections.abc import Sequence

import anyio
import msgspec

from hames.core.errors import StoreError, StoreFull
from hames.core.events import AnyEvent, CallFinished, CallLost, JobFinished
from hames.core.ids import BlobId, CallId
from hames.core.messages import Part, Text
from hames.core.text import and_more, clean, clip, presentable
from hames.loop.kit import Kit

_End = CallFinished | CallLost | JobFinished

NAMED_PATHS = 30
NAMED_BYTES = 2000
"""What the model is told of the paths that have changed since the start of a call whose end nobody knows."""


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
    if not any(isinstance(event, _End) for event in events):
        return list(events)
    tree = await look_after(kit)
    return [await _left(kit, event, tree) if isinstance(event, _End) else event for event in events]


async def _left(kit: Kit, event: _End, tree: BlobId | None) -> AnyEvent:
    if isinstance(event, CallLost):
        parts = (*event.parts, *await changed_since(kit, event.call, tree))
        return msgspec.structs.replace(event, parts=parts, tree_after=tree)
    return msgspec.structs.replace(event, tree_after=tree)


async def changed_since(kit: Kit, call: CallId, after: BlobId | None) -> tuple[Part, ...]:
    """What has changed in the workspace since a call was started, by it or by somebody else; nothing where
    it was not looked at. `after` is what the last look has found."""
    started = kit.view.open_calls[call].started
    before = None if started is None else started.tree_before
    found: tuple[Part, ...] = ()
    if before is not None and after is not None:
        with anyio.CancelScope(shield=True):
            found = (Text(await _difference(kit, before, after)),)
    return found


async def _difference(kit: Kit, before: BlobId, after: BlobId) -> str:
    try:
        paths = await kit.trees.changed(before, after)
    except StoreError as error:
        return f"[what has changed in the workspace cannot be seen: {error}]"
    return f"[changed in the workspace since it was started: {_named(paths)}]"


def _named(paths: Sequence[str]) -> str:
    shown = ", ".join(clean(presentable(path)).replace("\n", "?") for path in paths[:NAMED_PATHS])
    return clip(shown, NAMED_BYTES) + and_more(len(paths) - NAMED_PATHS) if paths else "nothing"
