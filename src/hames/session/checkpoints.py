"""Checkpoints: what a long log comes to, so that a resume reads only what came after."""

from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path

import msgspec

import hames.context
import hames.core
from hames.context.view import View, fold_on
from hames.core.errors import StoreError
from hames.core.events import Entry, RestoreStarted, Rewound
from hames.core.ids import SessionId
from hames.core.limits import CHECKPOINT_PART
from hames.core.ports import Checkpoints, Claim, Store


@cache
def maker() -> str:
    """Names the code that folds: a checkpoint of any other is of no use."""
    digest = sha256()
    for package in (hames.core, hames.context):
        for directory in package.__path__:
            for path in sorted(Path(directory).rglob("*.py")):
                digest.update(path.read_bytes())
    return digest.hexdigest()


def encoded(view: View) -> bytes:
    """The view, all of it."""
    return msgspec.msgpack.encode(view)


class Checkpointer:
    """Keeps what a log has come to after so many `entries`, or more in a long one: no checkpoint is larger
    than what came since the one before makes up for."""

    def __init__(self, checkpoints: Checkpoints, entries: int, head: int) -> None:
        self._checkpoints = checkpoints
        self._entries = entries
        self._last = head

    async def consider(self, claim: Claim, view: View) -> None:
        """Keep the view now, if it is time, and it is what the log has come to, with nothing under way."""
        due = self._last + max(self._entries, view.head // CHECKPOINT_PART)
        if view.head < due or view.head != claim.head or view.open_calls or view.restoring:
            return
        self._last = view.head
        # Without it, a resume only takes longer.
        with suppress(StoreError):
            await self._checkpoints.keep_checkpoint(claim, maker(), encoded(view))


async def recalled(store: Store, checkpoints: Checkpoints, session: SessionId) -> View | None:
    """The view as the log has left it, by its checkpoint; None where it takes the whole log to know it."""
    checkpoint = await checkpoints.checkpoint(session, maker())
    if checkpoint is None:
        return None
    try:
        view = msgspec.msgpack.decode(checkpoint.data, type=View)
    except msgspec.DecodeError:
        return None
    since = await store.read(session, after=checkpoint.seq)
    return None if goes_back(since, checkpoint.seq) else fold_on(view, since)


def goes_back(entries: Sequence[Entry], seq: int) -> bool:
    """Whether somebody went back to before `seq`, or began to put files back."""
    return any(
        isinstance(entry.event, RestoreStarted)
        or (isinstance(entry.event, Rewound) and entry.event.through < seq)
        for entry in entries
    )
