"""Standard input and output: lines in, words out at once."""

import os
import sys
from collections.abc import AsyncGenerator, Iterable

import anyio
import anyio.to_thread

CHUNK_BYTES = 64 * 1024


async def lines(fd: int) -> AsyncGenerator[str]:
    """The lines of a descriptor as they come, without their ends; the last may lack one."""
    rest = b""
    while data := await _some(fd):
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace").rstrip("\r")
    if rest:
        yield rest.decode(errors="replace")


async def _some(fd: int) -> bytes:
    """What is there to read, once there is something. Only what cannot be polled is read in a thread."""
    try:
        await anyio.wait_readable(fd)
    except OSError:
        # A regular file cannot be polled, and never blocks for long.
        return await anyio.to_thread.run_sync(os.read, fd, CHUNK_BYTES)
    return os.read(fd, CHUNK_BYTES)


def print_line(text: str) -> None:
    """A line on standard output, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def print_lines(texts: Iterable[str]) -> None:
    """Each on a line of its own, as it comes."""
    for text in texts:
        print_line(text)


def print_fact(what: str, words: str) -> None:
    """A line that says one thing, in two columns."""
    print_line(f"{what:12} {words}")


def print_words(text: str) -> None:
    """Words on standard output as they are, at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def complain(text: str) -> None:
    """A line on standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def complain_words(text: str) -> None:
    """Words on standard error as they are, at once."""
    sys.stderr.write(text)
    sys.stderr.flush()
