"""Decides what a restore is to do: what differs goes back, what the user has changed since stays."""

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from hames.snapshots.compare import Change, Gaps, differences, joined
from hames.snapshots.entries import FORMAT_MASK, Entry, Tree, ancestors, depth, is_in_any, join, split
from hames.snapshots.roots import root_of, roots_not_in_all

Obstacle = Literal["changed", "not_empty", "not_covered", "in_the_way"]
"""Why a path stays as it is. `changed`: by somebody, after the agent. `not_empty`: a directory with something
of somebody else's. `not_covered`: what is there, or was, is in no snapshot. `in_the_way`: something above it
stays."""


class Conflict(msgspec.Struct, frozen=True):
    """A path that is not restored: as the agent left it, as it is, and as it was to be."""

    path: str
    was: Entry | None
    now: Entry | None
    to: Entry | None
    why: Obstacle


class Step(msgspec.Struct, frozen=True):
    """One path that is made `to` (None: removed). `now` is what is in its place. `source` names another path
    of which it is to be a further name. `shared`: what is in its place has further names, so that its change
    time moves when one of them is restored."""

    path: str
    now: Entry | None
    to: Entry | None
    source: str = ""
    shared: bool = False


class Closing(msgspec.Struct, frozen=True):
    """The mode and time that a directory has in the end; `was_mode` is the one that it has now, `inode` the
    number, None for one that is made."""

    path: str
    mode: int
    mtime_ns: int
    was_mode: int
    inode: int | None


class Plan(msgspec.Struct, frozen=True):
    """What a restore does, in this order. It can be done again, after it was cut short anywhere.

    `removals` have the deepest first, `makings` the shallowest, then further names; `adjustments` change
    modes and times only; `closings` are last, the deepest first.
    """

    removals: tuple[Step, ...]
    makings: tuple[Step, ...]
    adjustments: tuple[Step, ...]
    closings: tuple[Closing, ...]
    conflicts: tuple[Conflict, ...]

    @property
    def paths(self) -> frozenset[str]:
        """All that is touched."""
        return frozenset(step.path for step in (*self.removals, *self.makings, *self.adjustments))


def plan(now: Tree, was: Tree, to: Tree, force: Iterable[str] = ()) -> Plan:
    """How to get from `now` (a fresh capture) to `to`, where the agent had left `was`.

    Only paths in which `was` and `to` differ are touched, and of those only what is now as it was then, or
    below a path of `force`.
    """
    return _Planner(now, was, to, frozenset(force)).run()


