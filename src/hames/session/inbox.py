"""Where words wait that arrive while a turn is running."""

from collections.abc import Sequence

from hames.core.ports import Words


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
