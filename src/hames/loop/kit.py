"""What a turn works with: the seams, and the limits it keeps to."""

from collections.abc import Callable

import msgspec

from hames.context.assemble import Assembler
from hames.context.view import View
from hames.core.events import Usage
from hames.core.limits import ATTEMPTS, WAIT_JOBS_S
from hames.core.ports import (
    Approver,
    AskOptions,
    Blobs,
    BodyWire,
    Chance,
    Clock,
    Inbox,
    Jobs,
    Journal,
    Listener,
    Model,
    Policy,
    Tools,
    Trees,
)
from hames.core.profiles import ModelProfile


class TurnLimits(msgspec.Struct, frozen=True):
    """The hard limits of one turn. `max_nano_usd` is in 1e-9 US dollars and counts the whole session."""

    max_steps: int | None = None
    max_nano_usd: int | None = None
    attempts: int = ATTEMPTS
    wait_jobs_s: float = WAIT_JOBS_S


class Answerer(msgspec.Struct, frozen=True):
    """The model of a session: who answers, in which protocol, by which rules, at what price.

    `price` gives 1e-9 US dollars for a usage at a wall time, None when it is not known.
    """

    model: Model
    wire: BodyWire
    profile: ModelProfile
    price: Callable[[Usage, float], int | None]
    options: AskOptions = AskOptions()


class Kit(msgspec.Struct, frozen=True):
    """Everything that a turn needs, and nothing that it does not. The view is folded by the journal."""

    journal: Journal
    view: View
    assembler: Assembler
    blobs: Blobs
    answerer: Answerer
    tools: Tools
    policy: Policy
    approver: Approver
    inbox: Inbox
    jobs: Jobs
    trees: Trees
    listener: Listener
    clock: Clock
    chance: Chance
    limits: TurnLimits
