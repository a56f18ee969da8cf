"""Where the state of a gate is: one small file for all processes, memory where that is not to be had."""

import fcntl
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import chain
from struct import pack

from hames.models.gate_state import OPEN, GateState, decode, encode

SHARED = sys.platform == "linux"
"""Whether the system has locks that belong to an open file and not to a process."""

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_BYTES = 4096
# Bytes far beyond what is written: nothing is ever there, only their locks matter.
_CHANGING = 1 << 20
_PLACES = _CHANGING + 1
# Whoever changes the file needs microseconds, unless it was stopped in the middle.
_TRIES = 200


class Hold:
    """A place that nobody else has, until it is closed or the process ends."""

    def __init__(self, release: Callable[[], object]) -> None:
        self._release: Callable[[], object] | None = release

    def close(self) -> None:
        """Let others have it. Harmless when said twice."""
        release, self._release = self._release, None
        if release is not None:
            release()


class GateFile:
    """A `GateState`, and numbered places of which each is held once. Nothing here waits or raises `OSError`.

    The state is at `path`, for its owner alone, and so are the places, for all processes. A kill at any
    instant leaves a file that can be read, and frees the places; what cannot be read counts as open. Where
    the file cannot be used, or the system has not the locks (see `SHARED`), the state or the places are this
    object's own.
    """

    def __init__(self, path: str, *, shared: bool = SHARED) -> None:
        self._path = path
        self._shared = shared
        self._unwritten: GateState | None = None
        self._held: set[int] = set()

    def read(self) -> GateState:
        """The state. One look at the file's size where nothing is wrong."""
        if self._unwritten is not None:
            return self._unwritten
        try:
            data = b"" if os.stat(self._path).st_size == 0 else _contents(self._path)
        except OSError:
            return OPEN
        state = decode(data)
        # Somebody may be writing just now.
        return self.change(_as_it_is) if state is None else state

    def change(self, rule: Callable[[GateState], GateState]) -> GateState:
        """What `rule` makes of the state, kept. Nobody else changes it meanwhile."""
        try:
            file = self._open()
        except OSError:
            self._unwritten = rule(self._unwritten or OPEN)
            return self._unwritten
        try:
            if self._shared:
                _wait_for_turn(file)
            data = _read(file)
            state = rule(self._unwritten or decode(data) or OPEN)
            self._unwritten = None if _written(file, data, encode(state)) else state
        finally:
            os.close(file)
        return state

    def hold(self, first: int, count: int, start: int = 0) -> Hold | None:
        """A free place of the `count` from `first` on, looked for from the `start`-th on, around; None when
        there is none."""
        if self._shared:
            # No file, or a file system without locks.
            with suppress(OSError):
                return self._hold_shared(_around(first, count, start))
        return self._hold_here(_around(first, count, start))

    def hold_alone(self, first: int, count: int) -> Hold | None:
        """Place `first`, if nobody has any of the `count` from it on."""
        if self._shared:
            with suppress(OSError):
                return self._hold_shared((first,), count)
        free = self._held.isdisjoint(range(first, first + count))
        return self._hold_here((first,)) if free else None

    def _hold_shared(self, places: Iterable[int], free: int = 1) -> Hold | None:
        # The lock belongs to this opening of the file, whoever else in this process has opened it.
        file = self._open()
        try:
            for place in places:
                if _locked(file, _PLACES + place, free):
                    _unlock(file, _PLACES + place + 1, free - 1)
                    return Hold(partial(os.close, file))
        except OSError:
            os.close(file)
            raise
        os.close(file)
        return None

    def _hold_here(self, places: Iterable[int]) -> Hold | None:
        for place in places:
            if place not in self._held:
                self._held.add(place)
                return Hold(partial(self._held.discard, place))
        return None

    def _open(self) -> int:
        try:
            return os.open(self._path, _FLAGS, 0o600)
        except FileNotFoundError:
            with suppress(FileExistsError):
                os.mkdir(os.path.dirname(self._path), 0o700)
            return os.open(self._path, _FLAGS, 0o600)


def _around(first: int, count: int, start: int) -> Iterable[int]:
    return chain(range(first + start, first + count), range(first, first + start))


def _locked(file: int, at: int, length: int = 1) -> bool:
    """Lock these bytes, for as long as this opening of the file lasts; False when somebody else has one."""
    try:
        _set_lock(file, fcntl.F_WRLCK, at, length)
    except BlockingIOError:
        return False
    return True


def _unlock(file: int, at: int, length: int) -> None:
    if length:
        _set_lock(file, fcntl.F_UNLCK, at, length)


def _set_lock(file: int, kind: int, at: int, length: int) -> None:
    # `struct flock` of Linux: type, whence, start, length, and a process that is not asked for.
    fcntl.fcntl(file, fcntl.F_OFD_SETLK, pack("hhqqi0q", kind, os.SEEK_SET, at, length, 0))


def _wait_for_turn(file: int) -> None:
    """Keep others from changing the file until it is closed. Whoever was stopped while it did so is not
    waited for: at worst one refusal is not counted."""
    # Without locks, the same.
    with suppress(OSError):
        for _ in range(_TRIES):
            if _locked(file, _CHANGING):
                return
            os.sched_yield()


def _contents(path: str) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return os.pread(file, _READ_BYTES, 0)
    finally:
        os.close(file)


def _read(file: int) -> bytes:
    try:
        return os.pread(file, _READ_BYTES, 0)
    except OSError:
        return b""


def _written(file: int, before: bytes, after: bytes) -> bool:
    """Put `after` in place of `before`, in one operation; what lies behind its line does not count."""
    try:
        if not after:
            if before:
                os.ftruncate(file, 0)
        elif after != before:
            os.pwrite(file, after, 0)
    except OSError:
        return False
    return True


def _as_it_is(state: GateState) -> GateState:
    return state
