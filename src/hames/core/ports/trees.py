"""The workspace's past: a look at it before and after what may change it."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from hames.core.events import SnapshotTaken
from hames.core.ids import BlobId


class Look(msgspec.Struct, frozen=True):
    """The workspace as it is, as `tree`; None where no snapshot can be had. `events` and `blobs` are to be
    staged before anything that names `tree`, and before the next look is."""

    tree: BlobId | None = None
    events: tuple[SnapshotTaken, ...] = ()
    blobs: tuple[bytes, ...] = ()


class Trees(Protocol):
    """Takes the snapshots of one session."""

    def begin(self) -> None:
        """There is time now: begin with the first look, which may be long. Returns at once."""
        ...

    async def look(self, paths: Sequence[str] | None = None) -> Look:
        """Look at the workspace, or only at these absolute paths: nothing else can have been changed by the
        agent since the look before. Raises `StoreFull`."""
        ...

    async def changed(self, before: BlobId, after: BlobId) -> Sequence[str]:
        """The paths in which two trees differ, relative to the workspace or, beside it, absolute; a directory
        with `/` at its end; bytes that are no UTF-8 are surrogates. What is below a directory that came or
        went as a whole is not listed. `after` may be what the last look has found, before it is committed.
        Raises `StoreError`."""
        ...


class Past(msgspec.Struct, frozen=True):
    """The last snapshot of a session, and all packs that it may need."""

    tree: BlobId
    packs: tuple[BlobId, ...]


class PastTrees(Protocol):
    """What other sessions know of a workspace: a first look need not read what one of them has."""

    async def last(self, workspace: str) -> Past | None:
        """The last snapshot of the session that changed last, of all those that have one."""
        ...

    async def hold(self, blobs: Sequence[BlobId]) -> bool:
        """Whether all of these are there; then they stay, also when their session is deleted, until this
        process lets go of the session that is about to name them."""
        ...
