"""What a snapshot holds: entries, and the tree that they make. Names are `str` with surrogate escapes."""

import os
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Literal, NamedTuple

import msgspec

from hames.core.ids import BlobId

ADDRESS_BYTES = 32

HOLE = bytes(ADDRESS_BYTES)
"""Stands for a chunk of zeros: nothing is kept of it."""

FIRST_FILE_MODE = 0o100000
"""Of the modes that entries have, those of files and links are above this, and of directories below."""

FORMAT_MASK = 0o170000
DIRECTORY = 0o040000
FILE = 0o100000
LINK = 0o120000

_TEMPORARY_START = ".hames~"
_TEMPORARY_END = "~new"

Why = Literal[
    "ignored",
    "large",
    "many",
    "deep",
    "special",
    "mount",
    "unreadable",
    "set_aside",
    "elsewhere",
    "reserved",
]
"""Why something is not covered. `ignored`, `large` and `many` are of the budget, and stay so; `set_aside`
is what the caller had left out; `special` is a socket, a pipe or a device; `elsewhere` a directory beside the
workspace that is not there; `reserved` has a name that only such a directory may have."""

Kind = Literal["file", "directory", "link"]


class Stat(NamedTuple):
    """What the kernel says of a path: what a scan compares."""

    mode: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


read_stat: Callable[[os.stat_result], tuple[int, int, int, int, int]] = attrgetter(
    "st_mode", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns"
)
"""The fields of `Stat`, as a plain tuple: equal to it, and made faster."""


def same_but_names(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two looks saw the same file, though names of it may have come or gone between them: that moves
    the change time, and nothing else of a `Stat`."""
    return one[:4] == other[:4]


class Entry(NamedTuple):
    """A path as it was. `content`: of a file the addresses of its chunks, joined; of a link its target."""

    stat: Stat
    content: bytes

    @property
    def kind(self) -> Kind:
        """What it is."""
        match self.stat.mode & FORMAT_MASK:
            case 0o040000:
                return "directory"
            case 0o120000:
                return "link"
            case _:
                return "file"

    @property
    def permissions(self) -> int:
        """The mode without the kind."""
        return self.stat.mode & ~FORMAT_MASK

    def chunks(self) -> list[bytes]:
        """The addresses of a file's chunks."""
        content = self.content
        return [content[at : at + ADDRESS_BYTES] for at in range(0, len(content), ADDRESS_BYTES)]

    def is_like(self, other: "Entry | None") -> bool:
        """Whether kind, mode and content are the same. Times are not looked at."""
        if other is None or self.stat.mode != other.stat.mode:
            return False
        return self.kind == "directory" or (
            self.content == other.content and (self.kind == "link" or self.stat.size == other.stat.size)
        )


Node = Mapping[str, Entry]
"""What is in one directory, by name."""


class NotCovered(msgspec.Struct, frozen=True):
    """A path, or all below it, that snapshots leave alone. Files and bytes as far as they are known."""

    path: str
    why: Why
    files: int = 0
    bytes: int = 0


class Draft(msgspec.Struct, frozen=True):
    """A workspace as it was, without a manifest.

    `nodes` maps the path of each directory (the root is empty) to what is in it, `top` is the root itself.
    A scan began at `taken_ns`; what is `unsure` may have changed since without showing it, and is read again
    by the next. Trees share the nodes in which they do not differ.
    """

    top: Entry
    nodes: Mapping[str, Node]
    taken_ns: int
    unsure: frozenset[str]
    not_covered: tuple[NotCovered, ...]
    files: int
    bytes: int

    def get(self, path: str) -> Entry | None:
        """The entry of a path; the root's for an empty one."""
        if not path:
            return self.top
        above, name = split(path)
        node = self.nodes.get(above)
        return None if node is None else node.get(name)

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """All entries but the root's, with their paths."""
        for above, node in self.nodes.items():
            for name, entry in node.items():
                yield join(above, name), entry


class Tree(Draft, frozen=True):
    """A workspace as it was. `blob` is the address of its manifest; `whole_bytes`, `delta_bytes` and `links`
    are of the chain of manifests down to the last whole one."""

    blob: BlobId
    whole_bytes: int
    delta_bytes: int
    links: int


def join(above: str, name: str) -> str:
    """The path of `name` in a directory."""
    return f"{above}/{name}" if above else name


def split(path: str) -> tuple[str, str]:
    """The directory of a path, and its name there."""
    above, _, name = path.rpartition("/")
    return above, name


def ancestors(path: str) -> Iterator[str]:
    """The directories that `path` is below, the nearest first, the root (empty) last."""
    while path:
        path = split(path)[0]
        yield path


def depth(path: str) -> int:
    """The directories that `path` is below."""
    return path.count("/") + bool(path)


def is_in_any(path: str, places: Container[str]) -> bool:
    """Whether the path is one of these, or below one."""
    return path in places or any(above in places for above in ancestors(path))


def weigh(node: Node) -> tuple[int, int]:
    """The files and links in a directory, and their bytes."""
    sizes = [entry.stat.size for entry in node.values() if entry.stat.mode >= FIRST_FILE_MODE]
    return len(sizes), sum(sizes)


def temporary_name(number: int, attempt: int = 0) -> str:
    """A name under which a file is written before it gets its own."""
    return f"{_TEMPORARY_START}{number}.{attempt}{_TEMPORARY_END}"


def is_temporary(name: str) -> bool:
    """Whether the name is one of `temporary_name`."""
    return name.startswith(_TEMPORARY_START) and name.endswith(_TEMPORARY_END)
