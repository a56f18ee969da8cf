"""Waiting until something is so: whoever changes something says so, whoever waits looks again."""

from collections.abc import Callable

import anyio


class Pulse:
    """Wakes all that wait; they judge for themselves whether it was for them."""

    def __init__(self) -> None:
        self._next = anyio.Event()

    def beat(self) -> None:
        """Something has changed."""
        self._next.set()
        self._next = anyio.Event()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Return when it is so. Whoever calls this bounds the time."""
        while not is_so():
            await self._next.wait()
