"""One command in the supervisor's hands: its processes, its pipes, and the facts of its end.

A command passes through `running`, `ending` (its process is gone, its tree may not be) and `over`.
With a sandbox, its process is bubblewrap; the first line on the status pipe names the sandbox's init,
whose end is the end of every process inside. Without one, its tree is its process group, and whatever
left the group and was adopted by the supervisor with the mark `JOB` in its environment.
"""

import os
import select
import time

from hames.sandboxes.pipes import first_inside, has_run, last_words
from hames.sandboxes.process_tree import SIGKILL, SIGTERM, adopted, end_adopted, kill
from hames.sandboxes.runtime import COPY_BYTES, JOB, SANDBOX
from hames.sandboxes.spawn import spawn
from hames.sandboxes.spool import Spool
from hames.sandboxes.wire import Frame, Items

_CHUNK = 64 * 1024
_DRAIN_CHUNKS = 16
_REASON_BYTES = 500
_INIT_S = 0.2
_LAST_S = 10.0


class Facts:
    """How a command ended: independent facts, kept apart."""

    def __init__(self) -> None:
        self.exit: int | None = None
        self.timed_out = False
        self.stopped = False
        self.unattended = False
        self.elapsed = 0.0
        self.cwd = ""
        self.left = 0
        self.problem = ""
        self._cpu = 0.0
        self._memory_kb = 0

    def count(self, cpu: float, memory_kb: int) -> None:
        """What one of its processes, with all that it waited for, has used."""
        self._cpu += cpu
        self._memory_kb = max(self._memory_kb, memory_kb)

    def items(self) -> Items:
        """As they are sent. A command that was not started has neither exit code nor signal."""
        facts = [
            ("timed_out", "1" if self.timed_out else ""),
            ("stopped", "1" if self.stopped else ""),
            ("unattended", "1" if self.unattended else ""),
            ("elapsed_s", f"{self.elapsed:.6f}"),
            ("cpu_s", f"{self._cpu:.6f}"),
            ("memory_kb", str(self._memory_kb)),
            ("not_started", self.problem),
            ("cwd", self.cwd),
            ("left", str(self.left)),
        ]
        if self.exit is not None and not self.problem:
            facts.append(("exit_code" if self.exit >= 0 else "signal", str(abs(self.exit))))
        return facts


