"""Resume: what becomes of calls that a stopped process left open."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from hames.context.assemble import body_blobs
from hames.context.view import OpenCall, View
from hames.core.events import CallFinished, CallLost, Entry, RequestSent
from hames.core.ids import BlobId
from hames.loop.act import Plan, carry_out, judge_again
from hames.loop.kit import Kit
from hames.loop.record import lost, unrun

INTERRUPTED = "[not run: hames was stopped before it started]"
AFTER_LOSS = "[not run: the outcome of an earlier call of the same reply is not known]"


async def go_on(kit: Kit) -> None:
    """Give every open call an end, running what may be run: nothing with an effect runs twice.

    A call that was not started is run now. One that was, and changes nothing, is run again. Any other is
    lost, and what stood after it is not run: the model decides with what it is told.
    """
    plans: list[Plan] = []
    any_lost = False
    for was in tuple(kit.view.open_calls.values()):
        if was.started is not None and not _repeatable(was):
            any_lost = True
            kit.journal.stage(describe_lost(was, int(kit.clock.now() * 1000)))
        elif any_lost:
            plans.append(unrun(was.call.id, "not_run", AFTER_LOSS))
        else:
            plans.append(judge_again(kit, was))
    await carry_out(kit, plans)


def give_up(view: View, now_ms: int) -> list[CallFinished | CallLost]:
    """Ends for the open calls of a turn that the user has gone on from: nothing more is run."""
    return [
        unrun(was.call.id, "not_run", INTERRUPTED) if was.started is None else describe_lost(was, now_ms)
        for was in view.open_calls.values()
    ]


def _repeatable(was: OpenCall) -> bool:
    return was.intended is not None and was.intended.effect in ("pure", "idempotent")


def describe_lost(was: OpenCall, now_ms: int) -> CallLost:
    """What is known of a call whose outcome is not."""
    begun = datetime.fromtimestamp(was.started_ms / 1000, UTC).strftime("%H:%M:%S UTC")
    before_s = max(0, now_ms - was.started_ms) // 1000
    words = (
        f"[outcome not known: hames was stopped while this call was running. It started at {begun}, "
        f"{before_s} s ago; what it ran was stopped with it.]",
        f"The call: {was.call.name} {was.call.arguments}",
        "It may have done all, some or none of its work. Look at the world before you decide to repeat it.",
    )
    return lost(was.call.id, words, "the process that ran it was stopped")


def requests_in(entries: Sequence[Entry]) -> dict[int, RequestSent]:
    """All requests of a session, by sequence number."""
    return {entry.seq: entry.event for entry in entries if isinstance(entry.event, RequestSent)}


def logged_prefix(requests: Mapping[int, RequestSent], seq: int) -> tuple[BlobId, ...]:
    """The head and the pieces of the request at `seq`: what the next request extends."""
    return body_blobs(requests, seq)[:-1]
