"""Searching the kept output of an earlier call."""

import re
from collections import deque
from contextlib import aclosing

import msgspec
from anyio import to_thread

from hames.core.errors import ArgumentProblem
from hames.core.events import OutputFact
from hames.core.ports import Blobs, Clock
from hames.core.text import clean, decode
from hames.tools.kept import Pieces, pieces

_AROUND_CHARS = 200
_WINDOW_CHARS = (4000, 4000, 800, 100)
"""By the number of open repeats in a pattern, how much of a line is looked at in one go: what bounds
the time that this can take."""

_PATIENCE_S = 10.0


class Wanted(msgspec.Struct, frozen=True):
    """What is searched for, how many lines around it are shown, and of how many matching lines at most:
    with 0 the matching lines are only counted."""

    pattern: str
    ignore_case: bool
    before: int
    after: int
    most: int


class Matches(msgspec.Struct, frozen=True):
    """The lines to show, as `N:text` and `N-text`; `count` are the lines that match, `more` says that
    the search stopped before the end."""

    lines: list[str]
    count: int
    more: bool


async def search_kept(blobs: Blobs, output: OutputFact, wanted: Wanted, clock: Clock) -> Matches:
    """The lines that match. Raises `ArgumentProblem` for a pattern that could take for ever; any other
    is given up on after some seconds."""
    scan = _Scan(wanted, clock)
    async with aclosing(pieces(blobs, output)) as all_pieces:
        async for piece in all_pieces:
            if not await to_thread.run_sync(scan.take_all, piece):
                return Matches(scan.lines, scan.count, more=True)
    return Matches(scan.lines, scan.count, more=False)


class _Scan:
    """Goes over lines in order and collects those to show."""

    def __init__(self, wanted: Wanted, clock: Clock) -> None:
        self.lines: list[str] = []
        self.count = 0
        repeats = _open_repeats(wanted.pattern)
        self._window = _WINDOW_CHARS[repeats]
        self._pattern = _compiled(wanted)
        self._wanted = wanted
        self._clock = clock
        self._until_s = clock.elapsed() + _PATIENCE_S
        self._before: deque[str] = deque(maxlen=wanted.before)
        self._after = 0
        self._last = 0

    def take_all(self, piece: Pieces) -> bool:
        """Look at some lines; False when enough has been found, or the time is up."""
        for number, line in enumerate(piece.lines, piece.number):
            if not self.take(number, clean(decode(line))):
                return False
        return True

    def take(self, number: int, line: str) -> bool:
        """Look at one line; False when enough has been found."""
        found = self._found(line)
        if not self._wanted.most:
            if found is not None and number != self._last:
                self.count += 1
                self._last = number
        elif found is not None:
            if self.count == self._wanted.most:
                return False
            self._match(number, found)
        elif self._after and number != self._last:
            self._after -= 1
            self.lines.append(f"{number}-{line[: 2 * _AROUND_CHARS]}")
        elif self._wanted.before:
            self._before.append(f"{number}-{line[: 2 * _AROUND_CHARS]}")
        return self._clock.elapsed() < self._until_s

    def _match(self, number: int, found: str) -> None:
        self.lines.extend(self._before)
        self._before.clear()
        self.lines.append(f"{number}:{found}")
        self.count += number != self._last
        self._last, self._after = number, self._wanted.after

    def _found(self, line: str) -> str | None:
        """What to show of a line that matches: all of it, or what is around the match."""
        for start in range(0, max(len(line), 1), self._window):
            match = self._pattern.search(line, start, start + self._window + _AROUND_CHARS)
            if match:
                return _around(line, match.start())
            if self._clock.elapsed() >= self._until_s:
                break
        return None


def _around(line: str, at: int) -> str:
    if len(line) <= 2 * _AROUND_CHARS:
        return line
    start, end = max(at - _AROUND_CHARS, 0), at + _AROUND_CHARS
    return f"{'…' if start else ''}{line[start:end]}{'…' if end < len(line) else ''}"


def _compiled(wanted: Wanted) -> re.Pattern[str]:
    try:
        return re.compile(wanted.pattern, re.IGNORECASE if wanted.ignore_case else re.NOFLAG)
    except (re.error, OverflowError, RecursionError) as error:
        raise ArgumentProblem(f"the pattern cannot be read: {error}") from None


_ATOM = (
    r"(?s)\\."  # an escape
    r"|\[\^?\]?(?:\\.|[^\]\\])*\]"  # a class
    r"|\((?:\?[^:=!<)]*[:=!<]?)?"  # a group opens
    r"|\{\d*,?\d*\}"
    r"|."
)


def _open_repeats(pattern: str) -> int:
    """How many repeats without an end the pattern has: matching takes at most that power of a line's
    length, and one more. Raises `ArgumentProblem` when there are too many, or one is inside another."""
    branching, repeats, closed = [False], 0, False
    for atom in re.findall(_ATOM, pattern):
        counted = atom[0] == "{" and len(atom) > 1
        repeat = atom in ("*", "+") or (counted and "," in atom)
        nested = closed and (repeat or counted)
        closed = atom == ")" and len(branching) > 1 and branching.pop()
        if atom[0] == "(":
            branching.append(False)
        elif closed or repeat or atom == "|":
            branching[-1] = True
        repeats += repeat
        if nested or repeats == len(_WINDOW_CHARS):
            raise ArgumentProblem(
                "in a kept output a repeat around a repeat, a repeated choice, or more than "
                f"{len(_WINDOW_CHARS) - 1} open repeats are not searched for; use a simpler pattern"
            )
    return repeats
