"""Puts files back: the three trees that it takes are durable before the first byte changes."""

import os
from collections.abc import Sequence, Set
from typing import NamedTuple

import msgspec

from hames.core.errors import DamagedLog, StoreError, UsageError
from hames.core.events import (
    AnyEvent,
    Entry,
    FilesRestored,
    Repaired,
    RestoreStarted,
    Rewound,
    TakenBack,
    TakenBackBy,
    UserSpoke,
)
from hames.core.messages import Text
from hames.core.ports import Look
from hames.core.text import listed, presentable
from hames.session.history import Course
from hames.session.keeping import Keeping
from hames.snapshots.compare import ChangeKind, diff
from hames.snapshots.contents import Contents
from hames.snapshots.entries import Entry as PathEntry
from hames.snapshots.entries import Tree
from hames.snapshots.overlay import Interval, changed, replay
from hames.snapshots.plan import Conflict, Plan, plan
from hames.snapshots.restore import Failure, Restored, restore
from hames.snapshots.roots import known_roots, roots_in, shown_path, tree_path

NAMED_PATHS = 20
"""Paths that the model is told of when files alone went back."""


class Trees(NamedTuple):
    """What decides a restore: the workspace as it is, as it was last seen, and as it is to be."""

    now: Tree
    was: Tree
    to: Tree


class Aim(NamedTuple):
    """What a restore is to do. `look` and `payload` go to the log with `event`; `stays` are the paths in
    which the user's own change stands over what would go back."""

    event: RestoreStarted
    trees: Trees
    look: Look
    payload: bytes
    stays: tuple[Conflict, ...]


class Asked(msgspec.Struct, frozen=True):
    """What goes back where: to the entry `through`, the view too with `context`. Paths of `force` are
    absolute, or relative to the workspace."""

    what: TakenBack
    through: int
    context: bool
    force: tuple[str, ...] = ()
    by: TakenBackBy = "user"


