"""All commands of a session in the supervisor's hands, and their ends on disk."""

import select
import time

from hames.sandboxes.command import Command
from hames.sandboxes.runtime import END, OUTPUT, WORKER, EndFile, forget, is_name, mark_of, sync, write_epoch
from hames.sandboxes.wire import Frame

_SYNC_S = 0.05
"""From an end that a harness was told of to its sync: mostly it is on the session's log before."""


class Work:
    """Commands by job. A request's `keep` tells a command, whose end outlives everybody, from a file
    worker, which is of no interest without its harness. `any_kept`: there ever was one of the former."""

    def __init__(self, directory: str, poll: select.poll, *, enclosed: bool) -> None:
        self.any_kept = False
        self._directory = directory
        self._mark = mark_of(directory)
        self._poll = poll
        self._enclosed = enclosed
        self._commands: dict[str, Command] = {}
        self._ends: dict[str, EndFile] = {}
        self._unsynced: dict[str, float] = {}
        self._watched: dict[int, Command] = {}
        self._known: set[int] = set()
        self._refused: dict[str, str] = {}
        self._released: set[str] = set()
        self._detached: set[str] = set()

    def own(self, epoch: int) -> None:
        """Leave word in the directory that this epoch owns the session. A full disk must end nothing: the
        owner has left the same word."""
        try:
            write_epoch(self._directory, epoch)
        except OSError:
            return

    # One command

    def get(self, job: str) -> Command | None:
        """The command of this name, running or not."""
        return self._commands.get(job)

    def why_not(self, job: str) -> str:
        """Why the command of this name was not started; empty if nobody asked for it."""
        return self._refused.get(job, "")

    def refuse(self, job: str, why: str) -> None:
        """Remember why a command was not started."""
        self._refused[job] = why

    def start(self, frame: Frame, stdio: int | None) -> None:
        """Start a command, or remember why not."""
        job, keep = frame.get("job"), bool(frame.get("keep"))
        if not is_name(job) or job in self._commands:
            self.refuse(
                job, "its name cannot be used" if job not in self._commands else "it was started before"
            )
            return
        spool = f"{self._directory}/{job}{OUTPUT if keep else WORKER}"
        try:
            command = Command(f"{self._mark}/{job}", spool, frame, self._known)
        except OSError as error:
            self.refuse(job, f"{error.strerror}: {error.filename}")
            return
        if keep:
            self.any_kept = True
            self._ends[job] = EndFile(f"{self._directory}/{job}{END}")
        command.start(frame, stdio, enclosed=self._enclosed)
        self._commands[job] = command
        self._watch(command)

    def detach(self, job: str) -> None:
        """Let a command run on when the session is closed."""
        self._detached.add(job)

    def release(self, job: str) -> None:
        """Forget a command as soon as it is over: its end is on the log."""
        command = self._commands.get(job)
        if command is None:
            self._refused.pop(job, None)
            forget(self._directory, job)
        elif command.over:
            self._forget(job, command)
        else:
            self._released.add(job)

    # All of them

    @property
    def any_detached(self) -> bool:
        """Whether a detached command runs."""
        return any(not command.over for job, command in self._commands.items() if job in self._detached)

    def due(self, now: float) -> list[float]:
        """When something is to be done without anything having come."""
        times = [c.due for c in self._commands.values() if c.due is not None]
        if any(command.ending for command in self._commands.values()):
            times.append(now + 0.005)
        return [*times, *self._unsynced.values()]

    def ready(self, fd: int) -> None:
        """A descriptor of a command has something."""
        command = self._watched.get(fd)
        if command is not None:
            command.ready(fd)
            self._watch(command)

    def settle(self, now: float, *, attended: bool) -> None:
        """Do what time asks for, and write down the ends that have come."""
        for job, command in list(self._commands.items()):
            if not command.over:
                command.tick(now)
                self._watch(command)
            if not command.over:
                continue
            if job in self._released or (job not in self._ends and not attended):
                self._forget(job, command)
            elif job in self._ends and not command.recorded:
                self._record(job, command, durable=not attended)
        for job in [job for job, at in self._unsynced.items() if at <= now or not attended]:
            del self._unsynced[job]
            self._sync(job)

    def end(self, *, unattended: bool, but_detached: bool = False) -> None:
        """End them, and write down how. Returns when nothing of them is left."""
        ending = [
            (job, command)
            for job, command in self._commands.items()
            if not command.over and not (but_detached and job in self._detached)
        ]
        for _, command in ending:
            command.end(unattended=unattended)
        for _, command in ending:
            command.await_end()
            self._watch(command)
        self.settle(time.monotonic(), attended=False)

    def _record(self, job: str, command: Command, *, durable: bool) -> None:
        """Write an end down before anybody is told of it. A full disk costs the file, not the answer."""
        command.recorded = True
        if durable and not command.copy:
            sync(command.spool.path)
        try:
            self._ends[job].write(command.facts(), command.copy, durable=durable)
        except OSError:
            return
        if not durable:
            self._unsynced[job] = time.monotonic() + _SYNC_S

    def _sync(self, job: str) -> None:
        command = self._commands[job]
        if not command.copy:
            sync(command.spool.path)
        self._ends[job].sync()

    def _forget(self, job: str, command: Command) -> None:
        del self._commands[job]
        self._released.discard(job)
        self._detached.discard(job)
        self._unsynced.pop(job, None)
        if self._ends.pop(job, None) is not None:
            forget(self._directory, job)
        else:
            command.spool.remove()

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
