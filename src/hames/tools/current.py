"""A file as it is now, before a call changes it."""

from hames.core.errors import FileProblem, Problem
from hames.core.limits import EDIT_BYTES
from hames.core.ports import Files, ReadQuery, ReadResult


async def read_now(files: Files, path: str) -> ReadResult | None:
    """A file with as much of its text as may be edited; None when there is none. Raises `FileProblem`."""
    try:
        return await files.read(ReadQuery(path, max_bytes=EDIT_BYTES))
    except FileProblem as problem:
        if problem.trouble != "missing":
            raise
        return None


async def hash_now(files: Files, path: str) -> str:
    """The SHA-256 of a file's content; empty when there is no file. Raises `FileProblem`."""
    try:
        return (await files.read(ReadQuery(path, lines=1, max_bytes=1))).sha256
    except FileProblem as problem:
        if problem.trouble != "missing":
            raise
        return ""


async def read_text(files: Files, path: str, seen: str | None, tool: str) -> ReadResult:
    """A file that `tool` is to change parts of. `seen` is the hash that it must still have, if it was read.

    Raises `Problem`, also for one that is too large or no text.
    """
    result = await files.read(ReadQuery(path, max_bytes=EDIT_BYTES))
    if result.size > EDIT_BYTES:
        raise Problem(f"{path} is {result.size:,} bytes; {tool} works on at most {EDIT_BYTES:,}: use bash")
    if result.binary:
        raise Problem(f"{path} is no text: {tool} cannot change it")
    if seen is not None and seen != result.sha256:
        raise stale(path)
    return result


def stale(path: str) -> FileProblem:
    """What is said of a file that somebody has changed since the model read it."""
    return FileProblem(
        "changed", path, f"{path} changed since you read it: nothing was changed. Read it again"
    )
