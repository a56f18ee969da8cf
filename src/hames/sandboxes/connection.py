"""The harness' end of the supervisor: its socket, and answers found by whoever waits.

There is no reading task. Of all that wait for an answer one reads the socket for everybody; when it has
its own answer, or is cancelled, the next one goes on.
"""

import contextlib
import os
import select
import signal
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

import anyio

from hames.core.errors import ArgumentProblem, LauncherError
from hames.sandboxes.runtime import FENCED, LOG, SOCKET, read_epoch
from hames.sandboxes.unowned import end_unowned
from hames.sandboxes.wire import Frame, Frames, Items, encode

_CLOSE_S = 10.0
_LEAVE_MS = 2000


class Line(NamedTuple):
    """A fresh connection to a supervisor. `child`: this process has started it."""

    socket: socket.socket
    pid: int
    child: bool


class Connection:
    """One connection, from its start to its end. A lost one stays lost; `fenced` says that somebody else
    owns the session now. `epoch` is that of the owner who has made it."""

    def __init__(self, directory: str, line: Line, epoch: int) -> None:
        self.directory = directory
        self._epoch = epoch
        self.lost = ""
        self.fenced = False
        self.pid = line.pid
        self._child = line.child
        self._socket = line.socket
        self._pidfd = _pidfd(line.pid)
        self._closing = False
        self._stays = False
        self._frames = Frames()
        self._number = 0
        self._answers: dict[str, Frame | None] = {}
        self._waiting: dict[str, anyio.Event] = {}
        self._reading = False
        self._unsent = b""
        self._sending = anyio.Lock()

    async def ask(self, items: Items, fds: Sequence[int] = ()) -> Frame:
        """Send a request and return its answer. Raises `LauncherError` when the supervisor is gone, and
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

    def post(self, items: Items) -> None:
        """Send a short first request, on a line that has carried nothing yet. Raises `LauncherError`."""
        self._push(encode(items), ())

    async def renew(self, epoch: int, hello: Items) -> bool:
        """Go on for a later claim of the same owner; whether the supervisor lives."""
        self._epoch = epoch
        try:
            await self.ask(hello)
        except LauncherError:
            return False
        return True

    async def close(self, releases: Items) -> None:
        """Let the supervisor end everything; returns when it is gone, or stays for a detached job."""
        self._closing = True
        with (
            anyio.CancelScope(shield=True),
            anyio.move_on_after(_CLOSE_S),
            contextlib.suppress(LauncherError),
        ):
            answer = await self.ask([("do", "close"), *releases])
            self._stays = answer.get("state") == "stays"
        self._lose()

    async def gone(self) -> None:
        """Wait for the end of the supervisor, whatever else is waited for; then the connection is lost."""
        if self._pidfd >= 0 and not self.lost:
            own = os.dup(self._pidfd)
            try:
                await anyio.wait_readable(own)
            finally:
                os.close(own)
        self._lose()

    def abandon(self) -> None:
        """Let go of the supervisor, as if this process had died: it goes on without us."""
        self._stays = True
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
            # What it said before it left is still there to be read.
            while not self.lost and self._take():
                continue
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

    def _take(self) -> bool:
        """Read what is there; whether there was anything."""
        try:
            data = self._socket.recv(64 * 1024)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._lose()
            return False
        for frame in self._frames.feed(data):
            number = frame.get("number")
            if frame.get("fenced"):
                self.fenced = True
            elif number in self._answers:
                self._answers[number] = frame
        return True

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
        """The connection is over. A supervisor that does not work for another owner is over with it."""
        if self.lost:
            return
        if not self.fenced and not self._stays and not self._left_in_order():
            self._end_sandboxes()
        if self._pidfd >= 0:
            os.close(self._pidfd)
        if self.fenced:
            self.lost = FENCED
        elif self._closing:
            self.lost = "the session was closed"
        else:
            self.lost = f"the supervisor ended unexpectedly{_last_words(self.directory)}"
        self._socket.close()
        self._wake()

    def _left_in_order(self) -> bool:
        """Whether the supervisor, which is over when this returns, has ended all that it owned."""
        # One that was asked to close is about to leave by itself; any other is gone, or out of reach.
        asked = self._closing and self._pidfd >= 0 and _is_over(self._pidfd)
        if self._pidfd >= 0 and not asked:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            _is_over(self._pidfd)
        status = os.waitpid(self.pid, 0)[1] if self._child else 0
        return asked and status == 0

    def _end_sandboxes(self) -> None:
        """End what the supervisor has left, unless it is a later owner's."""
        if read_epoch(self.directory) <= self._epoch:
            end_unowned(self.directory)


def _pidfd(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return -1


def _is_over(pidfd: int) -> bool:
    """Whether the process ends now; blocks for as long as it takes to leave, and no longer."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(_LEAVE_MS))


def reach(directory: str) -> Line | None:
    """A connection to the supervisor that lives there; None when none does."""
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    here = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    here.setblocking(False)
    try:
        # The path as it is may be too long for an address.
        here.connect(f"/proc/self/fd/{fd}/{SOCKET}")
        pid, _, _ = struct.unpack("3i", here.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    except OSError:
        here.close()
        return None
    finally:
        os.close(fd)
    return Line(here, pid, child=False)


def _last_words(directory: str) -> str:
    try:
        with open(os.path.join(directory, LOG), "rb") as file:
            said = file.read()[-500:].decode("utf-8", "replace").strip()
    except OSError:
        return ""
    return f": {said}" if said else ""
