"""Assemble: the next request, within the window and what is left of a budget."""

import msgspec

from hames.context.assemble import Assembled, images_in
from hames.context.count import context_tokens
from hames.core.limits import OUTPUT_SPARE_TOKENS
from hames.core.ports import AskOptions
from hames.loop.kit import Kit
from hames.loop.reserve import within_budget


async def assemble(kit: Kit) -> Assembled:
    """The next request body."""
    shown = images_in(kit.view.messages[kit.assembler.encoded :])
    if shown:
        await kit.journal.record()  # A picture that is only staged cannot be read back yet.
    images = {blob: await kit.blobs.get(blob) for blob in shown}
    size = kit.assembler.extend(kit.view.messages, images)
    return kit.assembler.assemble(_options(kit, size))


def _options(kit: Kit, size: int) -> AskOptions:
    """The parameters of a request, with no more output asked for than the window has room for, and than what
    is left of a budget pays for. Raises `OverLimit` when that is too little."""
    options, facts = kit.answerer.options, kit.answerer.profile.facts
    room = window_of(kit) - context_tokens(kit.view, size) - OUTPUT_SPARE_TOKENS
    if room < (options.max_tokens or facts.max_output):
        options = msgspec.structs.replace(options, max_tokens=max(room, OUTPUT_SPARE_TOKENS))
    return within_budget(kit, options, size)


def window_of(kit: Kit) -> int:
    """The context window of who is asked, in tokens: what is said of it, or what a failure has shown."""
    window = kit.answerer.profile.facts.window
    return min(window, kit.view.windows.get(kit.view.model, window))
