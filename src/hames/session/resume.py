"""Resume: what a stopped process has left open, and what becomes of it."""

from collections.abc import Sequence
from datetime import UTC, datetime

from hames.context.view import LastRequest, OpenCall
from hames.core.errors import DamagedLog
from hames.core.events import AnyEvent, CallLost, Entry, FilesRestored, RestoreStarted
from hames.core.ports import Attachable, Blobs, Reconcilable, Settled, ToolResult
from hames.loop.act import Plan, carry_out, context_of, judge_again, prepared_action
from hames.loop.goal import drop_check
from hames.loop.kit import Kit
from hames.loop.look import with_tree
from hames.loop.record import finished, lost, unrun

INTERRUPTED = "[not run: hames was stopped before it started]"
UNFINISHED = "[not finished: hames was stopped while this ran; it can be made again without harm]"
AFTER_LOSS = "[not run: the outcome of an earlier call of the same reply is not known]"


async def go_on(kit: Kit) -> None:
    """Give every open call an end, running what may be run: nothing with an effect runs twice.

    A call that was not started is run now. One that was is found again, or looked up in the world, where
    that is possible, run again where that changes nothing, and else lost; what stood after a lost one is not
    run: the model decides with what it is told.
    """
    await drop_check(kit)
    plans: list[Plan] = []
    any_lost = False
    for was in tuple(kit.view.open_calls.values()):
        if was.started is not None:
            found = await settle(kit, was, wait=True)
            if found:
                any_lost = any_lost or isinstance(found[-1], CallLost)
                kit.journal.stage(*await with_tree(kit, found))
                continue
        if any_lost:
            plans.append(unrun(was.call.id, "not_run", AFTER_LOSS))
        else:
            plans.append(judge_again(kit, was))
    await carry_out(kit, plans)


async def give_up(kit: Kit) -> None:
    """Stage ends for the open calls of a turn that the user has gone on from: nothing more is run, and what
    still runs becomes a background job."""
    await drop_check(kit)
    for was in tuple(kit.view.open_calls.values()):
        found = await settle(kit, was, wait=False) if was.started is not None else ()
        words = INTERRUPTED if was.started is None else UNFINISHED
        kit.journal.stage(*(await with_tree(kit, found) or (unrun(was.call.id, "not_run", words),)))


async def settle(kit: Kit, was: OpenCall, *, wait: bool) -> tuple[AnyEvent, ...]:
    """What became of a call that was started, its end last; nothing when it has had no effect and may be
    run again. `wait`: the turn goes on, so what still runs is waited for, and what is partly done is finished
    by running it again."""
    assert was.started is not None
    now_ms = int(kit.clock.now() * 1000)
    effect = was.intended.effect if was.intended is not None else "effectful"
    if effect in ("pure", "idempotent"):
        return ()
    action, context = prepared_action(kit, was.call), context_of(kit, was.call.id)
    if isinstance(action, Attachable):
        settled = await action.attach(context, wait=wait)
    elif was.started.intents and isinstance(action, Reconcilable):
        settled = await action.reconcile(context, was.started.intents)
    else:
        settled = Settled("unknown")
    if settled.state == "undone" or (settled.state == "partly" and wait):
        return ()
    if settled.state == "done" and settled.result is not None:
        return _ended(was, settled.result)
    return (describe_lost(was, now_ms, settled.words),)


def _ended(was: OpenCall, result: ToolResult) -> tuple[AnyEvent, ...]:
    elapsed_s = result.command.elapsed_s if result.command is not None else 0
    repairs = was.intended.repairs if was.intended is not None else ()
    end = finished(was.call.id, result, elapsed_s, repairs)
    return (end,) if result.job is None else (result.job, end)


def describe_lost(was: OpenCall, now_ms: int, found: str = "") -> CallLost:
    """What is known of a call whose outcome is not. `found` is what a look at the world has told."""
    begun = datetime.fromtimestamp(was.started_ms / 1000, UTC).strftime("%H:%M:%S UTC")
    before_s = max(0, now_ms - was.started_ms) // 1000
    words = (
        f"[outcome not known: hames was stopped while this call was running. It started at {begun}, "
        f"{before_s} s ago.]",
        f"The call: {was.call.name} {was.call.arguments}",
        *((found,) if found else ()),
        "It may have done all, some or none of its work. Look at the world before you decide to repeat it.",
    )
    return lost(was.call.id, words, found or "hames was stopped while it ran")


def cut_short(entries: Sequence[Entry]) -> RestoreStarted | None:
    """The restore that somebody has begun and not come to the end of."""
    for entry in reversed(entries):
        match entry.event:
            case RestoreStarted() as event:
                return event
            case FilesRestored():
                return None
            case _:
                pass
    return None


async def prefix_of(last: LastRequest, blobs: Blobs) -> tuple[bytes, list[bytes]]:
    """The head and the pieces of the last request: what the next one extends.

    Raises `DamagedLog` when a request that it extends is gone.
    """
    if last.pieces is None:
        raise DamagedLog(f"a request that the one at entry {last.seq} extends is gone")
    return await blobs.get(last.event.head), [await blobs.get(blob) for blob in last.pieces]
