"""ripgrep, run by the file worker: bounded output, and an end to what runs on."""

import os
import select
import time

from hames.sandboxes.process_tree import SIGKILL
from hames.sandboxes.wire import Answer, Frame

SEARCH_S = 60.0
"""A search that takes longer is ended; what it found is kept."""

MISSING = (
    "ripgrep (rg) is not installed. Install it: `apt-get install ripgrep`, `dnf install ripgrep` or "
    "`pacman -S ripgrep`"
)

_CHUNK = 64 * 1024
_ERROR_BYTES = 2000


class _Found:
    """What has been printed so far, cut at whole lines when it is enough."""

    def __init__(self, max_bytes: int, max_lines: int) -> None:
        self.data = bytearray()
        self.cut = False
        self._max_bytes = max_bytes
        self._max_lines = max_lines

    def take(self, data: bytes) -> None:
        """Some more output."""
        self.data += data
        if len(self.data) > self._max_bytes:
            self.cut = True
            end = self.data.rfind(b"\n", 0, self._max_bytes) + 1
            del self.data[end or self._max_bytes :]
        if self.data.count(b"\n") > self._max_lines:
            self.cut = True
            end = 0
            for _ in range(self._max_lines):
                end = self.data.index(b"\n", end) + 1
            del self.data[end:]

    def end_at_line(self) -> None:
        """Drop a last line that was not finished."""
        self.cut = True
        del self.data[self.data.rfind(b"\n") + 1 :]


def _spawn(program: str, frame: Frame) -> tuple[int, int, int]:
    out, out_end = os.pipe()
    errors, errors_end = os.pipe()
    try:
        os.chdir(frame.get("cwd", "/"))
        pid = os.posix_spawn(
            program,
            [program, *frame.all("args")],
            {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, out_end, 1),
                (os.POSIX_SPAWN_DUP2, errors_end, 2),
            ],
        )
    except OSError:
        os.close(out)
        os.close(errors)
        raise
    finally:
        os.chdir("/")
        os.close(out_end)
        os.close(errors_end)
    return pid, out, errors


def _follow(out: int, errors: int, found: _Found) -> tuple[bytes, bool]:
    """Read both pipes to their ends, until it is enough. Returns the errors, and whether it took too long."""
    said = bytearray()
    waiting = [out, errors]
    until = time.monotonic() + SEARCH_S
    while waiting and not found.cut:
        ready = select.select(waiting, [], [], max(0.0, until - time.monotonic()))[0]
        if not ready:
            found.end_at_line()
            return bytes(said), True
        for fd in ready:
            data = os.read(fd, _CHUNK)
            if not data:
                waiting.remove(fd)
            elif fd == out:
                found.take(data)
            else:
                said += data[: max(0, _ERROR_BYTES - len(said))]
    return bytes(said), False


def run_search(frame: Frame) -> Answer:
    """Run ripgrep in `cwd`. Raises OSError when the directory cannot be entered."""
    program = frame.get("program")
    if not program or not os.access(program, os.X_OK):
        return [("exit_code", "127"), ("error", MISSING)], b""
    found = _Found(int(frame.get("max_bytes")), int(frame.get("max_lines")))
    pid, out, errors = _spawn(program, frame)
    try:
        said, late = _follow(out, errors, found)
    finally:
        os.close(out)
        os.close(errors)
        if found.cut:
            os.kill(pid, SIGKILL)
        _, status = os.waitpid(pid, 0)
    code = 0 if found.cut else os.waitstatus_to_exitcode(status)
    words = said.decode("utf-8", "replace").strip()
    if late:
        words = f"the search was ended after {SEARCH_S:.0f} s; {words}".rstrip("; ")
    lines = found.data.count(b"\n") + (1 if found.data and not found.data.endswith(b"\n") else 0)
    facts = [("lines", str(lines)), ("cut", "1" if found.cut else ""), ("exit_code", str(code))]
    return [*facts, ("error", words)], bytes(found.data)
