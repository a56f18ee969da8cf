"""Adapt: what can be changed about a request, or about who is asked, after a failure."""

from hames.context.count import context_tokens
from hames.core.errors import ModelError
from hames.core.limits import SHRINK_SHARE
from hames.loop.assemble import assemble
from hames.loop.kit import Kit
from hames.loop.shrink import make_room
from hames.loop.stand_in import pin_again, turn_away


async def adapt(kit: Kit, error: ModelError) -> bool:
    """Stage a change after which the next request may succeed; false when none is known."""
    if error.kind == "overflow":
        return await _with_less_output(kit, error) or make_room(kit)
    if error.kind == "rejected" and _mended(kit, error):
        return True
    return turn_away(kit, error)


async def _with_less_output(kit: Kit, error: ModelError) -> bool:
    """Whether it was the room for the reply that was not there, so that less of it will do."""
    last = kit.view.last_request
    if error.window is None or last is None:
        return False
    if context_tokens(kit.view, last.event.size) > error.window * SHRINK_SHARE:
        return False
    return (await assemble(kit)).body.sha256 != last.event.sha256


def _mended(kit: Kit, error: ModelError) -> bool:
    """Speak to the provider by the rule that the request has broken, where it is known: once for each."""
    answerer = kit.answerer
    name = answerer.mend(error)
    if not name or name in answerer.mends or kit.view.pinned is None:
        return False
    kit.asking.turn_to(kit.asking.at, (*answerer.mends, name))
    pin_again(kit, instead_until_ms=kit.view.pinned.instead_until_ms)
    return True
