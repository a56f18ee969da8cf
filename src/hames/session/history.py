"""Who changed the workspace when, as the log tells it."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from hames.core.events import (
    AnyEvent,
    CallFinished,
    CallIntended,
    CallLost,
    CallStarted,
    Entry,
    FilesRestored,
    GoalChecked,
    GoalCheckStarted,
    JobFinished,
    JobStarted,
    RestoreStarted,
    SnapshotTaken,
)
from hames.core.ids import BlobId, CallId
from hames.loop.act import may_write

By = Literal["agent", "user"]
"""Who changed the workspace. Where both may have, it counts as the agent."""

_RESTORE = "restore"
_CHECK = "check of the goal"


class Mark(msgspec.Struct, frozen=True):
    """The workspace as it was at an entry, and who has changed it since the mark before."""

    seq: int
    tree: BlobId
    by: By


class UserChange(NamedTuple):
    """Two trees, one right after the other, between which only the user was at work."""

    before: BlobId
    after: BlobId


class Course(msgspec.Struct, frozen=True):
    """The workspace since a point: as it was then, what the user has made of it, how it was last seen, and
    all the trees in between, in order."""

    start: BlobId
    changes: tuple[UserChange, ...]
    was: BlobId
    trees: tuple[BlobId, ...] = ()


class _Timeline:
    """Who is at work, from one mark to the next."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self._writing = _Writing()
        self._working: set[str] = set()
        self._any_work = False
        self._forking = False

    def take(self, entry: Entry) -> None:
        self._writing.take(entry.event)
        match entry.event:
            case CallStarted() | CallFinished() | CallLost() as event:
                self._call(entry.seq, event)
            case JobStarted(job=job):
                self._working.add(f"job {job}")
            case JobFinished() as event:
                self._end(f"job {event.job}", entry.seq, event.tree_after)
            case GoalCheckStarted(tree_before=tree):
                self._mark(entry.seq, tree)
                self._working.add(_CHECK)
            case GoalChecked() as event:
                self._end(_CHECK, entry.seq, event.tree_after)
            case SnapshotTaken(tree=tree):
                self._mark(entry.seq, tree)
            case RestoreStarted() | FilesRestored() as event:
                self._restore(entry.seq, event)
            case _:
                pass

    def _call(self, seq: int, event: CallStarted | CallFinished | CallLost) -> None:
        if not isinstance(event, CallStarted):
            self._end(event.call, seq, event.tree_after)
            return
        self._mark(seq, event.tree_before)
        if event.tree_before is not None or event.call in self._writing.calls:
            self._working.add(event.call)

    def _restore(self, seq: int, event: RestoreStarted | FilesRestored) -> None:
        if isinstance(event, RestoreStarted):
            self._working.add(_RESTORE)
            if event.what == "fork":
                self.marks = [mark for mark in self.marks if mark.seq <= event.through]
                self._forking = True
            return
        if self._forking:
            # What the other session had done since is gone: what is left was made by the user meanwhile.
            self._forking = self._any_work = False
            self._working.clear()
        self._end(_RESTORE, seq, event.tree)

    def _end(self, what: str, seq: int, tree: BlobId | None) -> None:
        self._mark(seq, tree)
        self._any_work = self._any_work or (tree is None and what in self._working)
        self._working.discard(what)

    def _mark(self, seq: int, tree: BlobId | None) -> None:
        if tree is None or self._forking:
            return
        self.marks.append(Mark(seq, tree, "agent" if self._any_work or self._working else "user"))
        self._any_work = False


class _Writing:
    """The calls that may write, by their intents."""

    def __init__(self) -> None:
        self.calls: set[CallId] = set()

    def take(self, event: AnyEvent | None) -> None:
        if isinstance(event, CallIntended) and may_write(event.effect):
            self.calls.add(event.call)


def timeline(entries: Sequence[Entry]) -> list[Mark]:
    """The workspace as it was at each look, in order.

    Between two of them it was changed by the agent if any of its calls that may write was open then, or a
    background command or a restore was at work; else by the user.
    """
    found = _Timeline()
    for entry in entries:
        found.take(entry)
    return found.marks


def course_since(entries: Sequence[Entry], through: int) -> Course | None:
    """The workspace since the entry `through`; None when nobody has ever looked at it."""
    marks = timeline(entries)
    if not marks:
        return None
    before = [mark for mark in marks if mark.seq <= through]
    first = before[-1] if before else marks[0]
    return _course(first.tree, marks[len(before) :], marks[-1].tree)


def course_without(entries: Sequence[Entry], restore: int) -> Course | None:
    """The workspace since right before the `RestoreStarted` at `restore`, without what that has done. None
    when there is none, or it has not come to its end."""
    marks = timeline(entries)
    later = [mark for mark in marks if mark.seq > restore]
    for entry in entries:
        if entry.seq == restore and isinstance(entry.event, RestoreStarted) and later:
            done = msgspec.structs.replace(later[0], by="agent")
            return _course(entry.event.now, [done, *later[1:]], marks[-1].tree)
    return None


def _course(start: BlobId, marks: Sequence[Mark], was: BlobId) -> Course:
    changes: list[UserChange] = []
    tree = start
    for mark in marks:
        if mark.by == "user" and mark.tree != tree:
            goes_on = bool(changes) and changes[-1].after == tree
            changes.append(UserChange(changes.pop().before if goes_on else tree, mark.tree))
        tree = mark.tree
    return Course(start, tuple(changes), was, tuple(dict.fromkeys(mark.tree for mark in marks)))


def is_unseen(entries: Sequence[Entry], through: int) -> bool:
    """Whether a call that may write, or a check of a goal, was started after `through`, and before anybody
    had ever looked at the workspace: then nobody knows what that was."""
    writing = _Writing()
    for entry in entries:
        writing.take(entry.event)
        match entry.event:
            case SnapshotTaken():
                return False
            case CallStarted(call=call) if call in writing.calls and entry.seq > through:
                return True
            case GoalCheckStarted() if entry.seq > through:
                return True
            case _:
                pass
    return False
