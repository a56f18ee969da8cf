"""A disk that loses power: what is still there of what was done, if what was not synced is dropped.

The promise of a disk is taken as narrowly as POSIX gives it. What was written to a file lasts when that
file was synced after it; that a name is there, or is gone, lasts when its directory was synced after it;
syncing a file does not keep its name. Of the rest, all is dropped, or at random: a write may be there or not,
or torn at a sector, without regard to order; changes of names are there up to a random one of them, in their
order, as journals keep them.
"""

from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.torture.recorder import Operation

SECTOR = 512


class _Write(NamedTuple):
    """Bytes at an offset; None: the file is cut there."""

    at: int
    data: bytes | None


class _File:
    def __init__(self, data: bytes = b"") -> None:
        self.safe = bytearray(data)
        self.pending: list[_Write] = []

    def sync(self) -> None:
        for write in self.pending:
            _apply(self.safe, write)
        self.pending.clear()

    def after_loss(self, random: Random | None) -> bytes:
        data = bytearray(self.safe)
        for write in self.pending if random is not None else ():
            if random is not None and random.random() < 0.5:
                _apply(data, _torn(write, random))
        return bytes(data)


class _Directory:
    def __init__(self) -> None:
        self.names: dict[str, _File | _Directory] = {}


class _Change(NamedTuple):
    """A name in a directory gets a file, or none."""

    directory: _Directory
    name: str
    node: _File | _Directory | None


class _Move:
    """Changes of names that are made together, or not at all."""

    def __init__(self, *changes: _Change) -> None:
        self.changes = changes
        self.safe = False


class Disk:
    """What is below `root`: first as in `base`, safe, then as operations have it."""

    def __init__(self, root: Path, base: Path | None = None) -> None:
        self._root = root
        self._top = _Directory()
        self._moves: list[_Move] = []
        if base is not None and base.exists():
            self._take(base, self._top)
        # What the directories held at the start is where the moves begin.
        self._first: dict[int, dict[str, _File | _Directory]] = {}
        self._remember(self._top)

    def do(self, operation: Operation) -> None:
        """One thing more that was done."""
        if operation.kind == "A":
            return
        match operation.kind:
            case "O":
                file = self._made(operation.path)
                if operation.offset:
                    file.pending.append(_Write(0, None))
            case "W":
                self._made(operation.path).pending.append(_Write(operation.offset, operation.more))
            case "T":
                self._made(operation.path).pending.append(_Write(operation.offset, None))
            case "S":
                self._sync(operation.path)
            case "D":
                self._move(self._change(operation.path, _Directory()))
            case "U":
                self._move(self._change(operation.path, None))
            case _:
                new = operation.more.decode(errors="surrogateescape")
                self._rename(operation.path, new, both=operation.kind == "L")

    def lose_power(self, target: Path, random: Random | None) -> None:
        """Write what is left into `target`. Without `random` everything that was not synced is dropped."""
        kept = 0
        pending = [move for move in self._moves if not move.safe]
        if random is not None:
            kept = random.randint(0, len(pending))
        names = {which: dict(held) for which, held in self._first.items()}
        lasting = set(map(id, pending[:kept]))
        for move in self._moves:
            if move.safe or id(move) in lasting:
                for change in move.changes:
                    held = names.setdefault(id(change.directory), {})
                    held.pop(change.name, None)
                    if change.node is not None:
                        held[change.name] = change.node
        self._write(self._top, target, names, random)

    def _write(
        self,
        directory: _Directory,
        target: Path,
        names: dict[int, dict[str, "_File | _Directory"]],
        random: Random | None,
    ) -> None:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, node in names.get(id(directory), {}).items():
            path = target / name
            if isinstance(node, _Directory):
                self._write(node, path, names, random)
            else:
                path.write_bytes(node.after_loss(random))
                path.chmod(0o600)

    def _take(self, path: Path, into: _Directory) -> None:
        for child in path.iterdir():
            if child.is_dir() and not child.is_symlink():
                node = into.names[child.name] = _Directory()
                self._take(child, node)
            elif child.is_file():
                into.names[child.name] = _File(child.read_bytes())

    def _remember(self, directory: _Directory) -> None:
        self._first[id(directory)] = dict(directory.names)
        for node in directory.names.values():
            if isinstance(node, _Directory):
                self._remember(node)

    def _parent(self, path: str) -> tuple[_Directory, str]:
        *above, name = Path(path).relative_to(self._root).parts
        directory = self._top
        for part in above:
            node = directory.names.get(part)
            if not isinstance(node, _Directory):
                node = directory.names[part] = _Directory()
            directory = node
        return directory, name

    def _made(self, path: str) -> _File:
        directory, name = self._parent(path)
        node = directory.names.get(name)
        if not isinstance(node, _File):
            node = _File()
            self._move(_Change(directory, name, node))
        return node

    def _change(self, path: str, node: _File | _Directory | None) -> _Change:
        return _Change(*self._parent(path), node)

    def _move(self, *changes: _Change) -> None:
        for change in changes:
            if change.node is None:
                change.directory.names.pop(change.name, None)
            else:
                change.directory.names[change.name] = change.node
        self._moves.append(_Move(*changes))

    def _rename(self, old: str, new: str, *, both: bool) -> None:
        directory, name = self._parent(old)
        node = directory.names.get(name)
        if node is not None and both:
            self._move(self._change(new, node))
        elif node is not None:
            self._move(_Change(directory, name, None), self._change(new, node))

    def _sync(self, path: str) -> None:
        node: _File | _Directory | None = self._top
        if Path(path) != self._root:
            directory, name = self._parent(path)
            node = directory.names.get(name)
        if isinstance(node, _File):
            node.sync()
        elif node is not None:
            for move in self._moves:
                move.safe = move.safe or any(change.directory is node for change in move.changes)


def _apply(data: bytearray, write: _Write) -> None:
    if write.data is None:
        del data[write.at :]
        data.extend(bytes(write.at - len(data)))
        return
    data.extend(bytes(max(0, write.at - len(data))))
    data[write.at : write.at + len(write.data)] = write.data


def _torn(write: _Write, random: Random) -> _Write:
    if write.data is None or len(write.data) <= SECTOR or random.random() < 0.7:
        return write
    return _Write(write.at, write.data[: random.randrange(0, len(write.data), SECTOR)])
