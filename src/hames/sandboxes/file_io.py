"""Reading, writing and removing one file: by lines and hash, and whole with compare and swap."""

import os
import stat
from hashlib import sha256

from hames.sandboxes.wire import Answer

READ_BYTES = 1024 * 1024 * 1024
"""A larger file is not read here: its hash alone would take seconds."""

_CHUNK = 1024 * 1024
_SNIFFED = 8 * 1024
_TEXT = bytes({7, 8, 9, 10, 12, 13, 27} | set(range(0x20, 0x100)))


class Refusal(Exception):
    """The request cannot be done. `trouble` is one of `core.errors.FileTrouble`."""

    def __init__(self, trouble: str, message: str) -> None:
        super().__init__(message)
        self.trouble = trouble


def _open(path: str) -> tuple[int, os.stat_result]:
    """Open a plain file for reading; never blocks on a pipe."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    facts = os.fstat(fd)
    if stat.S_ISREG(facts.st_mode):
        return fd, facts
    os.close(fd)
    if stat.S_ISDIR(facts.st_mode):
        raise Refusal("directory", f"{path} is a directory: use glob, or ls in bash, to look into it")
    raise Refusal("not_regular", f"{path} is not a plain file but a device, a pipe or a socket")


class _Slice:
    """Whole lines from `line` on, taken from chunks as they pass by."""

    def __init__(self, line: int, lines: int | None, max_bytes: int) -> None:
        self.data = bytearray()
        self.newlines = 0
        self._first = max(1, line) - 1
        self._end = None if lines is None else self._first + lines
        self._room = max_bytes
        self._full = False

    def take(self, chunk: bytes) -> None:
        """The next chunk of the file."""
        before = self.newlines
        count = chunk.count(b"\n")
        self.newlines += count
        if self._full or before + count < self._first or (self._end is not None and before >= self._end):
            return
        at = 0
        for _ in range(self._first - before):
            at = chunk.index(b"\n", at) + 1
        end = len(chunk)
        if self._end is not None and before + count >= self._end:
            end = at - 1
            for _ in range(self._end - max(before, self._first)):
                end = chunk.index(b"\n", end + 1)
            end += 1
        self.data += chunk[at:end]
        if len(self.data) > self._room:
            self._full = True
            cut = self.data.rfind(b"\n", 0, self._room) + 1
            del self.data[cut or self._room :]


def _is_text(sample: bytes) -> bool:
    strange = len(sample.translate(None, _TEXT))
    return strange * 10 <= len(sample)


def read_lines(path: str, line: int, lines: float | None, max_bytes: int) -> Answer:
    """Some lines of a file, with the facts of all of it."""
    fd, facts = _open(path)
    try:
        if facts.st_size > READ_BYTES:
            raise Refusal("too_big", f"{path} has {facts.st_size} bytes: use head, tail, sed or rg in bash")
        part = _Slice(line, None if lines is None else int(lines), max_bytes)
        digest, size, last, head, binary = sha256(), 0, b"", b"", False
        while chunk := os.read(fd, _CHUNK):
            digest.update(chunk)
            if not size:
                head, binary = chunk, not _is_text(chunk[:_SNIFFED])
            size += len(chunk)
            last = chunk[-1:]
            binary = binary or b"\0" in chunk
            part.take(chunk)
    finally:
        os.close(fd)
    facts_items = [
        ("sha256", digest.hexdigest()),
        ("size", str(size)),
        ("total_lines", str(part.newlines + (1 if size and last != b"\n" else 0))),
        ("binary", "1" if binary else ""),
        ("mtime_ns", str(facts.st_mtime_ns)),
    ]
    return facts_items, head[:max_bytes] if binary else bytes(part.data)


def _digest(path: str) -> tuple[str, os.stat_result] | None:
    """The hash of the present content, None when there is no file."""
    try:
        fd, facts = _open(path)
    except FileNotFoundError:
        return None
    try:
        digest = sha256()
        while chunk := os.read(fd, _CHUNK):
            digest.update(chunk)
    finally:
        os.close(fd)
    return digest.hexdigest(), facts


def _identity(facts: os.stat_result | None) -> tuple[int, int, int] | None:
    return None if facts is None else (facts.st_ino, facts.st_mtime_ns, facts.st_size)


def _check_same(path: str, before: os.stat_result | None) -> None:
    try:
        now = os.stat(path)
    except FileNotFoundError:
        now = None
    if _identity(now) != _identity(before):
        raise Refusal("changed", f"{path} was changed in this very moment: read it again")


def _put(temporary: str, data: bytes, facts: os.stat_result | None) -> None:
    """Write a new file beside the old one, with its mode, safe on disk."""
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        if facts is not None:
            if (facts.st_uid, facts.st_gid) != (os.geteuid(), os.getegid()):
                _give(fd, facts)
            os.fchmod(fd, stat.S_IMODE(facts.st_mode))
        os.fsync(fd)
    finally:
        os.close(fd)


def _give(fd: int, facts: os.stat_result) -> None:
    try:
        os.fchown(fd, facts.st_uid, facts.st_gid)
    except PermissionError:
        return


def write_whole(path: str, data: bytes, expect: str, mode_of: str = "") -> Answer:
    """Replace a file, if its content still has the hash `expect`; without one it must not exist, and gets the
    mode of the file `mode_of`."""
    target = os.path.realpath(path)
    found = _digest(target)
    if found is not None and not expect:
        raise Refusal("exists", f"{path} exists already: read it first, then write or edit it")
    if found is None and expect:
        raise Refusal("changed", f"{path} does not exist any more: it was removed since it was read")
    if found is not None and found[0] != expect:
        raise Refusal("changed", f"{path} has changed since it was read: read it again")
    facts = found[1] if found else None
    like = os.stat(mode_of) if mode_of and not found else facts
    directory, name = os.path.split(target)
    os.makedirs(directory, exist_ok=True)
    temporary = os.path.join(directory, f".{name[:100]}.hames-{os.getpid()}-{os.urandom(4).hex()}")
    try:
        _put(temporary, data, like)
        _check_same(target, facts)
        os.rename(temporary, target)
    except BaseException:
        _remove(temporary)
        raise
    _sync(directory)
    return [("sha256", sha256(data).hexdigest())], b""


def remove_whole(path: str, expect: str) -> Answer:
    """Remove a file, if its content still has the hash `expect`. A link is not followed but goes itself."""
    found = _digest(path)
    if found is None or found[0] != expect:
        gone = "does not exist any more: it was removed" if found is None else "has changed"
        raise Refusal("changed", f"{path} {gone} since it was read")
    _check_same(path, found[1])
    os.unlink(path)
    _sync(os.path.dirname(path))
    return [("sha256", "")], b""


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return


def _sync(directory: str) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
