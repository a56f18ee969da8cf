"""How long a turn has been worked on, by a clock that stands still while the machine sleeps."""


class Stopwatch:
    """Goes on from what the log says of earlier owners of the turn. Times in seconds, of the same clock."""

    def __init__(self) -> None:
        self._begun_s = 0.0
        self._before_s = 0.0

    def start(self, now_s: float, before_s: float) -> None:
        """This owner begins; `before_s` was worked before."""
        self._begun_s, self._before_s = now_s, before_s

    def worked_s(self, now_s: float) -> float:
        """In all."""
        return self._before_s + now_s - self._begun_s
