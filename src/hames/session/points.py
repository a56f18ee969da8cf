"""The entries that one can go back to."""

from collections.abc import Sequence
from itertools import takewhile

import msgspec

from hames.context.rewinding import taken_back
from hames.core.events import (
    AnyEvent,
    CallFinished,
    CallLost,
    Entry,
    FilesRestored,
    GoalChecked,
    GoalCheckStarted,
    ModelReplied,
    RequestSent,
    RestoreStarted,
    Rewound,
    SessionOpened,
    SettingsPinned,
    TurnEnded,
    TurnStarted,
    UserSpoke,
)
from hames.core.messages import plain


class Point(msgspec.Struct, frozen=True):
    """Where to go back to: what was after the entry `through`. `restore` is the `RestoreStarted` that is
    itself taken back, where it is one."""

    through: int
    restore: int | None = None


def undo_point(entries: Sequence[Entry], by: type[Rewound] | type[RestoreStarted] = Rewound) -> Point | None:
    """Before the words of the last turn that was not taken back: not in the view, or not in the files."""
    gone = taken_back(entries, by)
    for index in reversed(range(len(entries))):
        if isinstance(entries[index].event, TurnStarted) and entries[index].seq not in gone:
            return Point(before_turn(entries, index))
    return None


def first_point(entries: Sequence[Entry]) -> int:
    """The first entry that one can go back to: before the first words."""
    for index, entry in enumerate(entries):
        if isinstance(entry.event, TurnStarted):
            return before_turn(entries, index)
    return sum(1 for _ in takewhile(_opens, entries))


def _opens(entry: Entry) -> bool:
    event = entry.event
    return isinstance(event, SessionOpened | SettingsPinned) or (
        isinstance(event, UserSpoke) and event.source == "context"
    )


def before_turn(entries: Sequence[Entry], index: int) -> int:
    """The entry before the words that the turn at `index` answers."""
    while index > 1 and _is_words(entries[index - 1].event):
        index -= 1
    return entries[index].seq - 1


def _is_words(event: AnyEvent | None) -> bool:
    return isinstance(event, UserSpoke) and event.source == "user"


def redo_point(entries: Sequence[Entry]) -> Point | None:
    """As it was before somebody went back for the last time, unless a turn was started since. What was come
    back from does not count again."""
    points: list[Point] = []
    is_half = False
    for entry in entries:
        match entry.event:
            case TurnStarted():
                points.clear()
            case Rewound() if is_half:
                is_half = False  # The other half of a restore.
            case RestoreStarted(what="redo", by="user") | Rewound(what="redo"):
                del points[-1:]
            case RestoreStarted(by="user"):
                points.append(Point(entry.seq - 1, entry.seq))
            case Rewound():
                points.append(Point(entry.seq - 1))
            case _:
                pass
        is_half = entry.event.context if isinstance(entry.event, RestoreStarted) else is_half
    return points[-1] if points else None


class _UnderWay:
    """What is going on at an entry: calls, a request, a restore."""

    def __init__(self) -> None:
        self._open: set[str] = set()

    def take(self, event: AnyEvent | None) -> bool:
        """Whether anything is, after this."""
        match event:
            case RequestSent():
                self._open = {"request"}
            case ModelReplied(message=message):
                self._open = {call.id for call in message.calls}
            case GoalCheckStarted(check=check):
                self._open = {check}
            case CallFinished(call=ended) | CallLost(call=ended) | GoalChecked(check=ended):
                self._open.discard(ended)
            case RestoreStarted(by="user", context=context):
                self._open = {"files", "context"} if context else {"files"}
            case RestoreStarted():
                self._open.add("files")
            case FilesRestored():
                self._open.discard("files")
            case Rewound() | TurnEnded():
                self._open = set()
            case _:
                pass
        return bool(self._open)


def boundary(entries: Sequence[Entry], seq: int) -> int:
    """The last entry at or before `seq`, and not before the `first_point`, after which nothing was under way:
    no request, no call, no restore."""
    found, under_way = first_point(entries), _UnderWay()
    for entry in entries:
        if entry.seq > seq:
            break
        if not under_way.take(entry.event):
            found = max(found, entry.seq)
    return found


def words_after(entries: Sequence[Entry], through: int) -> tuple[str, ...]:
    """What the user has said that the view holds now, and did not after the entry `through`."""
    then = [entry for entry in entries if entry.seq <= through]
    held = {entry.seq for entry in then} - taken_back(then)
    gone = taken_back(entries)
    return tuple(
        plain(entry.event.parts)
        for entry in entries
        if entry.seq not in gone
        and entry.seq not in held
        and isinstance(entry.event, UserSpoke)
        and entry.event.source in ("user", "steer")
    )
