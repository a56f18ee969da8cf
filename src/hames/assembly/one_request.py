"""One small request to a model, outside of any session: what doctors and trials ask."""

from contextlib import aclosing

import anyio
import msgspec

from hames.core.errors import ModelError
from hames.core.messages import Text, UserMessage
from hames.core.ports import AskOptions, Body, BodyWire, Model, Pinned, Reply, ToolSpec


def small_body(
    wire: BodyWire, model: str, words: str, options: AskOptions, tools: tuple[ToolSpec, ...] = ()
) -> Body:
    """A request that holds these words and tools, and nothing else."""
    pinned = Pinned(model, "", msgspec.Raw(msgspec.json.encode(tools)))
    data = wire.head(pinned) + wire.piece(UserMessage((Text(words),)), {}) + wire.tail(options)
    return Body((data,), len(data), "")


async def whole_reply(model: Model, body: Body, limit_s: float) -> Reply:
    """The reply to one request. Raises `ModelError`, also when it takes too long."""
    try:
        with anyio.fail_after(limit_s):
            async with aclosing(model.ask(body)) as stream:
                async for item in stream:
                    if isinstance(item, Reply):
                        return item
    except TimeoutError as error:
        raise ModelError("stalled", f"there was no whole reply in {limit_s:g} s") from error
    raise ModelError("cut", "the stream ended without a reply")
