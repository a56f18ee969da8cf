"""Finding the place of an edit: exactly, or else by what models usually get wrong."""

import re
from bisect import bisect_right
from collections.abc import Callable
from typing import Literal

import msgspec

_NUMBERED = r"^[ \t]*\d+\t"
_TAB_STOPS = (4, 2, 8)


class Place(msgspec.Struct, frozen=True):
    """Some of a text, from `start` up to `end`, and what is to stand there."""

    start: int
    end: int
    new: str


How = Literal["", "line ends", "line numbers", "trailing white space", "indentation"]
"""What was overlooked to find a place; nothing when it is there to the letter."""


class Match(msgspec.Struct, frozen=True):
    """Where an edit fits, and what was overlooked for it."""

    places: tuple[Place, ...]
    how: How

    @property
    def certain(self) -> bool:
        """Whether several places may be changed at once."""
        return self.how in ("", "line ends")


def find(text: str, old: str, new: str) -> Match:
    """Where `old` stands in `text`: the first way of looking that finds something decides, from the
    letter to the loosest. No places: nothing was found. The file's own line ends are kept.
    """
    crlf = has_crlf(text)
    exact = _exact(text, old, _ends(new, crlf=crlf))
    if exact:
        return Match(exact, "")
    old, new = _ends(old, crlf=False), _ends(new, crlf=False)
    flat = _Flat(text, crlf)
    ways: tuple[tuple[How, Callable[[], tuple[Place, ...]]], ...] = (
        ("line ends", lambda: _exact(flat.text, old, new)),
        ("line numbers", lambda: _without_numbers(flat.text, old, new)),
        ("trailing white space", lambda: _by_line(flat.text, old, new, str.rstrip)),
        ("indentation", lambda: _indented(flat.text, old, new)),
    )
    for how, look in ways:
        places = look()
        if places:
            return Match(tuple(map(flat.place, places)), how)
    return Match((), "")


def replaced(text: str, places: tuple[Place, ...]) -> str:
    """The text with these changes, which are in order and apart from each other."""
    pieces: list[str] = []
    at = 0
    for place in places:
        pieces += text[at : place.start], place.new
        at = place.end
    return "".join((*pieces, text[at:]))


def has_crlf(text: str) -> bool:
    """Whether most lines end in a carriage return and a line feed."""
    return text.count("\r\n") * 2 > text.count("\n")


def _ends(text: str, *, crlf: bool) -> str:
    flat = text.replace("\r\n", "\n")
    return flat.replace("\n", "\r\n") if crlf else flat


class _Flat:
    """A text with plain line feeds, and the way back to the original."""

    def __init__(self, original: str, crlf: bool) -> None:
        self.text = original.replace("\r\n", "\n")
        self._crlf = crlf
        self._starts = _split(self.text).starts
        self._original = _split(original).starts

    def place(self, place: Place) -> Place:
        """The same place in the original."""
        return Place(self._back(place.start), self._back(place.end), _ends(place.new, crlf=self._crlf))

    def _back(self, at: int) -> int:
        line = bisect_right(self._starts, at) - 1
        return self._original[line] + at - self._starts[line]


def _exact(text: str, old: str, new: str) -> tuple[Place, ...]:
    places: list[Place] = []
    at = text.find(old)
    while at >= 0:
        places.append(Place(at, at + len(old), new))
        at = text.find(old, at + len(old))
    return tuple(places)


def _without_numbers(text: str, old: str, new: str) -> tuple[Place, ...]:
    lines = old.split("\n")
    if not all(re.match(_NUMBERED, line) or not line.strip() for line in lines) or not old.strip():
        return ()
    bare = "\n".join(re.sub(_NUMBERED, "", line) for line in lines)
    bare_new = "\n".join(re.sub(_NUMBERED, "", line) for line in new.split("\n"))
    return _exact(text, bare, bare_new) if bare.strip() else ()


# By whole lines


class _Lines(msgspec.Struct, frozen=True):
    """`lines` of `text`, and where each starts; one more start marks the end."""

    lines: list[str]
    starts: list[int]


def _split(text: str) -> _Lines:
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    return _Lines(lines, starts)


def windows(lines: list[str], wanted: list[str], start: int = 0) -> list[int]:
    """The numbers of lines, from 0, at which `wanted` stands; none before `start`."""
    first, count = wanted[0], len(wanted)
    end = len(lines) - count + 1
    found: list[int] = []
    at = start - 1
    while at + 1 < end:
        try:
            at = lines.index(first, at + 1, end)
        except ValueError:
            break
        if lines[at : at + count] == wanted:
            found.append(at)
    return found


def _windows(lines: _Lines, wanted: list[str], key: Callable[[str], str]) -> list[int]:
    """The same, when both are looked at through `key`."""
    return windows([key(line) for line in lines.lines], [key(line) for line in wanted])


def _wanted(old: str) -> list[str]:
    """The lines of `old`; without the last, empty one when it ends in a line feed."""
    return old.removesuffix("\n").split("\n")


def _over(lines: _Lines, at: int, old: str, new: str) -> Place:
    count = len(_wanted(old))
    whole = old.endswith("\n")
    end = lines.starts[at + count] - (0 if whole else 1)
    return Place(lines.starts[at], min(end, lines.starts[-1] - 1), new)


def _by_line(text: str, old: str, new: str, key: Callable[[str], str]) -> tuple[Place, ...]:
    if not old.strip():
        return ()
    lines = _split(text)
    return tuple(_over(lines, at, old, new) for at in _windows(lines, _wanted(old), key))


def _indented(text: str, old: str, new: str) -> tuple[Place, ...]:
    if not old.strip():
        return ()
    lines, wanted = _split(text), _wanted(old)
    places: list[Place] = []
    for at in _windows(lines, wanted, str.strip):
        there = lines.lines[at : at + len(wanted)]
        moved = moved_like(new, wanted, there, text)
        if moved is not None:
            places.append(_over(lines, at, old, moved))
    return tuple(places)


def moved_like(new: str, wanted: list[str], there: list[str], text: str) -> str | None:
    """`new` with its lines indented by what makes `wanted` stand as the lines `there` of `text` do; None when
    no single amount does."""
    shift = _shift(wanted, there)
    if shift is None:
        return None
    tabs = any(line.startswith("\t") for line in there) or (
        not any(line.startswith(" ") for line in there) and "\n\t" in text
    )
    return _reindented(new, shift, tabs=tabs)


class _Shift(msgspec.Struct, frozen=True):
    """By how many columns lines are moved, with tab stops `tab` columns apart."""

    columns: int
    tab: int


def _shift(wanted: list[str], there: list[str]) -> _Shift | None:
    """What makes `wanted` stand as `there` does; None when its lines would move by different amounts."""
    for tab in _TAB_STOPS:
        moved = {
            _columns(line, tab) - _columns(asked, tab)
            for asked, line in zip(wanted, there, strict=True)
            if line.strip()
        }
        if len(moved) == 1:
            return _Shift(moved.pop(), tab)
    return None


def _columns(line: str, tab: int) -> int:
    indent = line[: len(line) - len(line.lstrip())]
    return len(indent.replace("\t", " " * tab))


def _reindented(new: str, shift: _Shift, *, tabs: bool) -> str:
    return "\n".join(_moved(line, shift, tabs=tabs) if line.strip() else line for line in new.split("\n"))


def _moved(line: str, shift: _Shift, *, tabs: bool) -> str:
    columns = max(_columns(line, shift.tab) + shift.columns, 0)
    indent = "\t" * (columns // shift.tab) + " " * (columns % shift.tab) if tabs else " " * columns
    return indent + line.lstrip()
