"""The launcher: a small process that owns commands, their process trees and their output.

Standard library only, and little of that: it is started with `-I -S` for the first command. What it
promises is in `docs/processes.md`; requests and answers are frames of `wire.py`.
"""

import ctypes
import os
import select
import sys
import time
from _socket import CMSG_LEN, MSG_DONTWAIT, SCM_RIGHTS, SOL_SOCKET, socket

from hames.sandboxes.command import Command
from hames.sandboxes.wire import Frame, Frames, Items, encode

_PR_SET_CHILD_SUBREAPER = 36
_FDS_AT_ONCE = 4
_SETTLE_MS = 5


def adopt_orphans() -> None:
    """Become the parent of what commands leave behind, so that it can be found, ended and counted.

    Raises OSError where the kernel cannot do it.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot adopt orphaned processes")


class Wait:
    """A request that is answered when its command is over, or at `deadline`."""

    __slots__ = ("deadline", "number")

    def __init__(self, number: str, deadline: float | None) -> None:
        self.number = number
        self.deadline = deadline


class Launcher:
    """Serves one connection until it closes, and then ends everything."""

    def __init__(self, connection: socket, directory: str) -> None:
        self._connection = connection
        self._directory = directory
        self._poll = select.poll()
        self._poll.register(connection.fileno(), select.POLLIN)
        self._frames = Frames()
        self._fds: list[int] = []
        self._unsent = bytearray()
        self._commands: dict[str, Command] = {}
        self._watched: dict[int, Command] = {}
        self._waits: dict[str, list[Wait]] = {}
        self._known: set[int] = set()
        self._refused: dict[str, str] = {}
        self._open = True

    def serve(self) -> None:
        """Answer requests until the connection closes."""
        here = self._connection.fileno()
        while self._open:
            for fd, what in self._poll.poll(self._patience_ms()):
                if fd == here:
                    if what & select.POLLOUT:
                        self._send(b"")
                    if what & ~select.POLLOUT:
                        self._receive()
                elif fd in self._watched:
                    command = self._watched[fd]
                    command.ready(fd)
                    self._watch(command)
            self._settle()

    def close(self) -> None:
        """End every command, and remove what was spooled. Returns when nothing is left."""
        for command in self._commands.values():
            command.kill()
        for command in self._commands.values():
            command.await_end()
            command.spool.remove()

    # Requests

    def _receive(self) -> None:
        data, extra, _, _ = self._connection.recvmsg(256 * 1024, CMSG_LEN(4 * _FDS_AT_ONCE))
        for level, kind, packed in extra:
            if (level, kind) == (SOL_SOCKET, SCM_RIGHTS):
                for at in range(0, len(packed) - len(packed) % 4, 4):
                    fd = int.from_bytes(packed[at : at + 4], sys.byteorder)
                    os.set_inheritable(fd, False)
                    self._fds.append(fd)
        if not data:
            self._open = False
        for frame in self._frames.feed(data):
            self._answer(frame)

    def _answer(self, frame: Frame) -> None:
        number, job = frame.get("number"), frame.get("job")
        command = self._commands.get(job)
        match frame.get("do"):
            case "start":
                self._start(frame, job)
            case _ if command is None:
                why = self._refused.pop(job, "")
                self._reply(number, [("state", "refused" if why else "unknown"), ("why", why)])
            case "wait" | "stop" as what:
                if what == "stop":
                    command.stop()
                limit = frame.number("timeout_s")
                deadline = None if limit is None else time.monotonic() + limit
                self._waits.setdefault(job, []).append(Wait(number, deadline))
            case "attach":
                self._reply(number, [("state", command.state), ("spool", command.spool.path)])
            case "output":
                start = int(frame.get("start", "0"))
                start = max(0, start + command.spool.total) if start < 0 else start
                self._reply(number, *command.output(start, int(frame.get("limit", "0"))))
            case "release" if command.over:
                command.spool.remove()
                del self._commands[job]
                self._reply(number, [("state", "released")])
            case _:
                self._reply(number, [("state", command.state)])

    def _start(self, frame: Frame, job: str) -> None:
        stdio = self._fds.pop(0) if frame.get("stdio") and self._fds else None
        try:
            command = Command(job, frame, self._known)
        except OSError as error:
            self._refused[job] = f"{error.strerror}: {error.filename}"
        else:
            command.start(frame, stdio)
            self._commands[job] = command
            self._watch(command)
        if stdio is not None:
            os.close(stdio)

    # Time and ends

    def _patience_ms(self) -> int | None:
        if any(command.ending for command in self._commands.values()):
            return _SETTLE_MS
        times = [c.due for c in self._commands.values() if c.due is not None]
        times += [w.deadline for waits in self._waits.values() for w in waits if w.deadline is not None]
        if not times:
            return None
        return max(0, int((min(times) - time.monotonic()) * 1000) + 1)

    def _settle(self) -> None:
        now = time.monotonic()
        for command in self._commands.values():
            if not command.over:
                command.tick(now)
                self._watch(command)
        for job in list(self._waits):
            self._settle_waits(job, now)

    def _settle_waits(self, job: str, now: float) -> None:
        command = self._commands.get(job)
        left: list[Wait] = []
        for wait in self._waits.pop(job):
            if command is None or command.over:
                self._reply(wait.number, command.facts() if command else [("state", "unknown")])
            elif wait.deadline is not None and wait.deadline <= now:
                self._reply(wait.number, [("state", command.state)])
            else:
                left.append(wait)
        if left:
            self._waits[job] = left

    def _watch(self, command: Command) -> None:
        """Poll exactly the descriptors that the command has open now."""
        if not command.changed:
            return
        command.changed = False
        open_now = command.descriptors()
        for fd in [fd for fd, owner in self._watched.items() if owner is command and fd not in open_now]:
            self._poll.unregister(fd)
            del self._watched[fd]
        for fd in open_now:
            if fd not in self._watched:
                self._watched[fd] = command
                self._poll.register(fd, select.POLLIN)

    # Answers

    def _reply(self, number: str, items: Items, body: bytes = b"") -> None:
        if number:
            self._send(encode([("number", number), *items], body))

    def _send(self, data: bytes) -> None:
        self._unsent += data
        try:
            sent = self._connection.send(self._unsent, MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._open = False
            return
        del self._unsent[:sent]
        wanted = select.POLLIN | (select.POLLOUT if self._unsent else 0)
        self._poll.modify(self._connection.fileno(), wanted)


def _close_inherited() -> None:
    """Keep 0 (the connection), 1 and 2; occupy 3 and 4, the control and status pipes of commands."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            try:
                os.close(int(name))
            except OSError:
                continue
    while os.open("/dev/null", os.O_RDONLY) < 4:
        continue


def main(directory: str) -> None:
    """Serve the socket at descriptor 0. `directory` is private to this launcher and removed at the end."""
    _close_inherited()
    adopt_orphans()
    os.chdir("/")
    launcher = Launcher(socket(fileno=0), directory)
    try:
        launcher.serve()
    finally:
        launcher.close()
    for name in os.listdir(directory):
        os.unlink(f"{directory}/{name}")
    os.rmdir(directory)
