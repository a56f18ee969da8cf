"""The kept outputs of earlier calls, line by line, never held whole."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import msgspec

from hames.core.errors import Problem
from hames.core.events import OutputFact
from hames.core.ids import CallId
from hames.core.limits import LINE_CHARS, READ_LINES
from hames.core.ports import Blobs
from hames.core.text import clean, decode, listed
from hames.tools.results import ROOM_BYTES, within

_CHUNK_BYTES = 1024 * 1024
_PIECE_BYTES = 64 * 1024
_NOTE_BYTES = 400


class Pieces(msgspec.Struct, frozen=True):
    """Lines that follow each other, the first of them `number`. A line over 64 kB comes in pieces,
    each `Pieces` of its own with the same number."""

    number: int
    lines: list[bytes]


def find_kept(outputs: Mapping[CallId, OutputFact], call: CallId) -> OutputFact:
    """The kept output of `call`. Raises `Problem` when there is none."""
    if call not in outputs:
        known = f"; kept are {listed(outputs)}" if outputs else ""
        raise Problem(f"there is no kept output of call {call}: a short output is shown whole{known}")
    return outputs[call]


async def pieces(blobs: Blobs, output: OutputFact) -> AsyncGenerator[Pieces]:
    """All lines of a kept output."""
    number, start, rest = 1, 0, b""
    while start < output.kept:
        data = await blobs.get(output.blob, start, _CHUNK_BYTES)
        start += max(len(data), 1)
        *lines, rest = (rest + data).split(b"\n")
        if lines:
            yield Pieces(number, lines)
            number += len(lines)
        while len(rest) > _PIECE_BYTES:
            yield Pieces(number, [rest[:_PIECE_BYTES]])
            rest = rest[_PIECE_BYTES:]
    if rest:
        yield Pieces(number, [rest])


def cut_line(line: str) -> str:
    """The line, or its start and a note."""
    if len(line) <= LINE_CHARS:
        return line
    return f"{line[:LINE_CHARS]} [line cut at {LINE_CHARS:,} characters]"


async def read_kept(blobs: Blobs, output: OutputFact, offset: int, limit: int | None) -> str:
    """Numbered lines of a kept output from line `offset`, and how to go on."""
    most = min(limit or READ_LINES, READ_LINES)
    taken: list[str] = []
    last = 0
    async with aclosing(pieces(blobs, output)) as all_pieces:
        async for piece in all_pieces:
            for number, line in enumerate(piece.lines, piece.number):
                if number >= offset and number != last:
                    taken.append(f"{number}\t{cut_line(clean(decode(line[: 8 * LINE_CHARS])))}")
                last = number
            if len(taken) > most:
                break
    if not taken:
        raise Problem(f"the output has only {last:,} lines")
    text, count = within(taken[:most], ROOM_BYTES - _NOTE_BYTES)
    notes = [f"lines {offset}-{offset + count - 1}"]
    if count < len(taken):
        notes.append(f"more follow: go on with offset={offset + count}, or grep it")
    if output.kept < output.bytes:
        notes.append(f"only {output.kept:,} of {output.bytes:,} bytes were kept: the middle is missing")
    return f"{text}\n[{'; '.join(notes)}]"
