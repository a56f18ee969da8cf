"""Does what a plan says. Cut short anywhere and done again, it comes to the same."""

import errno
import os
from collections.abc import Callable
from typing import Literal

import msgspec

from hames.core.errors import DamagedLog
from hames.snapshots.beneath import Beneath, set_mode, stat_at
from hames.snapshots.contents import Contents, needed
from hames.snapshots.entries import (
    DIRECTORY,
    FORMAT_MASK,
    Entry,
    is_temporary,
    read_stat,
    same_but_names,
    split,
)
from hames.snapshots.plan import Closing, Conflict, Obstacle, Plan, Step
from hames.snapshots.writing import Taken, Watch, Writer

_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST)


class Failure(msgspec.Struct, frozen=True):
    """A path that the system refused to restore, in its words."""

    path: str
    words: str


class Restored(msgspec.Struct, frozen=True):
    """What a restore came to: the paths that are as planned, those that somebody changed at the last moment
    (beside the conflicts of the plan), and those that could not be changed."""

    done: tuple[str, ...]
    conflicts: tuple[Conflict, ...]
    failures: tuple[Failure, ...]


def restore(
    root: str, plan: Plan, contents: Contents, *, sync: bool = False, watch: Watch | None = None
) -> Restored:
    """Make the workspace at `root` what `plan` says.

    Each path is looked at once more right before it is changed. After a crash the same plan (made of the
    same three trees) is done again. With `sync` all is on the disk on return. Raises `DamagedLog`, before
    anything is changed, when a content is missing, and later when one turns out to be damaged; `OSError` when
    the root is gone.
    """
    made = (step.to for step in plan.makings if step.to is not None and step.to.kind == "file")
    wanted = needed(entry.content for entry in made)
    missing = wanted - contents.find(wanted).keys()
    if missing:
        raise DamagedLog(f"{len(missing)} contents of the snapshot are in no pack of this session")
    with Beneath(root, unlock=True) as beneath, Beneath(root, unlock=True) as sources:
        writer = Writer(contents.get, watch or _unwatched, sync=sync)
        return _Restorer(plan, (beneath, sources), writer, watch or _unwatched, sync=sync).run()


def _unwatched(_what: str, _path: str) -> None:
    pass


