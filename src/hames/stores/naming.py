"""Which blobs an event names: exactly, for checks, and generously, for whoever wants to remove one."""

import re
from collections.abc import Iterable, Iterator

from hames.core.events import (
    AnyEvent,
    CallFinished,
    CallLost,
    CallStarted,
    ChildReported,
    FilesRestored,
    GoalChecked,
    GoalCheckStarted,
    JobFinished,
    ModelFailed,
    ModelReplied,
    OutputFact,
    Repaired,
    RequestSent,
    RestoreStarted,
    SettingsPinned,
    SnapshotTaken,
    UserSpoke,
)
from hames.core.ids import BlobId
from hames.core.messages import Image, Part


def named_blobs(event: AnyEvent) -> tuple[BlobId, ...]:
    """The blobs that must be there for `event` to be whole."""
    match event:
        case SettingsPinned() | RequestSent() | ModelReplied() | ModelFailed():
            found = _of_model(event)
        case CallStarted() | CallFinished() | CallLost() | JobFinished():
            found = _of_call(event)
        case GoalCheckStarted(tree_before=tree):
            found = (tree,)
        case GoalChecked(output=output, tree_after=tree):
            found = (*_output(output), tree)
        case UserSpoke(parts=parts) | ChildReported(parts=parts):
            found = _pictures(parts)
        case Repaired(kept=blob):
            found = (blob,)
        case SnapshotTaken() | RestoreStarted() | FilesRestored():
            found = _of_files(event)
        case _:
            found = ()
    return tuple(blob for blob in found if blob is not None)


def _of_model(event: SettingsPinned | RequestSent | ModelReplied | ModelFailed) -> Iterable[BlobId | None]:
    match event:
        case SettingsPinned():
            return event.system, event.tools
        case RequestSent():
            return event.head, *event.added, event.tail
        case ModelReplied() | ModelFailed():
            return (event.raw,)


def _of_call(event: CallStarted | CallFinished | CallLost | JobFinished) -> Iterable[BlobId | None]:
    match event:
        case CallStarted():
            return (event.tree_before,)
        case CallFinished():
            return *_output(event.output), *_pictures(event.parts), event.tree_after
        case CallLost():
            return *_pictures(event.parts), event.tree_after
        case JobFinished():
            return *_output(event.output), event.tree_after


def _of_files(event: SnapshotTaken | RestoreStarted | FilesRestored) -> Iterable[BlobId]:
    match event:
        case SnapshotTaken():
            return event.tree, *event.packs
        case RestoreStarted():
            return event.now, event.was, event.to
        case FilesRestored():
            return (event.tree,)


def _output(output: OutputFact | None) -> tuple[BlobId, ...]:
    return () if output is None else (output.blob,)


def _pictures(parts: Iterable[Part]) -> tuple[BlobId, ...]:
    return tuple(part.blob for part in parts if isinstance(part, Image))


def mentioned(data: bytes) -> Iterator[str]:
    """Everything in an encoded event, of whatever version, that could be a blob's address."""
    for found in re.finditer(rb'"([0-9a-f]{64})"', data):
        yield found[1].decode()
