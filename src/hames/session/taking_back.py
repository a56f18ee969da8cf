"""Undo, redo and rewind: files and view go back together, and what the user did stays."""

import os
from collections.abc import Iterable, Sequence

import msgspec

from hames.core.errors import UsageError
from hames.core.events import (
    AnyEvent,
    Entry,
    FilesRestored,
    JobStarted,
    RestoreStarted,
    Rewound,
    TakenBack,
    TurnEnded,
)
from hames.core.ids import JobId, SessionId
from hames.core.text import presentable
from hames.loop.endings import named_jobs
from hames.loop.look import with_tree
from hames.session.history import Course, course_since, course_without, is_unseen
from hames.session.host import Held, Host
from hames.session.interrupt import uninterrupted
from hames.session.log import SessionLog
from hames.session.points import Point, boundary, first_point, redo_point, undo_point, words_after
from hames.session.restoring import Aim, Asked, put_back, take_aim
from hames.session.resume import give_up
from hames.snapshots.compare import ChangeKind, diff
from hames.snapshots.entries import NotCovered
from hames.snapshots.plan import Conflict, Obstacle, plan
from hames.snapshots.restore import Failure
from hames.snapshots.roots import shown_gaps, shown_path
from hames.snapshots.shown import shown

SHOWN_DIFFS = 50
"""Paths that stay of which the difference is shown."""

LEFT = "the user went back from this turn before its end"

NO_SNAPSHOT = (
    "there is no snapshot of the files from before that: undo was switched off then, or hames was older; "
    "the conversation alone can go back: --context"
)


class Wanted(msgspec.Struct, frozen=True):
    """What is to go back. At and below the paths of `force` (absolute, or relative to the workspace) the
    user's own changes go back too; `stop_jobs` ends what still runs instead of refusing."""

    files: bool = True
    context: bool = True
    force: tuple[str, ...] = ()
    stop_jobs: bool = False


class Kept(msgspec.Struct, frozen=True):
    """A path that stays as it is, why, and what going back would change in it."""

    path: str
    why: Obstacle
    diff: tuple[str, ...]


class TookBack(msgspec.Struct, frozen=True):
    """What was taken back. `session` is the one to go on with, `said` the user's words that are no longer in
    its view. Paths are relative to the workspace, or absolute if they are beside it; with surrogates for
    bytes that are no UTF-8."""

    session: SessionId
    what: TakenBack
    through: int
    said: tuple[str, ...] = ()
    changed: tuple[tuple[str, ChangeKind], ...] = ()
    kept: tuple[Kept, ...] = ()
    failed: tuple[Failure, ...] = ()
    not_covered: tuple[NotCovered, ...] = ()


# What is asked for


async def undo(host: Host, session: SessionId, wanted: Wanted) -> TookBack:
    """Back to before the words of the last turn. Raises `UsageError` where that cannot be, `SessionMissing`
    and `SessionBusy`.

    Asked for again, after an undo that was cut short, it is that one: no turn more is taken back. The same is
    so for `redo` and `rewind`.
    """
    async with host.hold(session) as held:
        if done := begun_before(held, "undo", wanted):
            return await told_again(held, done)
        point = undo_point(held.entries, Rewound if wanted.context else RestoreStarted)
        if point is None:
            raise UsageError(f"there is nothing to undo in session {session}")
        return await go_back(held, "undo", point, wanted)


async def redo(host: Host, session: SessionId, wanted: Wanted) -> TookBack:
    """Back to what was before the last undo, rewind or fork, unless a turn was started since. Raises as
    `undo`."""
    async with host.hold(session) as held:
        if done := begun_before(held, "redo", wanted):
            return await told_again(held, done)
        point = redo_point(held.entries)
        if point is None:
            words = "nothing was taken back since its last turn began"
            raise UsageError(f"there is nothing to redo in session {session}: {words}")
        return await go_back(held, "redo", point, wanted)


async def rewind(host: Host, session: SessionId, through: int, wanted: Wanted) -> TookBack:
    """Back to what was after the entry `through`. Raises as `undo`."""
    async with host.hold(session) as held:
        point, done = point_at(held, through), begun_before(held, "rewind", wanted)
        if done and done.through == point.through:
            return await told_again(held, done)
        return await go_back(held, "rewind", point, wanted)


def point_at(held: Held, through: int) -> Point:
    """The point that a person means by an entry: the last one, at or before it, with nothing under way."""
    first, last = first_point(held.entries), held.entries[-1].seq
    if not first <= through <= last:
        raise UsageError(
            f"{through} is no entry of session {held.session} that one can go back to: these are {first} to "
            f"{last}, and `hames sessions show` tells them"
        )
    return Point(boundary(held.entries, through))


# What is done


async def go_back(held: Held, what: TakenBack, point: Point, wanted: Wanted) -> TookBack:
    """Go back in this session. Nothing is changed when this raises before files begin to change, but that an
    interrupted turn may be closed, and jobs that were to be stopped are."""
    asked = Asked(what, point.through, wanted.context, wanted.force)
    check(held, point, wanted)
    entries = await settle(held, point, wanted)
    took = TookBack(held.session, what, point.through)
    if wanted.context:
        took = msgspec.structs.replace(took, said=words_after(held.entries, point.through))
    course = course_of(entries, point) if wanted.files else None
    if course is None:
        await held.log.write(Rewound(through=point.through, what=what))
        return took
    aim = await take_aim(held.keeper, held.root, course, asked)
    return await uninterrupted(lambda: restore(held, held.log, aim, took))


