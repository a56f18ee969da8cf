"""One turn: assemble -> ask -> act (judge, run, observe) -> record -> shrink, until nothing is owed."""

from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import msgspec

from hames.core.errors import ModelError, OverLimit, SandboxError, StoreFull
from hames.core.events import LimitReached, ModelReplied, Outcome, TurnEnded, UserSpoke
from hames.core.messages import Text
from hames.loop.act import act
from hames.loop.adapt import adapt
from hames.loop.ask import Answered, ask
from hames.loop.assemble import assemble
from hames.loop.budget import keep_to_limits
from hames.loop.correct import correct
from hames.loop.endings import Ending, failed, named_jobs, stopped
from hames.loop.goal import pursue, reached
from hames.loop.kit import Kit
from hames.loop.look import look_after, with_tree
from hames.loop.record import replied, unrun
from hames.loop.reserve import bill
from hames.loop.shrink import shrink
from hames.loop.stand_in import come_back, too_dear
from hames.loop.steer import steer
from hames.loop.stuck import unstick
from hames.loop.time_limit import within_time

CUT_NOTE = "[Your last reply was cut at the output limit. Go on from where it stopped, in smaller parts.]"


async def run_turn(kit: Kit, first: Callable[[Kit], Awaitable[None]] | None = None) -> TurnEnded:
    """Answer what stands at the end of the view. The ending is on the log when this returns. `first` is done
    before anything else: it settles what an interrupted turn has left open.

    Cancellation is recorded, with what had been done, and raised on. A full disk ends the turn: the store
    keeps room to record that. Raises `StoreFull` when even that does not fit.
    """
    try:
        ending = await within_time(kit, partial(_answer, kit, first))
    except OverLimit as error:
        await _close_calls(kit, "cancelled", f"[stopped: {error}]")
        kit.journal.stage(LimitReached(limit=error.limit, value=error.value))
        ending = stopped(error)
    except ModelError as error:
        ending = failed(error)
    except SandboxError as error:
        await _close_calls(kit, "not_run", "[not run: there is no sandbox to run it in]")
        ending = Ending("failed", str(error), "sandbox")
    except StoreFull as error:
        await _close_calls(kit, "not_run", "[not run: the disk is full]")
        kit.journal.stage(LimitReached(limit="disk", value=0))
        ending = Ending("failed", str(error), "disk")
    except anyio.get_cancelled_exc_class():
        with anyio.CancelScope(shield=True):
            await _end(kit, await _cancelled(kit))
        raise
    return await _end(kit, ending)


async def _answer(kit: Kit, first: Callable[[Kit], Awaitable[None]] | None) -> Ending:
    if first is not None:
        await first(kit)
    left = kit.view.unsettled
    if left is not None and (ending := await _settle(kit, left)) is not None:
        return ending
    while True:
        await steer(kit)
        keep_to_limits(kit)
        if (ending := unstick(kit)) is not None:
            return ending
        await correct(kit)
        answered = await _ask(kit)
        reply = _record(kit, answered)
        if reply.message.calls:
            await act(kit, reply)
            continue
        if (ending := await _settle(kit, reply)) is not None:
            return ending


async def _ask(kit: Kit) -> Answered:
    while True:
        come_back(kit)
        try:
            request = await assemble(kit)
            request = await shrink(kit, request) or request
            return await ask(kit, request)
        except OverLimit:
            if not too_dear(kit):
                raise
        except ModelError as error:
            if not await adapt(kit, error):
                raise


def _record(kit: Kit, answered: Answered) -> ModelReplied:
    reply = answered.reply
    event = replied(reply, answered.step, answered.attempt, bill(kit, reply), answered.total_s)
    kit.journal.stage(event, blobs=(reply.raw,))
    return event


async def _settle(kit: Kit, reply: ModelReplied) -> Ending | None:
    """The model has nothing more to run: the turn's ending, or None when something is still owed."""
    if reply.finish == "filter":
        return Ending("refused", "the provider's content filter stopped the reply", "content_filter")
    if reply.finish == "length":
        kit.journal.stage(UserSpoke(parts=(Text(CUT_NOTE),), source="harness"))
        return None
    if await steer(kit):
        return None
    if kit.view.awaited:
        await kit.journal.record()
        await kit.jobs.wait(kit.view.awaited, kit.limits.wait_jobs_s)
        if await steer(kit):
            return None
        return await _leave_jobs(kit)
    if unapproved := kit.view.report.unapproved:
        return Ending("blocked", f"a person is needed: {unapproved[0].why}", "approval")
    if (missed := await pursue(kit)) is not None:
        return missed.ending
    if kit.view.detached:
        return Ending(
            "unfinished_background", f"detached jobs run on: {named_jobs(kit.view.jobs)}", "detached"
        )
    return reached(kit)


async def _leave_jobs(kit: Kit) -> Ending:
    names = named_jobs(kit.view.awaited)
    kit.journal.stage(*await with_tree(kit, await kit.jobs.stop(kit.view.awaited)))
    words = (
        f"background work was still unfinished after {kit.limits.wait_jobs_s:g} s and was stopped: {names}"
    )
    return Ending("unfinished_background", words, "jobs")


async def _cancelled(kit: Kit) -> Ending:
    await _close_calls(kit, "cancelled", "[cancelled by the user; it was stopped]")
    return Ending("cancelled", "cancelled by the user", "signal")


async def _close_calls(kit: Kit, outcome: Outcome, words: str) -> None:
    """Give each open call an end: these words if it was started, else that it was not."""
    for call in tuple(kit.view.open_calls.values()):
        if call.started is None:
            end = unrun(call.call.id, "not_run", "[not run: the turn was stopped before it started]")
        else:
            end = unrun(call.call.id, outcome, words)
            if call.started.tree_before is not None:
                end = msgspec.structs.replace(end, tree_after=await look_after(kit))
        kit.journal.stage(end)


async def _end(kit: Kit, ending: Ending) -> TurnEnded:
    view = kit.view
    event = TurnEnded(
        turn=view.turn,
        ending=ending.kind,
        reason=ending.reason,
        code=ending.code,
        steps=view.turn_steps,
        verified=view.verified.checks,
        unverified_changes=view.verified.has_unverified,
    )
    await kit.journal.record(event)
    return event
