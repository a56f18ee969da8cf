"""Where contents are kept: by address, over the packs that a session has named."""

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

from hames.core.errors import DamagedLog
from hames.core.ids import BlobId
from hames.core.limits import SNAPSHOT_CHUNK_BYTES
from hames.snapshots.entries import HOLE
from hames.snapshots.packs import Index, Read, read_index, unpressed


class Place(NamedTuple):
    """Where a content is: so many bytes of a pack."""

    pack: BlobId
    start: int
    size: int


Kept = Callable[[Sequence[bytes]], Mapping[bytes, Place]]
"""Which of these contents are kept already, and where. What it names must stay until the snapshot is on the
log."""


class Contents:
    """The contents of a session's packs. Indexes are read when they are first needed.

    Not for two threads at once.
    """

    def __init__(self, read: Read, packs: Iterable[BlobId] = ()) -> None:
        self._read = read
        self._packs: list[BlobId] = []
        self._number: dict[BlobId, int] = {}
        self._unread: dict[BlobId, None] = {}
        self._slots: dict[bytes, int] = {}
        self._owners = array("I")
        self._starts = array("Q")
        self._sizes = array("I")
        self.name(packs)

    def name(self, packs: Iterable[BlobId]) -> None:
        """These packs are the session's, too."""
        for pack in packs:
            if pack not in self._number:
                self._number[pack] = len(self._packs)
                self._packs.append(pack)
                self._unread[pack] = None

    def learn(self, pack: BlobId, index: Index) -> None:
        """As `name`, for a pack whose index is known."""
        if pack not in self._number:
            self.name((pack,))
        if pack in self._unread:
            del self._unread[pack]
            self._add(self._number[pack], index)

    def find(self, addresses: Iterable[bytes]) -> dict[bytes, Place]:
        """Where those are that are kept. Raises `DamagedLog` for a pack that cannot be read."""
        self._read_all()
        slots = self._slots
        return {address: self._place(slots[address]) for address in addresses if address in slots}

    def has(self, address: bytes) -> bool:
        """Whether the content is kept."""
        if self._unread:
            self._read_all()
        return address in self._slots

    def packs_of(self, addresses: Iterable[bytes]) -> tuple[BlobId, ...]:
        """The packs that hold these, as far as they are kept."""
        self._read_all()
        slots, owners = self._slots, self._owners
        used = {owners[slots[address]] for address in addresses if address in slots}
        return tuple(self._packs[number] for number in sorted(used))

    def get(self, address: bytes) -> bytes:
        """A content. Raises `DamagedLog` when it is missing, or not what it was."""
        place = self.find((address,)).get(address)
        if place is None:
            raise DamagedLog(f"content {address.hex()} is in no pack of this session")
        kept = self._read(place.pack, place.start, place.size)
        data = unpressed(kept, SNAPSHOT_CHUNK_BYTES)
        if len(kept) != place.size or sha256(data).digest() != address:
            raise DamagedLog(f"content {address.hex()} in pack {place.pack} is damaged")
        return data

    def _place(self, slot: int) -> Place:
        return Place(self._packs[self._owners[slot]], self._starts[slot], self._sizes[slot])

    def _read_all(self) -> None:
        for pack in tuple(self._unread):
            index = read_index(self._read, pack)
            del self._unread[pack]
            self._add(self._number[pack], index)

    def _add(self, number: int, index: Index) -> None:
        slots = self._slots
        first = len(self._owners)
        self._owners.extend([number] * len(index.addresses))
        self._starts.extend(index.starts)
        self._sizes.extend(index.sizes)
        for slot, address in enumerate(index.addresses, first):
            slots.setdefault(address, slot)


def needed(contents: Iterable[bytes]) -> set[bytes]:
    """The addresses in the contents of files, without holes."""
    found: set[bytes] = set()
    for content in contents:
        if len(content) == len(HOLE):
            found.add(content)
        else:
            found.update(content[at : at + len(HOLE)] for at in range(0, len(content), len(HOLE)))
    found.discard(HOLE)
    return found
