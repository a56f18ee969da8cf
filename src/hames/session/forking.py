"""A new session from an old one: the same entries up to a point, then its own."""

import os
from collections.abc import Iterator, Sequence

import msgspec

from hames.context.view import fold
from hames.core.errors import UsageError
from hames.core.events import (
    AnyEvent,
    CallFinished,
    CallStarted,
    CommandFact,
    Entry,
    JobFinished,
    Repaired,
    SessionOpened,
    SnapshotTaken,
    UserSpoke,
)
from hames.core.ids import SessionId
from hames.core.messages import Text
from hames.session.host import Branch, Held, Host
from hames.session.interrupt import uninterrupted
from hames.session.points import Point, boundary, words_after
from hames.session.restoring import Asked, take_aim, unseen
from hames.session.taking_back import (
    TookBack,
    Wanted,
    check,
    course_of,
    point_at,
    restore,
    settle,
)
from hames.snapshots.entries import Tree
from hames.snapshots.laying import lay_out
from hames.snapshots.restore import Restored
from hames.snapshots.roots import workspace_of


async def fork(
    host: Host, session: SessionId, through: int | None, wanted: Wanted, directory: str | None = None
) -> TookBack:
    """A new session that goes on from the entry `through` (None: the last). It works in the same workspace,
    whose files go back too, or in a copy in `directory`, which must be empty, or not be there.

    Raises `UsageError` where that cannot be, `SessionMissing` and `SessionBusy`.
    """
    if not wanted.context or (directory and not wanted.files):
        raise UsageError("a fork always takes the conversation along, and one with a worktree the files")
    async with host.hold(session) as held:
        if through is None:
            point = Point(boundary(held.entries, held.entries[-1].seq))
        else:
            point = point_at(held, through)
        check(held, point, wanted)
        async with host.branch(held, directory or held.root) as branch:
            if directory:
                return await _in_copy(held, branch, point)
            return await _in_place(held, branch, point, wanted)


async def _in_place(held: Held, branch: Branch, point: Point, wanted: Wanted) -> TookBack:
    entries = await settle(held, point, wanted) if wanted.files else held.entries
    course = course_of(entries, point) if wanted.files else None
    begun, took = _begun(held, branch, point), _took(held, branch, point)
    if course is None:
        await branch.log.write(*begun)
        return took
    asked = Asked("fork", point.through, context=False, force=wanted.force)
    aim = await take_aim(held.keeper, held.root, course, asked)
    # The snapshots that the restore builds on are named here too: the other session may be deleted.
    later = [entry.event for entry in entries if entry.seq > point.through]
    begun += [event for event in later if isinstance(event, SnapshotTaken)]
    return await uninterrupted(lambda: restore(held, branch.log, aim, took, begun))


async def _in_copy(held: Held, branch: Branch, point: Point) -> TookBack:
    directory = branch.opened.workspace
    tree = await _tree_at(held, point)
    moved = _Moved(held.root, directory)
    note = UserSpoke(parts=(Text(_note(held.root, directory)),), source="harness")

    async def work() -> Restored:
        try:
            done = await held.keeper.work(lambda contents: lay_out(directory, tree, contents, sync=True))
        except OSError as error:
            words = f"the copy cannot be made in {directory}: {error.strerror}"
            raise UsageError(f"{words}; name a directory that is empty or not there") from error
        await branch.log.write(*(moved.event(event) for event in _begun(held, branch, point)), note)
        return done

    done = await uninterrupted(work)
    took = _took(held, branch, point)
    return msgspec.structs.replace(took, failed=done.failures, not_covered=workspace_of(tree).not_covered)


async def _tree_at(held: Held, point: Point) -> Tree:
    """The workspace as it was at the point; as it is, when nobody has looked at it before."""
    course = course_of(held.entries, point)
    if course is not None:
        return await held.keeper.load(course.start)
    look = await held.keeper.look()
    if look.tree is None:
        raise unseen(held.root)
    await held.log.write(*look.events, blobs=look.blobs)
    return await held.keeper.load(look.tree)


def _took(held: Held, branch: Branch, point: Point) -> TookBack:
    said = words_after(held.entries, point.through)
    return TookBack(branch.opened.session, "fork", point.through, said)


def _note(old: str, directory: str) -> str:
    return (
        f"[This session goes on in a copy of the workspace: the directory is {directory} now. What was below "
        f"{old} is below that.]"
    )


def _begun(held: Held, branch: Branch, point: Point) -> list[AnyEvent]:
    """The entries of the old session up to the point, each in its place, and ends for what it had running."""
    past = [entry for entry in held.entries if entry.seq <= point.through]
    copies = (_copy(entry) for entry in past[1:])
    return [branch.opened, *copies, *_job_ends(past, held.session)]


def _copy(entry: Entry) -> AnyEvent:
    if entry.event is None:
        return Repaired(entry.seq, entry.seq, "an event of a newer hames was not taken along")
    if isinstance(entry.event, SessionOpened):
        return Repaired(entry.seq, entry.seq, "the session was opened again here")
    return entry.event


def _job_ends(past: Sequence[Entry], session: SessionId) -> Iterator[JobFinished]:
    for job in fold(past).jobs:
        told = f"[background job {job} stayed with session {session}, of which this is a fork]"
        yield JobFinished(job=job, command=CommandFact(), output=None, told=told)


class _Moved:
    """Events of one directory as events of another."""

    def __init__(self, old: str, new: str) -> None:
        self._old = old
        self._new = new

    def path(self, path: str) -> str:
        """Where a path of the old directory is in the new one. Any other is as it was."""
        if path == self._old:
            return self._new
        below = self._old.rstrip("/") + "/"
        return os.path.join(self._new, path[len(below) :]) if path.startswith(below) else path

    def event(self, event: AnyEvent) -> AnyEvent:
        change = msgspec.structs.replace
        match event:
            case CallFinished():
                files = tuple(change(fact, path=self.path(fact.path)) for fact in event.files)
                return change(event, files=files, command=self._command(event.command))
            case CallStarted():
                return change(
                    event, intents=tuple(change(each, path=self.path(each.path)) for each in event.intents)
                )
            case _:
                return event

    def _command(self, command: CommandFact | None) -> CommandFact | None:
        if command is None or command.cwd is None:
            return command
        return msgspec.structs.replace(command, cwd=self.path(command.cwd))
