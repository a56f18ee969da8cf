"""What a person should know and no event says, on standard error."""

from collections.abc import Callable

from hames.core.events import Entry, LimitReached, WaitStarted
from hames.core.ports import Notice, Passing, Progress
from hames.core.text import for_terminal
from hames.loop.budget import warning_words
from hames.loop.wait import waiting_words

CLEAR = "\r\x1b[K"
"""Empties a terminal's line."""


class Notices:
    """Tells each notice, each wait and each limit that is near, on a line of its own. `write` writes a
    line."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def entry(self, entry: Entry) -> None:
        """A durable event: told if it is a wait, or warns of a limit."""
        match entry.event:
            case WaitStarted() as event if words := waiting_words(event, entry.at_ms):
                self._write(f"hames: {words}")
            case LimitReached(warned=True) as event:
                self._write(f"hames: {warning_words(event)}")
            case _:
                pass

    def delta(self, step: int, delta: Passing) -> None:
        """Something volatile: told if it is a notice."""
        if isinstance(delta, Notice):
            self._write(f"hames: {for_terminal(delta.words)}")


class Gauge:
    """Shows on a terminal how far a long piece of work is, on one line that is written anew in its place.

    It is gone before anything else is told, if this is the first of the listeners. `write` writes text as it
    is.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._shown = False

    def entry(self, entry: Entry) -> None:
        """A durable event: others may tell of it."""
        self.clear()

    def delta(self, step: int, delta: Passing) -> None:
        """Something volatile: shown if it is progress, and not at its end."""
        match delta:
            case Progress(what=what, done=done, total=total) if done < total:
                self._write(f"{CLEAR}{what}: {done:,} of {total:,}")
                self._shown = True
            case _:
                self.clear()

    def clear(self) -> None:
        """Take the line away, if there is one."""
        if self._shown:
            self._write(CLEAR)
            self._shown = False
