"""The harness that is tortured, as command lines. Another one needs the same words, and `events`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec

PROMPT = "do all of it"
_SUPERVISOR = re.compile(rb"hames\.sandboxes\.(supervisor|launcher)\b")


class Event(msgspec.Struct, frozen=True):
    """A line of the export: one durable event, its place, and its chained hash."""

    seq: int
    event: dict[str, object]
    hash: str = ""

    @property
    def type(self) -> str:
        """What kind of event it is."""
        return str(self.event["type"])


class Target:
    """`hames` with a home of its own; of another source tree than the installed one, if it is given."""

    def __init__(self, root: Path, session: str, source: Path | None = None) -> None:
        self.workspace = root / "workspace"
        self.state = root / "state" / "hames"
        self.session = session
        self.python = sys.executable
        home = root / "home"
        home.mkdir(parents=True)
        self.state.parent.mkdir()
        self.env = {
            "HOME": str(home),
            "XDG_STATE_HOME": str(self.state.parent),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            **({"PYTHONPATH": str(source)} if source is not None else {}),
        }

    def start(self, base_url: str) -> list[str]:
        """A new session with the first words."""
        return [*self._run(base_url), "--session-id", self.session, "-p", PROMPT]

    def resume(self, base_url: str) -> list[str]:
        """Go on where it was."""
        return [*self._run(base_url), "--resume", self.session]

    def say(self, base_url: str) -> list[str]:
        """Go on with further words."""
        return [*self.resume(base_url), "-p", PROMPT]

    def take_over(self, base_url: str) -> list[str]:
        """Go on with a session that another process has."""
        return [*self.resume(base_url), "--take-over"]

    def export(self) -> list[str]:
        """Every durable event as JSON lines."""
        return self._hames("export", self.session, "--format", "events")

    def check(self) -> list[str]:
        """Look for damage."""
        return self._hames("sessions", "check", self.session)

    def check_all(self) -> list[str]:
        """Look for damage in all sessions."""
        return self._hames("sessions", "check")

    def show(self) -> list[str]:
        """Tell the session in lines."""
        return self._hames("sessions", "show", self.session)

    def undo(self) -> list[str]:
        """Take back what the last turn did."""
        return self._hames("undo", self.session)

    def redo(self) -> list[str]:
        """Take that back."""
        return self._hames("redo", self.session)

    def rewind(self, seq: int) -> list[str]:
        """Go back to what was after an entry."""
        return self._hames("rewind", f"{self.session}@{seq}")

    def fork(self, seq: int, directory: Path) -> list[str]:
        """A session that goes on from an entry, in a copy of the workspace."""
        return self._hames("fork", f"{self.session}@{seq}", "--worktree", str(directory))

    def delete(self, session: str) -> list[str]:
        """Delete a session."""
        return self._hames("sessions", "delete", session)

    def sweep(self) -> list[str]:
        """Remove what nothing needs."""
        return self._hames("gc")

    def payloads(self) -> set[str]:
        """What is kept beside the log's own file, by the names under which the log has it."""
        return {path.name for path in (self.state / "blobs").glob("*/*")}

    def known_ends(self) -> set[str]:
        """The calls whose ends are written down, whoever has been killed since."""
        return {path.stem for path in (self.state / "run" / self.session).glob("*.end")}

    def _run(self, base_url: str) -> list[str]:
        place = ["--base-url", base_url, "--wire", "chat", "--model", "scripted"]
        return self._hames("--output-format", "stream-json", "--permission-mode", "auto", *place)

    def _hames(self, *words: str) -> list[str]:
        return [self.python, "-m", "hames.apps.cli", *words]


def can_take_over() -> bool:
    """Whether the installed hames can take a session over from a process that has it."""
    words = [sys.executable, "-m", "hames.apps.cli", "--help"]
    return b"--take-over" in subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout


def is_supervisor(line: bytes) -> bool:
    """Whether this is the command line of the process that owns the harness' commands."""
    return _SUPERVISOR.search(line) is not None and b"bwrap" not in line.partition(b" ")[0]


def read_events(out: bytes) -> list[Event]:
    """The lines of an export."""
    return [msgspec.json.decode(line, type=Event) for line in out.splitlines()]
