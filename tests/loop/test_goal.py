from collections.abc import Awaitable, Callable

import anyio
import msgspec
import pytest

from hames.channels.headless import NobodyHere
from hames.core.errors import ArgumentProblem, ExitCode, LauncherError, SandboxError
from hames.core.events import (
    CommandFact,
    GoalChecked,
    GoalCheckStarted,
    GoalSet,
    JobDetached,
    JobStarted,
    OutputFact,
    TurnEnded,
)
from hames.core.ids import BlobId, CallId, JobId, blob_id
from hames.core.limits import GOAL_CANNOT_RUN, GOAL_SAME, GOAL_SAME_IDLE
from hames.core.messages import Text, UserMessage, plain
from hames.core.ports import CallContext, CheckOrder, Judgement, ToolResult, Words
from hames.loop.endings import exit_code
from hames.loop.goal import checked_words, goal_set
from hames.session.session import Session
from hames.testing.scripted import Scripted
from tests.rig import BenchPolicy, BenchTrees, Rig, asks, check_the_log, checked, ok

pytestmark = pytest.mark.anyio
GOAL = goal_set("make test", "test", 30.0)


class Workshop:
    """A session with a goal, whose one tool changes the workspace."""

    def __init__(self, *answers: Scripted, goal: GoalSet = GOAL) -> None:
        self.trees = BenchTrees()
        self.rig = Rig(*answers, tools={"edit": ("effectful", self.edit), "look": ("pure", self.look)})
        self.rig.trees = lambda _: self.trees
        self.goal = goal

    async def edit(self, arguments: str, context: CallContext) -> ToolResult:
        self.trees.workspace = arguments.encode()
        return ok("edited")

    async def look(self, arguments: str, context: CallContext) -> ToolResult:
        return ok("looked")

    def fails(self, *texts: str, exit_code: int = 1) -> None:
        """The next checks fail with these outputs."""
        self.rig.checker.results.extend(checked(exit_code, text) for text in texts)

    async def open(self) -> Session:
        session = await self.rig.open()
        await session.set_goal(self.goal)
        return session

    async def say(self) -> tuple[Session, TurnEnded]:
        session = await self.open()
        return session, await session.say([Words((Text("go"),))])

    async def checks(self, session: Session) -> list[GoalChecked]:
        return [event for event in await self.rig.logged(session) if isinstance(event, GoalChecked)]


class Checks:
    """A checker that does what the test lets it do."""

    def __init__(self, body: Callable[[], Awaitable[ToolResult]]) -> None:
        self._body = body

    async def run(self, order: CheckOrder) -> ToolResult:
        return await self._body()

    async def stop(self, check: CallId) -> None:
        raise AssertionError("no check was left behind")


def told(session: Session) -> list[str]:
    """What the model was told besides its results."""
    return [plain(message.parts) for message in session.view.messages if isinstance(message, UserMessage)]


async def test_a_turn_is_done_when_the_check_of_its_goal_passes() -> None:
    shop = Workshop(asks(("edit", "1")), Scripted(text="done"))
    session, ended = await shop.say()
    assert (ended.ending, ended.code) == ("done", "goal")
    assert ended.reason == "the check of the goal passed: `make test`"
    assert [(ran.command, ran.exit_code) for ran in ended.verified] == [("make test", 0)]
    assert not ended.unverified_changes
    assert shop.rig.checker.orders == [CheckOrder(CallId("check.1"), "make test", "/w", 30.0)]
    kinds = [type(event) for event in await shop.rig.logged(session)]
    assert kinds[-3:] == [GoalCheckStarted, GoalChecked, TurnEnded]
    await check_the_log(shop.rig, session)


async def test_the_model_knows_of_the_goal_from_the_first() -> None:
    shop = Workshop()
    session, _ = await shop.say()
    assert told(session)[1] == GOAL.told
    assert "`make test`" in GOAL.told
    assert told(session)[2] == "go"


async def test_a_check_is_on_the_log_before_it_runs() -> None:
    shop = Workshop()
    sessions: list[Session] = []

    async def look() -> ToolResult:
        assert isinstance((await shop.rig.logged(sessions[0]))[-1], GoalCheckStarted)
        return checked(0)

    shop.rig.real_checker = Checks(look)
    sessions.append(await shop.open())
    assert (await sessions[0].say([Words((Text("go"),))])).ending == "done"


async def test_a_model_that_says_done_while_the_check_fails_is_told_so() -> None:
    shop = Workshop(Scripted(text="done"), asks(("edit", "1")), Scripted(text="now it is"))
    shop.fails("test_a FAILED")
    session, ended = await shop.say()
    assert (ended.ending, ended.steps) == ("done", 3)
    assert told(session)[-1] == (
        "[The goal is not reached: `make test` was run, and it ended with exit code 1.]\n"
        "test_a FAILED\n"
        "[Go on until it passes: it is run again when you have nothing more to run.]"
    )
    await check_the_log(shop.rig, session)


