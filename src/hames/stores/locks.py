"""One owner for each session on this machine: advisory locks that end with their process."""

import fcntl
import os
import re
import time
from collections.abc import Iterator

import msgspec

from hames.core.errors import SessionBusy, StoreError
from hames.core.ids import SessionId
from hames.stores.directory import make_directory

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
SUFFIX = ".lock"


class Holder(msgspec.Struct, frozen=True):
    """What a lock file says of its owner."""

    pid: int
    since_ms: int


class Taken(msgspec.Struct, frozen=True):
    """A lock that a living process holds: since when, by its own clock and by that of the file system."""

    session: SessionId
    since_ms: int
    since: float


class SessionLocks:
    """The sessions that this process owns. Everything here blocks briefly: call it in a thread.

    Call it inside a transaction of the store, so that no two processes do so at the same time: a lock that
    is taken over changes its file.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._held: dict[SessionId, int] = {}

    def take(self, session: SessionId, now_ms: int, *, take_over: bool = False) -> bool:
        """Own `session`; False when it is ours already. Raises `SessionBusy`, `StoreError`, `OSError`.

        With `take_over` an owner that lives is replaced. It is not told: its next append is refused.
        """
        path = self._path(session)
        mine = self._held.get(session)
        if mine is not None:
            if _is_at(path, mine):
                return False
            # It was taken over from us meanwhile.
            os.close(self._held.pop(session))
        if _SAFE.fullmatch(session) is None:
            raise StoreError(
                f"{session!r} cannot be a session's id: use at most 128 letters, digits, '-', '_' and '.'"
            )
        make_directory(self.directory)
        holder = Holder(os.getpid(), now_ms)
        try:
            self._held[session] = _write(_locked(path, session), path, holder)
        except SessionBusy:
            if not take_over:
                raise
            self._held[session] = _replaced(path, holder)
        return True

    def leave(self, session: SessionId) -> None:
        """Let others own `session`. A lock that was taken over stays as it is."""
        file = self._held.pop(session, None)
        if file is None:
            return
        path = self._path(session)
        try:
            if _is_at(path, file):
                os.unlink(path)
        finally:
            os.close(file)

    def leave_all(self) -> None:
        """Let others own all that is owned here."""
        for session in tuple(self._held):
            self.leave(session)

    def living(self) -> list[Taken]:
        """The sessions that a process owns, this one included. Lock files of dead ones are removed."""
        found: list[Taken] = []
        for name, path in self._files():
            session = SessionId(name.removesuffix(SUFFIX))
            if session in self._held or not _removed_if_free(path):
                found.append(Taken(session, _since_ms(path), os.stat(path).st_mtime))
        return found

    def _files(self) -> Iterator[tuple[str, str]]:
        try:
            names = os.listdir(self.directory)
        except FileNotFoundError:
            return
        for name in sorted(names):
            if name.endswith(SUFFIX):
                yield name, os.path.join(self.directory, name)

    def _path(self, session: SessionId) -> str:
        return os.path.join(self.directory, f"{session}{SUFFIX}")


def _locked(path: str, session: SessionId) -> int:
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The owner before removes the file as it leaves: a lock on that one guards nothing.
            if _is_at(path, file):
                return file
        except BlockingIOError as error:
            busy = _busy(session, os.pread(file, 256, 0))
            os.close(file)
            raise busy from error
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _write(file: int, path: str, holder: Holder) -> int:
    try:
        os.ftruncate(file, 0)
        os.pwrite(file, msgspec.json.encode(holder), 0)
    except BaseException:
        os.unlink(path)
        os.close(file)
        raise
    return file


def _replaced(path: str, holder: Holder) -> int:
    # The old owner keeps its lock, on a file that has no name any more.
    fresh = f"{path}.{os.getpid()}"
    file = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.pwrite(file, msgspec.json.encode(holder), 0)
        os.rename(fresh, path)
    except BaseException:
        os.unlink(fresh)
        os.close(file)
        raise
    return file


def _removed_if_free(path: str) -> bool:
    file = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    except BlockingIOError:
        return False
    finally:
        os.close(file)
    return True


def _is_at(path: str, file: int) -> bool:
    try:
        named = os.stat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(file), named)


def _since_ms(path: str) -> int:
    """When its owner took it; 0, the safe answer, while the owner is only just writing that."""
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(), type=Holder).since_ms
    except (OSError, msgspec.DecodeError):
        return 0


def _busy(session: SessionId, written: bytes) -> SessionBusy:
    try:
        holder = msgspec.json.decode(written, type=Holder)
    except msgspec.DecodeError:
        # Its owner has only just taken it.
        return SessionBusy(f"session {session} is in use by another process: wait until it ends")
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(holder.since_ms / 1000))
    return SessionBusy(
        f"session {session} is in use by process {holder.pid} since {since}: "
        f"wait until it ends, or end it with `kill {holder.pid}`"
    )
