"""Ask: send the request, listen to the reply, and try again where that can help."""

from contextlib import aclosing

import msgspec

from hames.context.assemble import Assembled, images_in, request_event
from hames.context.view import View
from hames.core.backoff import backoff_s
from hames.core.errors import RETRYABLE, ModelError
from hames.core.events import ModelFailed, RequestSent, WaitEnded, WaitStarted
from hames.core.ids import blob_id
from hames.core.ports import Reply
from hames.loop.kit import Kit
from hames.models.salvage import salvaged


class Answered(msgspec.Struct, frozen=True):
    """A reply, the step and attempt it belongs to, and how long it took in all."""

    step: int
    attempt: int
    reply: Reply
    total_s: float


async def assemble(kit: Kit) -> Assembled:
    """The next request body."""
    shown = images_in(kit.view.messages[kit.assembler.encoded :])
    if shown:
        await kit.journal.record()  # A picture that is only staged cannot be read back yet.
    images = {blob: await kit.blobs.get(blob) for blob in shown}
    return kit.assembler.assemble(kit.view.messages, kit.answerer.options, images)


async def ask(kit: Kit, request: Assembled) -> Answered:
    """The model's reply to `request`.

    Each attempt is on the log before its first byte leaves, and sends the same bytes. Raises the
    `ModelError` of the last attempt when trying again cannot help or has not helped.
    """
    step, attempt = _next_attempt(kit.view)
    last = attempt + kit.limits.attempts - 1
    while True:
        event = request_event(request, step, attempt, kit.view.segment)
        kit.journal.stage(event, blobs=request.blobs)
        # Also if the disk is full now: then the event goes to the log with the end of the turn.
        kit.assembler.sent(kit.view.head)
        await kit.journal.record()
        kit.trees.begin()
        begun_s = kit.clock.elapsed()
        try:
            reply = await _listen(kit, request, step)
        except ModelError as error:
            again = error.kind in RETRYABLE and attempt < last
            await _note_failure(kit, error, event, again=again)
            if not again:
                raise
        else:
            return Answered(step, attempt, reply, kit.clock.elapsed() - begun_s)
        request = await assemble(kit)
        attempt += 1


def _next_attempt(view: View) -> tuple[int, int]:
    """The step and attempt to go on with: a request that was never answered is tried again."""
    last = view.last_request
    if last is None or last.messages != len(view.messages):
        return view.step + 1, 1
    return last.event.step, last.event.attempt + 1


async def _listen(kit: Kit, request: Assembled, step: int) -> Reply:
    async with aclosing(kit.answerer.model.ask(request.body)) as stream:
        async for item in stream:
            if isinstance(item, Reply):
                return salvaged(item, [spec.name for spec in kit.tools.specs()])
            kit.listener.delta(step, item)
    raise ModelError("cut", "the model's stream ended without a reply")


async def _note_failure(kit: Kit, error: ModelError, request: RequestSent, *, again: bool) -> None:
    failed = ModelFailed(
        step=request.step,
        attempt=request.attempt,
        kind=error.kind,
        message=str(error),
        status=error.status,
        wait_s=error.wait_s,
        raw=blob_id(error.raw) if error.raw else None,
    )
    blobs = (error.raw,) if error.raw else ()
    if not again:
        await kit.journal.record(failed, blobs=blobs)
        return
    delay_s = error.wait_s
    if delay_s is None:
        delay_s = backoff_s(request.attempt, kit.chance.fraction())
    until_ms = int((kit.clock.now() + delay_s) * 1000)
    await kit.journal.record(failed, WaitStarted(until_ms=until_ms, reason=str(error)), blobs=blobs)
    await kit.clock.sleep(delay_s)
    kit.journal.stage(WaitEnded(reason="it is time to try again"))
