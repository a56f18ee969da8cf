"""What a session needs of whoever keeps its snapshots, and what that one needs of the session."""

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from hames.core.errors import StoreError
from hames.core.ids import BlobId
from hames.core.ports import Blobs, Clock, Look, Passing, PastTrees, Trees

if TYPE_CHECKING:  # Not on the way to the first request.
    from hames.snapshots.contents import Contents
    from hames.snapshots.entries import NotCovered, Tree

T = TypeVar("T")


class Keeping(Trees, Protocol):
    """`Trees`, and what taking back needs of them. All but `begin` and `close` raise `StoreError`."""

    @property
    def not_covered(self) -> "tuple[NotCovered, ...]":
        """What the last look left alone."""
        ...

    async def load(self, tree: BlobId) -> "Tree":
        """A tree of this session. Raises `DamagedLog`, `NewerLog`."""
        ...

    async def work(self, function: "Callable[[Contents], T]") -> T:
        """Do something that blocks with the contents of this session's trees, and no look beside it."""
        ...

    def close(self) -> None:
        """No more looks; one that is being taken is given up."""
        ...


class NoTrees:
    """`Keeping` where undo is switched off."""

    not_covered: "tuple[NotCovered, ...]" = ()

    def begin(self) -> None:
        """There is nothing to begin with."""

    async def look(self, paths: Sequence[str] | None = None) -> Look:
        """No snapshot."""
        return Look()

    async def changed(self, before: BlobId, after: BlobId) -> Sequence[str]:
        """There are no trees."""
        return ()

    async def load(self, tree: BlobId) -> "Tree":
        """Raises `StoreError`."""
        raise _switched_off()

    async def work(self, function: "Callable[[Contents], T]") -> T:
        """Raises `StoreError`."""
        raise _switched_off()

    def close(self) -> None:
        """There is nothing to end."""


def _switched_off() -> StoreError:
    return StoreError("undo is switched off: set undo = true in the settings")


class Shelf(msgspec.Struct, frozen=True):
    """What a keeper works with. `listed` names the files that are not ignored, where somebody knows; `tell`
    is called in the thread of the event loop."""

    blobs: Blobs
    others: PastTrees
    clock: Clock
    tell: Callable[[Passing], None]
    listed: Callable[[], Coroutine[object, object, set[bytes] | None]] | None = None
