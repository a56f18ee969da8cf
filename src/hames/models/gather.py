"""Lets what comes fast and in small pieces gather for a moment, so that not each piece wakes its reader."""

from collections.abc import Callable, Mapping
from typing import cast

import anyio
from anyio.abc import ByteStream

GATHER_S = 0.02
"""So long is waited before the next piece is asked for, and so much later the last one may be seen."""

QUICK_S = 0.002
"""A piece for which its reader had to wait no longer than this has come fast."""

SMALL_BYTES = 48 * 1024
"""More than this at once has gathered by itself."""

QUICK_PIECES = 16
"""So many have to come fast, one after the other: a short reply is never kept waiting."""


class GatheringStream(ByteStream):
    """`stream`, read less often while it gives small pieces fast.

    To wake up costs more than to read: at 10,000 pieces a second most of the time of a reader. It belongs
    below TLS, where a piece that has come is not yet a piece that can be read.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._quick = 0

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """The next bytes."""
        if self._quick >= QUICK_PIECES:
            await anyio.sleep(GATHER_S)
        asked_s = anyio.current_time()
        data = await self._stream.receive(max_bytes)
        quick = anyio.current_time() - asked_s <= QUICK_S and len(data) <= SMALL_BYTES
        self._quick = self._quick + 1 if quick else 0
        return data

    async def send(self, item: bytes) -> None:
        """Send bytes."""
        self._quick = 0
        await self._stream.send(item)

    async def send_eof(self) -> None:
        """No more will be sent."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close it."""
        await self._stream.aclose()

    @property
    def extra_attributes(self) -> Mapping[object, Callable[[], object]]:
        """Those of the stream."""
        return cast("Mapping[object, Callable[[], object]]", self._stream.extra_attributes)
