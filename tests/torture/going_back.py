"""Going back and forth in a run, struck on the way, and what the world must be after it."""

from signal import SIGKILL
from typing import NamedTuple

import anyio.to_thread

from tests.snapshots.desk import differing
from tests.torture.life import Run
from tests.torture.past import Moment, Past
from tests.torture.striker import Reach, Strike, drawn
from tests.torture.target import Event

_FINE = (0, 3)
"""Exit codes: all went back, or something was kept."""


class State(NamedTuple):
    """Where a session is: the world, the turns that count, and the request that the next one extends.
    `in_turn`: a turn is open there, and whoever resumes the session without words goes on with it."""

    moment: Moment
    turns: tuple[int, ...]
    last: bytes
    in_turn: bool = False


class Step(NamedTuple):
    """One going back: the command, and where it leads. `left` is where one can come back to from there, the
    last one last."""

    words: list[str]
    to: State
    left: tuple[State, ...]

    @property
    def name(self) -> str:
        """The command as a person writes it."""
        return " ".join(self.words[3:])


class Traveller:
    """Goes back and forth in the session of a run, and judges the world."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.past = Past(run.world.workspace)
        run.model.look = self._look
        self._state = State(self.past.take(), (), b"")
        self._before: dict[int, State] = {}
        self._turns: dict[str, tuple[int, ...]] = {}
        self._left: tuple[State, ...] = ()
        self._times = 0
        self._since = self._state.moment

    def begin_turn(self) -> None:
        """The agent is about to begin one."""
        turn = len(self._before)
        self._before[turn] = self._now()
        self._state = self._before[turn]._replace(turns=(*self._state.turns, turn), in_turn=False)
        self._left = ()

    def end_turn(self) -> None:
        """It has come to its end."""
        self._since = self.past.take()
        self._state = State(self._since, self._state.turns, self._run.model.last)

    def edit(self) -> None:
        """The user changes something."""
        self._run.tell(f"  the user changed {self.past.edit(self._run.random)!r}")

    def undo(self) -> Step:
        """To before the last turn that counts."""
        turn = self._state.turns[-1]
        return Step(self._run.target.undo(), self._before[turn], (*self._left, self._now()))

    def redo(self) -> Step:
        """To where one came from last."""
        return Step(self._run.target.redo(), self._left[-1], self._left[:-1])

    def rewind(self) -> Step:
        """To a request."""
        request = self._run.random.choice(self.requests())
        sent = str(request.event["sha256"])
        last = next(seen.before for seen in self._run.model.requests if seen.sha256 == sent)
        state = State(self.past.at[sent], self._turns[sent], last, in_turn=True)
        return Step(self._run.target.rewind(request.seq), state, (*self._left, self._now()))

    def choose(self) -> Step:
        """One of those that can be."""
        able = [self.rewind]
        able += [self.undo] if self._state.turns else []
        able += [self.redo] if self._left else []
        return self._run.random.choice(able)()

    def requests(self) -> list[Event]:
        """All requests of the log."""
        return [event for event in self._run.events if event.type == "RequestSent"]

    async def go(self, step: Step, strikes: int = 0) -> None:
        """Go, struck on the way, until it is done once; then judge."""
        run = self._run
        run.world.remember()
        run.tell(step.name)
        changes = 7 * len(differing(self.past.take().picture, step.to.moment.picture))
        may_resume = not (self._state.in_turn or step.to.in_turn)
        for _ in range(strikes):
            if await self._is_over(step, self._strike(changes)):
                break
            if run.random.random() < 0.3:
                self.edit()
            if run.random.random() < 0.2 and may_resume and await self._is_over_by_resuming():
                break
        else:
            await self._is_over(step)
        self._state, self._left = step.to, step.left
        self._times += 1
        run.model.last = step.to.last
        broken = await anyio.to_thread.run_sync(list, self.past.unlike(self._state.moment))
        run.faults += [f"put back: after {step.name}, {words}" for words in broken]

    async def fork(self) -> None:
        """Have a request's world laid out elsewhere, struck on the way; then judge both places."""
        run, random = self._run, self._run.random
        request = random.choice(self.requests())
        moment = self.past.at[str(request.event["sha256"])]
        here = self.past.take()
        for number in range(random.randint(1, 3)):
            copy = run.root / f"copy{number}"
            reaches = (
                Reach("changes", 7 * len(moment.picture), copy),
                Reach("changes", 40, run.target.state),
            )
            struck = await run.command(run.target.fork(request.seq, copy), strike=drawn(random, *reaches))
            if struck.returncode != -SIGKILL:
                break
        else:
            copy = run.root / "copy"
            struck = await run.command(run.target.fork(request.seq, copy))
        if struck.returncode:
            run.faults.append(f"fork ended with {struck.returncode}: {struck.stderr.decode()[-500:]}")
            return
        broken = self.past.unlike_in(copy, moment)
        run.faults += [f"put back: in the fork, {words}" for words in broken]
        run.faults += [f"kept: beside the fork, {words}" for words in self.past.unlike(here)]

    def _strike(self, changes: int) -> Strike:
        state, workspace = self._run.target.state, self._run.target.workspace
        return drawn(
            self._run.random,
            Reach("changes", changes, workspace),
            Reach("changes", changes, workspace),
            Reach("changes", 80, state),
            Reach("opens", 500, workspace),
        )

    async def _is_over(self, step: Step, strike: Strike | None = None) -> bool:
        """Try; whether it has been done."""
        run = self._run
        ran = await run.command(step.words, strike=strike)
        broken = await anyio.to_thread.run_sync(list, self.past.unkept(self._since))
        run.faults += [f"kept: {words}" for words in broken]
        if ran.returncode == -SIGKILL and strike and strike.directory != run.target.state:
            return False  # The last word is one for the log.
        if ran.returncode == -SIGKILL:
            await run.export()
            return self._is_on_log()
        if ran.returncode not in _FINE:
            said = (ran.stdout + ran.stderr).decode(errors="replace").strip()
            run.faults.append(f"{step.name} ended with {ran.returncode}: {said[-500:]}")
        return True

    async def _is_over_by_resuming(self) -> bool:
        """Open the session in another way; what was begun must be done by then. Else it is as before."""
        run = self._run
        run.tell("resumed")
        async with run.life() as life:
            await run.until(life, lambda: False)
        return self._is_on_log()

    def _is_on_log(self) -> bool:
        """Whether the log has one going back more than are known."""
        types = [event.type for event in self._run.events]
        times = types.count("Rewound")
        begun = types.count("RestoreStarted") > times
        self._run.tell(f"  it was {'over' if times > self._times else 'begun' if begun else 'not begun'}")
        return times > self._times

    def _look(self, body: bytes) -> None:
        self._turns[self.past.look(body)] = self._state.turns

    def _now(self) -> State:
        return self._state._replace(moment=self.past.take())