async def test_the_same_failure_with_nothing_changed_ends_as_blocked() -> None:
    shop = Workshop()
    shop.fails(*[f"FAILED in 0.{number}s at 0x7f{number}abc" for number in range(GOAL_SAME_IDLE + 2)])
    session, ended = await shop.say()
    assert (ended.ending, ended.code) == ("blocked", "goal_stuck")
    assert ended.reason == "the check of the goal fails in the same way and nothing changes: `make test`"
    assert exit_code(ended) is ExitCode.BLOCKED
    assert [ran.exit_code for ran in ended.verified] == [1]
    assert len(shop.rig.checker.orders) == GOAL_SAME_IDLE
    assert "no file has changed since" in told(session)[-1]
    assert "no file has changed since" not in told(session)[-3]


async def test_a_failure_that_differs_is_gone_on_with() -> None:
    shop = Workshop()
    shop.fails("a", "a", "b", "b", "c")
    _, ended = await shop.say()
    assert (ended.ending, len(shop.rig.checker.orders)) == ("done", 6)


async def test_the_same_failure_after_each_change_is_said_plainly_and_then_ends_as_blocked() -> None:
    edits = [answer for number in range(20) for answer in (asks(("edit", str(number))), Scripted(text="so"))]
    shop = Workshop(*edits)
    shop.fails(*["FAILED"] * 20)
    session, ended = await shop.say()
    assert (ended.ending, ended.code) == ("blocked", "goal_stuck")
    assert ended.reason == f"the check of the goal failed {GOAL_SAME[1]} times in the same way: `make test`"
    assert len(shop.rig.checker.orders) == GOAL_SAME[1]
    plainer = [f"in the same way {GOAL_SAME[0]} times" in words for words in told(session)]
    assert sum(plainer) == 1
    assert all(event.changed for event in (await shop.checks(session))[1:])


@pytest.mark.parametrize(("code", "words"), [(126, "no program that can be started"), (127, "not found")])
async def test_a_check_that_cannot_run_is_told_once_and_then_ends_as_blocked(code: int, words: str) -> None:
    shop = Workshop()
    shop.fails("one", "other", exit_code=code)
    session, ended = await shop.say()
    assert (ended.ending, ended.code) == ("blocked", "goal_cannot_run")
    assert ended.reason == f"the check of the goal cannot run (exit code {code}): `make test`"
    assert len(shop.rig.checker.orders) == GOAL_CANNOT_RUN
    assert words in told(session)[-1]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (ToolResult("failed", (Text("x"),), command=CommandFact(timed_out=True)), "it took too long"),
        (ToolResult("failed", (Text("x"),), command=CommandFact(signal=9)), "it was ended by signal 9"),
        (ToolResult("not_run", (Text("x"),), command=CommandFact()), "it could not be started"),
        (ToolResult("failed", (Text("x"),), lost=True), "nobody knows how it ended"),
        (LauncherError("the supervisor is gone"), "nobody knows how it ended"),
        (ArgumentProblem("the command is too long"), "it could not be started"),
    ],
)
async def test_each_way_to_fail_has_its_words(result: ToolResult | Exception, words: str) -> None:
    shop = Workshop()
    shop.rig.checker.results.append(result)
    session, ended = await shop.say()
    assert ended.ending == "done"
    assert f"`make test` was run, and {words}.]" in told(session)[-1]


async def test_without_a_sandbox_the_turn_fails_and_the_check_has_an_end() -> None:
    shop = Workshop()
    shop.rig.checker.results.append(SandboxError("no bwrap"))
    session, ended = await shop.say()
    assert (ended.ending, ended.code, exit_code(ended)) == ("failed", "sandbox", ExitCode.CONFIG)
    assert [(event.passed, event.fact) for event in await shop.checks(session)] == [
        (False, CommandFact(stopped=True))
    ]
    assert session.view.pursuit.running is None


async def test_a_cancelled_check_is_over_and_says_nothing() -> None:
    shop = Workshop(Scripted(text="done"))

    async def last() -> ToolResult:
        scope.cancel()
        await anyio.sleep_forever()
        return checked(0)

    shop.rig.real_checker = Checks(last)
    session = await shop.open()
    with anyio.CancelScope() as scope:
        await session.say([Words((Text("go"),))])
    ended = session.view.ended
    assert ended is not None
    assert (ended.ending, ended.verified) == ("cancelled", ())
    assert [event.fact.stopped for event in await shop.checks(session)] == [True]


async def test_what_the_check_writes_is_the_agents() -> None:
    shop = Workshop()

    async def write() -> ToolResult:
        shop.trees.workspace = b"with a cache"
        return checked(0)

    shop.rig.real_checker = Checks(write)
    session, _ = await shop.say()
    started = [event for event in await shop.rig.logged(session) if isinstance(event, GoalCheckStarted)]
    assert started[0].tree_before == blob_id(b"as it was")
    assert (await shop.checks(session))[0].tree_after == blob_id(b"with a cache")


