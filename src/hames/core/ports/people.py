"""Who decides, who speaks and who watches: the policy, and people."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from hames.core.events import Effect, Entry, Verdict
from hames.core.ids import CallId
from hames.core.messages import Part
from hames.core.ports.models import Delta
from hames.core.ports.tools import Subject


class Judgement(msgspec.Struct, frozen=True):
    """A verdict, the rule it came from, and why."""

    verdict: Verdict
    rule: str
    why: str = ""


class Policy(Protocol):
    """Decides what may be done."""

    def judge(self, subject: Subject, effect: Effect) -> Judgement: ...


class ApprovalRequest(msgspec.Struct, frozen=True):
    """The exact thing a person is asked about."""

    call: CallId
    subject: Subject
    arguments: str
    why: str


class ApprovalAnswer(msgspec.Struct, frozen=True):
    """What the person said, and where."""

    allowed: bool
    by: str
    words: str = ""


class Approver(Protocol):
    """Asks a person, on a channel that the model cannot write to."""

    async def ask(self, request: ApprovalRequest) -> ApprovalAnswer: ...


class Words(msgspec.Struct, frozen=True):
    """Something said to the agent. `dedup` is the same for a second delivery of the same words."""

    parts: tuple[Part, ...]
    dedup: str | None = None


class Inbox(Protocol):
    """Where words wait that arrive while a turn is running."""

    def take(self) -> Sequence[Words]:
        """All that has come since the last time, oldest first."""
        ...


class Notice(msgspec.Struct, frozen=True):
    """Something that a person should know, and that no event says."""

    words: str


class Progress(msgspec.Struct, frozen=True):
    """How far a long piece of work has come: `done` of `total`."""

    what: str
    done: int
    total: int


Passing = Delta | Notice | Progress
"""What is told and not kept."""


class Listener(Protocol):
    """Somebody who watches. A listener that fails never harms the session."""

    def entry(self, entry: Entry) -> None:
        """A durable event: final."""
        ...

    def delta(self, step: int, delta: Passing) -> None:
        """Something volatile. What is of a reply is superseded by the durable event that follows."""
        ...
