"""Which entries still count: a log in which somebody went back is a tree, and its last entry a leaf of it."""

from collections.abc import Sequence

from hames.core.events import AnyEvent, Entry, RestoreStarted, Rewound

Going = type[Rewound] | type[RestoreStarted]


def taken_back(entries: Sequence[Entry], by: Going = Rewound) -> frozenset[int]:
    """The sequence numbers of those that are not on the way from the first entry to the last, and of the
    events that went back themselves. One that went back has what it went back to before it, and every other
    the one with the number before. Files that went back in the midst of a turn are a part of that turn."""
    gone: set[int] = set()
    through: int | None = None
    for entry in reversed(entries):
        if through is not None and entry.seq > through:
            gone.add(entry.seq)
        elif (goal := _goal(entry.event, by)) is not None:
            gone.add(entry.seq)
            through = goal
    return frozenset(gone)


def _goal(event: AnyEvent | None, by: Going) -> int | None:
    match event:
        case Rewound() if by is Rewound:
            return event.through
        case RestoreStarted(by="user") if by is RestoreStarted:
            return event.through
        case _:
            return None
