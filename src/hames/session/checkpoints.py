"""Checkpoints: what a long log comes to, so that a resume reads only what came after."""

from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path

import msgspec

import hames.context
import hames.core
from hames.context.view import View, fold_on
from hames.core.events import Entry, RestoreStarted, Rewound
from hames.core.ids import SessionId
from hames.core.ports import Store


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


async def recalled(store: Store, session: SessionId) -> View | None:
    """The view as the log has left it, by its checkpoint; None where it takes the whole log to know it."""
    checkpoint = await store.checkpoint(session, maker())
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
