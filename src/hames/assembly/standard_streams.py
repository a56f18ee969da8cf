"""Standard input and output: lines in, words out at once."""

import os
import sys
from collections.abc import AsyncGenerator, Iterable
from typing import NamedTuple

import anyio
import anyio.to_thread

from hames.core.errors import OutputLost

STDIN, STDOUT, STDERR = 0, 1, 2
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


class _Trouble(NamedTuple):
    words: str
    gone: bool = False


_trouble: list[_Trouble] = []
"""Why standard output cannot be written, once it could not: nothing is written from then on, for nobody would
see the gap."""


def fill_gaps() -> None:
    """Open what was closed at the start: else the next file that is opened would be taken for it."""
    for fd in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(fd)
        except OSError:
            # The lowest number that is free is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
            stream = open(fd, "r" if fd == STDIN else "w", closefd=False)  # noqa: SIM115 - it stays open
            setattr(sys, _NAMES[fd], stream)
            if fd == STDOUT:
                _trouble.append(_Trouble("standard output is closed: what is done could not be told"))


_NAMES = {STDIN: "stdin", STDOUT: "stdout", STDERR: "stderr"}


def need_output() -> None:
    """Raises `OutputLost` when nothing can be told any more."""
    if _trouble:
        raise OutputLost(_trouble[0].words, gone=_trouble[0].gone)


def print_line(text: str) -> None:
    """A line on standard output, at once. Raises `OutputLost`."""
    print_words(f"{text}\n")


def print_lines(texts: Iterable[str]) -> None:
    """Each on a line of its own, as it comes. Raises `OutputLost`."""
    for text in texts:
        print_line(text)


def print_fact(what: str, words: str) -> None:
    """A line that says one thing, in two columns."""
    print_line(f"{what:12} {words}")


def print_words(text: str) -> None:
    """Words on standard output as they are, at once. Raises `OutputLost`."""
    need_output()
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        words = f"standard output cannot be written: {error.strerror}"
        _trouble.append(_Trouble(words, isinstance(error, BrokenPipeError)))
        _drop(STDOUT)
        need_output()


def _drop(fd: int) -> None:
    """Drop what is written to `fd`, also what waits in a buffer for the end of the program."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, fd)
    os.close(null)


def complain(text: str) -> None:
    """A line on standard error."""
    complain_words(f"{text}\n")


def complain_words(text: str) -> None:
    """Words on standard error as they are, at once. Where they cannot be written they are dropped: what is
    for a person changes nothing of how a run ends."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        _drop(STDERR)
