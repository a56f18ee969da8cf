"""Act: judge the calls of a reply, run them, and observe what came of it."""

from collections.abc import Iterator, Sequence

import anyio
import msgspec

from hames.context.view import OpenCall
from hames.core.errors import (
    ArgumentProblem,
    DamagedLog,
    LauncherError,
    Problem,
    SandboxError,
    StoreError,
    StoreFull,
)
from hames.core.events import (
    NOBODY,
    CallFinished,
    CallJudged,
    CallStarted,
    Effect,
    FileIntent,
    ModelReplied,
    Outcome,
)
from hames.core.ids import BlobId, CallId
from hames.core.limits import CALLS_PER_REPLY, PARALLEL_CALLS
from hames.core.messages import Call, Text
from hames.core.ports import Action, CallContext, Judgement, Prepared, Reconcilable, Subject, ToolResult
from hames.loop.approve import approve
from hames.loop.correct import noted
from hames.loop.kit import Kit
from hames.loop.look import changed_since, look, look_after
from hames.loop.record import finished, intended, problem, unrun


class Judged(msgspec.Struct, frozen=True):
    """A call that can be read, and the verdict on it."""

    call: Call
    prepared: Prepared
    subject: Subject
    judgement: Judgement
    attempt: int = 1


Plan = Judged | CallFinished
"""What is to be done with one call: run it, or only tell the model why not."""


async def act(kit: Kit, reply: ModelReplied) -> None:
    """Put `reply` and its calls on the log, and run them in the model's order.

    Neighbours that change nothing run side by side; a call that may change something runs alone.
    Every call ends with exactly one result on the log, in the order in which the model asked.
    """
    await carry_out(kit, judge(kit, reply.message.calls, reply.step))


def judge(kit: Kit, calls: Sequence[Call], step: int) -> list[Plan]:
    """Stage the intent and the verdict of each call."""
    plans: list[Plan] = []
    for index, call in enumerate(calls):
        prepared = _prepare(kit, call)
        readable = prepared if isinstance(prepared, Prepared) else None
        kit.journal.stage(intended(call, step, readable))
        if index >= CALLS_PER_REPLY:
            words = f"[not run: at most {CALLS_PER_REPLY} calls are run of one reply]"
            plans.append(unrun(call.id, "not_run", words))
        elif isinstance(prepared, Prepared):
            plans.append(_judge_one(kit, call, prepared))
        else:
            plans.append(prepared)
    return plans


def judge_again(kit: Kit, was: OpenCall) -> Plan:
    """The plan for a call whose intent is on the log but not its end: the policy may have changed."""
    prepared = _prepare(kit, was.call)
    if isinstance(prepared, CallFinished):
        return prepared
    plan = _judge_one(kit, was.call, prepared)
    attempt = was.started.attempt + 1 if was.started is not None else 1
    return msgspec.structs.replace(plan, attempt=attempt)


def prepared_action(kit: Kit, call: Call) -> Action | None:
    """The action behind a call, None when it cannot be read (any more)."""
    prepared = _prepare(kit, call)
    return prepared.action if isinstance(prepared, Prepared) else None


def _prepare(kit: Kit, call: Call) -> Prepared | CallFinished:
    try:
        return kit.tools.prepare(call.name, call.arguments)
    except ArgumentProblem as error:
        return problem(call.id, error)


def _judge_one(kit: Kit, call: Call, prepared: Prepared) -> Judged:
    subject = prepared.action.subject(kit.view.cwd)
    judgement = kit.policy.judge(subject, prepared.action.effect)
    kit.journal.stage(
        CallJudged(call=call.id, verdict=judgement.verdict, rule=judgement.rule, why=judgement.why)
    )
    return Judged(call, prepared, subject, judgement)


async def carry_out(kit: Kit, plans: Sequence[Plan]) -> None:
    """Run what may be run, in groups; a group's start is durable before anything of it runs."""
    for group in side_by_side(plans):
        runnable: list[Judged] = []
        for plan in group:
            if isinstance(plan, CallFinished):
                kit.journal.stage(plan)
            elif (refusal := await _refusal(kit, plan)) is None:
                runnable.append(plan)
            else:
                kit.journal.stage(refusal)
        runnable = [plan for plan in runnable if await _start(kit, plan)]
        if runnable:
            await kit.journal.record()
            await _run_group(kit, runnable)


async def _start(kit: Kit, plan: Judged) -> bool:
    """Stage that the call starts, with what it is about to do where that can be looked up afterwards.

    A call that finds beforehand that it cannot be done is not started.
    """
    intents: tuple[FileIntent, ...] = ()
    action = plan.prepared.action
    if action.effect == "reconcilable" and isinstance(action, Reconcilable):
        try:
            intents = await action.plan(context_of(kit, plan.call.id))
        except Problem as error:
            kit.journal.stage(unrun(plan.call.id, "failed", str(error)))
            return False
    tree = await look(kit, _paths(intents)) if may_write(action.effect) else None
    kit.journal.stage(CallStarted(call=plan.call.id, attempt=plan.attempt, intents=intents, tree_before=tree))
    return True


