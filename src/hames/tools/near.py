"""What to say of an edit: what it changed, or what comes near when it fits nowhere."""

from difflib import SequenceMatcher

import msgspec

from hames.core.text import presentable
from hames.tools.matching import Place
from hames.tools.results import within

_AROUND_LINES = 3
_DIFF_LINES = 200
_DIFF_BYTES = 2000
_NEAR = 0.6
_COMPARED_LINES = 4000
_WORD_CHARS = 3
_COMPARED_CHARS = 300
_SAME_LINES = 50

# What changed


def diff(text: str, place: Place) -> str:
    """The changed lines with those around them."""
    number, before, after = _around(text, place)
    said = [presentable(line) for line in _compared(before, after)]
    shown, count = within(said, _DIFF_BYTES)
    return "\n".join([f"@@ line {number} @@", shown, *(["…"] if count < len(said) else [])])


def _around(text: str, place: Place) -> tuple[int, list[str], list[str]]:
    start, end = place.start, place.end - 1
    for _ in range(_AROUND_LINES + 1):
        start = max(text.rfind("\n", 0, start), 0)
    for _ in range(_AROUND_LINES + 1):
        end = text.find("\n", end + 1) if end >= 0 else -1
    start = start + 1 if start or text[:1] == "\n" else start
    end = len(text) if end < 0 else end
    number = text.count("\n", 0, start) + 1
    after = text[start : place.start] + place.new + text[place.end : end]
    return number, _lines(text[start:end]), _lines(after)


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").split("\n")


def _compared(before: list[str], after: list[str]) -> list[str]:
    if len(before) + len(after) > _DIFF_LINES:
        return [f"{len(before):,} lines became {len(after):,}"]
    said: list[str] = []
    for _, left, left_end, right, right_end in SequenceMatcher(None, before, after, False).get_opcodes():
        if before[left:left_end] == after[right:right_end]:
            said.extend(f" {line}" for line in before[left:left_end])
        else:
            said.extend(f"-{line}" for line in before[left:left_end])
            said.extend(f"+{line}" for line in after[right:right_end])
    return said


# What comes near


def near_misses(text: str, old: str, called: str = "old_string") -> str:
    """The lines that come nearest to `old`, with their numbers, and where they differ."""
    lines, wanted = _lines(text), _lines(old.strip("\r\n"))
    start = _by_votes(lines, wanted)
    if start is None:
        start = _by_likeness(lines, wanted)
    if start is None:
        return "nothing in the file comes near it"
    there = lines[start : start + len(wanted)]
    blank = [line.split() for line in there] == [line.split() for line in wanted]
    why = " (it differs only in white space)" if blank else ""
    lines_there = f"line {start + 1}" if len(there) == 1 else f"lines {start + 1}-{start + len(there)}"
    head = f"the nearest is at {lines_there}{why}; `-` is {called}, `+` the file:"
    lines = [presentable(line) for line in _differences(wanted, there, start + 1)]
    said, count = within(lines, _DIFF_BYTES)
    return "\n".join([head, said, *(["…"] if count < len(lines) else [])])


def _differences(wanted: list[str], there: list[str], number: int) -> list[str]:
    said: list[str] = []
    matcher = SequenceMatcher(None, wanted[:_DIFF_LINES], there[:_DIFF_LINES], False)
    for kind, left, left_end, right, right_end in matcher.get_opcodes():
        if kind != "equal":
            said.extend(f"-\t{line}" for line in wanted[left:left_end])
        sign = " " if kind == "equal" else "+"
        said.extend(f"{sign}{number + at}\t{there[at]}" for at in range(right, right_end))
    return said


def _by_votes(lines: list[str], wanted: list[str]) -> int | None:
    """Where most lines of `wanted` stand at their distance from each other."""
    asked = {line.strip() for line in wanted if len(line.strip()) > _AROUND_LINES}
    known: dict[str, list[int]] = {}
    for at, line in enumerate(lines):
        bare = line.strip()
        if bare in asked:
            known.setdefault(bare, []).append(at)
    votes: dict[int, int] = {}
    for offset, line in enumerate(wanted):
        for at in known.get(line.strip(), ())[:_SAME_LINES]:
            votes[at - offset] = votes.get(at - offset, 0) + 1
    best = max(votes.items(), key=lambda vote: (vote[1], -vote[0]), default=None)
    return max(best[0], 0) if best else None


class _Likeness(msgspec.Struct, frozen=True):
    """A line and how like it is to the one that is looked for."""

    ratio: float
    line: int


def _by_likeness(lines: list[str], wanted: list[str]) -> int | None:
    """Where the line stands that is most like the longest of `wanted`."""
    offset = max(range(len(wanted)), key=lambda at: len(wanted[at].strip()))
    asked = wanted[offset].strip()[:_COMPARED_CHARS]
    words = [word for word in asked.split() if len(word) >= _WORD_CHARS]
    with_words = [at for at, line in enumerate(lines) if any(word in line for word in words)]
    matcher = SequenceMatcher(None, "", asked, False)
    best = _Likeness(_NEAR, -1)
    for at in (with_words or range(len(lines)))[:_COMPARED_LINES]:
        matcher.set_seq1(lines[at].strip()[:_COMPARED_CHARS])
        if matcher.real_quick_ratio() > best.ratio and matcher.quick_ratio() > best.ratio:
            ratio = matcher.ratio()
            if ratio > best.ratio:
                best = _Likeness(ratio, at)
    return max(best.line - offset, 0) if best.line >= 0 else None
