"""What the supervisor may do because of what is durable on the session's log."""

from hames.core.events import (
    CallFinished,
    CallLost,
    CallStarted,
    Entry,
    GoalChecked,
    GoalCheckStarted,
    JobFinished,
    JobStarted,
)
from hames.core.ids import JobId
from hames.core.ports import Passing
from hames.sandboxes.launch import CommandLauncher


class Settling:
    """A `Listener`: a call that was started on the log may be started in the world, and a command whose end
    is on the log may be forgotten."""

    def __init__(self, launcher: CommandLauncher) -> None:
        self._launcher = launcher
        self._jobs: set[JobId] = set()

    def entry(self, entry: Entry) -> None:
        """A durable event."""
        match entry.event:
            case CallStarted() | GoalCheckStarted():
                self._launcher.decided()
            case GoalChecked(check=check):
                self._launcher.release(JobId(check))
            case JobStarted(job=job):
                self._jobs.add(job)
            case CallFinished(call=call) | CallLost(call=call) if JobId(call) not in self._jobs:
                self._launcher.release(JobId(call))
            case JobFinished(job=job):
                self._jobs.discard(job)
                self._launcher.release(job)
            case _:
                pass

    def delta(self, step: int, delta: Passing) -> None:
        """Volatile: of no interest."""
