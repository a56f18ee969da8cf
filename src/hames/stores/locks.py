"""One owner for each session on this machine: advisory locks that end with their process."""

import fcntl
import os
import re
import time

import msgspec

from hames.core.errors import SessionBusy, StoreError
from hames.core.ids import SessionId
from hames.stores.database import make_directory

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class _Holder(msgspec.Struct, frozen=True):
    """What a lock file says of its owner."""

    pid: int
    since_ms: int


class SessionLocks:
    """The sessions that this process owns. Taking and leaving block briefly: do so in a thread."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._held: dict[SessionId, int] = {}

    def take(self, session: SessionId, now_ms: int) -> bool:
        """Own `session`; False when it is ours already. Raises `SessionBusy`, `StoreError`, `OSError`."""
        if session in self._held:
            return False
        if _SAFE.fullmatch(session) is None:
            raise StoreError(
                f"{session!r} cannot be a session's id: use at most 128 letters, digits, '-', '_' and '.'"
            )
        make_directory(self._directory)
        file = _locked(path := self._path(session), session)
        try:
            os.ftruncate(file, 0)
            os.pwrite(file, msgspec.json.encode(_Holder(os.getpid(), now_ms)), 0)
        except BaseException:
            os.unlink(path)
            os.close(file)
            raise
        self._held[session] = file
        return True

    def leave(self, session: SessionId) -> None:
        """Let others own `session`."""
        file = self._held.pop(session)
        try:
            os.unlink(self._path(session))
        except FileNotFoundError:
            pass
        finally:
            os.close(file)

    def leave_all(self) -> None:
        """Let others own all that is owned here."""
        for session in tuple(self._held):
            self.leave(session)

    def _path(self, session: SessionId) -> str:
        return os.path.join(self._directory, f"{session}.lock")


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


def _is_at(path: str, file: int) -> bool:
    try:
        named = os.stat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(file), named)


def _busy(session: SessionId, written: bytes) -> SessionBusy:
    try:
        holder = msgspec.json.decode(written, type=_Holder)
    except msgspec.DecodeError:
        # Its owner has only just taken it.
        return SessionBusy(f"session {session} is in use by another process: wait until it ends")
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(holder.since_ms / 1000))
    return SessionBusy(
        f"session {session} is in use by process {holder.pid} since {since}: "
        f"wait until it ends, or end it with `kill {holder.pid}`"
    )