def check(held: Held, point: Point, wanted: Wanted) -> None:
    """Raises `UsageError` when it cannot be done. Changes nothing."""
    if not (wanted.files or wanted.context):
        raise UsageError("say what is to go back: the files, the conversation, or both")
    if not wanted.files:
        return
    if is_unseen(held.entries, point.through):
        raise UsageError(NO_SNAPSHOT)
    if not wanted.context and course_of(held.entries, point) is None:
        raise UsageError("there are no files to go back: the agent has changed none")
    for path in wanted.force:
        try:
            path.encode()
        except UnicodeEncodeError as error:
            raise UsageError("a forced path must be UTF-8: force the directory that it is in") from error


def course_of(entries: Sequence[Entry], point: Point) -> Course | None:
    """The workspace since `point`, None when there was never a look at it."""
    if point.restore is not None:
        return course_without(entries, point.restore)
    return course_since(entries, point.through)


async def settle(held: Held, point: Point, wanted: Wanted) -> Sequence[Entry]:
    """Close a turn that was interrupted, and see that no command works on; gives the entries after that.

    Raises `UsageError`, with nothing changed, when something runs and is not to be stopped.
    """
    kit, view = held.kit, held.kit.view
    if view.jobs:
        kit.journal.stage(*await with_tree(kit, await kit.jobs.ended(view.jobs)))
    if view.turn_open:
        await give_up(kit)
        kit.journal.stage(TurnEnded(turn=view.turn, ending="cancelled", reason=LEFT, code="left"))
    live = {job: began for job, began in view.jobs.items() if wanted.files or job not in _known(held, point)}
    if live and not wanted.stop_jobs:
        words = f"background commands are running: {named_jobs(live)}; --stop-jobs stops them first"
        raise UsageError(words)
    if live:
        kit.journal.stage(*await with_tree(kit, await kit.jobs.stop(live)))
    await kit.journal.record()
    return await held.log.read()


def _known(held: Held, point: Point) -> set[JobId]:
    """The background commands that were started at or before the point: the view still knows of them."""
    return {
        entry.event.job
        for entry in held.entries
        if entry.seq <= point.through and isinstance(entry.event, JobStarted)
    }


async def restore(
    held: Held, log: SessionLog, aim: Aim, took: TookBack, first: Sequence[AnyEvent] = ()
) -> TookBack:
    """Put files back, durable on `log`, after what comes `first` there, before the first byte changes. Gives
    `took`, with what became of files."""
    blobs = (*aim.look.blobs, *((aim.payload,) if aim.payload else ()))
    await log.write(*first, *aim.look.events, aim.event, blobs=blobs)
    ended = await put_back(held.keeper, held.root, aim.event, aim.trees)
    await log.write(*ended.events, blobs=ended.blobs)
    return msgspec.structs.replace(
        took,
        changed=tuple((shown_path(path), kind) for path, kind in ended.done.changed),
        kept=await _kept(held, (*ended.done.conflicts, *aim.stays)),
        failed=tuple(Failure(shown_path(each.path), each.words) for each in ended.done.failures),
        not_covered=shown_gaps(held.keeper.not_covered),
    )


def begun_before(held: Held, what: TakenBack, wanted: Wanted) -> RestoreStarted | None:
    """What somebody had begun and was cut short in, if that is what is wanted: it is done by now."""
    done = held.made_good
    if done is None or done.by != "user" or not wanted.files:
        return None
    begun = (done.what, done.context, _places(held, done.force))
    return done if begun == (what, wanted.context, _places(held, wanted.force)) else None


def _places(held: Held, paths: Iterable[str]) -> set[str]:
    return {os.path.normpath(os.path.join(held.root, shown_path(path))) for path in paths}


async def told_again(held: Held, done: RestoreStarted) -> TookBack:
    """What came of a restore that was made good, as the log has it. Raises `DamagedLog`."""
    keeper, entries = held.keeper, held.entries
    ends = [entry.event for entry in entries if isinstance(entry.event, FilesRestored)]
    start = max(entry.seq for entry in entries if isinstance(entry.event, RestoreStarted))
    now, was, to, after = [await keeper.load(tree) for tree in (done.now, done.was, done.to, ends[-1].tree)]
    found = {presentable(shown_path(each.path)): each for each in plan(now, was, to, done.force).conflicts}
    kept = [found.get(path) or Conflict(path, None, None, to.get(path), "changed") for path in ends[-1].kept]
    before = [entry for entry in entries if entry.seq < start]
    return TookBack(
        held.session,
        done.what,
        done.through,
        said=words_after(before, done.through) if done.context else (),
        changed=tuple((shown_path(each.path), each.kind) for each in diff(now, after)),
        kept=await _kept(held, kept),
        failed=tuple(Failure(path, "it could not be changed") for path in ends[-1].failed),
        not_covered=shown_gaps(after.not_covered),
    )


async def _kept(held: Held, conflicts: Sequence[Conflict]) -> tuple[Kept, ...]:
    """The paths that stay, in their order; of the first ones what would become of them."""
    kept = sorted({conflict.path: conflict for conflict in conflicts}.values(), key=lambda each: each.path)
    diffs = await held.keeper.work(
        lambda contents: [shown(each.path, each.to, contents, held.root) for each in kept[:SHOWN_DIFFS]]
    )
    return tuple(
        Kept(shown_path(each.path), each.why, diffs[index] if index < len(diffs) else ())
        for index, each in enumerate(kept)
    )
