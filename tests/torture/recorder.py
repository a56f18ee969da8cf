"""Records the writes, syncs and renames of a harness, by a small library that is compiled here and preloaded.

The harness' interpreter is a stand-in that preloads the library again in every process that it starts, also
with an empty environment: the process that owns the commands is recorded too. Inside a sandbox the record
cannot be opened, and nothing is recorded: the state directory is out of reach there as well.
"""

import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_HERE = Path(__file__).parent
_HEAD = struct.Struct("=IIIIq")
_FLAGS = ("-O2", "-Wall")


class Operation(NamedTuple):
    """One thing done. `end` is where its record ends.

    `kind`: O opened to be made (`offset` 1: emptied), W written, T cut to `offset`, S synced, R renamed to
    `more`, L given `more` as a second name, U removed, D directory made, A printed.
    """

    kind: str
    path: str
    offset: int
    more: bytes
    end: int


class Recorder:
    """A stand-in for the interpreter below `root`, that records what is done below `watched`. What is
    compiled is kept in `shared`."""

    def __init__(self, root: Path, watched: Path, shared: Path) -> None:
        self.watched = watched
        self.record = root / "record"
        self.python = root / "bin" / "python"
        self.python.parent.mkdir(parents=True)
        library = root / "record.so"
        shutil.copy(compiled(_HERE / "record.c", shared / "record.so", "-shared", "-fPIC", "-ldl"), library)
        shutil.copy(compiled(_HERE / "python.c", shared / "python"), self.python)
        # By its real place: a link may be hidden in a sandbox.
        python = Path(sys.executable).resolve()
        (root / "where").write_text(f"{library}\n{self.record}\n{watched}\n{python}\n")
        prefix = Path(sys.prefix)
        if (prefix / "pyvenv.cfg").exists():
            shutil.copy(prefix / "pyvenv.cfg", root)
        (root / "lib").symlink_to(prefix / "lib")
        self.restart()

    def restart(self) -> None:
        """Forget all that was recorded."""
        self.record.write_bytes(b"")

    @property
    def size(self) -> int:
        """How much is recorded by now."""
        return self.record.stat().st_size

    def operations(self) -> Iterator[Operation]:
        """All of them, in the order in which they ended."""
        data = self.record.read_bytes()
        at = 0
        while at + _HEAD.size <= len(data):
            kind, path_size, size, _, offset = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            path = data[at : at + path_size].decode(errors="surrogateescape")
            more = data[at + path_size : at + path_size + size]
            at += path_size + size
            if at > len(data):
                return  # The last one was being appended.
            yield Operation(chr(kind), path, offset, more, at)


def compiled(source: Path, target: Path, *more: str) -> Path:
    """What the compiler makes of a source, made once."""
    if not target.exists():
        subprocess.run(["gcc", *_FLAGS, str(source), "-o", str(target), *more], check=True)
    return target
