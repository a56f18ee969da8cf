"""Shrink: make room when the window runs full."""

from hames.context.assemble import Assembled
from hames.context.count import context_tokens
from hames.context.shrink import shrink as plan
from hames.core.ports import Pinned
from hames.loop.ask import assemble
from hames.loop.kit import Kit


async def shrink(kit: Kit, request: Assembled, pinned: Pinned, *, forced: bool = False) -> Assembled | None:
    """The request after a rewrite of history, or None when nothing is rewritten.

    The rewrite is one event on the view; the log keeps everything. It starts a new segment.
    """
    tokens = context_tokens(kit.view, request.body.size)
    event = plan(kit.view, tokens, kit.answerer.profile.facts.window, forced=forced)
    if event is None:
        return None
    kit.journal.stage(event)
    kit.assembler.begin(pinned)
    return await assemble(kit)
