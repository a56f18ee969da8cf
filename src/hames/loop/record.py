"""Record: what happened, as events."""

from collections.abc import Sequence

import msgspec

from hames.core.errors import Problem
from hames.core.events import CallFinished, CallIntended, CallLost, ModelReplied, Outcome
from hames.core.ids import CallId, blob_id, call_id
from hames.core.limits import NOTE_BYTES
from hames.core.messages import Call, Text
from hames.core.ports import Prepared, Reply, ToolResult
from hames.core.text import clip
from hames.loop.reserve import Bill


def replied(reply: Reply, step: int, attempt: int, bill: Bill, total_s: float) -> ModelReplied:
    """A whole reply, its calls given ids of ours."""
    calls = tuple(
        msgspec.structs.replace(call, id=call_id(step, index))
        for index, call in enumerate(reply.message.calls)
    )
    return ModelReplied(
        step=step,
        attempt=attempt,
        message=msgspec.structs.replace(reply.message, calls=calls),
        finish=reply.finish,
        model=reply.model,
        raw=blob_id(reply.raw),
        usage=bill.cost.usage,
        nano_usd=bill.cost.nano_usd,
        first_byte_ms=int(reply.first_byte_s * 1000),
        total_ms=int(total_s * 1000),
        repairs=reply.repairs,
        estimated=bill.estimated,
    )


def intended(call: Call, step: int, prepared: Prepared | None) -> CallIntended:
    """The model asked for `call`; `prepared` is None when it cannot be read."""
    return CallIntended(
        call=call.id,
        step=step,
        tool=prepared.tool if prepared else call.name,
        args_hash=blob_id(call.arguments.encode()),
        effect=prepared.action.effect if prepared else "pure",
        via=prepared.via if prepared else None,
        repairs=prepared.repairs if prepared else (),
    )


def finished(call: CallId, result: ToolResult, elapsed_s: float, repairs: Sequence[str] = ()) -> CallFinished:
    """The call is over and came to `result`. The model is told first what had to be mended."""
    note = clip(f"[mended: {'; '.join(repairs)}", NOTE_BYTES - 1) + "]"
    return CallFinished(
        call=call,
        outcome=result.outcome,
        parts=(Text(note), *result.parts) if repairs else result.parts,
        elapsed_ms=int(elapsed_s * 1000),
        output=result.output,
        command=result.command,
        files=result.files,
        todos=result.todos,
        lost=result.lost,
    )


def unrun(call: CallId, outcome: Outcome, words: str) -> CallFinished:
    """The call is over, and `words` say why it did not do what was asked."""
    return CallFinished(call=call, outcome=outcome, parts=(Text(words),))


def problem(call: CallId, error: Problem) -> CallFinished:
    """The arguments of the call could not be read."""
    return unrun(call, "invalid", str(error))


def lost(call: CallId, words: Sequence[str], why: str) -> CallLost:
    """The call was started and nobody knows how it ended."""
    return CallLost(call=call, parts=(Text("\n".join(words)),), why=why)
