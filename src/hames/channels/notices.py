"""What a person should know and no event says, on standard error."""

from collections.abc import Callable

from hames.core.events import Entry
from hames.core.ports import Notice, Passing, Progress
from hames.core.text import for_terminal

CLEAR = "\r\x1b[K"
"""Empties a terminal's line."""


class Notices:
    """Tells a person what no event says. Where `live`, also how far a long piece of work is: on one line,
    which is written anew in its place, and gone before anything else is said.

    `write` writes text as it is.
    """

    def __init__(self, write: Callable[[str], None], *, live: bool) -> None:
        self._write = write
        self._live = live
        self._shown = False

    def entry(self, entry: Entry) -> None:
        """A durable event: others may tell of it."""
        self.clear()

    def delta(self, step: int, delta: Passing) -> None:
        """Something volatile: shown if it is for a person."""
        match delta:
            case Notice(words=words):
                self.clear()
                self._write(f"hames: {for_terminal(words)}\n")
            case Progress(what=what, done=done, total=total) if self._live and done < total:
                self._write(f"{CLEAR}{what}: {done:,} of {total:,}")
                self._shown = True
            case _:
                self.clear()

    def clear(self) -> None:
        """Take the line away, if there is one."""
        if self._shown:
            self._write(CLEAR)
            self._shown = False
