"""The modes: at which instants a run is struck, and what is killed there.

Instants are counted (lines printed, requests served, a share of a reply, a command's own word at its post),
so that a seed strikes at the same place again. Only where an instant itself is tried does it draw a delay.
"""

import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import anyio

from tests.torture.crash import PowerLoss, Tear, stop_machine
from tests.torture.life import Cast, Crash, Life, Run
from tests.torture.model import Stall
from tests.torture.plan import STEPS
from tests.torture.plays import Staged, gc, restore, snapshot
from tests.torture.processes import belonging, gone

Instant = Callable[[Run, Life], Awaitable[str]]
"""Waits for its instant, or for the end of the harness; says where it was."""

Blow = Callable[[Run, Life, str], Awaitable[None]]
"""Kills, and returns when the harness has ended or is about to."""

WHOLE_S = 1.0
"""About what a whole run takes: delays are drawn up to here."""


ENDING_S = 10.0
"""So long may a command take to end when it is let go on."""


class Mode(NamedTuple):
    """One to `most` blows, each at one of the instants and in a life of its own, then up to `early` more
    soon after the start. At last the harness is let go on to its end. `goes_back`: and then all is undone."""

    name: str
    blow: Blow
    instants: tuple[Instant, ...]
    most: int = 2
    early: int = 0
    cast: Cast = Cast()
    crash: Callable[[Run, Path], Crash] | None = None
    goes_back: bool = False

    def strikes(self, run: Run) -> list[Instant]:
        """The instants of a run, one for each life."""
        chosen = run.random.choices(self.instants, k=run.random.randint(1, self.most))
        return [*chosen, *(_early for _ in range(run.random.randint(1, self.early) if self.early else 0))]


# Instants


async def _elapse(run: Run, life: Life, most_s: float) -> str:
    delay_s = run.random.uniform(0, most_s)
    with anyio.move_on_after(delay_s):
        await run.until(life, lambda: False)
    return f"after {delay_s:.3f} s"


async def _at_random(run: Run, life: Life) -> str:
    return await _elapse(run, life, WHOLE_S)


async def _early(run: Run, life: Life) -> str:
    return await _elapse(run, life, WHOLE_S / 2)


async def _at_line(run: Run, life: Life) -> str:
    line = run.random.randint(1, 2 + 3 * STEPS)
    await run.until(life, lambda: len(life.lines) >= line)
    return f"at line {line}"


async def _at_request(run: Run, life: Life) -> str:
    request = life.requests + run.random.randint(1, STEPS)
    await run.until(life, lambda: len(run.model.requests) >= request)
    return f"at request {request}"


async def _in_stream(run: Run, life: Life) -> str:
    stall = run.model.stall = Stall(run.random.randrange(STEPS + 1), run.random.random())
    await run.until(life, lambda: stall.reached)
    run.model.stall = None
    return f"in the reply of step {stall.step}, after {stall.share:.0%} of it"


async def _at_start(run: Run, life: Life) -> str:
    post = await run.posted(life)
    if post is None:
        return "before any command"
    await run.meet(life, post.begun)
    return f"while {post.nonce} was running"


async def _at_end(run: Run, life: Life) -> str:
    post = await run.posted(life)
    if post is None:
        return "before any command"
    run.open_gates()
    await run.meet(life, post.over)
    return f"as {post.nonce} was about to end"


# Blows


async def _harness(run: Run, life: Life, where: str) -> None:
    run.kill_harness(life, where)


async def _supervisor(run: Run, life: Life, where: str) -> None:
    run.kill_supervisor(where)
    run.open_gates()
    await run.until(life, lambda: False)


async def _both(run: Run, life: Life, where: str) -> None:
    first = run.random.random() < 0.5
    if first:
        run.kill_supervisor(where)
    run.kill_harness(life, where)
    if not first:
        run.kill_supervisor(where)


async def _alone(run: Run, life: Life, where: str) -> None:
    """The command must live on without its harness, and in half of the runs end without it."""
    run.kill_harness(life, where)
    await run.until(life, lambda: False)
    for nonce in tuple(run.world.posts):
        found = [found.pid for found in belonging(run.token) if nonce.encode() in found.line]
        if not found:
            run.faults.append(f"the command {nonce} did not survive its harness")
        elif run.random.random() < 0.5:
            run.open_gates([nonce])
            if await gone(found, ENDING_S):
                run.tell(f"  {nonce} ended with no harness there")


async def _taken(run: Run, life: Life, where: str) -> None:
    """Another process takes the session over; this one is paused meanwhile, or goes on."""
    if life.ended:
        return
    run.kills += 1  # The old owner has lost its session: that is the blow.
    paused = run.random.random() < 0.7
    if paused:
        life.signal(signal.SIGSTOP)
    run.may_lose = run.replaced = True
    run.tell(f"taken over {where}, the old owner {'paused' if paused else 'at work'}")
    async with run.life(take_over=True) as other:
        soon = run.random.random() < 0.5
        if not soon:
            run.open_gates()  # The new owner may wait for the command, and print nothing before it ends.
        await (_early if soon else _at_line)(run, other)
        if run.random.random() < 0.4:
            run.kill_harness(other, "that had taken over")
        run.open_gates()
        if paused and run.random.random() < 0.5:
            life.signal(signal.SIGCONT)
        await run.until(other, lambda: False)
    life.signal(signal.SIGCONT)
    await run.until(life, lambda: False)


_ANY: tuple[Instant, ...] = (_at_random, _at_line, _at_request, _in_stream, _at_start, _at_end)

_PROJECT = Cast("harm", steps=2, project=True)

MODES: dict[str, Mode | Staged] = {
    mode.name: mode
    for mode in (
        Mode("random", _harness, (_at_random,), most=3),
        Mode("event", _harness, (_at_line, _at_request)),
        Mode("stream", _harness, (_in_stream,)),
        Mode("effect_start", _harness, (_at_start,)),
        Mode("effect_end", _harness, (_at_end,)),
        Mode("resume", _harness, (_at_line, _at_start, _at_end, _in_stream), most=1, early=3),
        Mode("supervisor", _supervisor, (_at_start, _at_end, _at_line), most=1),
        Mode("both", _both, (_at_start, _at_end, _at_random), goes_back=True),
        Mode("orphans", _harness, (_at_start, _at_end, _at_random), cast=Cast("orphan")),
        Mode("jobs", _harness, (_at_start, _at_end, _at_random), cast=Cast("job"), goes_back=True),
        Mode("in_flight", _alone, (_at_start,), most=1),
        Mode("take_over", _taken, (_at_start, _at_line, _at_random), most=1),
        Mode("torn_tail", stop_machine, _ANY, cast=_PROJECT, crash=Tear, goes_back=True),
        Mode("power_loss", stop_machine, _ANY, cast=_PROJECT, crash=PowerLoss, goes_back=True),
        Staged("snapshot", snapshot, _PROJECT),
        Staged("gc", gc, _PROJECT._replace(steps=1)),
        Staged("restore", restore, _PROJECT._replace(steps=1)),
    )
}
