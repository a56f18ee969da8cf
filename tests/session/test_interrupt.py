import os
import signal

import anyio
import anyio.lowlevel
import pytest

from hames.core.errors import UsageError
from hames.session.interrupt import interruptible

pytestmark = pytest.mark.anyio


async def test_work_that_is_not_disturbed_gives_its_value() -> None:
    async def work() -> str:
        return "made"

    assert await interruptible(work) == "made"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_cancels_and_what_is_cancelled_is_waited_for(number: signal.Signals) -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await anyio.lowlevel.checkpoint()
            os.kill(os.getpid(), number)
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                ended.append("cleaned up")

    assert await interruptible(work) is None
    assert ended == ["cleaned up"]


async def test_more_signals_change_nothing() -> None:
    async def work() -> None:
        await anyio.lowlevel.checkpoint()
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await anyio.sleep_forever()
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            with anyio.CancelScope(shield=True):
                for _ in range(5):
                    await anyio.lowlevel.checkpoint()

    assert await interruptible(work) is None


async def test_what_the_work_raises_comes_as_it_is() -> None:
    async def work() -> None:
        raise UsageError("not so")

    with pytest.raises(UsageError, match="not so"):
        await interruptible(work)
