"""Headless: one input, one honest result, for scripts and CI."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Literal

import anyio
import msgspec
from anyio.streams.memory import MemoryObjectSendStream

from hames.context.lasting import Totals
from hames.context.view import View, final_text
from hames.core.errors import ExitCode, UsageError
from hames.core.events import (
    NOBODY,
    CallFinished,
    CallIntended,
    CallJudged,
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
from hames.loop.endings import exit_code, verified_words
from hames.loop.goal import checked_words
from hames.session.interrupt import interruptible
from hames.session.session import Session

OutputFormat = Literal["text", "json", "stream-json"]

Write = Callable[[str], None]
"""Writes a line, at once."""


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


class Denials:
    """Collects the calls that were denied, for the result."""

    def __init__(self) -> None:
        self._tools: dict[CallId, str] = {}
        self._verdicts: dict[CallId, str] = {}
        self.denied: list[Mapping[str, str]] = []

    def entry(self, entry: Entry) -> None:
        """A durable event."""
        match entry.event:
            case CallIntended(call=call, tool=tool):
                self._tools[call] = tool
            case CallJudged(call=call, why=why, rule=rule):
                self._verdicts[call] = why or rule
            case CallFinished(call=call, outcome=outcome):
                tool, why = self._tools.pop(call, ""), self._verdicts.pop(call, "")
                if outcome == "denied":
                    self.denied.append({"tool_name": tool, "tool_use_id": call, "why": why})
            case _:
                pass

    def delta(self, step: int, delta: Passing) -> None:
        """Volatile: of no interest."""


class RunFacts(msgspec.Struct, frozen=True):
    """What a result says beside its text. Times in seconds; `before` are the totals at the start."""

    ended: TurnEnded
    elapsed_s: float
    before: Totals
    exit_code: int
    denied: Sequence[Mapping[str, str]]


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
        "result": final_text(view.messages) if ended.ending == "done" else ended.reason,
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
        "permission_denials": facts.denied,
        "verified": ended.verified,
        "changed_since": ended.unverified_changes,
        "jobs": [
            {"job_id": job, "command": started.command, "detached": job in view.detached}
            for job, started in view.jobs.items()
        ],
        "seq": view.head,
    }


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

    def __init__(self, session: Session, output: Output, denials: Denials, clock: Clock) -> None:
        self._session = session
        self._output = output
        self._denials = denials
        self._clock = clock
        self._busy = False

    async def run(self, said: str | None) -> ExitCode:
        """One turn with these words; without any, an interrupted turn is finished, or what waits heard."""
        words = [Words((Text(said),))] if said is not None else []
        return await self._turn(words)

    async def converse(self, lines: AsyncIterator[str]) -> ExitCode:
        """A turn for each message of `lines`, until they end. A line that is no message ends them: what
        came before it is done, then `UsageError` is raised."""
        code = ExitCode.DONE
        faults: list[UsageError] = []
        send, receive = anyio.create_memory_object_stream[Words](1000)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._read, lines, send, faults)
            with receive:
                async for words in receive:
                    code = await self._turn([words])
                    while left := self._session.inbox.take():
                        code = await self._turn(left)  # They came too late to steer the turn.
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
        session, begun_s = self._session, self._clock.elapsed()
        before = session.view.totals
        self._busy = True
        goes_on = session.unfinished and not words
        ended = await interruptible(session.go_on if goes_on else lambda: session.say(words))
        self._busy = False
        if ended is None:
            ended = session.view.ended
        if ended is None:
            return ExitCode.CANCELLED
        code = exit_code(ended)
        facts = RunFacts(ended, self._clock.elapsed() - begun_s, before, code, self._denials.denied)
        self._report(facts)
        return code

    def _report(self, facts: RunFacts) -> None:
        view, out = self._session.view, self._output
        if out.format != "text":
            out.out(encode(result(view, self._session.id, facts)))
            return
        if facts.ended.ending in ("done", "blocked", "unfinished_background"):
            out.out(final_text(view.messages))
        if words := verified_words(facts.ended):
            out.err(f"hames: {words}")
        if facts.ended.ending != "done":
            reason = for_terminal(facts.ended.reason)
            out.err(f"hames: {reason} ({facts.ended.ending}, exit {facts.exit_code})")
            out.err(f"hames: to go on: hames --resume {self._session.id}")


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
