"""The supervisor of a session as the harness sees it: found or started when it is first needed."""

import os
import signal
import socket
import stat
import sys

from hames.core.errors import Fenced, LauncherError
from hames.core.ids import JobId
from hames.core.ports import Claim
from hames.sandboxes.connection import Connection, Line, reach
from hames.sandboxes.runtime import (
    END,
    FENCED,
    LOG,
    OUTPUT,
    SANDBOX,
    clear,
    forget,
    mark_of,
    read_epoch,
    write_epoch,
)
from hames.sandboxes.unowned import end_unowned
from hames.sandboxes.wire import Items

ORPHAN_S = 1200.0
"""How long commands run on without a harness, where nothing else is said."""

PYTHON = os.path.realpath(sys.executable)
"""The interpreter, by where it really is: a link on the way to it may be hidden in a sandbox."""

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def program(module: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs `main` of one of our modules with the standard library alone.

    The module is imported, not run by path: so its compiled form is used.
    """
    script = f"import sys; sys.path.append(sys.argv[1]); from {module} import main; main(*sys.argv[2:])"
    return (PYTHON, "-X", "utf8", "-I", "-S", "-c", script, _ROOT, *arguments)


class SupervisorProcess:
    """The `Runtime` port: one supervisor for the session that was entered last.

    `root` holds the runtime directories of all sessions. `enclosed`: commands share a network of their own
    and nothing else. `orphan_s` is how long they run on when this process is gone.
    """

    def __init__(self, root: str, *, enclosed: bool = False, orphan_s: float = ORPHAN_S) -> None:
        self.directory: str = ""
        self.epoch = 0
        self._root = root
        self._enclosed = enclosed
        self._orphan_s = orphan_s
        self._connection: Connection | None = None
        self._releases: list[JobId] = []

    async def enter(self, claim: Claim) -> None:
        """See `Runtime`. Whoever works for the session under an older claim is cut off, here and now; what
        this process has running for it goes on."""
        directory = os.path.join(self._root, claim.session)
        own = self.running if directory == self.directory else None
        self.directory, self.epoch = directory, claim.epoch
        if own is not None and await own.renew(claim.epoch, self._hello()):
            write_epoch(self.directory, claim.epoch)
            return
        if self._connection is not None:
            self._connection.abandon()
            self._connection = None
        if not _private(self.directory):
            return
        if self.fenced:
            raise Fenced(FENCED)
        # First the word, then the look: a supervisor that is just starting does it the other way round.
        write_epoch(self.directory, claim.epoch)
        found = reach(self.directory)
        if found is not None:
            await self._greet(Connection(self.directory, found, claim.epoch))
        else:
            end_unowned(self.directory)

    async def _greet(self, connection: Connection) -> None:
        """Have the supervisor work for us, unless it is just leaving, or lives in another network than
        commands are to have."""
        try:
            answer = await connection.ask(self._hello())
        except LauncherError as error:
            if connection.fenced:
                raise Fenced(FENCED) from error
            return
        if answer.get("enclosed") and not self._enclosed:
            await connection.close([])
        else:
            self._connection = connection

    @property
    def running(self) -> Connection | None:
        """The present connection, if there is one."""
        return self._connection if self._connection and not self._connection.lost else None

    def connect(self) -> Connection:
        """The present connection, or a new one. Raises `LauncherError`."""
        connection = self.running
        if connection is not None:
            return connection
        if self.fenced:
            raise LauncherError(FENCED)
        if not self.directory:
            raise LauncherError("no session has been opened, so there is nobody to run commands for")
        found = reach(self.directory)
        connection = Connection(self.directory, found or self._spawn(), self.epoch)
        if found is not None:
            connection.post(self._hello())
        self._connection = connection
        return connection

    def release(self, job: JobId) -> None:
        """Forget a command: its end is on the log. Carried out with the next request."""
        self._releases.append(job)

    def releases(self) -> Items:
        """What is to be forgotten, as items of a request."""
        return [("release", job) for job in self._releases]

    def released(self, items: Items) -> None:
        """The request with these was sent."""
        for _, job in items:
            if job in self._releases:
                self._releases.remove(JobId(job))

    async def close(self) -> None:
        """Close the session: its commands are ended, and nothing is left but ends that nobody recorded."""
        connection = self.running
        if connection is not None:
            await connection.close(self.releases())
        elif self.directory and not self.fenced:
            self._tidy()

    @property
    def fenced(self) -> bool:
        """Whether another owner is known to have the session: then there is nothing left to do for us."""
        told = self._connection is not None and self._connection.fenced
        return told or (bool(self.directory) and read_epoch(self.directory) > self.epoch)

    def _tidy(self) -> None:
        """There is no supervisor any more: what is on the log is removed from the directory."""
        for job in self._releases:
            forget(self.directory, job)
        try:
            names = os.listdir(self.directory)
        except FileNotFoundError:
            return
        if any(name.endswith((OUTPUT, END)) for name in names) or reach(self.directory) is not None:
            return
        clear(self.directory, but=())
        os.rmdir(self.directory)

    def _hello(self) -> Items:
        return [("do", "hello"), ("epoch", str(self.epoch)), ("orphan_s", str(self._orphan_s))]

    def _spawn(self) -> Line:
        """Start a supervisor. It gets its socket as descriptor 0, and no signal of the terminal."""
        try:
            os.makedirs(self.directory, mode=0o700, exist_ok=True)
            _private(self.directory)
            here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError as error:
            words = f"cannot make the session's directory {self.directory}: {error.strerror}"
            raise LauncherError(words) from error
        here.setblocking(False)
        terms = (str(self.epoch), str(self._orphan_s), "1" if self._enclosed else "")
        argv = program("hames.sandboxes.supervisor", self.directory, *terms)
        log = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        try:
            pid = os.posix_spawn(
                argv[0],
                argv,
                {SANDBOX: mark_of(self.directory)},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, there.fileno(), 0),
                    (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 2, os.path.join(self.directory, LOG), log, 0o600),
                ],
                setsid=True,
                setsigmask=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT],
            )
        except OSError as error:
            here.close()
            raise LauncherError(f"cannot start the supervisor: {error.strerror}") from error
        finally:
            there.close()
        return Line(here, pid, child=True)


def _private(directory: str) -> bool:
    """Whether there is a directory. Raises `LauncherError` when others can enter it."""
    try:
        facts = os.lstat(directory)
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise LauncherError(f"{directory} must be a directory that only its owner can enter: chmod 700 it")
    return True
