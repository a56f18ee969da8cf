"""The supervisor: a small process that owns a session's commands, and outlives the harness.

Standard library only, and little of that: it is started with `-I -S` for the first command. What it
promises is in `docs/processes.md`; requests and answers are frames of `wire.py`.
"""

import ctypes
import os
import select
import sys
import time
from _socket import AF_UNIX, SO_PEERCRED, SOCK_STREAM, SOL_SOCKET, socket
from fcntl import LOCK_EX, LOCK_NB, flock

from hames.sandboxes.command import Command
from hames.sandboxes.enclosure import enclose
from hames.sandboxes.peer import Peer
from hames.sandboxes.pipes import STATUS
from hames.sandboxes.runtime import (
    END,
    EPOCH,
    FENCED,
    LOCK,
    LOG,
    OUTPUT,
    SHARED,
    SOCKET,
    clear,
    read_epoch,
    write_epoch,
)
from hames.sandboxes.wire import Frame, encode
from hames.sandboxes.work import Work

_PR_SET_CHILD_SUBREAPER = 36
_DETACHED_S = 8 * 3600.0
_LOCK_S = 3.0
_CUT_OFF = encode([("fenced", "1")])


class Wait:
    """A request that is answered when its command is over, or at `deadline`."""

    __slots__ = ("deadline", "number", "peer")

    def __init__(self, peer: Peer, number: str, deadline: float | None) -> None:
        self.peer = peer
        self.number = number
        self.deadline = deadline


class Terms:
    """Under which a supervisor works: whose session it is, how long it waits for the next owner, and whether
    it is in a network of the session's."""

    __slots__ = ("enclosed", "epoch", "orphan_s")

    def __init__(self, epoch: int, orphan_s: float, *, enclosed: bool) -> None:
        self.epoch = epoch
        self.orphan_s = orphan_s
        self.enclosed = enclosed


