"""The harness' end of the launcher: the process, its socket, and answers found by whoever waits.

There is no reading task. Of all that wait for an answer one reads the socket for everybody; when it has
its own answer, or is cancelled, the next one goes on.
"""

import contextlib
import os
import signal
import socket
import stat
import sys
from collections.abc import Sequence

import anyio

from hames.core.errors import ArgumentProblem, LauncherError
from hames.sandboxes.wire import Frame, Frames, Items, encode

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_CLOSE_S = 10.0
_LOG = "launcher.log"


def program(module: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs `main` of one of our modules with the standard library alone.

    The module is imported, not run by path: so its compiled form is used.
    """
    script = f"import sys; sys.path.append(sys.argv[1]); from {module} import main; main(*sys.argv[2:])"
    return (sys.executable, "-X", "utf8", "-I", "-S", "-c", script, _ROOT, *arguments)


class Connection:
    """One launcher process, from its start to its end. A lost one stays lost."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.lost = ""
        self._closing = False
        self._frames = Frames()
        self._number = 0
        self._answers: dict[str, Frame | None] = {}
        self._waiting: dict[str, anyio.Event] = {}
        self._reading = False
        self._unsent = b""
        self._sending = anyio.Lock()
        self._socket, self.pid = _spawn(directory)

    async def ask(self, items: Items, fds: Sequence[int] = ()) -> Frame:
        """Send a request and return its answer. Raises `LauncherError` when the launcher is gone, and
        `ArgumentProblem` for text that no process can be given. A cancelled request is carried out all
        the same."""
        self._number += 1
        number = str(self._number)
        self._answers[number] = None
        try:
            await self.tell([("number", number), *items], fds)
            return await self._answer(number)
        finally:
            self._answers.pop(number, None)

    async def tell(self, items: Items, fds: Sequence[int] = ()) -> None:
        """Send a request that is not answered. Requests are carried out in their order. Raises as `ask`;
        when it raises, nothing was sent."""
        try:
            data = encode(items)
        except ValueError as error:
            raise ArgumentProblem(f"The command cannot be run: {error}.") from error
        if self._sending.locked() or self._unsent or not self._push(data, fds):
            # The lock keeps frames whole; what a cancelled sender left over goes first.
            async with self._sending:
                await self._drain()
                while not self._push(data, fds):
                    await anyio.wait_writable(self._socket)
        if self._unsent:
            # From its first byte on a request is sent whole: who is cancelled knows that it was not sent.
            with anyio.CancelScope(shield=True):
                async with self._sending:
                    await self._drain()

    async def close(self) -> None:
        """Let the launcher end everything; returns when it is gone."""
        self._closing = True
        with anyio.CancelScope(shield=True):
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)
            with anyio.move_on_after(_CLOSE_S):
                while not self.lost:
                    await self._receive("close")
            self._lose()

    async def _drain(self) -> None:
        while self._unsent:
            rest, self._unsent = self._unsent, b""
            if not self._push(rest, ()):
                self._unsent = rest
                await anyio.wait_writable(self._socket)

    def _push(self, data: bytes, fds: Sequence[int]) -> bool:
        """Send the beginning of `data`, and `fds` with it; what is left over becomes unsent. Returns
        whether anything went."""
        if self.lost:
            raise LauncherError(self.lost)
        try:
            sent = socket.send_fds(self._socket, [data], fds) if fds else self._socket.send(data)
        except BlockingIOError:
            return False
        except OSError as error:
            self._lose()
            raise LauncherError(self.lost) from error
        self._unsent = data[sent:]
        return True

    async def _answer(self, number: str) -> Frame:
        while True:
            frame = self._answers[number]
            if frame is not None:
                return frame
            if self.lost:
                raise LauncherError(self.lost)
            await self._receive(number)

    async def _receive(self, waiter: str) -> None:
        """Read once, for everybody; or wait until it is this one's turn."""
        if self._reading:
            event = self._waiting[waiter] = anyio.Event()
            try:
                await event.wait()
            except BaseException:
                if event.is_set() and not self._reading:
                    self._wake(waiter)
                raise
            finally:
                self._waiting.pop(waiter, None)
            return
        self._reading = True
        try:
            await anyio.wait_readable(self._socket)
            self._take()
        finally:
            self._reading = False
            self._wake(waiter)

    def _take(self) -> None:
        try:
            data = self._socket.recv(256 * 1024)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose()
            return
        for frame in self._frames.feed(data):
            number = frame.get("number")
            if number in self._answers:
                self._answers[number] = frame

    def _wake(self, but: str = "") -> None:
        """Wake whoever has an answer, and one more to go on reading."""
        heir = False
        for number, event in self._waiting.items():
            if number == but:
                continue
            if self.lost or self._answers.get(number) is not None:
                event.set()
            elif not heir:
                heir = True
                event.set()

    def _lose(self) -> None:
        if self.lost:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        unexpected = f"the launcher process ended unexpectedly{_last_words(self.directory)}"
        self.lost = "the launcher was closed" if self._closing else unexpected
        self._socket.close()
        self._wake()
        _sweep(self.directory)


class LauncherProcess:
    """Starts the launcher when it is first needed, and again when it was lost.

    `directory` is where its spools live: private to this process, made and removed by it.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._connection: Connection | None = None

    @property
    def running(self) -> Connection | None:
        """The present connection, if there is one."""
        return self._connection if self._connection and not self._connection.lost else None

    def connect(self) -> Connection:
        """The present connection, or a new one."""
        connection = self.running
        if connection is None:
            connection = self._connection = Connection(self.directory)
        return connection

    async def close(self) -> None:
        """End the launcher, if it runs."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _spawn(directory: str) -> tuple[socket.socket, int]:
    """Start a launcher. It gets its socket as descriptor 0, and no signal of the terminal."""
    _sweep(directory)
    try:
        _private(directory)
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError as error:
        raise LauncherError(f"cannot make the launcher's directory {directory}: {error.strerror}") from error
    here.setblocking(False)
    log = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    argv = program("hames.sandboxes.launcher", directory)
    try:
        pid = os.posix_spawn(
            argv[0],
            argv,
            {},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, there.fileno(), 0),
                (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, os.path.join(directory, _LOG), log, 0o600),
            ],
            setsid=True,
            setsigmask=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT],
        )
    except OSError as error:
        here.close()
        raise LauncherError(f"cannot start the launcher: {error.strerror}") from error
    finally:
        there.close()
    return here, pid


def _private(directory: str) -> None:
    os.makedirs(directory, mode=0o700, exist_ok=True)
    facts = os.lstat(directory)
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise LauncherError(f"{directory} must be a directory that only its owner can enter: chmod 700 it")


def _last_words(directory: str) -> str:
    try:
        with open(os.path.join(directory, _LOG), "rb") as file:
            said = file.read()[-500:].decode("utf-8", "replace").strip()
    except OSError:
        return ""
    return f": {said}" if said else ""


def _sweep(directory: str) -> None:
    """Remove what a launcher that was killed left behind."""
    with contextlib.suppress(OSError):
        for name in os.listdir(directory):
            os.unlink(os.path.join(directory, name))
        os.rmdir(directory)
