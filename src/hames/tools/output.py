"""The output of a command as the model is shown it."""

import msgspec

from hames.core.events import CommandFact
from hames.core.ports import CommandEnd, Running
from hames.core.text import Shown, clip, fit, is_binary, kind_of, wire_size
from hames.tools.results import ROOM_BYTES

_ENDS_BYTES = 64 * 1024
_CHUNK_BYTES = 1024 * 1024
_NOTES_BYTES = 1000


class Report(msgspec.Struct, frozen=True):
    """What there is to say of a command besides its output. `unseen` is taken out of the output, and all of
    it takes at most `room_bytes` on the wire."""

    notes: tuple[str, ...] = ()
    handle: str = ""
    unseen: bytes = b""
    room_bytes: int = ROOM_BYTES


async def report(running: Running, total: int, told: Report) -> Shown:
    """The output, whole or its start and end, and the notes after it; never held whole."""
    notes = clip("\n".join(told.notes), _NOTES_BYTES)
    limit = told.room_bytes - wire_size(notes) - 2
    head = (await running.output(0, _ENDS_BYTES)).data if total else b""
    tail = (await running.output(-_ENDS_BYTES, _ENDS_BYTES)).data if total > len(head) else b""
    if is_binary(head):
        shown = Shown(_binary(head, total, told.handle), True)
    else:
        lines = await _count_lines(running, total) if tail else head.count(b"\n")
        if told.unseen and told.unseen in head:
            size = len(head)
            head = head.replace(told.unseen, b"")
            total -= size - len(head)
        shown = fit(head, tail, total, limit, told.handle, lines)
    text = shown.text.rstrip("\n")
    said = "\n".join(part for part in (text, notes) if part)
    return Shown(said or "(no output)", shown.cut)


def _binary(head: bytes, total: int, handle: str) -> str:
    kept = f"; kept as {handle}" if handle else ""
    kind = f": {kind_of(head)}" if kind_of(head) else ""
    return f"[binary output{kind}, {total:,} bytes, not shown{kept}]"


async def _count_lines(running: Running, total: int) -> int:
    lines = start = 0
    while start < total:
        piece = await running.output(start, _CHUNK_BYTES)
        if not piece.data:
            return 0
        lines += piece.data.count(b"\n")
        start = piece.start + len(piece.data)
    return lines


def ending(fact: CommandFact, timeout_s: float | None = None) -> list[str]:
    """How a command ended, when that was not exit code 0. Independent facts, each with its own note."""
    notes: list[str] = []
    if fact.timed_out:
        after = f" after {timeout_s:g} s" if timeout_s else ""
        notes.append(f"[timed out{after}; stopped]")
    elif fact.stopped:
        notes.append("[stopped]")
    if fact.signal:
        notes.append(f"[ended by signal {fact.signal}]")
    if fact.exit_code:
        notes.append(f"[exit {fact.exit_code}]")
    return notes


def left_behind(end: CommandEnd) -> list[str]:
    """What to say of a command that had left something running: nothing of a command outlives it."""
    if not end.took_along:
        return []
    return ["[what it left running in the background ended with it: start that with run_in_background]"]
