"""python -m tests.torture.everywhere LIBRARY SESSION: undo and redo, killed before each change of the disk.

Run in the workspace of the session, with the library preloaded. Each command runs in a fork of this process,
in which all is imported already, once to be killed and once more to its end. The first is killed before its
first change, and so on, until one comes through. Prints how many were killed, and what was wrong.
"""

import ctypes
import os
import sys
from pathlib import Path
from signal import SIGKILL

from hames.apps.cli import main
from hames.assembly.build import build
from hames.assembly.going_back import go_back
from tests.snapshots.desk import Seen, differing, picture

IMPORTED = (build, go_back)
"""No fork has to import these again."""

_DONE = (0, 3)
_NOTHING = 2
"""The exit code when the one that was killed had come to its end."""


class Everywhere:
    """The commands of one session, killed everywhere."""

    def __init__(self, library: str, session: str) -> None:
        self._strike = ctypes.CDLL(library)
        self._session = session
        self._number = 0
        self.wrong: list[str] = []

    def run(self) -> int:
        """How many were killed."""
        wanted: dict[str, dict[str, Seen]] = {}
        for command in ("undo", "redo"):
            self._ran(command, 0)
            wanted[command] = picture(Path.cwd())
        through: set[str] = set()
        killed = 0
        while len(through) < len(wanted):
            for command, as_it_should in wanted.items():
                self._number += 1
                code = self._ran(command, self._number)
                if code == -SIGKILL:
                    killed += 1
                    code = self._ran(command, 0)
                elif code in _DONE:
                    through.add(command)
                if code not in (*_DONE, _NOTHING):
                    self.wrong.append(f"{command}, killed at {self._number}: ended with {code}")
                for path in differing(picture(Path.cwd()), as_it_should):
                    self.wrong.append(f"{command}, killed at {self._number}: {path!r} is not as it should be")
        return killed

    def _ran(self, command: str, number: int) -> int:
        child = os.fork()
        if child == 0:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            self._strike.strike_at(number)
            os._exit(main([command, self._session]))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    tried = Everywhere(*sys.argv[1:])
    print(f"{tried.run()} killed")
    print("\n".join(tried.wrong[:20]))
    sys.exit(1 if tried.wrong else 0)