def may_write(effect: Effect) -> bool:
    """Whether a call of this kind may change the workspace."""
    return effect != "pure"


def _paths(intents: Sequence[FileIntent]) -> list[str] | None:
    """All that a call will change, where it has said so."""
    return [intent.path for intent in intents] or None


def context_of(kit: Kit, call: CallId) -> CallContext:
    """What a call may know of the session."""
    view = kit.view
    started = view.open_calls[call].started
    return CallContext(
        call=call,
        cwd=view.cwd,
        seen=view.seen,
        jobs=view.jobs,
        outputs=view.outputs,
        intents=started.intents if started is not None else (),
        back=kit.back,
    )


def side_by_side(plans: Sequence[Plan]) -> Iterator[list[Plan]]:
    """Neighbouring calls that may run together: those that change nothing, and need nobody's word."""
    group: list[Plan] = []
    for plan in plans:
        if isinstance(plan, Judged) and _shares(plan) and len(group) < PARALLEL_CALLS:
            group.append(plan)
            continue
        if group:
            yield group
        group = [plan]
        if not (isinstance(plan, Judged) and _shares(plan)):
            yield group
            group = []
    if group:
        yield group


def _shares(plan: Judged) -> bool:
    return plan.prepared.action.effect == "pure" and plan.judgement.verdict != "ask"


async def _refusal(kit: Kit, plan: Judged) -> CallFinished | None:
    """Why the call may not run, or None. Asks a person where the verdict says so."""
    call, judgement = plan.call.id, plan.judgement
    if judgement.verdict == "deny":
        return unrun(call, "denied", f"[denied: {judgement.why or judgement.rule}]")
    if judgement.verdict != "ask":
        return None
    answer = await approve(kit, call, plan.prepared, plan.subject, judgement.why)
    if answer.allowed:
        return None
    if answer.by == NOBODY:
        words = f"[denied: this needs a person's approval and nobody is here to give it: {judgement.why}]"
        return unrun(call, "denied", words)
    said = f": {answer.words}" if answer.words else ""
    return unrun(call, "denied", f"[denied by the user{said}]")


async def _run_group(kit: Kit, group: Sequence[Judged]) -> None:
    """Run these together. Results are staged in the model's order, also those of a cancelled group.

    Raises `SandboxError` when there is no boundary to run them in: then nothing of the call was done. Raises
    `StoreFull` when what a call gave could not be kept.
    """
    results: dict[CallId, tuple[CallFinished, ToolResult]] = {}
    broken: list[SandboxError | StoreFull] = []

    async def run(plan: Judged) -> None:
        begun_s = kit.clock.elapsed()
        try:
            result = await run_one(kit, plan)
        except SandboxError as error:
            broken.append(error)
            result = _told("not_run", f"[not run: {error}]")
        except StoreFull as error:
            broken.append(error)
            result = _told("failed", f"[it was run, but what it gave could not be kept: {error}]")
        event = finished(plan.call.id, result, kit.clock.elapsed() - begun_s, plan.prepared.repairs)
        results[plan.call.id] = (event, result)

    try:
        if len(group) == 1:
            await run(group[0])
        else:
            async with anyio.create_task_group() as tasks:
                for plan in group:
                    tasks.start_soon(run, plan)
    finally:
        tree = await _tree_after(kit, group) if results else None
        for plan in group:
            if plan.call.id in results:
                event, result = results[plan.call.id]
                if result.lost:
                    parts = (*event.parts, *await changed_since(kit, event.call, tree))
                    event = msgspec.structs.replace(event, parts=parts)
                event = msgspec.structs.replace(event, tree_after=tree) if tree else event
                event = await noted(kit, plan.subject.command, event)
                kit.journal.stage(*((result.job,) if result.job else ()), event, blobs=result.blobs)
    if broken:
        raise broken[0]


async def _tree_after(kit: Kit, group: Sequence[Judged]) -> BlobId | None:
    """What a group has left, when it may have written: such a call is alone in its group.

    One that has said what it writes is looked at only there, also when it is lost: what is found elsewhere
    was there before it, or is somebody else's.
    """
    started = kit.view.open_calls[group[0].call.id].started
    if started is None or not may_write(group[0].prepared.action.effect):
        return None
    return await look_after(kit, _paths(started.intents))


async def run_one(kit: Kit, plan: Judged) -> ToolResult:
    """Run one call. Whatever goes wrong inside the tool becomes a result the model can act on.

    Raises `SandboxError` and `StoreError`: with those nothing can go on.
    """
    try:
        return await plan.prepared.action.run(context_of(kit, plan.call.id))
    except (Problem, DamagedLog) as error:
        return _told("failed", str(error))
    except LauncherError as error:
        return _told("failed", f"[outcome not known: {error}]", lost=True)
    except (SandboxError, StoreError):
        raise
    except Exception as error:  # noqa: BLE001 - a tool is foreign code; its crash is recorded
        return _told("failed", f"[the tool {plan.prepared.tool} crashed: {type(error).__name__}: {error}]")


def _told(outcome: Outcome, words: str, *, lost: bool = False) -> ToolResult:
    return ToolResult(outcome, (Text(words),), lost=lost)
