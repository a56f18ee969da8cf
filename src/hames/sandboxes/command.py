"""One command in the launcher's hands: its processes, its pipes, and the facts of its end.

A command passes through `running`, `ending` (its process is gone, its tree may not be) and `over`.
With a sandbox, its process is bubblewrap; the first line on the status pipe names the sandbox's init,
whose end is the end of every process inside. Without one, its tree is its process group, and whatever
left the group and was adopted by the launcher with the mark `HAMES_JOB` in its environment.
"""

import os
import select
import time

from hames.sandboxes.spool import Spool
from hames.sandboxes.wire import Frame, Items

_SIGKILL, _SIGTERM, _SIGPIPE, _SIGXFSZ = 9, 15, 13, 25
_CHUNK = 64 * 1024
_DRAIN_CHUNKS = 16
_REASON_BYTES = 500
_INIT_S = 0.2
_ROUND_S = 10.0
_PARENT, _MEMORY = 1, 20


def _program(name: str, env: dict[str, str]) -> str:
    """The path of a program, looked for as a shell would."""
    if "/" in name:
        return name
    for directory in env.get("PATH", "/usr/bin:/bin").split(":"):
        path = f"{directory or '.'}/{name}"
        if os.access(path, os.X_OK):
            return path
    raise FileNotFoundError(2, "no such program", name)


def _kill(pid: int, signal: int, *, group: bool) -> None:
    try:
        if group:
            os.killpg(pid, signal)
        else:
            os.kill(pid, signal)
    except (ProcessLookupError, PermissionError):
        return


def _young(since: int) -> list[int]:
    """The processes that were started after the process `since`, as far as their numbers tell: numbers
    are given in a circle, and the newest stands in /proc/loadavg."""
    with open("/proc/loadavg", "rb") as file:
        newest = int(file.read().split()[4])
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    if newest >= since:
        return [pid for pid in pids if since < pid <= newest]
    return [pid for pid in pids if pid > since or pid <= newest]


def _end_adopted(mark: bytes, pids: list[int]) -> bool:
    """Kill the children of this process among `pids` that carry `mark`, and take leave of the dead.

    Returns whether there were any, or one that was just dying: its own children are adopted only when
    it is dead, so that it must be looked again.
    """
    here = os.getpid()
    again = False
    for pid in pids:
        facts = _about(pid, "stat").rpartition(b")")[2].split()
        if not facts or int(facts[_PARENT]) != here:
            continue
        marked = mark in _about(pid, "environ").split(b"\0")
        if marked:
            _kill(pid, _SIGKILL, group=False)
        if marked or facts[_MEMORY] == b"0":
            _take_leave(pid)
            again = True
    return again


def _about(pid: int, what: str) -> bytes:
    """A file of /proc, empty when there is none any more."""
    try:
        with open(f"/proc/{pid}/{what}", "rb") as file:
            return file.read()
    except OSError:
        return b""


