"""What a path was to be beside what it is, for a person to see before it is forced."""

import os
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from itertools import takewhile
from typing import NamedTuple

from hames.core.errors import DamagedLog
from hames.snapshots.beneath import OPEN_FILE, Beneath, stat_at
from hames.snapshots.contents import Contents
from hames.snapshots.entries import FORMAT_MASK, HOLE, Entry

MOST_LINES = 200
"""Lines that are shown of one path, with the one that counts the rest."""

MOST_BYTES = 256 * 1024
"""Of larger files only the sizes are shown."""

_LINE_CHARS = 500
_CONTEXT = 3
_COMPARED_LINES = 1000

_Opcode = tuple[str, int, int, int, int]


class _Side(NamedTuple):
    """One of the two: in words (none when there is nothing), and the bytes of a file that is not `large`."""

    words: str
    mode: int = 0
    data: bytes | None = None
    large: bool = False


def shown(path: str, to: Entry | None, contents: Contents, root: str) -> tuple[str, ...]:
    """Between what a restore would have made of `path` and what is there, below `root`, now: the lines of a
    unified diff, or one that says it where there is none to be had.

    At most `MOST_LINES`. Names and contents are as they are: not fit for a terminal.
    """
    try:
        there = _there(path, root)
    except OSError as error:
        return (f"what is there cannot be read: {error.strerror}",)
    try:
        wanted = _wanted(to, contents)
    except DamagedLog as error:
        return (f"what it was to be cannot be shown: {error}",)
    return tuple(_lines(wanted, there))


def _lines(wanted: _Side, there: _Side) -> list[str]:
    large = wanted.large or there.large
    if wanted == there and not large:
        return ["it is what it was to be"]
    words = f"to be {wanted.words}" if wanted.words else "to be removed"
    words += f"; there is {there.words or 'nothing'}"
    if large:
        return [f"{words}: too large to show"]
    if wanted.data is None or there.data is None or wanted.data == there.data:
        return [words]
    if b"\0" in wanted.data or b"\0" in there.data:
        return [f"{words}: no text"]
    lines = [] if wanted.mode == there.mode else [words]
    lines += ["--- to be", "+++ there is"]
    lines += _hunks(_split(wanted.data), _split(there.data))
    if len(lines) > MOST_LINES:
        rest = len(lines) - MOST_LINES + 1
        lines[MOST_LINES - 1 :] = [f"... and {rest} lines more"]
    return lines


def _wanted(to: Entry | None, contents: Contents) -> _Side:
    if to is None:
        return _Side("")
    match to.kind:
        case "directory":
            return _directory(to.permissions)
        case "link":
            return _link(os.fsdecode(to.content))
        case "file":
            size = to.stat.size
            data = None
            if size <= MOST_BYTES:
                data = b"".join(bytes(size) if each == HOLE else contents.get(each) for each in to.chunks())
            return _file(size, to.permissions, data)


def _there(path: str, root: str) -> _Side:
    with Beneath(root) as beneath:
        try:
            place, name = beneath.place(path)
        except (FileNotFoundError, NotADirectoryError):
            return _Side("")
        found = stat_at(place, name) if name else os.fstat(place)
        if found is None:
            return _Side("")
        mode = found.st_mode & ~FORMAT_MASK
        match found.st_mode & FORMAT_MASK:
            case 0o040000:
                return _directory(mode)
            case 0o120000:
                return _link(os.readlink(name, dir_fd=place))
            case 0o100000:
                return _file(found.st_size, mode, _read(place, name) if found.st_size <= MOST_BYTES else None)
            case _:
                return _Side("a socket, a pipe or a device")


def _directory(mode: int) -> _Side:
    return _Side(f"a directory, mode {mode:o}", mode)


def _link(target: str) -> _Side:
    return _Side(f"a link to {target}")


def _file(size: int, mode: int, data: bytes | None) -> _Side:
    return _Side(f"a file of {size:,} bytes, mode {mode:o}", mode, data, data is None)


def _read(place: int, name: str) -> bytes:
    file = os.open(name, OPEN_FILE, dir_fd=place)
    try:
        parts: list[bytes] = []
        left = MOST_BYTES
        while left and (part := os.read(file, left)):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
    finally:
        os.close(file)


def _split(data: bytes) -> list[str]:
    lines = data.decode(errors="backslashreplace").split("\n")
    if lines[-1]:
        lines[-1] += "\n\\ No newline at end of file"
        return lines
    return lines[:-1]


def _hunks(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """The diff of what lies between the lines that both begin and end with."""
    head = _shared(old, new)
    tail = min(_shared(reversed(old), reversed(new)), min(len(old), len(new)) - head)
    first, last = max(0, head - _CONTEXT), max(0, tail - _CONTEXT)
    one, other = old[first : len(old) - last], new[first : len(new) - last]
    lines: list[str] = []
    for group in _groups(one, other, (head - first, tail - last)):
        _, begin, _, other_begin, _ = group[0]
        _, _, end, _, other_end = group[-1]
        old_range = _range(first + begin, end - begin)
        lines.append(f"@@ -{old_range} +{_range(first + other_begin, other_end - other_begin)} @@")
        for what, i, j, k, m in group:
            if what == "equal":
                lines += _marked(" ", one[i:j])
            else:
                lines += _marked("-", one[i:j])
                lines += _marked("+", other[k:m])
    return lines


def _groups(one: Sequence[str], other: Sequence[str], around: tuple[int, int]) -> Iterable[list[_Opcode]]:
    if max(len(one), len(other)) <= _COMPARED_LINES:
        return SequenceMatcher(None, one, other).get_grouped_opcodes(_CONTEXT)
    # To find the best one of so many lines may take minutes.
    head, tail = around
    i, k = len(one) - tail, len(other) - tail
    return [
        [
            ("equal", 0, head, 0, head),
            ("replace", head, i, head, k),
            ("equal", i, len(one), k, len(other)),
        ]
    ]


def _shared(one: Iterable[str], other: Iterable[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _range(begin: int, count: int) -> str:
    """As in any unified diff: lines count from 1; of none, the one before is named."""
    if count == 1:
        return f"{begin + 1}"
    return f"{begin + 1 if count else begin},{count}"


def _marked(mark: str, lines: Sequence[str]) -> list[str]:
    return [_cut(part) for line in lines for part in (mark + line).split("\n")]


def _cut(line: str) -> str:
    return line if len(line) <= _LINE_CHARS else f"{line[:_LINE_CHARS]} ..."
