"""Headless: one input, one honest result, for scripts and CI."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Literal

import anyio
import msgspec
from anyio.streams.memory import MemoryObjectSendStream

from hames.context.lasting import Totals
from hames.context.report import Report, Told
from hames.context.view import View
from hames.core.errors import ExitCode, HamesError, OutputLost, UsageError
from hames.core.events import (
    NOBODY,
    CallFinished,
    CallLost,
    Entry,
    GoalChecked,
    ModelReplied,
    TurnEnded,
)
from hames.core.ids import CallId
from hames.core.messages import Text
from hames.core.ports import ApprovalAnswer, ApprovalRequest, Clock, Passing, Words
from hames.core.text import for_terminal, one_line
from hames.loop.endings import broken_off, exit_code, verified_words
from hames.loop.goal import UNKNOWN_FINISH, checked_words
from hames.session.interrupt import interruptible
from hames.session.session import Session

OutputFormat = Literal["text", "json", "stream-json"]

Write = Callable[[str], None]
"""Writes a line, at once."""

TOLD_CALLS = 5
"""So many different calls that were denied, or lost, are told one by one."""


class NobodyHere:
    """The `Approver` of a run that no person watches: always no, and said so."""

    async def ask(self, request: ApprovalRequest) -> ApprovalAnswer:
        """No."""
        del request
        return ApprovalAnswer(allowed=False, by=NOBODY)


class Doings:
    """Says on standard error what is being done, a line for each call, after it is durable."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._calls: dict[CallId, str] = {}

    def entry(self, entry: Entry) -> None:
        """A durable event."""
        match entry.event:
            case ModelReplied(message=message):
                if message.text and message.calls:
                    self._write(for_terminal(message.text, lines=True))
                for call in message.calls:
                    told = one_line(for_terminal(f"{call.name} {call.arguments}"), 100)
                    self._calls[call.id] = told
            case CallFinished(call=call, outcome=outcome, elapsed_ms=elapsed_ms):
                self._write(f"  {self._calls.pop(call, call)}: {outcome}, {elapsed_ms} ms")
            case CallLost(call=call):
                self._write(f"  {self._calls.pop(call, call)}: outcome not known")
            case GoalChecked():
                self._write(f"  {checked_words(entry.event)}")
            case _:
                pass

    def delta(self, step: int, delta: Passing) -> None:
        """Volatile: not shown."""


class RunFacts(msgspec.Struct, frozen=True):
    """What a result says beside its text. Times in seconds; `before` are the totals at the start. What has
    `broken` the turn off has kept its end from the log."""

    ended: TurnEnded
    elapsed_s: float
    before: Totals
    exit_code: int
    broken: bool = False


_SUBTYPES = {"done": "success", "step_limit": "error_max_turns", "budget": "error_max_budget_usd"}


def result(view: View, session: str, facts: RunFacts) -> Mapping[str, object]:
    """The `result` object: the last line of stream-json, and the whole of json."""
    ended, spent = facts.ended, view.totals
    nano_usd = None
    if spent.nano_usd is not None and facts.before.nano_usd is not None:
        nano_usd = spent.nano_usd - facts.before.nano_usd
    estimated = spent.estimated_nano_usd - facts.before.estimated_nano_usd
    return {
        "type": "result",
        "subtype": _SUBTYPES.get(ended.ending, "error_during_execution"),
        "is_error": ended.ending != "done",
        "ending": ended.ending,
        "reason": ended.reason,
        "code": ended.code,
        "exit_code": facts.exit_code,
        "result": view.report.said if ended.ending == "done" else ended.reason,
        "session_id": session,
        "num_turns": ended.steps,
        "duration_ms": int(facts.elapsed_s * 1000),
        "total_cost_usd": nano_usd / 1e9 if nano_usd is not None else None,
        "estimated_cost_usd": estimated / 1e9,
        "usage": {
            "input_tokens": spent.input - spent.cached - (facts.before.input - facts.before.cached),
            "cache_read_input_tokens": spent.cached - facts.before.cached,
            "output_tokens": spent.output - facts.before.output,
            "requests": spent.requests - facts.before.requests,
        },
        "permission_denials": _calls(view.report.denied),
        "lost_calls": _calls(view.report.lost),
        "verified": ended.verified,
        "changed_since": ended.unverified_changes,
        "jobs": [
            {"job_id": job, "command": started.command, "detached": job in view.detached}
            for job, started in view.jobs.items()
        ],
        "seq": None if facts.broken else view.head,
    }


def _calls(calls: Sequence[Told]) -> Sequence[Mapping[str, str]]:
    return [{"tool_name": call.tool, "tool_use_id": call.call, "why": call.why} for call in calls]


def _words_of(report: Report) -> Iterator[str]:
    """What a person should know of the calls of a turn, beside the model's own words."""
    for words, calls in (("denied", report.denied), ("outcome not known", report.lost)):
        told = dict.fromkeys(one_line(for_terminal(f"{call.tool}: {call.why}"), 200) for call in calls)
        yield from (f"{words}: {each}" for each in list(told)[:TOLD_CALLS])
        if len(told) > TOLD_CALLS:
            yield f"{words}: and {len(told) - TOLD_CALLS} more"


class Output(msgspec.Struct, frozen=True):
    """Where a run's words go: the result to `out`, and what is for a person to `err`."""

    format: OutputFormat
    out: Write
    err: Write


