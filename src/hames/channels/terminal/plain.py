"""A plain conversation in the terminal, line by line."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import anyio
import msgspec
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from hames.core.errors import ExitCode, HamesError, StoreError
from hames.core.events import (
    NOBODY,
    CallFinished,
    CallLost,
    Entry,
    GoalChecked,
    LimitReached,
    ModelFailed,
    ModelReplied,
    TurnEnded,
    TurnStarted,
    WaitStarted,
)
from hames.core.ids import CallId
from hames.core.limits import GOAL_TIMEOUT_S
from hames.core.messages import Text
from hames.core.ports import (
    ApprovalAnswer,
    ApprovalRequest,
    Notice,
    Passing,
    Progress,
    TextDelta,
    Words,
)
from hames.core.text import for_terminal, one_line
from hames.loop.approve import describe
from hames.loop.budget import warning_words
from hames.loop.endings import exit_code, verified_words
from hames.loop.goal import checked_words, doubt_words, goal_set
from hames.loop.wait import waiting_words
from hames.session.interrupt import interruptible
from hames.session.session import Session

Write = Callable[[str], None]
"""Writes text as it is, at once: no line end is added."""

GoBack = Callable[[Session, str], Awaitable[Sequence[str]]]
"""Takes back what a line like `/undo` asks for; gives what to tell. The session is not used any more."""

Reopen = Callable[[Session], Awaitable[Session]]
"""The same session as it is now on the log."""

BACK = ("/undo", "/redo", "/rewind")

HELP = """\
Say what is to be done. While it works you may say more: it is heard at the next step.
Ctrl-C stops the turn and keeps what was done. /exit or Ctrl-D ends.

/goal CMD     lets no turn be done before the command passes; /goal shows it, /goal off lifts it
/undo         takes back what the last turn did: files and words. What you changed since stays
/redo         takes the last /undo or /rewind back
/rewind SEQ   goes back to what was after an entry: `hames sessions show` has their numbers
              --files or --context: only these; --force PATH: also what you have changed since;
              --stop-jobs: background commands are stopped first
"""

GOAL = "/goal"

BETWEEN = "[{word} is for between two turns: Ctrl-C stops this one]\n"

CLEAR = "\r\x1b[K"
"""Empties a terminal's line."""


class _Question(msgspec.Struct, frozen=True):
    reply: MemoryObjectSendStream[str]


