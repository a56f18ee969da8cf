"""Where words wait: those that arrive while a turn is running, and those that came while nobody was here."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from hames.core.ports import Arrival, Words

WORDS = "words"
"""The kind of an `Arrival` that holds words."""


class SessionInbox:
    """An `Inbox` that a channel puts words into."""

    def __init__(self) -> None:
        self._waiting: list[Words] = []

    def put(self, words: Words) -> None:
        """Leave words for the next step."""
        self._waiting.append(words)

    def take(self) -> Sequence[Words]:
        """All that has come since the last time, oldest first."""
        waiting, self._waiting = self._waiting, []
        return waiting

    @property
    def any_waiting(self) -> bool:
        """Whether there is something to take."""
        return bool(self._waiting)


def arrival_of(words: Words, dedup: str) -> Arrival:
    """Words as something that waits in the store for a session that nobody has open."""
    return Arrival(WORDS, msgspec.json.encode(msgspec.structs.replace(words, dedup=dedup)), dedup)


def words_among(arrivals: Iterable[Arrival]) -> Iterator[Words]:
    """The words among what waits in the store."""
    for arrival in arrivals:
        if arrival.kind == WORDS:
            yield msgspec.json.decode(arrival.data, type=Words)