class _Planner:
    def __init__(self, now: Tree, was: Tree, to: Tree, force: frozenset[str]) -> None:
        self._now = now
        self._was = was
        self._to = to
        self._force = force
        self._gaps = Gaps(now, was, to)
        self._lost = roots_not_in_all((now, was, to))
        self._shared = joined(now)
        self._above_gaps = {above for gap in now.not_covered for above in ancestors(gap.path)}
        self._removals: dict[str, Step] = {}
        self._makings: dict[str, Step] = {}
        self._adjustments: dict[str, Step] = {}
        self._conflicts: dict[str, Conflict] = {}

    def run(self) -> Plan:
        changes: list[Change] = []
        for change in sorted(differences(self._was, self._to)):
            root = root_of(change.path)
            if root in self._lost:
                was, now, to = self._was.get(root), self._now.get(root), self._to.get(root)
                self._conflicts[root] = Conflict(root, was, now, to, "not_covered")
            else:
                changes.append(change)
                self._path(change)
        self._links(changes)
        self._keep_full_directories()
        self._mark_shared()
        return Plan(
            tuple(self._removals[path] for path in sorted(self._removals, key=_depth, reverse=True)),
            tuple(sorted(self._makings.values(), key=lambda step: (bool(step.source), step.path))),
            tuple(self._adjustments.values()),
            tuple(self._closings(changes)),
            tuple(self._conflicts[path] for path in sorted(self._conflicts)),
        )

    def _path(self, change: Change) -> None:
        path, was, to = change
        now = self._now.get(path)
        if now is not None and to is not None and now.is_like(to):
            if to.kind != "directory" and was and _mtime(now) == _mtime(was) != _mtime(to):
                self._adjustments[path] = Step(path, now, to)
            return
        if (now is None and to is None) or (was is not None and to is not None and was.is_like(to)):
            return
        obstacle = self._obstacle(path, was, now, to)
        if obstacle is None:
            self._set(path, now, to)
        else:
            self._conflicts[path] = Conflict(path, was, now, to, obstacle)

    def _obstacle(self, path: str, was: Entry | None, now: Entry | None, to: Entry | None) -> Obstacle | None:
        if self._gaps.hold(path):
            return "not_covered"
        if to is not None and not self._will_be_directory(split(path)[0]):
            return "in_the_way"
        as_left = now is None if was is None else was.is_like(now)
        # What was removed on the way from one kind to another has nothing that could be lost.
        cut_short = now is None and was is not None and to is not None and was.kind != to.kind
        return None if as_left or cut_short or self._is_forced(path) else "changed"

    def _will_be_directory(self, path: str) -> bool:
        """Whether there is one to work in: what is above a path is decided before it."""
        making = self._makings.get(path)
        entry = self._now.get(path) if making is None else making.to
        return entry is not None and entry.kind == "directory"

    def _is_forced(self, path: str) -> bool:
        return bool(self._force) and is_in_any(path, self._force)

    def _set(self, path: str, now: Entry | None, to: Entry | None) -> None:
        if to is None:
            self._removals[path] = Step(path, now, None)
        elif now is None:
            self._makings[path] = Step(path, None, to)
        elif now.kind == to.kind and (now.kind == "directory" or _is_only_mode(now, to)):
            if now.kind != "directory":
                self._adjustments[path] = Step(path, now, to)
        elif "directory" in (now.kind, to.kind):
            self._removals[path] = Step(path, now, None)
            self._makings[path] = Step(path, None, to)
        else:
            self._makings[path] = Step(path, now, to)

    # Files with several names

    def _links(self, changes: Iterable[Change]) -> None:
        to_groups, was_groups = joined(self._to), joined(self._was)
        self._spare_names()
        for path in was_groups.keys() - to_groups.keys():
            self._part(path)
        touched = {change.path for change in changes}
        were_with = _members(was_groups)
        for first, names in _members(to_groups).items():
            if not any(name in touched or was_groups.get(name) != first for name in names):
                continue
            if any(not were_with.get(was_groups.get(name, ""), set()) <= names for name in names):
                # The file has names that it is not to have: these get another one.
                for name in names:
                    self._part(name)
            self._join(sorted(names))

    def _spare_names(self) -> None:
        """A file whose mode is to be changed, and of which the user has made a further name: that one keeps
        it."""
        for names in _members(self._shared).values():
            if not names <= self._adjustments.keys():
                for name in names & self._adjustments.keys():
                    self._part(name)

    def _part(self, path: str) -> None:
        """A file of its own again, of which the agent had made a further name of another."""
        now, was, to = self._now.get(path), self._was.get(path), self._to.get(path)
        if now is None or to is None or path in self._makings or path in self._conflicts:
            return
        if now.is_like(was) and now.kind == to.kind and not self._gaps.hold(path):
            self._adjustments.pop(path, None)
            self._makings[path] = Step(path, now, to)

    def _join(self, names: list[str]) -> None:
        able = [name for name in names if name not in self._conflicts and self._is_restored(name)]
        standing = [name for name in able if name not in self._makings and name not in self._adjustments]
        for source in (standing or able)[:1]:
            for name in able:
                if name != source and not self._is_one_file(source, name):
                    self._adjustments.pop(name, None)
                    making = self._makings.get(name)
                    now = self._now.get(name) if making is None else making.now
                    self._makings[name] = Step(name, now, self._to.get(name), source)

    def _is_one_file(self, path: str, other: str) -> bool:
        """Whether both are names of one file, and will be."""
        one, two = self._now.get(path), self._now.get(other)
        stay = path not in self._makings and other not in self._makings
        return stay and one is not None and two is not None and one.stat.inode == two.stat.inode

    def _is_restored(self, path: str) -> bool:
        """Whether the path is, or will be, what it is to be."""
        if path in self._makings or path in self._adjustments:
            return True
        now, to = self._now.get(path), self._to.get(path)
        return now is not None and to is not None and now.is_like(to) and _mtime(now) == _mtime(to)

    def _mark_shared(self) -> None:
        for steps in (self._removals, self._makings, self._adjustments):
            for path in steps.keys() & self._shared.keys():
                steps[path] = msgspec.structs.replace(steps[path], shared=True)

    # Directories

    def _keep_full_directories(self) -> None:
        for path in sorted(self._removals, key=_depth, reverse=True):
            step = self._removals[path]
            if step.now is None or step.now.kind != "directory":
                continue
            inside = (join(path, name) for name in self._now.nodes.get(path, ()))
            if all(each in self._removals for each in inside) and path not in self._above_gaps:
                continue
            del self._removals[path]
            made = self._makings.pop(path, None)
            self._conflicts[path] = Conflict(
                path, self._was.get(path), step.now, None if made is None else made.to, "not_empty"
            )

    def _closings(self, changes: Iterable[Change]) -> Iterable[Closing]:
        wanted = {change.path for change in changes if change.after and change.after.kind == "directory"}
        for step in (*self._removals.values(), *self._makings.values(), *self._adjustments.values()):
            wanted.update(ancestors(step.path))
        for path in sorted(
            wanted - self._removals.keys() | self._makings.keys() & wanted, key=_depth, reverse=True
        ):
            closing = self._closing(path)
            if closing is not None:
                yield closing

    def _closing(self, path: str) -> Closing | None:
        now, was, to = self._now.get(path), self._was.get(path), self._to.get(path)
        if path in self._makings:
            to = self._makings[path].to
            if to is None or to.kind != "directory":
                return None
            return Closing(path, to.permissions, to.stat.mtime_ns, 0o700, None)
        if now is None or now.kind != "directory":
            return None
        mode, mtime_ns = now.permissions, now.stat.mtime_ns
        if to is not None and to.kind == "directory":
            if path not in self._conflicts and (now.is_like(was) or self._is_forced(path)):
                mode = to.permissions
            if was is not None and _mtime(was) == mtime_ns:
                mtime_ns = _mtime(to)
        return Closing(path, mode, mtime_ns, now.permissions, now.stat.inode)


def _is_only_mode(now: Entry, to: Entry) -> bool:
    mode = now.stat.mode & FORMAT_MASK | to.permissions
    return Entry(now.stat._replace(mode=mode), now.content).is_like(to)


def _members(groups: Mapping[str, str]) -> dict[str, set[str]]:
    members: dict[str, set[str]] = {}
    for path, first in groups.items():
        members.setdefault(first, set()).add(path)
    return members


def _mtime(entry: Entry) -> int:
    return entry.stat.mtime_ns


def _depth(path: str) -> tuple[int, str]:
    return depth(path), path