class Supervisor:
    """Serves one owner at a time, until the session is closed or nobody has come back in time."""

    def __init__(self, work: Work, poll: select.poll, first: socket, listener: socket, terms: Terms) -> None:
        self.unattended = False
        self._listener = listener
        self._terms = terms
        self._poll = poll
        self._poll.register(listener.fileno(), select.POLLIN)
        self._owner: Peer | None = Peer(first, poll)
        self._peers: dict[int, Peer] = {self._owner.fd: self._owner}
        self._work = work
        self._waits: dict[str, list[Wait]] = {}
        self._alone_since = 0.0
        self._left = False
        self._done = False

    def serve(self) -> None:
        """Answer requests until it is time to leave."""
        while not self._done:
            for fd, what in self._poll.poll(self._patience_ms()):
                if fd == self._listener.fileno():
                    self._accept()
                elif fd in self._peers:
                    self._hear(self._peers[fd], what)
                else:
                    self._work.ready(fd)
            self._settle()

    def close(self) -> None:
        """End every command. Connections close with this process: then nothing is left of it."""
        self._work.end(unattended=self.unattended)

    # Connections

    def _accept(self) -> None:
        try:
            fd = _accepted(self._listener)
        except OSError:
            return
        connection = socket(fileno=fd)
        theirs = connection.getsockopt(SOL_SOCKET, SO_PEERCRED, 12)
        if int.from_bytes(theirs[4:8], sys.byteorder) != os.geteuid():
            connection.close()
            return
        peer = Peer(connection, self._poll)
        self._peers[peer.fd] = peer

    def _hear(self, peer: Peer, what: int) -> None:
        if what & select.POLLOUT:
            peer.send()
        if what & ~select.POLLOUT:
            try:
                for frame in peer.receive():
                    if peer.open:
                        self._answer(peer, frame)
            except ValueError:
                peer.open = False
        if not peer.open:
            self._drop(peer)

    def _drop(self, peer: Peer) -> None:
        if self._peers.pop(peer.fd, None) is None:
            return
        peer.close()
        for job, waits in list(self._waits.items()):
            self._waits[job] = [wait for wait in waits if wait.peer is not peer]
        if peer is self._owner:
            self._owner = None
            self._alone_since = time.monotonic()

    def _hello(self, peer: Peer, frame: Frame) -> None:
        """The session has an owner: this one, unless a later one has been here."""
        epoch = int(frame.get("epoch"))
        if epoch < self._terms.epoch:
            peer.send(_CUT_OFF)
            peer.open = False
            return
        if self._owner is not None and self._owner is not peer:
            self._owner.send(_CUT_OFF)
            self._drop(self._owner)
        if epoch > self._terms.epoch:
            self._terms.epoch = epoch
            self._work.own(epoch)
        self._owner = peer
        self._left = False
        self._terms.orphan_s = float(frame.get("orphan_s"))
        enclosed = "1" if self._terms.enclosed else ""
        peer.reply(frame.get("number"), [("state", "welcome"), ("enclosed", enclosed)])

    # Requests

    def _answer(self, peer: Peer, frame: Frame) -> None:
        if frame.get("do") == "hello":
            self._hello(peer, frame)
            return
        if peer is not self._owner:
            peer.open = False
            return
        if frame.get("do") == "start":
            # First what somebody waits for: the command runs while others are forgotten.
            self._start(peer, frame)
        for job in frame.all("release"):
            self._work.release(job)
        command = self._work.get(frame.get("job"))
        match frame.get("do"):
            case "start":
                return
            case "close":
                self._close(peer, frame.get("number"))
            case _ if command is None:
                why = self._work.why_not(frame.get("job"))
                peer.reply(frame.get("number"), [("state", "refused" if why else "unknown"), ("why", why)])
            case _:
                self._ask(peer, frame, command)

    def _ask(self, peer: Peer, frame: Frame, command: Command) -> None:
        """A request about one command that was started."""
        number, job = frame.get("number"), frame.get("job")
        match frame.get("do"):
            case "wait" | "stop" as what:
                if what == "stop":
                    command.stop()
                limit = frame.number("timeout_s")
                since = command.started if frame.get("from_start") else time.monotonic()
                deadline = None if limit is None else since + limit
                self._waits.setdefault(job, []).append(Wait(peer, number, deadline))
            case "output":
                start = int(frame.get("start", "0"))
                start = max(0, start + command.spool.total) if start < 0 else start
                peer.reply(number, *command.output(start, int(frame.get("limit", "0"))))
            case "detach":
                self._work.detach(job)
                peer.reply(number, [("state", command.state)])
            case _:
                peer.reply(number, [("state", command.state)])

    def _start(self, peer: Peer, frame: Frame) -> None:
        stdio = peer.take_fd() if frame.get("stdio") else None
        deadline = frame.number("deadline")
        if int(frame.get("epoch", "0")) < self._terms.epoch:
            self._work.refuse(frame.get("job"), FENCED)
        elif deadline is not None and deadline < time.monotonic():
            self._work.refuse(frame.get("job"), "hames was held up for too long before it could be started")
        else:
            self._work.start(frame, stdio)
        if stdio is not None:
            os.close(stdio)

    def _close(self, peer: Peer, number: str) -> None:
        self._work.end(unattended=False, but_detached=True)
        if not self._work.any_detached:
            self._done = True
            return
        self._left = True
        peer.reply(number, [("state", "stays")])
        self._drop(peer)

    # Time and ends

    def _leave_at(self) -> float | None:
        """When it is time to leave, if no owner comes; None while there is one."""
        if self._owner is not None:
            return None
        work = self._work
        if work.any_detached:
            return self._alone_since + max(self._terms.orphan_s, _DETACHED_S)
        if self._left or not work.any_kept:
            return self._alone_since
        return self._alone_since + self._terms.orphan_s

    def _patience_ms(self) -> int | None:
        now = time.monotonic()
        times = self._work.due(now)
        times += [w.deadline for waits in self._waits.values() for w in waits if w.deadline is not None]
        leave = self._leave_at()
        if leave is not None:
            times.append(leave)
        return max(0, int((min(times) - now) * 1000) + 1) if times else None

    def _settle(self) -> None:
        now = time.monotonic()
        self._work.settle(now, attended=self._owner is not None)
        for job in list(self._waits):
            self._settle_waits(job, now)
        leave = self._leave_at()
        if leave is not None and leave <= now:
            self.unattended = self._done = True

    def _settle_waits(self, job: str, now: float) -> None:
        command = self._work.get(job)
        left: list[Wait] = []
        for wait in self._waits.pop(job):
            if command is None or command.over:
                facts, copy = (command.facts(), command.copy) if command else ([("state", "unknown")], b"")
                wait.peer.reply(wait.number, facts, copy)
            elif wait.deadline is not None and wait.deadline <= now:
                wait.peer.reply(wait.number, [("state", command.state)])
            else:
                left.append(wait)
        if left:
            self._waits[job] = left


