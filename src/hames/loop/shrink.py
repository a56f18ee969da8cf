"""Shrink: make room when the window runs full."""

from hames.context.assemble import Assembled
from hames.context.count import context_tokens
from hames.context.shrink import shrink as plan
from hames.loop.assemble import assemble, window_of
from hames.loop.kit import Kit


async def shrink(kit: Kit, request: Assembled) -> Assembled | None:
    """The request after a rewrite of history, or None when nothing is rewritten.

    The rewrite is one event on the view; the log keeps everything. It starts a new segment.
    """
    return await assemble(kit) if _shrunk(kit, request.body.size, forced=False) else None


def make_room(kit: Kit) -> bool:
    """Rewrite history although it seemed to fit; false when nothing is left to clear."""
    last = kit.view.last_request
    return _shrunk(kit, last.event.size if last is not None else 0, forced=True)


def _shrunk(kit: Kit, size: int, *, forced: bool) -> bool:
    event = plan(kit.view, context_tokens(kit.view, size), window_of(kit), forced=forced)
    if event is None:
        return False
    kit.journal.stage(event)
    kit.asking.begin_again()
    return True