class _Restorer:
    def __init__(
        self, plan: Plan, places: tuple[Beneath, Beneath], writer: Writer, watch: Watch, *, sync: bool
    ) -> None:
        self._plan = plan
        self._beneath, self._sources = places
        self._writer = writer
        self._watch = watch
        self._sync = sync
        self._making = {step.path: step.to for step in plan.makings}
        self._done: list[str] = []
        self._conflicts: dict[str, Conflict] = {}
        self._failures: list[Failure] = []
        self._number = 0

    def run(self) -> Restored:
        plan = self._plan
        for step in plan.removals:
            self._try(step, self._remove)
        for step in plan.makings:
            if not step.source:
                self._try(step, self._make)
        for step in plan.adjustments:
            self._try(step, self._adjust)
        for step in plan.makings:
            if step.source:
                self._try(step, self._join)
        for closing in plan.closings:
            self._close(closing)
        self._lock()
        return Restored(
            tuple(dict.fromkeys(self._done)), tuple(self._conflicts.values()), tuple(self._failures)
        )

    def _try(self, step: Step, act: Callable[[Step], Obstacle | None]) -> None:
        # The same in each run: what an earlier one left beside is found by it.
        self._number += 1
        try:
            try:
                obstacle = act(step)
            except PermissionError:
                above = split(step.path)[0]
                self._beneath.unlock(above)
                obstacle = act(step)
        except (Taken, FileExistsError):
            obstacle = "changed"
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                obstacle = "in_the_way"
            else:
                self._failures.append(Failure(step.path, error.strerror or str(error)))
                return
        if obstacle is None:
            self._done.append(step.path)
        else:
            self._conflicts[step.path] = Conflict(step.path, step.now, None, step.to, obstacle)

    def _remove(self, step: Step) -> Obstacle | None:
        above, name = split(step.path)
        assert step.now is not None
        try:
            place = self._beneath.directory(above)
        except (FileNotFoundError, NotADirectoryError):
            return None
        found = stat_at(place, name)
        if found is None or _is_done(place, name, found, self._making.get(step.path)):
            return None
        if step.now.kind != "directory":
            if not _is_untouched(found, step):
                return "changed"
            self._watch("unlink", step.path)
            os.unlink(name, dir_fd=place)
            return None
        if not _is_directory(found, step.now.stat.inode):
            return "changed"
        return self._remove_directory(step.path, place, name)

    def _remove_directory(self, path: str, place: int, name: str) -> Obstacle | None:
        self._watch("rmdir", path)
        try:
            os.rmdir(name, dir_fd=place)
        except OSError as error:
            if error.errno not in _NOT_EMPTY:
                raise
            inside = self._beneath.directory(path)
            left = os.listdir(inside)
            if not all(map(is_temporary, left)):
                return "not_empty"
            for each in left:
                os.unlink(each, dir_fd=inside)
            os.rmdir(name, dir_fd=self._beneath.directory(split(path)[0]))
        self._beneath.forget(path)
        self._sources.forget(path)
        return None

    def _make(self, step: Step) -> Obstacle | None:
        above, name = split(step.path)
        place = self._beneath.directory(above)
        found = stat_at(place, name)
        obstacle = _obstacle(place, step, found)
        if obstacle == "done":
            self._writer.forget(place, self._number)
            return None
        if obstacle is not None:
            return obstacle
        entry = step.to
        assert entry is not None
        match entry.kind:
            case "directory":
                self._watch("mkdir", step.path)
                os.mkdir(name, entry.permissions | 0o700, dir_fd=place)
            case "link":
                self._writer.link(place, name, entry, self._number)
            case "file":

                def still() -> bool:
                    return _same(stat_at(place, name), found)

                if not self._writer.file(place, name, entry, self._number, still):
                    return "changed"
        return None

    def _adjust(self, step: Step) -> Obstacle | None:
        above, name = split(step.path)
        place = self._beneath.directory(above)
        found = stat_at(place, name)
        assert step.now is not None
        assert step.to is not None
        if found is None or not _is_between(found, step.now, step.to):
            return "changed"
        mtime_ns = step.to.stat.mtime_ns
        if found.st_mtime_ns != mtime_ns:
            self._watch("time", step.path)
            os.utime(name, ns=(found.st_atime_ns, mtime_ns), dir_fd=place, follow_symlinks=False)
        if found.st_mode != step.to.stat.mode:
            self._watch("mode", step.path)
            set_mode(place, name, step.to.permissions)
        return None

    def _join(self, step: Step) -> Obstacle | None:
        assert step.to is not None
        source_above, source = split(step.source)
        source_place = self._sources.directory(source_above)
        held = stat_at(source_place, source)
        above, name = split(step.path)
        place = self._beneath.directory(above)
        found = stat_at(place, name)
        if held is not None and found is not None and os.path.samestat(held, found):
            self._writer.forget(place, self._number)
            return None
        if held is None or not _is_as(held, step.to):
            return self._make(step)
        obstacle = _obstacle(place, step, found)
        if obstacle == "done" or obstacle is None:
            try:
                self._writer.further_name(source_place, source, place, name, self._number)
            except OSError as error:
                # Somebody else's file, a file system without further names, or another one.
                if not isinstance(error, PermissionError) and error.errno != errno.EXDEV:
                    raise
                return self._make(step)
            return None
        return obstacle

    def _close(self, closing: Closing) -> None:
        try:
            place, name = self._beneath.place(closing.path)
            found = stat_at(place, name) if name else os.fstat(place)
            if found is None or not _is_directory(found, closing.inode):
                return
            if self._sync:
                os.fsync(self._beneath.directory(closing.path))
                place, name = self._beneath.place(closing.path)
            self._settle(closing, place, name, found)
        except OSError as error:
            self._failures.append(Failure(closing.path, error.strerror or str(error)))

    def _settle(self, closing: Closing, place: int, name: str, found: os.stat_result) -> None:
        if found.st_mtime_ns != closing.mtime_ns:
            self._watch("time", closing.path)
            times = (found.st_atime_ns, closing.mtime_ns)
            if name:
                os.utime(name, ns=times, dir_fd=place, follow_symlinks=False)
            else:
                os.utime(place, ns=times)
        mode = found.st_mode & ~FORMAT_MASK
        # Another mode than these is somebody's who has changed it since.
        ours = (closing.was_mode, closing.was_mode | 0o700, closing.mode | 0o700)
        if mode != closing.mode and (closing.inode is None or mode in ours):
            self._watch("mode", closing.path)
            if name:
                set_mode(place, name, closing.mode)
            else:
                os.fchmod(place, closing.mode)

    def _lock(self) -> None:
        """Close again what was opened for the work and is in no closing."""
        settled = {closing.path for closing in self._plan.closings}
        for path, mode in {**self._sources.unlocked, **self._beneath.unlocked}.items():
            if path not in settled:
                os.fchmod(self._beneath.directory(path), mode)


def _obstacle(place: int, step: Step, found: os.stat_result | None) -> Obstacle | Literal["done"] | None:
    """What is at the place of a step: nothing that hinders (None), what it would make, or something else."""
    if found is None:
        return None if step.now is None else "changed"
    if _is_untouched(found, step):
        return None
    return "done" if _is_done(place, os.path.basename(step.path), found, step.to) else "changed"


def _is_untouched(found: os.stat_result, step: Step) -> bool:
    if step.now is None:
        return False
    seen, now = read_stat(found), step.now.stat
    return same_but_names(seen, now) if step.shared else seen == now


def _is_done(place: int, name: str, found: os.stat_result, to: Entry | None) -> bool:
    """Whether the place looks as if an earlier run had come to it."""
    if to is None:
        return False
    match to.kind:
        case "directory":
            return found.st_mode & FORMAT_MASK == DIRECTORY
        case "link":
            return (
                found.st_mode == to.stat.mode and os.fsencode(os.readlink(name, dir_fd=place)) == to.content
            )
        case "file":
            return _is_as(found, to)


def _is_as(found: os.stat_result, to: Entry) -> bool:
    wanted = to.stat
    return (found.st_mode, found.st_size, found.st_mtime_ns) == (wanted.mode, wanted.size, wanted.mtime_ns)


def _is_between(found: os.stat_result, now: Entry, to: Entry) -> bool:
    """Whether a file is as it was, or on the way to what it is to be."""
    one, other = now.stat, to.stat
    return (
        (found.st_ino, found.st_size) == (one.inode, one.size)
        and found.st_mode in (one.mode, other.mode)
        and found.st_mtime_ns in (one.mtime_ns, other.mtime_ns)
    )


def _is_directory(found: os.stat_result, inode: int | None) -> bool:
    return found.st_mode & FORMAT_MASK == DIRECTORY and inode in (None, found.st_ino)


def _same(found: os.stat_result | None, other: os.stat_result | None) -> bool:
    if found is None or other is None:
        return found is other
    return read_stat(found) == read_stat(other)