async def test_a_check_that_passed_is_not_run_again_while_all_is_as_it_was() -> None:
    shop = Workshop(
        Scripted(text="done"),
        asks(("look", "")),
        Scripted(text="an answer"),
        asks(("edit", "2")),
        Scripted(text="so"),
    )
    session, _ = await shop.say()
    answered = await session.say([Words((Text("what is this?"),))])
    assert (answered.code, len(shop.rig.checker.orders)) == ("goal", 1)
    await session.say([Words((Text("and that?"),))])
    assert len(shop.rig.checker.orders) == 2
    shop.trees.workspace = b"changed by the user"
    await session.say([Words((Text("and now?"),))])
    assert len(shop.rig.checker.orders) == 3


async def test_a_new_turn_counts_failures_anew() -> None:
    shop = Workshop()
    shop.fails(*["FAILED"] * GOAL_SAME_IDLE, "FAILED")
    session, first = await shop.say()
    second = await session.say([Words((Text("try once more"),))])
    assert (first.ending, second.ending) == ("blocked", "done")


async def test_a_job_that_stays_is_told_although_the_check_passed() -> None:
    job = JobId("1.0")

    async def start(arguments: str, context: CallContext) -> ToolResult:
        return ToolResult("ok", (Text("runs"),), job=JobStarted(job, context.call, "serve"))

    async def detach(arguments: str, context: CallContext) -> ToolResult:
        return ToolResult("ok", (Text("stays"),), job=JobDetached(job))

    rig = Rig(
        asks(("start", "")),
        asks(("detach", "")),
        tools={"start": ("effectful", start), "detach": ("pure", detach)},
    )
    session = await rig.open()
    await session.set_goal(GOAL)
    ended = await session.say([Words((Text("go"),))])
    assert (ended.ending, ended.code) == ("unfinished_background", "detached")
    assert len(rig.checker.orders) == 1


async def test_a_call_that_nobody_may_approve_ends_the_turn_before_any_check() -> None:
    shop = Workshop(asks(("edit", "1")), Scripted(text="I may not"))
    shop.rig.person = NobodyHere()
    shop.rig.policy = BenchPolicy({"edit": Judgement("ask", "test", "a write")})
    _, ended = await shop.say()
    assert (ended.ending, ended.code, ended.reason) == ("blocked", "approval", "a person is needed: a write")
    assert shop.rig.checker.orders == []


async def test_a_goal_is_set_once_and_lifted() -> None:
    shop = Workshop()
    session = await shop.open()
    await session.set_goal(GOAL)
    await session.say([Words((Text("go"),))])
    await session.set_goal(goal_set("off", "test", 1.0))
    await session.set_goal(goal_set("off", "test", 1.0))
    goals = [event for event in await shop.rig.logged(session) if isinstance(event, GoalSet)]
    assert [goal.command for goal in goals] == ["make test", ""]
    ended = await session.say([Words((Text("go"),))])
    assert (ended.code, len(shop.rig.checker.orders)) == ("", 1)
    assert "no goal any more" in told(session)[-2]


async def test_the_output_of_a_check_can_be_read_whole() -> None:
    shop = Workshop()
    kept = OutputFact(BlobId("d" * 64), 9, 9)
    result = msgspec.structs.replace(checked(1, "start … output://check.1"), output=kept)
    shop.rig.checker.results.append(result)
    session, _ = await shop.say()
    assert session.view.outputs[CallId("check.1")] == kept


async def test_a_failure_is_the_same_however_much_of_it_is_left_out() -> None:
    shop = Workshop()
    shop.fails(
        "a\n[… 10 of 20 bytes left out; all of it: read file_path=output://check.1 …]\nb",
        "a\n[… 11 of 21 bytes left out; all of it: read file_path=output://check.2 …]\nb",
    )
    session, _ = await shop.say()
    first, second, _ = await shop.checks(session)
    assert first.likeness == second.likeness


def test_a_check_is_told_to_a_person_on_one_line() -> None:
    fact = CommandFact(exit_code=1, elapsed_s=0.25)
    event = GoalChecked(check=CallId("check.1"), command="make\ntest", passed=False, fact=fact)
    assert checked_words(event) == "goal: `make test` failed, exit 1, 250 ms"
    change = msgspec.structs.replace
    assert "passed, 250 ms" in checked_words(change(event, passed=True))
    for fact, words in (
        (CommandFact(stopped=True), "stopped, 0 ms"),
        (CommandFact(timed_out=True), "took too long, 0 ms"),
        (CommandFact(), "failed, 0 ms"),
    ):
        assert words in checked_words(change(event, fact=fact))