class Headless:
    """Runs turns of one session that nobody watches, and reports them.

    `said` are the words given on the command line. `lines`, when there are any, are stream-json input:
    a `user` message a line, each a turn of its own, or steering words while a turn is running.
    """

    def __init__(self, session: Session, output: Output, clock: Clock) -> None:
        self._session = session
        self._output = output
        self._clock = clock
        self._busy = False

    async def run(self, said: str | None) -> ExitCode:
        """One turn with these words; without any, an interrupted turn is finished, or what waits heard."""
        words = [Words((Text(said),))] if said is not None else []
        return await self._turn(words)

    async def converse(self, lines: AsyncIterator[str]) -> ExitCode:
        """A turn for each message of `lines`, until they end: the exit code is that of the last turn that was
        not done. A line that is no message ends them: what came before it is done, then `UsageError` is
        raised."""
        code = ExitCode.DONE
        faults: list[UsageError] = []
        send, receive = anyio.create_memory_object_stream[Words](1000)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._read, lines, send, faults)
            with receive:
                async for words in receive:
                    code = await self._turn([words]) or code
                    while left := self._session.inbox.take():
                        code = await self._turn(left) or code  # They came too late to steer the turn.
                    if code is ExitCode.CANCELLED:
                        tasks.cancel_scope.cancel()
        if faults:
            raise faults[0]
        return code

    async def _read(
        self, lines: AsyncIterator[str], send: MemoryObjectSendStream[Words], faults: list[UsageError]
    ) -> None:
        with send:
            async for line in lines:
                if not line.strip():
                    continue
                try:
                    words = read_message(line)
                except UsageError as error:
                    faults.append(error)
                    return
                if self._busy:
                    await self._session.hear(words)
                else:
                    await send.send(words)

    async def _turn(self, words: Sequence[Words]) -> ExitCode:
        """Run a turn, and report it: whatever becomes of it, there is a result for a program. Raises what
        has broken it off."""
        session, begun_s = self._session, self._clock.elapsed()
        before = session.view.totals
        self._busy = True
        goes_on = session.unfinished and not words
        try:
            ended = await interruptible(session.go_on if goes_on else lambda: session.say(words))
        except Exception as error:
            code = error.exit_code if isinstance(error, HamesError) else ExitCode.FAILED
            if self._output.format != "text":
                facts = RunFacts(
                    self._broken_off(error), self._clock.elapsed() - begun_s, before, code, broken=True
                )
                self._print_result(facts)
            raise
        self._busy = False
        if ended is None:
            ended = session.view.ended
        if ended is None:
            return ExitCode.CANCELLED
        code = exit_code(ended)
        self._report(RunFacts(ended, self._clock.elapsed() - begun_s, before, code))
        return code

    def _broken_off(self, error: Exception) -> TurnEnded:
        view, ending = self._session.view, broken_off(error)
        return TurnEnded(
            turn=view.turn,
            ending=ending.kind,
            reason=ending.reason,
            code=ending.code,
            steps=view.turn_steps,
            verified=view.verified.checks,
            unverified_changes=view.verified.has_unverified,
        )

    def _report(self, facts: RunFacts) -> None:
        try:
            self._print_result(facts)
        except OutputLost:
            ended = f"{facts.ended.ending}, exit {facts.exit_code}"
            self._output.err(f"hames: the turn has ended ({ended}): hames sessions show {self._session.id}")
            raise

    def _print_result(self, facts: RunFacts) -> None:
        view, out = self._session.view, self._output
        if out.format != "text":
            out.out(encode(result(view, self._session.id, facts)))
            return
        if facts.ended.ending in ("done", "blocked", "unfinished_background"):
            out.out(view.report.said)
        for words in _words_of(view.report):
            out.err(f"hames: {words}")
        if words := verified_words(facts.ended):
            out.err(f"hames: {words}")
        reason = for_terminal(facts.ended.reason)
        if facts.ended.ending != "done":
            out.err(f"hames: {reason} ({facts.ended.ending}, exit {facts.exit_code})")
            out.err(f"hames: to go on: hames --resume {self._session.id}")
        elif facts.ended.code == UNKNOWN_FINISH:
            out.err(f"hames: {reason}")


class _Block(msgspec.Struct, frozen=True):
    type: str
    text: str = ""


class _Said(msgspec.Struct, frozen=True):
    content: str | list[_Block]


class _Line(msgspec.Struct, frozen=True):
    type: str
    message: _Said
    uuid: str | None = None


def read_message(line: str) -> Words:
    """A line of stream-json input. Raises `UsageError` when it is not a user message."""
    try:
        read = msgspec.json.decode(line, type=_Line)
    except msgspec.DecodeError as error:
        raise UsageError(f"--input-format stream-json: a line is not a user message: {error}") from error
    content = read.message.content
    blocks = [_Block("text", content)] if isinstance(content, str) else content
    unknown = {block.type for block in blocks} - {"text"}
    if read.type != "user" or unknown:
        wanted = 'a line must be {"type": "user", "message": {"content": TEXT or text blocks}}'
        raise UsageError(f"--input-format stream-json: {wanted}")
    return Words(tuple(Text(block.text) for block in blocks), dedup=read.uuid)


def encode(line: object) -> str:
    """One JSON line."""
    return msgspec.json.encode(line).decode()