def _accepted(listener: socket) -> int:
    # This is the module below `socket`, which would cost more to load than all of the supervisor.
    return listener._accept()[0]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType] the stubs do not know it


def adopt_orphans() -> None:
    """Become the parent of what commands leave behind, so that it can be found, ended and counted.

    Raises OSError where the kernel cannot do it.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot adopt orphaned processes")


def _close_inherited() -> None:
    """Keep 0 (the connection), 1 and 2; occupy those that are pipes in a command."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            try:
                os.close(int(name))
            except OSError:
                continue
    while os.open("/dev/null", os.O_RDONLY) < STATUS:
        continue


def _lock(directory: str) -> None:
    """Go there, and be the only supervisor of the session. One that is just leaving is waited for; it may
    remove the directory as it goes."""
    until = time.monotonic() + _LOCK_S
    while True:
        try:
            os.makedirs(directory, 0o700, exist_ok=True)
            os.chdir(directory)
            fd = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:
            continue
        if _is_ours(fd):
            return
        os.close(fd)
        if time.monotonic() > until:
            raise SystemExit("another supervisor has the session")
        time.sleep(0.005)


def _is_ours(fd: int) -> bool:
    try:
        flock(fd, LOCK_EX | LOCK_NB)
        return os.path.samestat(os.fstat(fd), os.stat(LOCK))
    except (BlockingIOError, FileNotFoundError):
        return False


def _listen() -> socket:
    """In the current directory, by a short name: a longer one might not fit into an address."""
    listener = socket(AF_UNIX, SOCK_STREAM)
    listener.setblocking(False)
    listener.bind(SOCKET)
    listener.listen(8)
    return listener


def main(directory: str, epoch: str, orphan_s: str, enclosed: str) -> None:
    """Serve the socket at descriptor 0. `directory` is the session's own, and removed at the end unless
    there are ends in it that are not on the session's log."""
    _close_inherited()
    first = socket(fileno=0)
    adopt_orphans()
    inside = bool(enclosed) and enclose()
    _lock(directory)
    clear(directory, but=(LOCK, LOG, EPOCH, OUTPUT, END))
    listener = _listen()
    # First the ear, then the look: an owner that comes now leaves its epoch before it tries to connect.
    if read_epoch(directory) > int(epoch):
        first.send(_CUT_OFF)
        os.unlink(SOCKET)
        return
    write_epoch(directory, int(epoch))
    for name in SHARED.values():
        os.mkdir(name)
        os.chmod(name, 0o1777)  # noqa: S103 - below a directory that is private
    os.chdir("/")
    poll = select.poll()
    work = Work(directory, poll, enclosed=inside)
    terms = Terms(int(epoch), float(orphan_s), enclosed=inside)
    supervisor = Supervisor(work, poll, first, listener, terms)
    try:
        supervisor.serve()
    finally:
        supervisor.close()
        listener.close()
        _leave(directory)


def _leave(directory: str) -> None:
    """Remove all that nobody will ask for: everything, when no end is left that is not on the log."""
    clear(directory, but=(LOCK, EPOCH, OUTPUT, END))
    if any(name.endswith((OUTPUT, END)) for name in os.listdir(directory)):
        return
    clear(directory, but=())
    try:
        os.rmdir(directory)
    except OSError:
        # Somebody has come back just now.
        return