def _take_leave(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


class Command:
    """See the head of this file. `changed` says that `descriptors` are not what they were."""

    def __init__(self, job: str, frame: Frame, known: set[int]) -> None:
        self._known = known
        self.spool = Spool(frame.get("spool"), int(frame.get("head", "0")), int(frame.get("tail", "0")))
        self.changed = True
        self.state = "running"
        self._mark = f"HAMES_JOB={job}"
        self._confined = bool(frame.get("confined"))
        self._grace_s = float(frame.get("grace_s", "2"))
        self._deadline: float | None = None
        self._kill_at: float | None = None
        self._pid = 0
        self._init = 0
        self._fds: dict[str, int] = {}
        self._status = b""
        self._cwd = ""
        self._started = time.monotonic()
        self._elapsed = 0.0
        self._cpu = 0.0
        self._memory_kb = 0
        self._exit: int | None = None
        self._timed_out = False
        self._stopped = False
        self._problem = ""

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

    def start(self, frame: Frame, stdio: int | None) -> None:
        """Spawn it. A failure is an end, with its reason."""
        try:
            self._spawn(frame, stdio)
        except (OSError, ValueError) as error:
            self._problem = (
                f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else str(error)
            )
            self._finish()
            return
        limit = frame.number("timeout_s")
        self._deadline = None if limit is None else self._started + limit

    def _spawn(self, frame: Frame, stdio: int | None) -> None:
        argv = frame.all("argv")
        env = {name: value for name, _, value in (item.partition("=") for item in frame.all("env"))}
        program = _program(argv[0], env)
        if not self._confined:
            env["HAMES_JOB"] = self._mark.partition("=")[2]
        out, out_end = os.pipe()
        control, control_end = os.pipe()
        status, status_end = os.pipe()
        self._fds = {"out": out, "control": control, "status": status}
        for fd in (out, control, status):
            os.set_blocking(fd, False)
        null = (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)
        actions = [
            null if stdio is None else (os.POSIX_SPAWN_DUP2, stdio, 0),
            (os.POSIX_SPAWN_DUP2, out_end if stdio is None else stdio, 1),
            (os.POSIX_SPAWN_DUP2, out_end, 2),
            (os.POSIX_SPAWN_DUP2, control_end, 3),
            (os.POSIX_SPAWN_DUP2, status_end, 4) if self._confined else (os.POSIX_SPAWN_CLOSE, 4),
        ]
        try:
            os.chdir(frame.get("cwd", "/"))
            self._pid = os.posix_spawn(
                program,
                argv,
                env,
                file_actions=actions,
                setpgroup=0,
                setsigmask=[],
                setsigdef=[_SIGPIPE, _SIGXFSZ],
            )
        finally:
            os.chdir("/")
            os.close(out_end)
            os.close(control_end)
            os.close(status_end)
        self._known.add(self._pid)
        self._fds["main"] = os.pidfd_open(self._pid)

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
            self.kill()
        elif self.state == "running" and self._deadline is not None and now >= self._deadline:
            self._timed_out = True
            self._deadline = None
            self._terminate()
        elif self.ending:
            self._look_for_tree()

    def stop(self) -> None:
        """Ask it to end, and make sure of it after the grace."""
        if self.state == "running":
            self._stopped = True
            self._terminate()

    def kill(self) -> None:
        """End it now."""
        self._kill_at = None
        self._deadline = None
        if self.state == "running":
            self._await_init()
            if self._init:
                _kill(self._init, _SIGKILL, group=False)
            _kill(self._pid, _SIGKILL, group=True)

    def await_end(self) -> None:
        """Block until it is over. Only for the very end of the launcher."""
        if self.state == "running":
            self._main_ended(0)
        while self.state == "ending":
            if self._confined:
                select.select([self._fds["init"]], [], [])
                self._init_ended()
            else:
                time.sleep(0.001)
                self._look_for_tree()

    def _terminate(self) -> None:
        if self._kill_at is not None:
            return
        self._await_init()
        try:
            os.killpg(self._init if self._confined else self._pid, _SIGTERM)
        except (ProcessLookupError, PermissionError):
            self.kill()
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
            _, _, rest = self._status.partition(b'"child-pid": ')
            digits = rest[: rest.find(b",")]
            self._init = int(digits) if digits.isdigit() else 0
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
            _kill(self._pid, _SIGKILL, group=True)
        _, status, used = os.wait4(self._pid, 0)
        self._elapsed = time.monotonic() - self._started
        self._exit = os.waitstatus_to_exitcode(status)
        self._count(used.ru_utime + used.ru_stime, used.ru_maxrss)
        self._close("main")
        self._read_control()
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
        """Bubblewrap is gone, so the init of the sandbox is a child of the launcher, or gone as well."""
        try:
            pid, _, used = os.wait4(self._init, os.WNOHANG)
        except ChildProcessError:
            self._finish()
            return
        if pid:
            self._count(used.ru_utime + used.ru_stime, used.ru_maxrss)
            self._finish()
        elif "init" not in self._fds:
            _kill(self._init, _SIGKILL, group=False)
            self._fds["init"] = os.pidfd_open(self._init)
            self.changed = True

    def _look_for_tree(self) -> None:
        pids = [pid for pid in _young(self._since()) if pid not in self._known]
        again = _end_adopted(self._mark.encode("utf-8", "surrogateescape"), pids)
        try:
            os.killpg(self._pid, 0)
        except (ProcessLookupError, PermissionError):
            if not again:
                self._finish()

    def _since(self) -> int:
        """After a long run the numbers may have gone round: then all processes are looked at."""
        return self._pid if self._elapsed < _ROUND_S else 0

    def _count(self, cpu: float, memory_kb: int) -> None:
        self._cpu += cpu
        self._memory_kb = max(self._memory_kb, memory_kb)

    def _finish(self) -> None:
        if "out" in self._fds:
            self._take_output(_DRAIN_CHUNKS)
        for name in list(self._fds):
            self._close(name)
        if not self._problem and self._confined and self._exit and self._exit > 0 and not self._stood():
            said = self.spool.slice(0, _REASON_BYTES)[1].decode("utf-8", "replace")
            self._problem = said.strip() or "the sandbox ended before the command, without a word"
        self.spool.close()
        self._known -= {self._pid, self._init}
        self.state = "over"

    def _stood(self) -> bool:
        """Bubblewrap reports an exit code only for a command that it has really started."""
        return b'"exit-code": ' in self._status

    def _read_control(self) -> None:
        lines = self._read("control").split(b"\n")[:-1]
        paths = [line for line in lines if line.startswith(b"/") and b"\0" not in line]
        self._cwd = paths[-1].decode("utf-8", "surrogateescape") if paths else ""

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
        facts = [
            ("state", "over"),
            ("timed_out", "1" if self._timed_out else ""),
            ("stopped", "1" if self._stopped else ""),
            ("elapsed_s", f"{self._elapsed:.6f}"),
            ("cpu_s", f"{self._cpu:.6f}"),
            ("memory_kb", str(self._memory_kb)),
            ("not_started", self._problem),
            *self._sizes(),
        ]
        if self._exit is not None and not self._problem:
            facts.append(("exit_code" if self._exit >= 0 else "signal", str(abs(self._exit))))
        return [*facts, ("cwd", self._cwd)]

    def _sizes(self) -> Items:
        return [("total", str(self.spool.total)), ("kept", str(self.spool.kept)), ("spool", self.spool.path)]
