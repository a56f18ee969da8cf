"""Changing a text as the chunks of a patch say: each where its lines stand, to the letter or nearly so."""

from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate

import msgspec

from hames.core.errors import Problem
from hames.tools.matching import Place, has_crlf, moved_like, replaced, windows
from hames.tools.near import near_misses
from hames.tools.patch_text import Chunk, Line

_ALIKE = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-")
    | dict.fromkeys("\u2018\u2019\u201a\u201b", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u201f", '"')
    | dict.fromkeys("\u00a0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " ")
)
_NAMED_PLACES = 8
_LOOKED_AT = 50


def _typed(line: str) -> str:
    """A line as it is typed on a keyboard, without white space at its end."""
    return line.translate(_ALIKE).rstrip()


def _bare(line: str) -> str:
    return _typed(line).strip()


_INDENTATION = "indentation"
_WAYS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("", str),
    ("trailing white space", str.rstrip),
    ("quotes and dashes", _typed),
    (_INDENTATION, _bare),
)
"""What is overlooked to find lines, step by step, and how lines are looked at for that."""


class Spot(msgspec.Struct, frozen=True):
    """Where a chunk fits: a place in the text, its first changed line, and what was overlooked to find it."""

    place: Place
    line: int
    how: str


class Fitted(msgspec.Struct, frozen=True):
    """A text before, with its last line ended, and after a patch. `spots` are those of its chunks."""

    before: str
    after: str
    spots: tuple[Spot, ...]


def fit(text: str, chunks: tuple[Chunk, ...]) -> Fitted:
    """The text with these changes. Lines that stay keep every byte; new ones end as most of the text do.

    Each chunk is looked for after its anchors and after the chunk before it, then everywhere. Without an
    anchor it must fit in one place only. Raises `Problem` for the first that fits nowhere, or in several
    places.
    """
    end = "\r\n" if has_crlf(text) else "\n"
    is_open = bool(text) and not text.endswith("\n")
    before = text + end if is_open else text
    search = _Search(before, end)
    spots = sorted(map(search.spot, chunks), key=lambda spot: (spot.place.start, spot.place.end))
    after = replaced(before, tuple(spot.place for spot in spots))
    return Fitted(before, after.removesuffix(end) if is_open else after, tuple(spots))


