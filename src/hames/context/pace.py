"""How long a turn has taken, and which limits have been warned of: a fold of the log."""

import msgspec

from hames.core.events import Entry, LimitReached, TurnStarted

OF_A_TURN = frozenset(("max_steps", "max_time_s", "stop_at"))
"""Limits that each turn has for itself; the others are the session's."""


class Pace(msgspec.Struct):
    """When the turn began, by the wall clock, how long it has been worked on, and which limits the model was
    told of, with their values. Time in which nobody had the session is not worked."""

    begun_ms: int = 0
    worked_ms: int = 0
    warned: frozenset[tuple[str, float]] = frozenset()
    _last_ms: int = 0
    _epoch: int = 0

    def take(self, entry: Entry) -> None:
        """Take in the next entry."""
        if entry.epoch == self._epoch:
            self.worked_ms += max(0, entry.at_ms - self._last_ms)
        self._last_ms, self._epoch = entry.at_ms, entry.epoch
        self.begun_ms = self.begun_ms or entry.at_ms
        match entry.event:
            case TurnStarted():
                self.begun_ms, self.worked_ms = entry.at_ms, 0
                self.warned = frozenset(known for known in self.warned if known[0] not in OF_A_TURN)
            case LimitReached(limit=limit, value=value, warned=True):
                self.warned |= {(limit, value)}
            case _:
                pass
