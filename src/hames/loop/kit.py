"""What a turn works with: the seams, and the limits it keeps to."""

from typing import Literal

import msgspec

from hames.context.assemble import Assembler
from hames.context.view import View
from hames.core.limits import ATTEMPTS, PATIENCE_S, WAIT_JOBS_S
from hames.core.ports import (
    Approver,
    Blobs,
    Chance,
    Checker,
    Clock,
    GoBack,
    Inbox,
    Jobs,
    Journal,
    Listener,
    Policy,
    Tools,
    Trees,
)
from hames.loop.asking import Answerer, Asking
from hames.loop.purse import Purse
from hames.loop.stopwatch import Stopwatch

OnStuck = Literal["stop", "tell", "off"]
OnRepeatedFailure = Literal["offer", "rewind", "off"]


class TurnLimits(msgspec.Struct, frozen=True):
    """The hard limits of one turn. Money, in 1e-9 US dollars, and `max_tokens`, in and out, count the whole
    session with its children: `stand_in_nano_usd` is what models other than the first may cost. `max_time_s`
    is how long one turn is worked on, and `stop_at` the minute of the day, by the clock of the place, at
    which it ends. `patience_s` is how long a provider is waited for, None for ever."""

    max_steps: int | None = None
    max_nano_usd: int | None = None
    max_tokens: int | None = None
    max_time_s: float | None = None
    stop_at: int | None = None
    attempts: int = ATTEMPTS
    patience_s: float | None = PATIENCE_S
    stand_in_nano_usd: int | None = None
    wait_jobs_s: float = WAIT_JOBS_S


class Guards(msgspec.Struct, frozen=True):
    """What is done about a model that goes in circles (it is told, and then stopped, or only told), and about
    one that fails again and again: it is offered a way back, or files go back. `failure_notes`: a command
    that fails after it went well is shown with what has changed since."""

    on_stuck: OnStuck = "stop"
    on_repeated_failure: OnRepeatedFailure = "offer"
    failure_notes: bool = True


class Kit(msgspec.Struct, frozen=True):
    """Everything that a turn needs, and nothing that it does not. The view is folded by the journal."""

    journal: Journal
    view: View
    asking: Asking
    blobs: Blobs
    tools: Tools
    policy: Policy
    approver: Approver
    inbox: Inbox
    jobs: Jobs
    checker: Checker
    trees: Trees
    back: GoBack
    listener: Listener
    clock: Clock
    chance: Chance
    limits: TurnLimits
    purse: Purse
    guards: Guards = Guards()
    stopwatch: Stopwatch = msgspec.field(default_factory=Stopwatch)

    @property
    def answerer(self) -> Answerer:
        """Who is asked now."""
        return self.asking.answerer

    @property
    def assembler(self) -> Assembler:
        """What makes the requests to it."""
        return self.asking.assembler
