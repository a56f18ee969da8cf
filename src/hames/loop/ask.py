"""Ask: send the request, listen to the reply, and send it again where that can help."""

from contextlib import aclosing

import msgspec

from hames.context.assemble import Assembled, request_event
from hames.context.count import context_tokens
from hames.context.view import View
from hames.core.backoff import backoff_s
from hames.core.errors import ModelError
from hames.core.events import AnyEvent, Cost, LimitReached, ModelFailed, RequestSent
from hames.core.ids import blob_id
from hames.core.limits import LEARNT_SHARE
from hames.core.ports import Pass, Reply
from hames.loop.assemble import assemble, window_of
from hames.loop.kit import Kit
from hames.loop.reserve import Heard, cost_of_failure, most_of
from hames.loop.retry import OF_NO_USE, OF_THE_PROVIDER, GiveUp, TryAgain, verdict
from hames.loop.stand_in import is_time_for_another
from hames.loop.wait import admitted, go_on_resting, rest, spent_on, wait_event
from hames.models.salvage import salvaged


class Answered(msgspec.Struct, frozen=True):
    """A reply, the step and attempt it belongs to, and how long it took in all."""

    step: int
    attempt: int
    reply: Reply
    total_s: float


async def ask(kit: Kit, request: Assembled) -> Answered:
    """The model's reply to `request`.

    Each attempt is on the log before its first byte leaves, with what is set aside for it, and sends the same
    bytes, unless there is less left to pay for. Raises the `ModelError` of the last attempt when sending it
    again cannot help or has not helped, and `OverLimit` when the next one cannot be paid.
    """
    await go_on_resting(kit)
    step, attempt = _next_attempt(kit.view)
    while True:
        passage = await admitted(kit)
        try:
            if not kit.purse.fits(most_of(kit, request.options, request.prefix)):
                request = await assemble(kit)  # While this waited somebody else has taken of what was left.
            most = most_of(kit, request.options, request.prefix)
            event = request_event(request, step, attempt, kit.view.segment, most)
            kit.journal.stage(event, blobs=request.blobs)
            # Also if the disk is full now: then the event goes to the log with the end of the turn.
            kit.assembler.sent(kit.view.head)
            await kit.journal.record()
            kit.trees.begin()
            begun_s = kit.clock.elapsed()
            heard = Heard()
            try:
                reply = await _listen(kit, event, request, passage, heard)
            except ModelError as error:
                cost = cost_of_failure(error, heard, most)
                await _failed(kit, error, Failed(event, cost, kit.clock.elapsed() - begun_s), passage)
            else:
                kit.asking.answered()
                return Answered(step, attempt, reply, kit.clock.elapsed() - begun_s)
        finally:
            passage.close()
        await rest(kit)
        request = await assemble(kit)
        attempt += 1


def _next_attempt(view: View) -> tuple[int, int]:
    """The step and attempt to go on with: a request that was never answered is tried again."""
    last = view.last_request
    if last is None or last.messages != len(view.messages):
        return view.step + 1, 1
    return last.event.step, last.event.attempt + 1


async def _listen(kit: Kit, event: RequestSent, request: Assembled, passage: Pass, heard: Heard) -> Reply:
    async with aclosing(kit.answerer.model.ask(request.body)) as stream:
        async for item in stream:
            if not heard.any_came:
                passage.answered()
            heard.take(item)
            if isinstance(item, Reply):
                return salvaged(item, [spec.name for spec in kit.tools.specs()])
            kit.listener.delta(event.step, item)
    raise ModelError("cut", "the model's stream ended without a reply")


class Failed(msgspec.Struct, frozen=True):
    """An attempt that came to nothing: its request, what it counts for, and how long it took."""

    request: RequestSent
    cost: Cost | None
    elapsed_s: float


async def _failed(kit: Kit, error: ModelError, failed: Failed, passage: Pass) -> None:
    """Put a failed attempt on the log, with the wait for the next one. Raises when there is to be none."""
    now = kit.clock.now()
    spent = spent_on(kit, failed.elapsed_s, useless=int(error.kind in OF_NO_USE))
    if error.kind in OF_THE_PROVIDER:
        at = passage.refused(error.wait_s, str(error))
    else:
        at = now + backoff_s(kit.view.trouble.failures + 1, kit.chance.fraction())
    decided = verdict(error, at, now, spent, kit.limits.attempts)
    events: list[AnyEvent] = [_failure(kit, error, failed)]
    last: ModelError | None = None
    match decided:
        case TryAgain() if is_time_for_another(kit, error, spent.spent_s, at - now):
            last = error
        case TryAgain():
            events.append(wait_event(decided.at, str(error)))
        case GiveUp():
            last = error
            if decided.limit:
                last = ModelError(error.kind, decided.why, status=error.status, raw=error.raw)
                value = kit.limits.attempts if decided.limit == "attempts" else spent.spent_s
                events.append(LimitReached(limit=decided.limit, value=value))
    await kit.journal.record(*events, blobs=(error.raw,) if error.raw else ())
    if last is not None:
        raise last


def _failure(kit: Kit, error: ModelError, failed: Failed) -> ModelFailed:
    request, window = failed.request, None
    if error.kind == "overflow":
        taken = context_tokens(kit.view, request.size)
        # What the server names is the truth; else less went in than we thought there was room for.
        window = error.window or min(int(taken * LEARNT_SHARE), window_of(kit))
    return ModelFailed(
        step=request.step,
        attempt=request.attempt,
        kind=error.kind,
        message=str(error),
        status=error.status,
        wait_s=error.wait_s,
        raw=blob_id(error.raw) if error.raw else None,
        elapsed_ms=int(failed.elapsed_s * 1000),
        window=window,
        cost=failed.cost,
    )