class _Search:
    """Finds the chunks of one text, one after the other."""

    def __init__(self, text: str, end: str) -> None:
        self._text = text
        self._end = end
        self._raw = text.split("\n")
        self._raw.pop()
        self._starts = [0, *accumulate(len(line) + 1 for line in self._raw)]
        self._keyed: dict[str, list[str]] = {"": [line.removesuffix("\r") for line in self._raw]}
        self._at = 0
        self._taken: list[Place] = []

    def spot(self, chunk: Chunk) -> Spot:
        """Where the chunk fits. Raises `Problem`."""
        old = [line.text for line in chunk.lines if line.sign != "+"]
        after = self._after(chunk.anchors)
        if not old:
            return self._insert(chunk, after)
        found = self._find(chunk, old, after)
        if found is None and chunk.lines[-1] == Line(" ", "") and len(old) > 1:
            shorter = msgspec.structs.replace(chunk, lines=chunk.lines[:-1])
            found = self._find(shorter, old[:-1], after)
        if found is None:
            raise self._nowhere(chunk, old)
        return found

    # Where it stands

    def _after(self, anchors: tuple[str, ...]) -> int | None:
        """The line after the last of these; None when there are none, or one is not there."""
        at = self._at
        for anchor in anchors:
            found = self._anchor(anchor, at)
            if found is None:
                return None
            at = found + 1
        return at if anchors else None

    def _anchor(self, anchor: str, start: int) -> int | None:
        for first in dict.fromkeys((start, 0)):
            for how, look in _WAYS:
                found = windows(self._lines(how, look), [look(anchor)], first)
                if found:
                    return found[0]
            bare = _bare(anchor)
            for at, line in enumerate(self._lines(_INDENTATION, _bare)[first:], first):
                if line.startswith(bare):
                    return at
        return None

    def _lines(self, how: str, look: Callable[[str], str]) -> list[str]:
        """All lines, looked at in one of the ways."""
        if how not in self._keyed:
            self._keyed[how] = [look(line) for line in self._keyed[""]]
        return self._keyed[how]

    def _find(self, chunk: Chunk, old: list[str], after: int | None) -> Spot | None:
        """The first way of looking that finds something decides. After an anchor the first place is meant;
        the line of the anchor itself may be repeated in the chunk."""
        last = len(self._raw) - len(old)
        for start, is_sure in self._starts_of(after):
            for how, look in _WAYS:
                found = windows(self._lines(how, look), [look(line) for line in old], start)
                found = [at for at in found if self._is_free(at, len(old))]
                found = found[-1:] if chunk.at_end and last in found else found[:_LOOKED_AT]
                spots = [spot for at in found if (spot := self._spot(chunk, at, how))]
                if len(spots) > 1 and not is_sure:
                    raise self._unclear(chunk, spots)
                if spots:
                    return self._take(spots[0])
        return None

    def _starts_of(self, after: int | None) -> tuple[tuple[int, bool], ...]:
        """From which lines on to look, and whether the first place from there on is the one that is meant."""
        if after is None:
            return (self._at, False), (0, False)
        return (after, True), (after - 1, True), (0, False)

    def _is_free(self, at: int, count: int) -> bool:
        start, end = self._starts[at], self._starts[at + count]
        return all(start >= taken.end or end <= taken.start for taken in self._taken)

    def _spot(self, chunk: Chunk, at: int, how: str) -> Spot | None:
        """The chunk at a line; None when its new lines cannot be indented as those there are."""
        old = [line.text for line in chunk.lines if line.sign != "+"]
        new = "\n".join(line.text for line in chunk.lines if line.sign == "+")
        if how == _INDENTATION:
            moved = moved_like(new, old, self._keyed[""][at : at + len(old)], self._text)
            if moved is None:
                return None
            new = moved
        added = iter(new.split("\n"))
        pieces: list[str] = []
        now = at
        for line in chunk.lines:
            if line.sign == "+":
                pieces.append(next(added) + self._end)
                continue
            pieces += [self._raw[now] + "\n"] if line.sign == " " else []
            now += 1
        place = Place(self._starts[at], self._starts[now], "".join(pieces))
        return Spot(place, at + 1 + _first_change(chunk), how)

    def _insert(self, chunk: Chunk, after: int | None) -> Spot:
        """New lines alone: after their anchor, or at the end."""
        if chunk.anchors and after is None and not chunk.at_end:
            anchor = chunk.anchors[-1].strip()
            raise Problem(f'{_named(chunk)} is to come after "{anchor}", which is not there')
        at = len(self._raw) if after is None or chunk.at_end else after
        if not self._is_free(at, 0):
            raise Problem(f"{_named(chunk)} comes into the middle of another one")
        spot = self._spot(chunk, at, "")
        assert spot is not None
        return self._take(spot)

    def _take(self, spot: Spot) -> Spot:
        self._taken.append(spot.place)
        self._at = bisect_left(self._starts, spot.place.end)
        return spot

    # What is said when it does not fit

    def _unclear(self, chunk: Chunk, spots: list[Spot]) -> Problem:
        how = f", overlooking {spots[0].how}" if spots[0].how else ""
        named = ", ".join(str(spot.line) for spot in spots[:_NAMED_PLACES])
        more = " and more" if len(spots) > _NAMED_PLACES else ""
        return Problem(
            f"{_named(chunk)} fits in several places{how}: lines {named}{more}. Give more lines around it "
            'or name a line that comes before it: "@@ LINE"'
        )

    def _nowhere(self, chunk: Chunk, old: list[str]) -> Problem:
        new = [line.text for line in chunk.lines if line.sign != "-"]
        at = windows(self._keyed[""], new) if any(line.strip() for line in new) else []
        done = f"What it makes is already at line {at[0] + 1}: was this done before? " if at else ""
        near = near_misses(self._text, "\n".join(old), "the patch")
        return Problem(f"{_named(chunk)} fits nowhere. {done}{near}")


def _first_change(chunk: Chunk) -> int:
    """How many lines of the chunk stand before the first that changes."""
    return next((number for number, line in enumerate(chunk.lines) if line.sign != " "), 0)


def _named(chunk: Chunk) -> str:
    return f"the chunk at line {chunk.number} of the patch"
