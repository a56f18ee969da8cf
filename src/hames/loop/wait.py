"""Wait: until the provider may be asked again, in a way that a restart goes on with."""

import time
from math import ceil

from hames.core.errors import ModelError
from hames.core.events import WaitEnded, WaitStarted
from hames.core.limits import STAND_IN_AFTER_S
from hames.core.ports import Closed, Notice, Pass
from hames.core.text import for_terminal
from hames.loop.kit import Kit
from hames.loop.retry import OF_NO_USE, GiveUp, Spent, verdict
from hames.loop.stand_in import another_may_answer

LOOK_S = 15.0
"""The wall clock is looked at so often: it goes on while a machine sleeps, a timer does not."""

TOLD_S = 2.0
"""A shorter wait is not worth a line."""

LOGGED_S = 1.0
"""A shorter wait for others is not on the log."""


async def admitted(kit: Kit) -> Pass:
    """Leave to send a request. Waits for it; raises `ModelError` when that takes too long."""
    polled_s = 0.0
    told = False
    while isinstance(found := kit.answerer.gate.enter(), Closed):
        now = kit.clock.now()
        delay_s = max(found.until - now, 0.0)
        error = ModelError("overload", found.why, wait_s=delay_s)
        if delay_s >= STAND_IN_AFTER_S and another_may_answer(kit):
            raise error
        spent = spent_on(kit, polled_s)
        decided = verdict(error, found.until, now, spent, kit.limits.attempts)
        if isinstance(decided, GiveUp):
            raise ModelError("overload", decided.why)
        if delay_s >= LOGGED_S:
            await wait(kit, found.until, found.why)
            continue
        await kit.clock.sleep(delay_s)
        polled_s += delay_s
        if polled_s >= LOGGED_S and not told:
            kit.listener.delta(kit.view.step, Notice(f"waiting: {found.why}"))
            told = True
    return found


def spent_on(kit: Kit, more_s: float = 0.0, *, useless: int = 0) -> Spent:
    """What has gone into this step, and `more_s` and so many useless attempts that are not on the log."""
    trouble = kit.view.trouble
    spent_s = trouble.spent_ms / 1000 + more_s
    patience_s = kit.limits.patience_s
    left_s = None if patience_s is None else patience_s - spent_s
    return Spent(spent_s, useless + sum(trouble.kinds.get(kind, 0) for kind in OF_NO_USE), left_s)


def wait_event(until: float, reason: str) -> WaitStarted:
    """Nothing is sent before the wall time `until`, in seconds."""
    return WaitStarted(until_ms=ceil(until * 1000), reason=reason)


async def wait(kit: Kit, until: float, reason: str) -> None:
    """Put on the log that nothing is sent before the wall time `until`, and keep to it."""
    kit.journal.stage(wait_event(until, reason))
    await kit.journal.record()
    await rest(kit)


async def rest(kit: Kit) -> None:
    """Wait for the end of the wait that is on the log, also of one that a stopped process has begun."""
    waited = kit.view.wait
    if waited is None:
        return
    clock = kit.clock
    until = waited.until_ms / 1000
    # Never longer than it was meant to be: the wall clock may have been set back.
    end_s = clock.elapsed() + (waited.until_ms - waited.begun_ms) / 1000
    while (left_s := min(until - clock.now(), end_s - clock.elapsed())) > 0:
        await clock.sleep(min(left_s, LOOK_S))
    kit.journal.stage(WaitEnded(reason="it is time to try again"))


async def go_on_resting(kit: Kit) -> None:
    """Wait for the rest of a wait that a stopped process has begun, and say so: its event was told then."""
    waited = kit.view.wait
    if waited is not None:
        again = WaitStarted(until_ms=waited.until_ms, reason=waited.reason)
        words = waiting_words(again, max(int(kit.clock.now() * 1000), waited.begun_ms))
        if words:
            kit.listener.delta(kit.view.step, Notice(words))
    await rest(kit)


def waiting_words(wait: WaitStarted, at_ms: int) -> str:
    """What is waited for and until when, by the person's clock. `at_ms` is when it began; empty when it is
    over at once."""
    seconds = (wait.until_ms - at_ms) / 1000
    if seconds < TOLD_S:
        return ""
    until = time.localtime(wait.until_ms / 1000)
    shape = "%H:%M:%S" if seconds < 86_400 else "%d %b %H:%M:%S"
    return f"waiting until {time.strftime(shape, until)} ({seconds:.0f} s): {for_terminal(wait.reason)}"
