"""What somebody meant who mistyped a name."""

from collections.abc import Iterable

_LONGEST = 64


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that is fewest edits away from `name`; None when none is near."""
    folded = _fold(name)[:_LONGEST]
    allowed = max(1, len(folded) // 3)
    best: tuple[int, str] | None = None
    for candidate in names:
        edits = _edits(folded, _fold(candidate)[:_LONGEST])
        if edits <= allowed and (best is None or edits < best[0]):
            best = (edits, candidate)
    return best[1] if best else None


def hint(name: str, names: Iterable[str]) -> str:
    """A sentence's end for an error about `name`: `; did you mean "x"?`, or nothing."""
    found = nearest(name, names)
    return f'; did you mean "{found}"?' if found else ""


def _fold(name: str) -> str:
    return name.casefold().replace("-", "_")


def _edits(left: str, right: str) -> int:
    """Insertions, deletions, replacements and swaps of neighbours between the two."""
    before: list[int] = []
    above = list(range(len(right) + 1))
    for row, letter in enumerate(left, 1):
        here = [row]
        for column, other in enumerate(right, 1):
            edits = min(above[column] + 1, here[-1] + 1, above[column - 1] + (letter != other))
            if row > 1 and column > 1 and letter == right[column - 2] and left[row - 2] == other:
                edits = min(edits, before[column - 2] + 1)
            here.append(edits)
        before, above = above, here
    return above[-1]
