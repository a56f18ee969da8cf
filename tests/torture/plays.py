"""Runs that are struck at counted operations of the harness: in a look, in a restore, in a sweep."""

from collections.abc import Awaitable, Callable
from signal import SIGKILL
from typing import NamedTuple

from tests.torture.going_back import Traveller
from tests.torture.life import Cast, Run
from tests.torture.striker import Reach, Strike, drawn

Play = Callable[[Run], Awaitable[None]]
"""A whole run, from the first start to the last word."""

LAST_LIVES = 4
"""So often may the harness be started after the last strike, until it is done."""


SWEEPING = 60
"""About so many changes does a deletion or a sweep make."""


GONE = b"there is no session"


class Staged(NamedTuple):
    """A mode that is a play of its own."""

    name: str
    play: Play
    cast: Cast


async def snapshot(run: Run) -> None:
    """Struck while it looks at the workspace, and while it keeps what it has seen."""
    traveller = Traveller(run)
    traveller.begin_turn()
    for _ in range(3):
        if not run.done:
            await _live(run, _in_look(run))
    for _ in range(LAST_LIVES):
        if not run.done:
            await _live(run)
    traveller.end_turn()
    await traveller.go(traveller.undo())
    await traveller.go(traveller.redo())


async def restore(run: Run) -> None:
    """Struck while it puts back."""
    traveller = Traveller(run)
    for turn in range(2):
        if turn or run.random.random() < 0.5:
            traveller.edit()
        traveller.begin_turn()
        await _live(run, says=bool(turn))
        traveller.end_turn()
    for _ in range(3):
        if run.random.random() < 0.6:
            traveller.edit()
        await traveller.go(traveller.choose(), strikes=run.random.randint(2, 3))
    await run.export()
    await traveller.fork()
    await _live(run, says=True)


async def gc(run: Run) -> None:
    """Struck while it deletes a session and sweeps, beside another session at work."""
    sessions: list[tuple[str, Traveller]] = []
    for _ in range(2):
        sessions.append((run.target.session, await _whole(run)))
        run.next_session()
    traveller = Traveller(run)
    traveller.begin_turn()
    async with run.life() as life:
        post = await run.posted(life)
        if post is not None:
            await run.meet(life, post.begun)
        await _swept(run, run.target.delete(sessions[0][0]))
        await _swept(run, run.target.sweep())
        run.open_gates()
        await _swept(run, run.target.sweep())
        await run.until(life, lambda: False)
    traveller.end_turn()
    sessions.append((run.target.session, traveller))
    await _swept(run, run.target.sweep())
    await _judge_sweep(run, [session for session, _ in sessions[1:]])
    for session, each in reversed(sessions[1:]):
        run.target.session = session
        await each.go(each.undo())
    run.target.session = sessions[-1][0]


async def _whole(run: Run) -> Traveller:
    traveller = Traveller(run)
    traveller.begin_turn()
    await _live(run)
    traveller.end_turn()
    return traveller


async def _swept(run: Run, words: list[str]) -> None:
    """Struck up to three times, and then to its end."""
    for _ in range(run.random.randint(1, 3)):
        strike = Strike("changes", run.random.randint(1, SWEEPING), run.target.state)
        if (await run.command(words, strike=strike)).returncode != -SIGKILL:
            return
    ran = await run.command(words)
    if ran.returncode and GONE not in ran.stderr:  # A deletion that was struck may have come so far.
        run.faults.append(f"{' '.join(words[3:])} ended with {ran.returncode}: {ran.stderr.decode()[-500:]}")


async def _judge_sweep(run: Run, sessions: list[str]) -> None:
    """The law *swept*: all is sound, and what is left is named."""
    ran = await run.command(run.target.check_all())
    if ran.returncode:
        run.faults.append(f"swept: {ran.stdout.decode()[-500:]}")
    ran = await run.command(run.target.sweep())
    if b" 0 payloads" not in ran.stdout or b" 0 leftovers" not in ran.stdout or b"kept" in ran.stdout:
        run.faults.append(f"swept: a further sweep says {ran.stdout.decode()!r}")
    named = b""
    for session in sessions:
        run.target.session = session
        named += (await run.command(run.target.export())).stdout
    left = [name for name in run.target.payloads() if name.encode() not in named]
    run.faults += [f"swept: {name} is left, and nothing names it" for name in left]


async def _live(run: Run, strike: Strike | None = None, *, says: bool = False) -> None:
    async with run.life(says=says, strike=strike) as life:
        await run.until(life, lambda: False)


def _in_look(run: Run) -> Strike:
    state, workspace = run.target.state, run.target.workspace
    return drawn(
        run.random,
        Reach("opens", 700, workspace),
        Reach("changes", 6, state / "blobs"),
        Reach("changes", 16, state / "run"),
        Reach("changes", 250, state),
    )
