"""One trial: a seed of a mode, from the first start to the verdict."""

from pathlib import Path
from random import Random
from signal import SIGKILL

import anyio
import msgspec

from tests.torture.going_back import Traveller
from tests.torture.laws import broken
from tests.torture.life import Life, Run
from tests.torture.modes import MODES, WHOLE_S, Blow, Instant, Mode
from tests.torture.plays import LAST_LIVES
from tests.torture.processes import Found, belonging, kill, none_left
from tests.torture.target import is_supervisor

WITHIN_S = 180.0
"""A trial that takes longer is stuck."""

LEAVING_S = 5.0
"""So long may processes take to leave after the harness has ended."""


SHOWN = 8
"""Most broken laws that are told of one trial."""


class Verdict(msgspec.Struct, frozen=True):
    """What came of a trial. `broken` is empty when every law was kept."""

    mode: str
    seed: int
    kills: int
    calls: int
    broken: list[str]
    story: list[str]

    def __str__(self) -> str:
        replay = f"replay it: python -m tests.torture --mode {self.mode} --seed {self.seed}"
        return "\n".join((f"{self.mode} {self.seed}: {replay}", *self.story, *self.broken[:SHOWN]))


async def trial(name: str, seed: int, root: Path, source: Path | None = None) -> Verdict:
    """Run a seed and judge it. Nothing of it is left running, whatever came of it."""
    mode = MODES[name]
    run = Run(root, Random(f"{name} {seed}"), mode.cast, source)
    if isinstance(mode, Mode) and mode.crash is not None:
        run.crash = mode.crash(run, root)
    problems = run.faults
    try:
        with anyio.move_on_after(WITHIN_S) as scope:
            async with run.model.serving():
                await (_struck(run, mode) if isinstance(mode, Mode) else mode.play(run))
                await _check(run)
        if scope.cancelled_caught:
            problems.append(f"stuck: not done within {WITHIN_S:g} s")
        left = await _left(run)
        words = [f"{found.pid} {found.line.decode(errors='replace')[-300:]}" for found in left]
        problems += broken(msgspec.structs.replace(run.evidence(run.exports), left=words))
    finally:
        kill(found.pid for found in belonging(run.token))
        run.world.close()
    for life in run.lives:
        if problems and life.errors:
            run.tell(f"stderr: {life.errors.decode(errors='replace')[-1500:]}")
    return Verdict(name, seed, run.kills, len(run.plan.asked), problems, run.story)


async def _struck(run: Run, mode: Mode) -> None:
    traveller = Traveller(run) if mode.goes_back else None
    if traveller is not None:
        traveller.begin_turn()
    for instant in mode.strikes(run):
        if run.done:
            break
        await _live(run, mode.blow, instant)
    for _ in range(LAST_LIVES):
        if run.done:
            break
        await _live(run)
    if traveller is not None and run.done:
        traveller.end_turn()
        if mode.cast.command != "job":  # While one works, nobody can say what the world is.
            await traveller.go(traveller.rewind())
        await traveller.go(traveller.undo())


async def _check(run: Run) -> None:
    ran = await run.command(run.target.check())
    if ran.returncode:
        said = (ran.stdout + ran.stderr).decode(errors="replace").strip()
        run.faults.append(f"the log is damaged at the end: {said[-500:]}")


async def _left(run: Run) -> list[Found]:
    """What is left running. A harness that was killed at the very end leaves the owner of its commands, which
    waits for it to come back; but no command."""
    if run.lives[-1].process.returncode != -SIGKILL:
        return await none_left(run.token, LEAVING_S)
    return [found for found in belonging(run.token) if not is_supervisor(found.line)]


async def _live(run: Run, blow: Blow | None = None, instant: Instant | None = None) -> None:
    """A life of the harness. Commands that wait since the one before go on now, or in the middle of it."""
    waiting = set(run.world.posts)
    if run.random.random() < 0.5:
        run.open_gates(waiting)
    delay_s = run.random.uniform(0, WHOLE_S / 2)
    async with run.life() as life, anyio.create_task_group() as tasks:
        tasks.start_soon(_open_later, run, life, waiting, delay_s)
        if blow is not None and instant is not None:
            await blow(run, life, await instant(run, life))
        await run.until(life, lambda: False)


async def _open_later(run: Run, life: Life, waiting: set[str], delay_s: float) -> None:
    with anyio.move_on_after(delay_s):
        await run.until(life, lambda: False)
    if not life.ended:
        run.open_gates(waiting)