class PutBack(msgspec.Struct, frozen=True):
    """What a restore came to."""

    changed: tuple[tuple[str, ChangeKind], ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    failures: tuple[Failure, ...] = ()


class Ended(NamedTuple):
    """A restore that is over, and what says so on the log."""

    done: PutBack
    events: tuple[AnyEvent, ...]
    blobs: tuple[bytes, ...]


async def take_aim(keeper: Keeping, root: str, course: Course, asked: Asked) -> Aim:
    """What is to be done, so that of all since the point only what the user did stays. Changes nothing.

    Raises `UsageError` when the workspace cannot be looked at.
    """
    look = await keeper.look()
    if look.tree is None:
        raise unseen(root)
    now, start, was = [await keeper.load(tree) for tree in (look.tree, course.start, course.was)]
    force = tuple(_forced(path, root, was) for path in asked.force)
    intervals = [
        Interval(await keeper.load(before), await keeper.load(after)) for before, after in course.changes
    ]
    seen = await _first_with_all(keeper, course, start, was)
    replayed = await keeper.work(lambda _: replay(start, intervals, force, seen))
    event = RestoreStarted(
        now=now.blob,
        was=was.blob,
        to=replayed.tree.blob,
        through=asked.through,
        what=asked.what,
        force=force,
        context=asked.context,
        by=asked.by,
    )
    stays = tuple(
        Conflict(path, was.get(path), now.get(path), start.get(path), "changed") for path in replayed.kept
    )
    return Aim(event, Trees(now, was, replayed.tree), look, replayed.payload, stays)


def _forced(path: str, root: str, was: Tree) -> str:
    """What a person has forced, as a path of the tree."""
    if not os.path.isabs(path):
        return path
    inside = tree_path(os.path.normpath(path), root, known_roots(was))
    if inside is None:
        raise UsageError(f"--force: {path} is not in the workspace {root}, nor in a directory beside it")
    return inside


async def _first_with_all(keeper: Keeping, course: Course, start: Tree, was: Tree) -> list[Tree]:
    """The trees after `start`, up to where each directory beside the workspace has come that it lacks."""
    found: list[Tree] = []
    missing = roots_in(was) - roots_in(start)
    trees = iter(course.trees)
    while missing:
        # One of them has each: the last is `was`.
        found.append(await keeper.load(next(trees)))
        missing -= roots_in(found[-1])
    return found


def unseen(root: str) -> UsageError:
    """The error of a workspace that nobody can look at."""
    return UsageError(
        f"no snapshot can be taken of {root}: undo is switched off, or it cannot be read; the conversation "
        "alone can go back: --context"
    )


async def put_back(keeper: Keeping, root: str, event: RestoreStarted, trees: Trees) -> Ended:
    """Do what is on the log as `event`, also for a second time. Raises `StoreError`: then it is to be done
    again."""

    def work(contents: Contents) -> tuple[Plan, Restored]:
        made = plan(trees.now, trees.was, trees.to, event.force)
        return made, restore(root, made, contents, sync=True)

    try:
        made, restored = await keeper.work(work)
    except OSError as error:
        raise StoreError(f"the files of {root} cannot be put back: {error.strerror}") from error
    look = await keeper.look()
    after = trees.to if look.tree is None else await keeper.load(look.tree)
    differ: list[tuple[str, ChangeKind]] = [(each.path, each.kind) for each in diff(trees.now, after)]
    conflicts = {each.path: each for each in (*made.conflicts, *restored.conflicts)}
    done = PutBack(tuple(differ), tuple(conflicts.values()), restored.failures)
    others = _others(trees, after, made, {failure.path for failure in restored.failures})
    if not others:
        return Ended(done, (*look.events, *_ends(event, after, done)), look.blobs)
    # First what was left by us, then what somebody else has made of it meanwhile: that is not ours.
    ours = await keeper.work(lambda _: changed(after, others))
    end, *view = _ends(event, ours.tree, done)
    return Ended(done, (end, *look.events, *view), (*look.blobs, ours.payload))


def _others(trees: Trees, after: Tree, made: Plan, failed: Set[str]) -> dict[str, PathEntry | None]:
    """The paths that are neither as they were nor as they were to be: somebody has changed them meanwhile.
    Each as we left it."""
    touched = made.paths
    ours: dict[str, PathEntry | None] = {}
    for path, now, found in diff(trees.now, after):
        to = trees.to.get(path)
        is_as_planned = found is None if to is None else to.is_like(found)
        if not is_as_planned and path not in failed:
            ours[path] = to if path in touched else now
    return ours


async def put_back_again(
    keeper: Keeping, root: str, event: RestoreStarted, entries: Sequence[Entry]
) -> Ended:
    """Do a restore that was cut short. Raises `DamagedLog` when what it takes is gone; once a repair has said
    so, it is given up."""
    try:
        now, was, to = [await keeper.load(tree) for tree in (event.now, event.was, event.to)]
        return await put_back(keeper, root, event, Trees(now, was, to))
    except DamagedLog:
        if not any(isinstance(entry.event, Repaired) for entry in entries):
            raise
    return Ended(PutBack(), (FilesRestored(tree=event.now, failed=(".",)), *_view(event, ())), ())


def _ends(event: RestoreStarted, after: Tree, done: PutBack) -> tuple[AnyEvent, ...]:
    kept = tuple(presentable(shown_path(conflict.path)) for conflict in done.conflicts)
    failed = tuple(presentable(shown_path(failure.path)) for failure in done.failures)
    changed = [presentable(shown_path(path)) for path, _ in done.changed]
    return FilesRestored(tree=after.blob, kept=kept, failed=failed), *_view(event, changed)


def _view(event: RestoreStarted, changed: Sequence[str]) -> tuple[AnyEvent, ...]:
    """What becomes of the view: it goes back too, or the model is told."""
    if event.context:
        return (Rewound(through=event.through, what=event.what),)
    if event.what == "fork" or event.by == "model" or not changed:
        return ()
    who = "The user has put files back" if event.by == "user" else "Files were put back"
    words = (
        f"[{who} as they were earlier ({event.what}): {listed(changed, NAMED_PATHS)}. "
        "Read them again before you rely on what you know of them.]"
    )
    return (UserSpoke(parts=(Text(words),), source="harness"),)
