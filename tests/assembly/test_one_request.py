"""One request outside of a session, and a model that gives no reply to it."""

from collections.abc import AsyncGenerator

import anyio
import pytest

from hames.assembly.one_request import whole_reply
from hames.core.errors import ModelError
from hames.core.ports import Alive, Body, Delta, Reply

BODY = Body((b"{}",), 2, "")


class Endless:
    """A model that is there, and never says anything."""

    async def ask(self, body: Body) -> AsyncGenerator[Delta | Reply]:
        yield Alive(queued=True)
        await anyio.Event().wait()


class Mute:
    """A model whose stream ends without a reply."""

    async def ask(self, body: Body) -> AsyncGenerator[Delta | Reply]:
        yield Alive(queued=True)


@pytest.mark.anyio
async def test_a_reply_that_takes_too_long_is_a_stalled_one() -> None:
    with pytest.raises(ModelError, match="no whole reply in 0.05 s") as caught:
        await whole_reply(Endless(), BODY, 0.05)
    assert caught.value.kind == "stalled"


@pytest.mark.anyio
async def test_a_stream_without_a_reply_is_cut() -> None:
    with pytest.raises(ModelError) as caught:
        await whole_reply(Mute(), BODY, 5.0)
    assert caught.value.kind == "cut"
