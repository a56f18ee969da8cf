"""Entries made by hand, for tests of folds."""

from hames.core.events import AnyEvent, Entry
from hames.core.ids import SessionId

SESSION = SessionId("0" * 26)


def entries(*events: AnyEvent, first: int = 1, at_ms: int = 1_000) -> list[Entry]:
    """These events in their places, a second apart."""
    return [
        Entry(SESSION, first + index, 1, at_ms + 1000 * index, event, f"{first + index:064x}")
        for index, event in enumerate(events)
    ]
