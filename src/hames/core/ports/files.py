"""Work on files, always through the sandbox."""

from typing import Protocol

import msgspec

from hames.core.events import FileFact


class ReadQuery(msgspec.Struct, frozen=True):
    """Lines of a file: from `line` (1 is the first), at most `lines` and `max_bytes`."""

    path: str
    line: int = 1
    lines: int | None = None
    max_bytes: int = 1024 * 1024


class ReadResult(msgspec.Struct, frozen=True):
    """`data` are whole lines, unless one alone exceeds `max_bytes`. `sha256`, `size` and `total_lines`
    are of the whole file. `binary`: it has NUL bytes or is no text; `data` is then its first bytes."""

    data: bytes
    sha256: str
    size: int
    total_lines: int
    binary: bool
    mtime_ns: int


class WriteOrder(msgspec.Struct, frozen=True):
    """Replace a file's content, atomically, keeping its mode. `expect`: the SHA-256 the present
    content must have; empty when the file must not exist. Missing directories are made. A new file gets
    the mode of the file `mode_of`, where one is named."""

    path: str
    data: bytes
    expect: str
    mode_of: str = ""


class RemoveOrder(msgspec.Struct, frozen=True):
    """Remove a file whose content still has the SHA-256 `expect`. Of a symbolic link only the link goes."""

    path: str
    expect: str


class SearchQuery(msgspec.Struct, frozen=True):
    """Arguments for ripgrep, without the program: never a shell string. At most `max_bytes` come back."""

    args: tuple[str, ...]
    cwd: str
    max_bytes: int
    max_lines: int


class SearchResult(msgspec.Struct, frozen=True):
    """`data` is what ripgrep printed, cut at whole lines. `exit_code` 1 means no match."""

    data: bytes
    lines: int
    cut: bool
    exit_code: int
    error: str


class Files(Protocol):
    """File work, done by a worker inside the sandbox. Raises `FileProblem`."""

    async def read(self, query: ReadQuery) -> ReadResult: ...

    async def write(self, order: WriteOrder) -> FileFact: ...

    async def remove(self, order: RemoveOrder) -> FileFact: ...

    async def search(self, query: SearchQuery) -> SearchResult: ...

    async def close(self) -> None: ...
