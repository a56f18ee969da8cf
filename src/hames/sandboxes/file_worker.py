"""The file worker: reads, writes, removes and searches inside a sandbox, for one connection.

Standard library only, started with `-I -S` in the same boundary as commands, its socket as standard
input and output. It holds no state: it can be killed at any time, and another one goes on.
"""

import errno
import os
import select

from hames.sandboxes.file_io import Refusal, read_lines, remove_whole, write_whole
from hames.sandboxes.search import run_search
from hames.sandboxes.wire import Answer, Frame, Frames, encode

_NEAR = 5
_LISTED = 5000
_WORDS: dict[int, tuple[str, str]] = {
    errno.EACCES: ("denied", "permission denied"),
    errno.EPERM: ("denied", "not permitted"),
    errno.EROFS: (
        "denied",
        "it is read-only in the sandbox, as is all but the workspace",
    ),
    errno.EBUSY: ("denied", "it is held in place by the sandbox"),
    errno.EISDIR: ("directory", "it is a directory"),
    errno.ENOTDIR: ("missing", "a part of the path is a file, not a directory"),
    errno.ELOOP: ("invalid", "its symbolic links go in a circle"),
    errno.ENAMETOOLONG: ("invalid", "the name is too long"),
    errno.ENOSPC: ("failed", "no space is left on the disk; the old content is untouched"),
}


def _shared(one: str, other: str) -> int:
    count = 0
    while count < min(len(one), len(other)) and one[count] == other[count]:
        count += 1
    return count


def _alike(wanted: str, name: str) -> int:
    """How alike two names are: what they share at both ends, without regard to case."""
    low, other = wanted.lower(), name.lower()
    if low == other:
        return 1000
    head = _shared(low, other)
    tail = _shared(low[::-1], other[::-1])
    stem = low.rpartition(".")[0] or low
    return min(head + tail, len(low)) + (len(stem) if stem in other else 0)


def _missing(path: str) -> str:
    """What there is instead of a file that does not exist."""
    directory, name = os.path.split(path)
    if not os.path.isdir(directory):
        while directory != "/" and not os.path.isdir(directory):
            directory = os.path.dirname(directory)
        return f"{path} does not exist; the last directory of it that exists is {directory}"
    try:
        names = os.listdir(directory)[:_LISTED]
    except OSError:
        names = []
    least = max(2, len(name) // 2)
    scored = sorted((-_alike(name, other), other) for other in names if _alike(name, other) >= least)
    near = ", ".join(other for _, other in scored[:_NEAR])
    if near:
        return f"{path} does not exist; near it in {directory}: {near}"
    hidden = not names and not os.access(directory, os.W_OK)
    return f"{path} does not exist" + (", or the sandbox hides it" if hidden else f" in {directory}")


def _trouble(error: OSError, path: str) -> Answer:
    number = error.errno or 0
    if number == errno.ENOENT:
        return _refused("missing", _missing(path))
    trouble, words = _WORDS.get(number, ("failed", error.strerror or "it failed"))
    return _refused(trouble, f"{path}: {words}")


def _refused(trouble: str, message: str) -> Answer:
    return [("trouble", trouble), ("message", message)], b""


def answer(frame: Frame) -> Answer:
    """Do one request. What fails is an answer, too."""
    path = frame.get("path")
    try:
        match frame.get("do"):
            case "read":
                return read_lines(
                    path, int(frame.get("line")), frame.number("lines"), int(frame.get("max_bytes"))
                )
            case "write":
                return write_whole(path, frame.body, frame.get("expect"), frame.get("mode_of"))
            case "remove":
                return remove_whole(path, frame.get("expect"))
            case "search":
                return run_search(frame)
            case unknown:
                return _refused("invalid", f"{unknown} is not something the file worker does")
    except Refusal as refusal:
        return _refused(refusal.trouble, str(refusal))
    except ValueError as error:
        return _refused("invalid", f"{path}: {error}")
    except OSError as error:
        return _trouble(error, path)


def _send(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def main(idle_s: str) -> None:
    """Answer requests until the connection closes, or nothing has come for `idle_s` seconds."""
    frames = Frames()
    while select.select([0], [], [], float(idle_s))[0]:
        data = os.read(0, 256 * 1024)
        if not data:
            break
        for frame in frames.feed(data):
            items, body = answer(frame)
            _send(encode(items, body))
