"""Keeps each content once: what is known already is only named, the rest goes into packs."""

from hames.core.ids import BlobId
from hames.core.limits import PACK_MEMORY_BYTES
from hames.snapshots.contents import Contents, Kept
from hames.snapshots.packs import Pack, PackWriter

_BORROWED_PACKS = 100
"""Packs of other sessions that one snapshot names, at most: what only further ones have is kept again."""

_BATCH = 500


class Keeper:
    """Takes the chunks of one snapshot. `borrowed` are the packs of other sessions that hold some of them."""

    def __init__(self, contents: Contents, writer: PackWriter, kept: Kept | None) -> None:
        self._contents = contents
        self._writer = writer
        self._kept = kept
        self._seen: set[bytes] = set()
        self._waiting: dict[bytes, bytes] = {}
        self._waiting_bytes = 0
        self.borrowed: dict[BlobId, None] = {}

    def keep(self, address: bytes, data: bytes) -> None:
        """Take a chunk, unless it is kept. Raises `OSError`."""
        if address in self._seen or self._contents.has(address):
            return
        self._seen.add(address)
        if self._kept is None:
            self._writer.add(address, data)
            return
        self._waiting[address] = data
        self._waiting_bytes += len(data)
        if self._waiting_bytes > PACK_MEMORY_BYTES or len(self._waiting) >= _BATCH:
            self._ask(self._kept)

    def finish(self) -> list[Pack]:
        """The packs of all that was new."""
        if self._kept is not None and self._waiting:
            self._ask(self._kept)
        return self._writer.finish()

    def discard(self) -> None:
        """Leave nothing behind."""
        self._writer.discard()

    def _ask(self, kept: Kept) -> None:
        places = kept(tuple(self._waiting))
        for address, data in self._waiting.items():
            place = places.get(address)
            if place is not None and (place.pack in self.borrowed or len(self.borrowed) < _BORROWED_PACKS):
                self.borrowed[place.pack] = None
            else:
                self._writer.add(address, data)
        self._waiting.clear()
        self._waiting_bytes = 0
