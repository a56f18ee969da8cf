import os
import re
import signal
from collections.abc import AsyncIterator, Sequence

import anyio
import anyio.lowlevel
import pytest

from hames.channels.terminal.plain import CLEAR, Conversation, PersonHere, Screen
from hames.core.errors import ExitCode, ModelError, StoreFull, UsageError
from hames.core.events import (
    CallLost,
    CommandFact,
    GoalChecked,
    LimitReached,
    Ran,
    SessionOpened,
    TurnEnded,
    TurnStarted,
    UserSpoke,
)
from hames.core.ids import CallId, SessionId, call_id
from hames.core.limits import LOG_FORMAT
from hames.core.messages import Text
from hames.core.ports import (
    ApprovalRequest,
    Arrival,
    CallContext,
    Judgement,
    Notice,
    Progress,
    Subject,
    TextDelta,
    ToolResult,
)
from hames.session.session import Session
from hames.testing.entries import entries
from hames.testing.scripted import Scripted
from tests.rig import CountingStore, Rig, asks, ok

pytestmark = pytest.mark.anyio


async def echo(arguments: str, context: CallContext) -> ToolResult:
    return ok(f"echo {arguments}")


class Desk:
    """A conversation on the bench, and what the screen showed."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.shown: list[str] = []
        self.asked: list[str] = []
        self.reopened: list[Session] = []
        self.person = PersonHere(self.shown.append)
        rig.person = self.person
        rig.listener = Screen(self.shown.append)

    @property
    def screen(self) -> str:
        return "".join(self.shown)

    async def until(self, words: str) -> None:
        while words not in self.screen:
            await anyio.lowlevel.checkpoint()

    async def talk(self, session: Session, lines: AsyncIterator[str], first: str | None = None) -> ExitCode:
        conversation = Conversation(session, self.person, self.shown.append, self.go_back, self.reopen)
        return await conversation.run(lines, first)

    async def go_back(self, session: Session, line: str) -> Sequence[str]:
        self.asked.append(line)
        if "wrong" in line:
            raise UsageError("there is nothing to undo\x1b[2J")
        if "long" in line:
            os.kill(os.getpid(), signal.SIGINT)
            await anyio.sleep_forever()
        return [f"undone {session.id}", "and more"]

    async def reopen(self, session: Session) -> Session:
        self.reopened.append(await self.rig.host.resume(session.id))
        return self.reopened[-1]


async def nothing() -> AsyncIterator[str]:
    for line in ():
        yield line


async def test_each_line_is_a_turn_until_the_lines_end() -> None:
    desk = Desk(Rig(Scripted(text="hello"), Scripted(text="again")))
    session = await desk.rig.open()

    async def lines() -> AsyncIterator[str]:
        await desk.until("> ")
        yield "hi"
        await desk.until("hello\n\n> ")
        yield ""
        yield "once more"

    assert await desk.talk(session, lines()) is ExitCode.DONE
    assert session.view.turn == 2
    assert "again\n" in desk.screen
    assert f"hames --resume {session.id}" in desk.screen


async def test_text_is_shown_once_though_it_is_streamed_and_then_recorded() -> None:
    desk = Desk(Rig(Scripted(text="only once")))
    session = await desk.rig.open()
    await desk.talk(session, nothing(), first="go")
    assert desk.screen.count("only once") == 1


async def test_calls_are_shown_when_they_are_over_with_the_reason_of_a_failure() -> None:
    async def fail(arguments: str, context: CallContext) -> ToolResult:
        return ToolResult("failed", (Text("no such file\x1b[2J"),))

    rig = Rig(
        asks(("echo", "1"), ("fail", "2"), text="Looking."),
        tools={"echo": ("pure", echo), "fail": ("pure", fail)},
    )
    desk = Desk(rig)
    await desk.talk(await rig.open(), nothing(), first="go")
    assert "Looking.\n  echo 1: ok (0 ms) \n  fail 2: failed (0 ms) no such file[2J\n" in desk.screen
    assert "\x1b" not in desk.screen


async def test_slash_commands_help_and_exit() -> None:
    desk = Desk(Rig())
    session = await desk.rig.open()

    async def lines() -> AsyncIterator[str]:
        yield "/help"
        yield "/exit"
        yield "never heard"

    assert await desk.talk(session, lines()) is ExitCode.DONE
    assert "Ctrl-C stops the turn" in desk.screen
    assert session.view.turn == 0


async def test_what_goes_back_is_told_and_the_session_is_opened_again() -> None:
    desk = Desk(Rig(Scripted(text="one"), Scripted(text="two")))
    session = await desk.rig.open()

    async def lines() -> AsyncIterator[str]:
        yield "first"
        await desk.until("one\n\n> ")
        yield " /undo --files "
        await desk.until("and more\n\n> ")
        yield "second"

    assert await desk.talk(session, lines()) is ExitCode.DONE
    assert desk.asked == [" /undo --files \n"]
    assert f"undone {session.id}\nand more\n" in desk.screen
    (again,) = desk.reopened
    assert (again.id, again.view.turn) == (session.id, 2)


@pytest.mark.parametrize(
    ("line", "told"), [("/redo wrong", "[there is nothing to undo[2J]\n"), ("/rewind long", "[stopped]\n")]
)
async def test_what_cannot_go_back_or_is_stopped_is_said_and_the_conversation_goes_on(
    line: str, told: str
) -> None:
    desk = Desk(Rig(Scripted(text="one"), Scripted(text="two")))

    async def lines() -> AsyncIterator[str]:
        yield "first"
        await desk.until("one\n\n> ")
        yield line
        await desk.until(told)
        yield "second"

    await desk.talk(await desk.rig.open(), lines())
    assert desk.reopened[0].view.turn == 2


async def test_before_the_first_turn_there_is_nothing_that_could_go_back() -> None:
    desk = Desk(Rig())

    async def lines() -> AsyncIterator[str]:
        yield "/undo"

    await desk.talk(await desk.rig.open(), lines())
    assert "[nothing has been done yet]" in desk.screen
    assert desk.asked == []


async def test_a_line_said_in_mid_turn_steers() -> None:
    talking, heard = anyio.Event(), anyio.Event()

    async def wait(arguments: str, context: CallContext) -> ToolResult:
        talking.set()
        await heard.wait()
        return ok("waited")

    rig = Rig(asks(("wait", "")), Scripted(text="both"), tools={"wait": ("pure", wait)})
    desk = Desk(rig)

    async def lines() -> AsyncIterator[str]:
        yield "first"
        await talking.wait()
        yield "and this"
        await desk.until("[heard")
        heard.set()

    session = await rig.open()
    await desk.talk(session, lines())
    assert session.view.turn == 1
    assert b"and this" in rig.model.bodies[-1]


async def test_words_that_cannot_be_kept_are_heard_all_the_same_and_that_is_told() -> None:
    talking, heard = anyio.Event(), anyio.Event()

    async def wait(arguments: str, context: CallContext) -> ToolResult:
        talking.set()
        await heard.wait()
        return ok("waited")

    class Full(CountingStore):
        async def put(self, session: SessionId, arrival: Arrival) -> bool:
            raise StoreFull("the disk is full")

    rig = Rig(asks(("wait", "")), Scripted(text="both"), tools={"wait": ("pure", wait)})
    rig.store = Full(rig.clock)
    desk = Desk(rig)

    async def lines() -> AsyncIterator[str]:
        yield "first"
        await talking.wait()
        yield "and this"
        await desk.until("but not kept if hames is killed now: the disk is full]")
        heard.set()

    session = await rig.open()
    await desk.talk(session, lines())
    assert b"and this" in rig.model.bodies[-1]


async def test_a_line_said_at_the_very_end_of_a_turn_is_a_turn_of_its_own() -> None:
    desk = Desk(Rig(Scripted(text="one"), Scripted(text="two")))
    session = await desk.rig.open()

    async def lines() -> AsyncIterator[str]:
        yield "first"
        while session.view.turn < 1 or session.view.turn_open:
            await anyio.lowlevel.checkpoint()
        yield "second"

    await desk.talk(session, lines())
    assert session.view.turn == 2


@pytest.mark.parametrize(
    ("line", "outcome", "told"),
    [("y", "ok", "echo x"), ("n", "denied", "[denied by the user]"), ("use mv", "denied", "user: use mv]")],
)
async def test_the_next_line_answers_an_open_question(line: str, outcome: str, told: str) -> None:
    rig = Rig(
        asks(("rm", "x")),
        tools={"rm": ("effectful", echo)},
        verdicts={"rm": Judgement("ask", "mode ask", "it writes")},
    )
    desk = Desk(rig)

    async def lines() -> AsyncIterator[str]:
        yield "go"
        await desk.until("[y/N]")
        yield line

    session = await rig.open()
    await desk.talk(session, lines())
    assert "Allow rm: x (it writes)? [y/N]" in desk.screen
    assert f"rm x: {outcome}" in desk.screen
    assert told.encode() in rig.model.bodies[-1]


async def test_a_question_without_a_why_is_put_plainly() -> None:
    shown: list[str] = []
    person = PersonHere(shown.append)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(person.ask, ApprovalRequest(call_id(1, 0), Subject("bash", command="ls"), "{}", ""))
        while not person.answer("n"):
            await anyio.lowlevel.checkpoint()
    assert shown == ["\nAllow bash: ls? [y/N] "]
    assert not person.answer("y")


@pytest.mark.parametrize("late", [False, True])
async def test_where_the_lines_have_ended_the_answer_is_no_and_the_turn_blocked(late: bool) -> None:
    rig = Rig(
        asks(("rm", "x")),
        Scripted(text="I may not."),
        tools={"rm": ("effectful", echo)},
        verdicts={"rm": Judgement("ask", "mode ask", "it writes")},
    )
    desk = Desk(rig)

    async def lines() -> AsyncIterator[str]:
        if late:
            await desk.until("Allow")
        for line in ():
            yield line

    assert await desk.talk(await rig.open(), lines(), first="go") is ExitCode.BLOCKED
    assert "[blocked: a person is needed: it writes]" in desk.screen
    assert ("Allow" in desk.screen) is late


async def test_the_exit_code_is_that_of_the_last_turn_that_was_not_done() -> None:
    desk = Desk(Rig(ModelError("auth", "wrong"), ModelError("rejected", "no"), Scripted(text="well")))
    session = await desk.rig.open()

    async def lines() -> AsyncIterator[str]:
        yield "one"
        await desk.until("failed: wrong")
        yield "two"
        await desk.until("failed: no")
        yield "three"
        await desk.until("well")

    assert await desk.talk(session, lines()) is ExitCode.FAILED


async def test_an_ending_that_is_not_done_is_said() -> None:
    desk = Desk(Rig(ModelError("auth", "the key is wrong")))
    assert await desk.talk(await desk.rig.open(), nothing(), first="go") is ExitCode.AUTH
    assert "[the key is wrong]" in desk.screen
    assert "[failed: the key is wrong]" in desk.screen


async def test_a_wait_is_shown() -> None:
    desk = Desk(Rig(ModelError("rate", "slow down", wait_s=30.0), Scripted(text="there")))
    await desk.talk(await desk.rig.open(), nothing(), first="go")
    assert "[slow down]" in desk.screen
    assert re.search(r"\[waiting until \d\d:\d\d:\d\d \(30 s\): slow down\]", desk.screen)


async def test_a_wait_that_is_over_at_once_is_not_shown() -> None:
    desk = Desk(Rig(ModelError("rate", "slow down", wait_s=0.5), Scripted(text="there")))
    await desk.talk(await desk.rig.open(), nothing(), first="go")
    assert "waiting" not in desk.screen


async def test_an_interrupted_turn_is_gone_on_with() -> None:
    rig = Rig(Scripted(text="finished"))
    session = await rig.open()
    claim = await rig.store.claim(session.id)
    opened = SessionOpened(session=session.id, format=LOG_FORMAT, hames="0", workspace="/w")
    await rig.store.append(claim, [opened, UserSpoke(parts=(Text("go"),)), TurnStarted(turn=1)])
    desk = Desk(rig)
    await desk.talk(await rig.host.resume(session.id), nothing())
    assert "[going on with the turn that was interrupted]\nfinished\n" in desk.screen


def test_a_notice_stands_on_a_line_of_its_own_once() -> None:
    shown: list[str] = []
    screen = Screen(shown.append)
    screen.delta(1, TextDelta("I be"))
    screen.delta(1, Notice("not covered: a\x1b[2J"))
    screen.delta(1, Notice("not covered: a\x1b[2J"))
    assert "".join(shown) == "I be\nhames: not covered: a [2J\n"


def test_progress_is_shown_in_a_turn_where_no_words_stand_and_goes_away() -> None:
    shown: list[str] = []
    screen = Screen(shown.append, live=True)
    looking = Progress("looking", 1000, 2000)
    screen.delta(1, looking)  # A person may be typing.
    assert shown == []
    started, ended = entries(TurnStarted(turn=1), TurnEnded(turn=1, ending="done", reason=""))
    screen.entry(started)
    screen.delta(1, looking)
    screen.delta(1, Progress("looking", 2000, 2000))
    assert shown == ["looking: 1,000 of 2,000", CLEAR]
    screen.delta(1, TextDelta("I be"))
    screen.delta(1, looking)
    assert shown[2:] == ["I be"]
    screen.entry(ended)
    screen.delta(1, looking)
    assert shown[3:] == []


def test_progress_is_not_shown_where_a_line_cannot_be_taken_away() -> None:
    shown: list[str] = []
    screen = Screen(shown.append)
    screen.entry(entries(TurnStarted(turn=1))[0])
    screen.delta(1, Progress("looking", 1, 2))
    assert shown == []


def test_lost_calls_are_shown() -> None:
    shown: list[str] = []
    screen = Screen(shown.append)
    (entry,) = entries(CallLost(call=call_id(1, 0), parts=(), why=""))
    screen.entry(entry)
    assert shown == ["  1.0: the outcome is not known\n"]


def test_a_limit_that_is_near_is_a_line() -> None:
    shown: list[str] = []
    screen = Screen(shown.append)
    screen.entry(entries(LimitReached(limit="max_time_s", value=90, used=75, warned=True))[0])
    assert shown == ["  [most of a limit is used: 75 of 90 s]\n"]


def test_a_check_of_a_goal_is_a_line() -> None:
    shown: list[str] = []
    screen = Screen(shown.append)
    fact = CommandFact(exit_code=0, elapsed_s=0.5)
    event = GoalChecked(check=CallId("check.1"), command="make", passed=True, fact=fact)
    screen.entry(entries(event)[0])
    assert shown == ["  [goal: `make` passed, 500 ms]\n"]


def test_the_end_of_a_turn_says_what_was_verified_and_nothing_where_nothing_was_changed() -> None:
    shown: list[str] = []
    screen = Screen(shown.append)
    for event in (
        TurnEnded(turn=1, ending="done", reason=""),
        TurnEnded(turn=1, ending="done", reason="", verified=(Ran("make", 0, 9),)),
        TurnEnded(turn=1, ending="done", reason="", unverified_changes=True),
    ):
        screen.entry(entries(event)[0])
    assert shown == [
        "[verified after the last change: `make` exit 0]\n",
        "[not verified: nothing was checked after the last change]\n",
    ]


async def test_a_goal_is_set_shown_and_lifted_by_a_word() -> None:
    desk = Desk(Rig(Scripted(text="done"), Scripted(text="again")))
    session = await desk.rig.open()

    async def lines() -> AsyncIterator[str]:
        for prompts, line in enumerate(("/goal", "/goal  make test", "go", "/goal", "/goal off", "go on"), 1):
            while desk.screen.count("\n> ") < prompts:
                await anyio.lowlevel.checkpoint()
            yield line

    await desk.talk(session, lines())
    assert desk.screen.count("[there is no goal]") == 2
    assert desk.screen.count("[the goal: make test]") == 2
    assert [order.command for order in desk.rig.checker.orders] == ["make test"]


async def test_a_goal_whose_check_can_fail_unseen_is_doubted_when_it_is_set() -> None:
    desk = Desk(Rig())
    session = await desk.rig.open()

    async def lines() -> AsyncIterator[str]:
        yield "/goal make test | tail -5"

    await desk.talk(session, lines())
    assert "`make test | tail -5` can end well although its check fails" in desk.screen


async def test_what_is_for_between_turns_is_not_said_to_the_agent() -> None:
    desk = Desk(Rig(asks(("wait", "")), Scripted(text="done")))

    async def wait(arguments: str, context: CallContext) -> ToolResult:
        await desk.until("[/undo is for between two turns: Ctrl-C stops this one]")
        await desk.until("[/goal is for between two turns: Ctrl-C stops this one]")
        return ok("waited")

    async def lines() -> AsyncIterator[str]:
        yield "go"
        while not session.view.open_calls:
            await anyio.lowlevel.checkpoint()
        yield "/undo"
        yield " /goal make"

    desk.rig.tools = Rig(tools={"wait": ("pure", wait)}).tools
    session = await desk.rig.open()
    await desk.talk(session, lines())
    assert desk.asked == []
    assert session.view.pursuit.goal is None
    assert not any(b"/undo" in body for body in desk.rig.model.bodies)
