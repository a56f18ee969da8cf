"""A session: many turns over one log."""

from collections.abc import Sequence

import msgspec

from hames.context.view import View
from hames.core.events import GoalSet, TurnEnded, TurnStarted, UserSpoke
from hames.core.ids import SessionId
from hames.core.ports import Arrivals, Words
from hames.loop.kit import Kit
from hames.loop.turn import run_turn
from hames.session.inbox import SessionInbox, arrival_of
from hames.session.resume import give_up, go_on

INTERRUPTED = "it was left before its end: hames was stopped, or somebody went back into it"


class Session:
    """One owner's hold on a session. `view` is for reading; `inbox` holds words that came in mid-turn."""

    def __init__(self, session: SessionId, kit: Kit, inbox: SessionInbox, arrivals: Arrivals) -> None:
        self.id = session
        self.inbox = inbox
        self._arrivals = arrivals
        self._kit = kit

    @property
    def view(self) -> View:
        """The session as its log has left it."""
        return self._kit.view

    @property
    def unfinished(self) -> bool:
        """Whether a turn was interrupted and can be gone on with."""
        return self.view.turn_open

    @property
    def has_waiting(self) -> bool:
        """Whether there are words that nobody has heard yet."""
        return self.inbox.any_waiting

    async def hear(self, words: Words) -> None:
        """Take words for the next step of the turn that is running. On return they are durable, so that
        whoever said them may be told so. Raises `StoreError`: then only this process knows of them."""
        key = words.dedup or f"said/{self._kit.chance.bits(80):x}"
        self.inbox.put(msgspec.structs.replace(words, dedup=key))
        await self._arrivals.put(self.id, arrival_of(words, key))

    async def set_goal(self, goal: GoalSet) -> None:
        """Let no turn be done before its command passes. Not while a turn runs. It is durable on return, or
        with the first words of a new session."""
        was = self.view.pursuit.goal
        same = was is not None and (was.command, was.timeout_s) == (goal.command, goal.timeout_s)
        if same or (was is None and not goal.command):
            return
        self._kit.journal.stage(goal)
        if self.view.turns:
            await self._kit.journal.record()

    async def say(self, words: Sequence[Words]) -> TurnEnded:
        """Start a turn with these words and run it to its end.

        Words that were waiting come first. A turn that was interrupted is closed before: what it left open
        is not run.
        """
        kit, view = self._kit, self.view
        if view.turn_open:
            await give_up(kit)
            kit.journal.stage(
                TurnEnded(turn=view.turn, ending="cancelled", reason=INTERRUPTED, code="interrupted")
            )
        for said in (*self.inbox.take(), *words):
            if not view.has_heard(said.dedup):
                kit.journal.stage(UserSpoke(parts=said.parts, dedup=said.dedup))
        kit.journal.stage(TurnStarted(turn=view.turns + 1))
        return await run_turn(kit)

    async def go_on(self) -> TurnEnded:
        """Finish an interrupted turn. Only a session with an `unfinished` turn can."""
        return await run_turn(self._kit, first=go_on)
