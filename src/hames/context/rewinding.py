"""Which entries still count: a log in which somebody went back is a tree, and its last entry a leaf of it."""

from collections.abc import Sequence

from hames.core.events import Entry, RestoreStarted, Rewound


def taken_back(
    entries: Sequence[Entry], by: type[Rewound] | type[RestoreStarted] = Rewound
) -> frozenset[int]:
    """The sequence numbers of those that are not on the way from the first entry to the last, and of the
    events that went back themselves. One that went back has what it went back to before it, and every other
    the one with the number before."""
    gone: set[int] = set()
    through: int | None = None
    for entry in reversed(entries):
        if through is not None and entry.seq > through:
            gone.add(entry.seq)
        elif isinstance(entry.event, by):
            gone.add(entry.seq)
            through = entry.event.through
    return frozenset(gone)
