"""How far the goal of a session is from being reached, as its checks tell."""

import msgspec

from hames.core.events import AnyEvent, CallStarted, GoalChecked, GoalCheckStarted, GoalSet, TurnStarted
from hames.core.ids import BlobId, CallId

CANNOT_RUN = (126, 127)
"""Exit codes of a shell that could not run a command, or found none."""


class Streak(msgspec.Struct, frozen=True):
    """Checks in a row that failed and look the same: how many, and how many of the last had no change of
    files before them. `unrunnable`: so many of the last could not run at all."""

    likeness: str = ""
    same: int = 0
    idle: int = 0
    unrunnable: int = 0

    def plus(self, likeness: str, exit_code: int | None, *, changed: bool) -> "Streak":
        """This, and one failure more."""
        alike = self.same > 0 and likeness == self.likeness
        return Streak(
            likeness,
            same=self.same + 1 if alike else 1,
            idle=self.idle + 1 if alike and not changed else 1,
            unrunnable=self.unrunnable + 1 if exit_code in CANNOT_RUN else 0,
        )


class Pursuit(msgspec.Struct):
    """The goal, and what its checks in this turn have come to.

    `checks` is the highest number that one was given, `running` the one that was started and has no end.
    `passed` is the workspace with which the goal was reached, as long as nothing was run since.
    """

    goal: GoalSet | None = None
    checks: int = 0
    running: CallId | None = None
    streak: Streak = Streak()
    passed: BlobId | None = None
    checked_seq: int = 0

    def take(self, event: AnyEvent, seq: int) -> None:
        """Take in the next event."""
        match event:
            case GoalSet(command=command):
                self.goal = event if command else None
                self.streak, self.passed = Streak(), None
            case GoalCheckStarted(check=check):
                self.checks, self.running = self.checks + 1, check
            case GoalChecked():
                self._end(event, seq)
            case CallStarted(tree_before=str()):
                self.passed = None
            case TurnStarted():
                self.streak = Streak()
            case _:
                pass

    def _end(self, event: GoalChecked, seq: int) -> None:
        self.running, self.checked_seq = None, seq
        if event.passed:
            self.streak, self.passed = Streak(), event.tree_after
        elif event.likeness:
            self.streak = self.streak.plus(event.likeness, event.fact.exit_code, changed=event.changed)
            self.passed = None
