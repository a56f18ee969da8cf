"""Searching the kept output of an earlier call."""

import re
from collections import deque
from contextlib import aclosing

import msgspec

from hames.core.errors import ArgumentProblem
from hames.core.events import OutputFact
from hames.core.ports import Blobs
from hames.core.text import clean, decode
from hames.tools.kept import pieces

_AROUND_CHARS = 200
_REPEATS = 3
_WINDOW_CHARS = 4000


class Wanted(msgspec.Struct, frozen=True):
    """What is searched for, with how many lines around it, and at most how many matching lines."""

    pattern: str
    ignore_case: bool
    before: int
    after: int
    most: int


class Matches(msgspec.Struct, frozen=True):
    """The lines to show, as `N:text` and `N-text`; `count` are the matching lines up to where the
    search stopped, `more` that it stopped early."""

    lines: list[str]
    count: int
    more: bool


async def search_kept(blobs: Blobs, output: OutputFact, wanted: Wanted) -> Matches:
    """The lines that match. Raises `ArgumentProblem` for a pattern that could take for ever."""
    scan = _Scan(wanted)
    async with aclosing(pieces(blobs, output)) as all_pieces:
        async for piece in all_pieces:
            for number, line in enumerate(piece.lines, piece.number):
                if not scan.take(number, clean(decode(line))):
                    return Matches(scan.lines, scan.count, True)
    return Matches(scan.lines, scan.count, False)


class _Scan:
    """Goes over lines in order and collects those to show."""

    def __init__(self, wanted: Wanted) -> None:
        self.lines: list[str] = []
        self.count = 0
        self._pattern = _compiled(wanted)
        self._wanted = wanted
        self._before: deque[str] = deque(maxlen=wanted.before)
        self._after = 0
        self._last = 0

    def take(self, number: int, line: str) -> bool:
        """Look at one line; False when enough has been found."""
        found = self._found(line)
        if found is not None:
            if self.count == self._wanted.most:
                return False
            self._match(number, found)
        elif self._after and number != self._last:
            self._after -= 1
            self.lines.append(f"{number}-{line[: 2 * _AROUND_CHARS]}")
        elif self._wanted.before:
            self._before.append(f"{number}-{line[: 2 * _AROUND_CHARS]}")
        return True

    def _match(self, number: int, found: str) -> None:
        self.lines.extend(self._before)
        self._before.clear()
        self.lines.append(f"{number}:{found}")
        self.count += number != self._last
        self._last, self._after = number, self._wanted.after

    def _found(self, line: str) -> str | None:
        """What to show of a line that matches: all of it, or what is around the match."""
        for start in range(0, max(len(line), 1), _WINDOW_CHARS):
            match = self._pattern.search(line, start, start + _WINDOW_CHARS + _AROUND_CHARS)
            if match:
                return _around(line, match.start())
        return None


def _around(line: str, at: int) -> str:
    if len(line) <= 2 * _AROUND_CHARS:
        return line
    start, end = max(at - _AROUND_CHARS, 0), at + _AROUND_CHARS
    return f"{'…' if start else ''}{line[start:end]}{'…' if end < len(line) else ''}"


def _compiled(wanted: Wanted) -> re.Pattern[str]:
    if _may_take_for_ever(wanted.pattern):
        raise ArgumentProblem(
            "in a kept output a repeat around a repeat, a repeated choice, or more than "
            f"{_REPEATS} open repeats are not searched for; use a simpler pattern"
        )
    try:
        return re.compile(wanted.pattern, re.IGNORECASE if wanted.ignore_case else re.NOFLAG)
    except (re.error, OverflowError, RecursionError) as error:
        raise ArgumentProblem(f"the pattern cannot be read: {error}") from None


_ATOM = re.compile(
    r"\\."  # an escape
    r"|\[\^?\]?(?:\\.|[^\]\\])*\]"  # a class
    r"|\((?:\?[^:=!<)]*[:=!<]?)?"  # a group opens
    r"|\{\d*,?\d*\}"
    r"|.",
    re.DOTALL,
)


def _may_take_for_ever(pattern: str) -> bool:
    """Whether matching could need more steps than a low power of the line's length."""
    branching, repeats, closed = [False], 0, False
    for atom in _ATOM.findall(pattern):
        counted = atom[0] == "{" and len(atom) > 1
        repeat = atom in ("*", "+") or (counted and "," in atom)
        if closed and (repeat or counted):
            return True
        closed = atom == ")" and len(branching) > 1 and branching.pop()
        if atom[0] == "(":
            branching.append(False)
        elif closed or repeat or atom == "|":
            branching[-1] = True
        repeats += repeat
    return repeats > _REPEATS
