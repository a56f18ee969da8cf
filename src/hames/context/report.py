"""What the end of a turn has to tell beside how it ended: folded from what happened."""

from typing import NamedTuple

import msgspec

from hames.core.events import (
    NOBODY,
    AnyEvent,
    ApprovalAnswered,
    CallFinished,
    CallIntended,
    CallJudged,
    CallLost,
    Effect,
    ModelReplied,
    TurnStarted,
)
from hames.core.ids import CallId
from hames.core.messages import plain
from hames.core.text import one_line

_WHY_CHARS = 200


class Told(msgspec.Struct, frozen=True):
    """A call of the turn, and what became of it."""

    tool: str
    call: CallId
    why: str


class Unapproved(NamedTuple):
    """Why a call was denied for want of a person, what it would have done to the world, and in which step."""

    why: str
    effect: Effect
    step: int


class Report(msgspec.Struct):
    """Folds what a turn has come to.

    `said` is what the model said last: a reply that was cut at the output limit and those that went on from
    it are one. `denied` and `lost` are the calls that were not allowed, and those whose outcome is not known.
    `unapproved` stands for as long as no later step has done something in place of what a person would have
    to allow: a call that only looks at things makes up for none that would have changed some.
    """

    said: str = ""
    denied: list[Told] = []
    lost: list[Told] = []
    unapproved: list[Unapproved] = []
    _cut: bool = False
    _intended: dict[CallId, CallIntended] = {}
    _whys: dict[CallId, str] = {}

    def take(self, event: AnyEvent) -> None:
        """Take in the next event."""
        match event:
            case TurnStarted():
                self.said, self._cut = "", False
                self.denied, self.lost, self.unapproved = [], [], []
            case ModelReplied(message=message):
                self.said = self.said + message.text if self._cut else message.text
                self._cut = event.finish == "length" and not message.calls
                self._intended.clear()
                self._whys.clear()
            case CallIntended(call=call):
                self._intended[call] = event
            case CallJudged(call=call, why=why, rule=rule):
                self._whys[call] = why or rule
            case ApprovalAnswered(call=call, by=by) if by == NOBODY:
                self.unapproved.append(self._unapproved(call))
            case CallFinished():
                self._finished(event)
            case CallLost(call=call, why=why):
                self.lost.append(self._told(call, why))
            case _:
                pass

    def _finished(self, event: CallFinished) -> None:
        if event.outcome == "ok" and event.call in self._intended:
            self._done(self._intended[event.call])
        elif event.outcome == "denied":
            self.denied.append(self._told(event.call, self._whys.get(event.call, "")))
        elif event.lost:
            self.lost.append(self._told(event.call, one_line(plain(event.parts), _WHY_CHARS)))

    def _done(self, call: CallIntended) -> None:
        def stands(each: Unapproved) -> bool:
            return each.step == call.step or (call.effect == "pure" and each.effect != "pure")

        if self.unapproved:
            self.unapproved = [each for each in self.unapproved if stands(each)]

    def _unapproved(self, call: CallId) -> Unapproved:
        intended = self._intended.get(call)
        why = self._whys.get(call, "")
        return (
            Unapproved(why, "effectful", 0)
            if intended is None
            else Unapproved(why, intended.effect, intended.step)
        )

    def _told(self, call: CallId, why: str) -> Told:
        intended = self._intended.get(call)
        return Told("" if intended is None else intended.tool, call, why)
