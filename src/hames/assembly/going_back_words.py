"""What went back, what stayed and why, in lines; and as JSON."""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import msgspec

from hames.assembly.ask_for import BackRequest
from hames.channels.listing import size
from hames.core.text import for_terminal, one_line, presentable
from hames.session.taking_back import Kept, TookBack
from hames.snapshots.compare import ChangeKind
from hames.snapshots.entries import NotCovered, Why, ancestors
from hames.snapshots.plan import Obstacle

SHOWN = 20
"""Paths of one kind that are named; JSON has all."""

SHOWN_DIFF = 40
"""Lines of a difference."""

_DONE = {"undo": "undone", "redo": "redone", "rewind": "rewound", "fork": "forked"}

_CHANGES: dict[ChangeKind, str] = {
    "added": "made again",
    "removed": "removed",
    "kind": "replaced",
    "content": "restored",
    "mode": "mode",
    "time": "time",
}

_OBSTACLES: dict[Obstacle, str] = {
    "changed": "changed by somebody since",
    "not_empty": "a directory that holds something of somebody else's",
    "not_covered": "no snapshot has it",
    "in_the_way": "something above it stays",
}

_GAPS: dict[Why, str] = {
    "ignored": "git ignores it, and there is too much",
    "large": "too large",
    "many": "too many files",
    "deep": "too many directories deep",
    "special": "a socket, a pipe or a device",
    "mount": "another file system",
    "unreadable": "it cannot be read",
    "set_aside": "it belongs to hames",
    "elsewhere": "there is no such directory now",
    "reserved": "only hames gives such a name",
}


def told(took: TookBack, asked: BackRequest, *, place: str = "", typed: bool = False) -> Iterator[str]:
    """Everything that a person should know of it. `place` is where the session goes on, if that is not here;
    `typed`: it was asked for in a conversation."""
    yield _heading(took, asked)
    label = "not taken along" if took.what == "fork" else "your words"
    yield from (f"  {label}: {_gist(words)}" for words in took.said)
    if asked.worktree is not None:
        yield f"  its files are in {_clean(asked.worktree)}"
    elif asked.files:
        yield from _changes(took)
    if took.kept:
        yield "kept as they are now:"
        yield from _some(_kept(kept) for kept in took.kept)
        yield from _forcing(took, typed=typed)
    if took.failed:
        yield "could not be changed:"
        yield from _some([f"  {_clean(failure.path)}: {_clean(failure.words)}"] for failure in took.failed)
    gaps = [gap for gap in took.not_covered if gap.why != "set_aside"] if asked.files else []
    if gaps:
        yield "not covered, and so left alone:"
        yield from _some([_gap(gap)] for gap in gaps)
    yield from _next(took, place, typed=typed)


def as_json(took: TookBack) -> str:
    """The same for a program, in one line. Bytes of names that are no UTF-8 have become U+FFFD."""
    try:
        line = msgspec.json.encode(took)
    except UnicodeEncodeError:
        line = msgspec.json.encode(_encodable(msgspec.to_builtins(took)))
    return line.decode()


def _heading(took: TookBack, asked: BackRequest) -> str:
    done = _DONE[took.what]
    if took.what == "fork":
        return f"{done}: session {took.session} goes on from entry {took.through}"
    what = {(True, False): "the files of ", (False, True): "the words of "}.get(
        (asked.files, asked.context), ""
    )
    verb = "are" if what else "is"
    return f"{done}: {what}session {took.session} {verb} as after entry {took.through}"


def _changes(took: TookBack) -> Iterator[str]:
    changes = [(_CHANGES[kind], f"{_clean(path)}{_with(below)}") for path, kind, below in _tops(took.changed)]
    width = max((len(done) for done, _ in changes), default=0)
    yield from _some([f"  {done:{width}}  {path}"] for done, path in changes)
    if not changes:
        yield "  no file had to be changed"


def _tops(changed: Sequence[tuple[str, ChangeKind]]) -> list[tuple[str, ChangeKind, int]]:
    """The changes, but what was made or removed with a directory above it: of that, how many there are."""
    found: dict[str, tuple[ChangeKind, int]] = {}
    for path, kind in sorted(changed):
        top = next((above for above in ancestors(path) if above in found), None)
        if top is not None and kind in ("added", "removed") and found[top][0] == kind:
            found[top] = (kind, found[top][1] + 1)
        else:
            found[path] = (kind, 0)
    return [(path, kind, below) for path, (kind, below) in found.items()]


def _with(below: int) -> str:
    return f" (and {below} below it)" if below else ""


def _kept(kept: Kept) -> list[str]:
    lines = [f"    {_clean(line)}" for line in kept.diff[:SHOWN_DIFF]]
    if len(kept.diff) > len(lines):
        lines.append(f"    ... {len(kept.diff) - len(lines)} lines more")
    return [f"  {_clean(kept.path)}: {_OBSTACLES[kept.why]}", *lines]


def _forcing(took: TookBack, *, typed: bool) -> Iterator[str]:
    changed = [kept.path for kept in took.kept if kept.why == "changed"]
    if changed:
        command = f"/rewind {took.through}" if typed else f"hames rewind {took.session}@{took.through}"
        path = _clean(shlex.quote(presentable(changed[0])))
        yield f"to have one go back all the same: {command} --files --force {path}"


def _gap(gap: NotCovered) -> str:
    amount = f" ({gap.files} files, {size(gap.bytes)})" if gap.files else ""
    return f"  {_clean(gap.path)}: {_GAPS[gap.why]}{amount}"


def _next(took: TookBack, place: str, *, typed: bool) -> Iterator[str]:
    if took.what in ("undo", "rewind"):
        yield f"to take this back: {'/redo' if typed else f'hames redo {took.session}'}"
    if not typed:
        where = f" --cwd {_clean(shlex.quote(place))}" if place else ""
        yield f"to go on: hames --resume {took.session}{where}"


def _some(blocks: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of the first blocks, and how many more there are."""
    left_out = 0
    for index, block in enumerate(blocks):
        if index < SHOWN:
            yield from block
        else:
            left_out += 1
    if left_out:
        yield f"  ... and {left_out} more (--output-format json names all)"


def _gist(words: str) -> str:
    first, *more = words.strip().splitlines() or [""]
    return one_line(_clean(first), 100) + (" ..." if more else "")


def _clean(text: str) -> str:
    return for_terminal(presentable(text))


def _encodable(value: object) -> object:
    match value:
        case str():
            return presentable(value)
        case dict():
            return {key: _encodable(each) for key, each in cast(dict[str, object], value).items()}
        case list() | tuple():
            return [_encodable(each) for each in cast(Sequence[object], value)]
        case _:
            return value