class PersonHere:
    """The `Approver` of a conversation: the next line typed is the answer."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._open: list[_Question] = []
        self._gone = False

    async def ask(self, request: ApprovalRequest) -> ApprovalAnswer:
        """Put the question; anything but y or yes is no, and its words go to the model. Where nobody is there
        any more, the answer is no."""
        if self._gone:
            return ApprovalAnswer(allowed=False, by=NOBODY)
        send, receive = anyio.create_memory_object_stream[str](1)
        question = _Question(send)
        self._open.append(question)
        asked = for_terminal(describe(request.subject, request.arguments), lines=True)
        why = f" ({for_terminal(request.why, lines=True)})" if request.why else ""
        self._write(f"\nAllow {asked}{why}? [y/N] ")
        try:
            with receive, send:
                line = (await receive.receive()).strip()
        except anyio.EndOfStream:
            return ApprovalAnswer(allowed=False, by=NOBODY)
        finally:
            self._open.remove(question)
        allowed = line.lower() in ("y", "yes")
        words = "" if allowed or line.lower() in ("", "n", "no") else line
        return ApprovalAnswer(allowed=allowed, by="terminal", words=words)

    def answer(self, line: str) -> bool:
        """Take a line as the answer to the oldest open question; False when none is open."""
        if not self._open:
            return False
        self._open[0].reply.send_nowait(line)
        return True

    def leave(self) -> None:
        """Nobody will answer from now on."""
        self._gone = True
        for question in self._open:
            question.reply.close()


class Screen:
    """Shows what the model says as it comes, and each call when it is over.

    Where it is `live`, it also shows how far a long piece of work is, on a line that goes away again.
    """

    def __init__(self, write: Write, *, live: bool = False) -> None:
        self._write = write
        self._live = live
        self._calls: dict[CallId, str] = {}
        self._shown = 0
        self._in_line = False
        self._in_turn = False
        self._in_progress = False
        self._noticed: set[str] = set()

    def entry(self, entry: Entry) -> None:
        """A durable event."""
        self._clear()
        match entry.event:
            case TurnStarted():
                self._in_turn = True
            case TurnEnded() as event:
                self._in_turn = False
                if words := verified_words(event):
                    self._line(f"[{words}]")
            case ModelReplied(message=message):
                self._rest(message.text)
                for call in message.calls:
                    self._calls[call.id] = f"{call.name} {call.arguments}"
            case CallFinished(call=call, outcome=outcome, parts=parts, elapsed_ms=elapsed_ms):
                last = parts[-1] if parts else None
                words = last.text if isinstance(last, Text) and outcome != "ok" else ""
                self._line(f"  {self._named(call)}: {outcome} ({elapsed_ms} ms) {short(words, 200)}")
            case CallLost(call=call):
                self._line(f"  {self._named(call)}: the outcome is not known")
            case _:
                if words := _words_beside(entry):
                    self._line(f"  [{words}]")

    def delta(self, step: int, delta: Passing) -> None:
        """Something volatile: text on its way is shown at once, and superseded by the whole reply."""
        self._clear()
        match delta:
            case TextDelta(text=text):
                self._write(for_terminal(text, lines=True))
                self._shown += len(text)
                self._in_line = True
            case Notice(words=words) if words not in self._noticed:
                self._noticed.add(words)
                self._line(f"hames: {for_terminal(words)}")
            case Progress(what=what, done=done, total=total) if done < total and self._can_show:
                self._write(f"{what}: {done:,} of {total:,}")
                self._in_progress = True
            case _:
                pass

    @property
    def _can_show(self) -> bool:
        """Whether a line may go away again: not one in which words stand, of the model or of a person."""
        return self._live and self._in_turn and not self._in_line

    def _clear(self) -> None:
        if self._in_progress:
            self._write(CLEAR)
            self._in_progress = False

    def _rest(self, text: str) -> None:
        if text and self._shown != len(text):
            self._line(for_terminal(text, lines=True))
        elif self._in_line:
            self._write("\n")
        self._shown, self._in_line = 0, False

    def _named(self, call: CallId) -> str:
        return short(self._calls.pop(call, call), 100)

    def _line(self, text: str) -> None:
        self._write(f"\n{text}\n" if self._in_line else f"{text}\n")
        self._in_line = False


def _words_beside(entry: Entry) -> str:
    """What is told of an event that is neither of a reply nor of a call."""
    match entry.event:
        case ModelFailed(message=message):
            return for_terminal(message)
        case WaitStarted() as event:
            return waiting_words(event, entry.at_ms)
        case LimitReached(warned=True) as event:
            return warning_words(event)
        case GoalChecked() as event:
            return checked_words(event)
        case _:
            return ""


class Conversation:
    """Turns of one session, as a person types them. After `/undo` and the like it goes on with the session
    that `reopen` gives."""

    def __init__(
        self, session: Session, person: PersonHere, write: Write, go_back: GoBack, reopen: Reopen
    ) -> None:
        self._session = session
        self._person = person
        self._write = write
        self._go_back = go_back
        self._reopen = reopen
        self._busy = False
        self._code = ExitCode.DONE

    async def run(self, lines: AsyncIterator[str], first: str | None) -> ExitCode:
        """Converse until the lines end. `first` are words already given. The exit code is that of the last
        turn that was not done."""
        send, receive = anyio.create_memory_object_stream[str](1000)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._read, lines, send)
            if self._session.unfinished and first is None:
                self._write("[going on with the turn that was interrupted]\n")
                await self._turn(None)
            elif first is not None:
                await self._turn(first)
            with receive:
                await self._turns(receive)
            tasks.cancel_scope.cancel()
        return self._code

    async def _turns(self, receive: MemoryObjectReceiveStream[str]) -> None:
        while True:
            self._write("\n> ")
            line = await interruptible(lambda: _next(receive))
            if not line or line.strip() in ("/exit", "/quit"):
                self._write(f"\nTo go on: hames --resume {self._session.id}\n")
                return
            if line.strip() in ("/help", "?"):
                self._write(HELP)
            elif _command(line) in BACK:
                await self._take_back(line)
            elif _command(line) == GOAL:
                self._write(f"[{await self._set_goal(line.strip().removeprefix(GOAL).strip())}]\n")
            elif line.strip():
                await self._turn(line)

    async def _set_goal(self, said: str) -> str:
        """Set, lift or show the goal; what to tell the person."""
        if said:
            await self._session.set_goal(goal_set(said, "terminal", GOAL_TIMEOUT_S))
        goal = self._session.view.pursuit.goal
        if goal is None:
            return "there is no goal"
        doubt = doubt_words(goal.command)
        return f"the goal: {for_terminal(goal.command)}{f'; {doubt}' if doubt else ''}"

    async def _take_back(self, line: str) -> None:
        session = self._session
        if session.view.turns == 0:
            self._write("[nothing has been done yet]\n")
            return
        told = await interruptible(lambda: self._told(session, line))
        self._write("[stopped]\n" if told is None else "".join(f"{each}\n" for each in told))
        self._session = await self._reopen(session)

    async def _told(self, session: Session, line: str) -> Sequence[str]:
        try:
            return await self._go_back(session, line)
        except HamesError as error:
            return [f"[{for_terminal(str(error), lines=True)}]"]

    async def _read(self, lines: AsyncIterator[str], send: MemoryObjectSendStream[str]) -> None:
        with send:
            async for line in lines:
                if self._person.answer(line):
                    continue
                if self._busy and _command(line) in (*BACK, GOAL):
                    self._write(BETWEEN.format(word=_command(line)))
                elif self._busy:
                    self._write(await self._hear(line))
                else:
                    await send.send(f"{line}\n")
            self._person.leave()

    async def _hear(self, line: str) -> str:
        """Take words in mid-turn; what to tell the person."""
        try:
            await self._session.hear(Words((Text(line),)))
        except StoreError as error:
            return f"[heard, but not kept if hames is killed now: {for_terminal(str(error), lines=True)}]\n"
        return "[heard; the agent is told at its next step]\n"

    async def _turn(self, said: str | None) -> None:
        await self._answer([Words((Text(said.rstrip("\n")),))] if said is not None else [])
        while left := self._session.inbox.take():
            await self._answer(left)  # They came too late to steer the turn.

    async def _answer(self, words: Sequence[Words]) -> None:
        session = self._session
        self._busy = True
        ended = await interruptible(lambda: session.say(words) if words else session.go_on())
        self._busy = False
        self._code = (ExitCode.CANCELLED if ended is None else exit_code(ended)) or self._code
        if ended is None:
            self._write("\n[stopped; what was done is kept]\n")
        elif ended.ending != "done":
            self._write(f"\n[{ended.ending}: {for_terminal(ended.reason, lines=True)}]\n")


def _command(line: str) -> str:
    """The first word of a line."""
    return line.strip().partition(" ")[0]


async def _next(receive: MemoryObjectReceiveStream[str]) -> str:
    try:
        return await receive.receive()
    except anyio.EndOfStream:
        return ""


def short(text: str, most: int) -> str:
    """`text` on one clean line of at most `most` characters."""
    return one_line(for_terminal(text, lines=True), most)