class Command:
    """See the head of this file. `changed` says that `descriptors` are not what they were.

    `started` is the time of the start, `copy` a small output as it was at the end, and `recorded` that the
    end was written down. Raises OSError when there can be no spool.
    """

    def __init__(self, mark: str, spool: str, frame: Frame, known: set[int]) -> None:
        self._known = known
        self._head = frame.get("head", "0")
        self.spool = Spool(spool, int(self._head), int(frame.get("tail", "0")))
        self.changed = True
        self.state = "running"
        self.started = time.monotonic()
        self.copy = b""
        self.recorded = False
        self._confined = bool(frame.get("confined"))
        self._mark = f"{SANDBOX}={mark.partition('/')[0]}" if self._confined else f"{JOB}={mark}"
        self._grace_s = float(frame.get("grace_s", "2"))
        self._deadline: float | None = None
        self._kill_at: float | None = None
        self._pid = 0
        self._init = 0
        self._fds: dict[str, int] = {}
        self._status = b""
        self._facts = Facts()

    @property
    def over(self) -> bool:
        """Nothing of it runs any more."""
        return self.state == "over"

    @property
    def ending(self) -> bool:
        """Its tree is looked for from time to time, because nothing tells of its end."""
        return self.state == "ending" and not self._confined

    @property
    def due(self) -> float | None:
        """When `tick` has something to do."""
        if self.state != "running":
            return None
        return self._deadline if self._kill_at is None else self._kill_at

    def descriptors(self) -> set[int]:
        """What is to be polled. Control and status pipe are read at the end: a pipe holds 64 kB."""
        return {fd for name, fd in self._fds.items() if name in ("out", "main", "init")}

    # Start

    def start(self, frame: Frame, stdio: int | None, *, enclosed: bool) -> None:
        """Spawn it. A failure is an end, with its reason."""
        try:
            self._pid, self._fds = spawn(frame, stdio, self._mark, enclosed=enclosed)
        except OSError as error:
            self._facts.problem = f"{error.strerror}: {error.filename}"
            self._finish()
            return
        self._known.add(self._pid)
        limit = frame.number("timeout_s")
        self._deadline = None if limit is None else self.started + limit

    # Events

    def ready(self, fd: int) -> None:
        """One of the descriptors has something. May be told in error: nothing here blocks."""
        match next((name for name, own in self._fds.items() if own == fd), ""):
            case "out":
                self._take_output(1)
            case "main":
                self._main_ended(os.WNOHANG)
            case "init":
                self._init_ended()
            case _:
                return

    def tick(self, now: float) -> None:
        """Do what time asks for."""
        if self.state == "running" and self._kill_at is not None and now >= self._kill_at:
            self._kill()
        elif self.state == "running" and self._deadline is not None and now >= self._deadline:
            self._facts.timed_out = True
            self._deadline = None
            self._terminate()
        elif self.ending:
            self._look_for_tree()

    def stop(self) -> None:
        """Ask it to end, and make sure of it after the grace."""
        if self.state == "running":
            self._facts.stopped = True
            self._terminate()

    def end(self, *, unattended: bool) -> None:
        """End it now because the session is closed, or because nobody has come back for it."""
        if self.state == "running":
            self._facts.stopped = True
            self._facts.unattended = unattended
            self._kill()

    def _kill(self) -> None:
        self._kill_at = None
        self._deadline = None
        if self.state == "running":
            self._await_init()
            if self._init:
                kill(self._init, SIGKILL, group=False)
            kill(self._pid, SIGKILL, group=True)

    def await_end(self) -> None:
        """Block until it is over, or cannot be ended. Only for the very end of the supervisor."""
        if self.state == "running":
            self._main_ended(0)
        until = time.monotonic() + _LAST_S
        while self.state == "ending" and time.monotonic() < until:
            if self._confined:
                select.select([self._fds["init"]], [], [], _LAST_S)
                self._init_ended()
            else:
                time.sleep(0.001)
                self._look_for_tree()

    def _terminate(self) -> None:
        if self._kill_at is not None:
            return
        self._await_init()
        group = self._init if self._confined else self._pid
        try:
            os.killpg(group or self._pid, SIGTERM)
        except (ProcessLookupError, PermissionError):
            self._kill()
        else:
            self._kill_at = time.monotonic() + self._grace_s

    def _await_init(self) -> None:
        """Bubblewrap is never killed before it has named its child: that would wait for it for ever."""
        if self._confined and not self._init:
            select.select([self._fds["status"]], [], [], _INIT_S)
            self._read_status()

    def _read_status(self) -> None:
        """Only bubblewrap can write there: inside the sandbox the descriptor is closed."""
        self._status += self._read("status")
        if not self._init:
            self._init = first_inside(self._status)
            self._known.add(self._init)

    def _take_output(self, chunks: int) -> None:
        for _ in range(chunks):
            try:
                data = os.read(self._fds["out"], _CHUNK)
            except BlockingIOError:
                return
            if not data:
                self._close("out")
                return
            self.spool.take(data)

    def _read(self, name: str) -> bytes:
        try:
            return os.read(self._fds[name], _CHUNK)
        except BlockingIOError:
            return b""

    # The end

    def _main_ended(self, options: int) -> None:
        # The group is killed before the process is waited for: until then its number cannot be reused.
        if os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT | options) is None:
            return
        if not self._confined:
            kill(self._pid, SIGKILL, group=True)
        _, status, used = os.wait4(self._pid, 0)
        self._facts.elapsed = time.monotonic() - self.started
        self._facts.exit = os.waitstatus_to_exitcode(status)
        self._facts.count(used.ru_utime + used.ru_stime, used.ru_maxrss)
        self._close("main")
        self._facts.cwd, self._facts.left = last_words(self._read("control"))
        if self._confined:
            self._read_status()
        self.state = "ending"
        if not self._confined:
            self._look_for_tree()
        elif not self._init:
            self._finish()
        else:
            self._init_ended()

    def _init_ended(self) -> None:
        """Bubblewrap is gone, so the init of the sandbox is a child of the supervisor, or gone as well."""
        try:
            pid, _, used = os.wait4(self._init, os.WNOHANG)
        except ChildProcessError:
            self._finish()
            return
        if pid:
            self._facts.count(used.ru_utime + used.ru_stime, used.ru_maxrss)
            self._finish()
        elif "init" not in self._fds:
            kill(self._init, SIGKILL, group=False)
            self._fds["init"] = os.pidfd_open(self._init)
            self.changed = True

    def _look_for_tree(self) -> None:
        again = end_adopted(self._mark.encode("utf-8", "surrogateescape"), adopted(self._known))
        try:
            os.killpg(self._pid, 0)
        except (ProcessLookupError, PermissionError):
            if not again:
                self._finish()

    def _finish(self) -> None:
        if "out" in self._fds:
            self._take_output(_DRAIN_CHUNKS)
        for name in list(self._fds):
            self._close(name)
        if self._confined and (self._facts.exit or 0) > 0 and not has_run(self._status):
            said = self.spool.slice(0, _REASON_BYTES)[1].decode("utf-8", "replace")
            self._facts.problem = said.strip() or "the sandbox ended before the command, without a word"
        if self.spool.total == self.spool.kept <= COPY_BYTES:
            self.copy = self.spool.slice(0, COPY_BYTES)[1]
        self.spool.close()
        self._known -= {self._pid, self._init}
        self.state = "over"

    def _close(self, name: str) -> None:
        fd = self._fds.pop(name, None)
        if fd is not None:
            os.close(fd)
            self.changed = True

    # What is said of it

    def output(self, start: int, limit: int) -> tuple[Items, bytes]:
        """A slice of the output, with its place and the whole size."""
        if self.over:
            return [("state", "over"), *self._sizes()], b""
        first, data = self.spool.slice(start, limit)
        return [("state", self.state), ("start", str(first)), ("total", str(self.spool.total))], data

    def facts(self) -> Items:
        """How it ended."""
        return [("state", "over"), *self._facts.items(), *self._sizes(), ("head", self._head)]

    def _sizes(self) -> Items:
        return [("total", str(self.spool.total)), ("kept", str(self.spool.kept))]
