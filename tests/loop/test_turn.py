from collections.abc import AsyncGenerator

import anyio
import anyio.lowlevel
import msgspec
import pytest

from hames.channels.headless import NobodyHere
from hames.core.errors import ExitCode, FailureKind, ModelError
from hames.core.events import (
    CallFinished,
    CallIntended,
    CallStarted,
    ContextShrunk,
    Effect,
    EndingKind,
    JobDetached,
    JobFinished,
    JobStarted,
    LimitReached,
    ModelFailed,
    ModelReplied,
    RequestSent,
    TurnEnded,
    Usage,
    UserSpoke,
    WaitEnded,
    WaitStarted,
)
from hames.core.ids import JobId
from hames.core.messages import Text
from hames.core.ports import Body, CallContext, Delta, Judgement, Reply, TextDelta, ToolResult, Words
from hames.core.profiles import ModelFacts
from hames.loop.endings import exit_code
from hames.loop.kit import TurnLimits
from hames.loop.retry import OF_NO_USE, PASSING
from hames.session.session import Session
from hames.testing.scripted import Scripted
from tests.rig import Rig, asks, check_the_log, job_over, ok

pytestmark = pytest.mark.anyio


def words(text: str) -> list[Words]:
    return [Words((Text(text),))]


async def echo(arguments: str, context: CallContext) -> ToolResult:
    return ok(f"echo {arguments}")


async def say(rig: Rig, text: str = "go") -> tuple[Session, TurnEnded]:
    session = await rig.open()
    return session, await session.say(words(text))


def kinds(events: list[object]) -> list[str]:
    return [type(event).__name__ for event in events]


async def test_a_turn_runs_until_nothing_is_owed() -> None:
    rig = Rig(asks(("echo", "1")), Scripted(text="all done"), tools={"echo": ("pure", echo)})
    session, ended = await say(rig)
    assert (ended.ending, ended.steps) == ("done", 2)
    assert exit_code(ended) is ExitCode.DONE
    assert kinds(await rig.logged(session)) == [
        "SessionOpened",
        "SettingsPinned",
        "UserSpoke",
        "UserSpoke",
        "TurnStarted",
        "RequestSent",
        "ModelReplied",
        "CallIntended",
        "CallJudged",
        "CallStarted",
        "CallFinished",
        "RequestSent",
        "ModelReplied",
        "TurnEnded",
    ]
    await check_the_log(rig, session)


async def test_a_step_with_a_call_costs_two_commits() -> None:
    rig = Rig(*[asks(("echo", str(n))) for n in range(5)], tools={"echo": ("pure", echo)})
    await say(rig)
    assert len(rig.store.appended) == 2 * 5 + 2


async def test_the_listener_is_told_of_durable_events_in_order_and_of_text_on_its_way() -> None:
    rig = Rig(Scripted(text="hello"))
    session, _ = await say(rig)
    entries = await rig.store.read(session.id)
    assert rig.watcher.entries == list(entries)
    assert (1, TextDelta("hello")) in rig.watcher.deltas


async def test_the_step_limit_ends_the_turn_before_another_request() -> None:
    rig = Rig(*[asks(("echo", str(n))) for n in range(9)], tools={"echo": ("pure", echo)})
    rig.limits = TurnLimits(max_steps=3)
    session, ended = await say(rig)
    assert (ended.ending, ended.code, ended.steps) == ("step_limit", "max_steps", 3)
    assert exit_code(ended) is ExitCode.STEP_LIMIT
    assert len(rig.model.bodies) == 3
    assert any(isinstance(e, LimitReached) for e in await rig.logged(session))


async def test_the_next_turn_has_its_own_steps() -> None:
    rig = Rig(asks(("echo", "1")), asks(("echo", "2")), tools={"echo": ("pure", echo)})
    rig.limits = TurnLimits(max_steps=2)
    session, first = await say(rig)
    second = await session.say(words("on"))
    assert (first.ending, second.ending, second.steps) == ("step_limit", "done", 1)


@pytest.mark.parametrize("kind", sorted(PASSING | OF_NO_USE))
async def test_a_failure_that_may_pass_is_tried_again_with_the_same_bytes(kind: FailureKind) -> None:
    rig = Rig(ModelError(kind, "not now"), Scripted(text="there"))
    session, ended = await say(rig)
    assert ended.ending == "done"
    assert rig.model.bodies[0] == rig.model.bodies[1]
    events = await rig.logged(session)
    sent = [e for e in events if isinstance(e, RequestSent)]
    assert [(e.step, e.attempt, e.sha256) for e in sent] == [(1, 1, sent[0].sha256), (1, 2, sent[0].sha256)]
    assert sent[1].added == ()
    assert {ModelFailed, WaitStarted, WaitEnded} <= {type(e) for e in events}
    await check_the_log(rig, session)


async def test_the_wait_that_a_server_asks_for_is_kept() -> None:
    rig = Rig(ModelError("rate", "slow down", status=429, wait_s=7.0, raw=b"{}"), Scripted(text="there"))
    session, _ = await say(rig)
    failed = next(e for e in await rig.logged(session) if isinstance(e, ModelFailed))
    assert (failed.wait_s, failed.status) == (7.0, 429)
    assert failed.raw is not None
    assert await rig.store.get(failed.raw) == b"{}"
    assert rig.clock.elapsed() == 7.0


async def test_a_failure_that_cannot_pass_is_not_tried_again() -> None:
    rig = Rig(ModelError("auth", "the key is wrong", status=401))
    session, ended = await say(rig)
    assert (ended.ending, ended.code) == ("failed", "auth")
    assert exit_code(ended) is ExitCode.AUTH
    assert len(rig.model.bodies) == 1
    assert not any(isinstance(e, WaitStarted) for e in await rig.logged(session))


async def test_replies_that_are_of_no_use_end_the_turn_after_a_few_attempts() -> None:
    rig = Rig(*[ModelError("empty", "nothing was said")] * 9)
    rig.limits = TurnLimits(attempts=3)
    session, ended = await say(rig)
    assert (ended.ending, ended.code) == ("failed", "empty")
    assert ended.reason == "nothing was said. 3 attempts were of no use"
    assert exit_code(ended) is ExitCode.UNAVAILABLE
    assert len(rig.model.bodies) == 3
    assert LimitReached(limit="attempts", value=3) in await rig.logged(session)


async def test_a_refusal_is_an_ending_of_its_own() -> None:
    _, ended = await say(Rig(ModelError("refused", "no")))
    assert ended.ending == "refused"
    assert exit_code(ended) is ExitCode.FAILED


async def test_a_content_filter_is_a_refusal() -> None:
    _, ended = await say(Rig(Scripted(text="I ", finish="filter")))
    assert ended.ending == "refused"


async def test_a_reply_that_is_cut_at_the_output_limit_is_gone_on_with() -> None:
    rig = Rig(Scripted(text="first half", finish="length"), Scripted(text="second half"))
    session, ended = await say(rig)
    assert (ended.ending, ended.steps) == ("done", 2)
    assert any(isinstance(e, UserSpoke) and e.source == "harness" for e in await rig.logged(session))


async def test_a_stream_without_a_reply_is_a_cut() -> None:
    class Silent:
        async def ask(self, body: Body) -> AsyncGenerator[Delta | Reply]:
            yield TextDelta("he")

    rig = Rig()
    rig.limits = TurnLimits(attempts=1)
    rig.asked = Silent()
    _, ended = await say(rig)
    assert (ended.ending, ended.code) == ("failed", "cut")


async def test_a_request_that_is_too_long_is_shrunk_and_sent_again() -> None:
    async def long(arguments: str, context: CallContext) -> ToolResult:
        return ok("x" * 5000)

    calls = [asks(("long", str(n)), usage=Usage(input=1400 * n + 100, output=10)) for n in range(8)]
    rig = Rig(
        *calls, ModelError("overflow", "too long"), Scripted(text="fits"), tools={"long": ("pure", long)}
    )
    session, ended = await say(rig)
    assert ended.ending == "done"
    shrunk = [e for e in await rig.logged(session) if isinstance(e, ContextShrunk)]
    assert len(shrunk) == 1
    assert len(rig.model.bodies[-1]) < len(rig.model.bodies[-2])
    await check_the_log(rig, session)


async def test_a_request_that_cannot_be_shrunk_fails_honestly() -> None:
    _, ended = await say(Rig(ModelError("overflow", "too long")))
    assert (ended.ending, ended.code) == ("failed", "overflow")


async def test_history_is_shrunk_before_the_window_is_full() -> None:
    async def long(arguments: str, context: CallContext) -> ToolResult:
        return ok("x" * 3000)

    calls = [asks(("long", str(n)), usage=Usage()) for n in range(20)]
    rig = Rig(*calls, tools={"long": ("pure", long)})
    rig.profile = msgspec.structs.replace(rig.profile, facts=ModelFacts(window=10_000, max_output=100))
    session, ended = await say(rig)
    assert ended.ending == "done"
    assert max(len(body) for body in rig.model.bodies) < 10_000 * 3.6
    assert any(isinstance(e, ContextShrunk) for e in await rig.logged(session))
    await check_the_log(rig, session)


async def test_words_said_in_mid_turn_are_heard_at_the_next_step() -> None:
    held: list[Session] = []

    async def interrupt(arguments: str, context: CallContext) -> ToolResult:
        held[0].inbox.put(Words((Text("also this"),), dedup="k"))
        held[0].inbox.put(Words((Text("also this"),), dedup="k"))
        return ok("done")

    rig = Rig(asks(("interrupt", "")), Scripted(text="both"), tools={"interrupt": ("pure", interrupt)})
    held.append(await rig.open())
    await held[0].say(words("go"))
    assert rig.model.bodies[-1].count(b"also this") == 1
    spoken = [e for e in await rig.logged(held[0]) if isinstance(e, UserSpoke)]
    assert [e.source for e in spoken] == ["context", "user", "steer"]


async def test_words_that_come_with_the_last_reply_keep_the_turn_going() -> None:
    def script(number: int, body: bytes) -> Scripted:
        if number == 0:
            session.inbox.put(Words((Text("and another"),)))
        return Scripted(text="yes")

    rig = Rig(script=script)
    session = await rig.open()
    ended = await session.say(words("go"))
    assert (ended.ending, ended.steps) == ("done", 2)
    assert b"and another" in rig.model.bodies[-1]


def background(rig: Rig) -> None:
    async def start(arguments: str, context: CallContext) -> ToolResult:
        job = JobStarted(job=JobId(context.call), call=context.call, command="make")
        return ToolResult("ok", (Text("started"),), job=job)

    rig.tools = Rig(tools={"start": ("effectful", start)}).tools


async def test_a_turn_with_live_jobs_waits_and_tells_the_model_once() -> None:
    rig = Rig(asks(("start", "")), Scripted(text="waiting"), Scripted(text="made"))
    background(rig)
    rig.jobs.on_wait = lambda: rig.jobs.over.update({JobId("1.0"): job_over(JobId("1.0"), "[it is made]")})
    session, ended = await say(rig)
    assert (ended.ending, ended.steps) == ("done", 3)
    assert rig.model.bodies[-1].count(b"[it is made]") == 1
    events = await rig.logged(session)
    order = [type(e) for e in events if isinstance(e, JobStarted | CallFinished | JobFinished)]
    assert order == [JobStarted, CallFinished, JobFinished]


async def test_a_job_that_does_not_end_is_stopped_and_the_turn_does_not_pass_for_done() -> None:
    rig = Rig(asks(("start", "")), Scripted(text="left it running"))
    background(rig)
    session, ended = await say(rig)
    assert ended.ending == "unfinished_background"
    assert exit_code(ended) is ExitCode.UNFINISHED
    assert rig.jobs.stopped == [JobId("1.0")]
    assert not session.view.jobs


async def test_a_detached_job_is_not_waited_for_and_the_turn_does_not_pass_for_done() -> None:
    async def detach(arguments: str, context: CallContext) -> ToolResult:
        return ToolResult("ok", (Text("detached"),), job=JobDetached(JobId(arguments)))

    async def start(arguments: str, context: CallContext) -> ToolResult:
        job = JobStarted(job=JobId(context.call), call=context.call, command=f"make {context.call}")
        return ToolResult("ok", (Text("started"),), job=job)

    rig = Rig(
        asks(("start", ""), ("start", ""), ("detach", "1.0")), Scripted(text="left"), Scripted(text="ok")
    )
    rig.tools = Rig(tools={"start": ("effectful", start), "detach": ("idempotent", detach)}).tools
    rig.jobs.on_wait = lambda: rig.jobs.over.update({JobId("1.1"): job_over(JobId("1.1"))})
    session, ended = await say(rig)
    assert exit_code(ended) is ExitCode.UNFINISHED
    assert ended.reason == "detached jobs run on: 1.0 (make 1.0)"
    assert not rig.jobs.stopped
    assert list(session.view.jobs) == ["1.0"]
    again = await rig.host.resume(session.id)
    assert again.view.detached == {"1.0"}
    assert not again.view.awaited


async def test_what_needs_a_person_where_there_is_none_ends_as_blocked() -> None:
    rig = Rig(asks(("rm", "all")), Scripted(text="I cannot"), tools={"rm": ("effectful", echo)})
    rig.policy = Rig(verdicts={"rm": Judgement("ask", "mode ask", "it writes")}).policy
    rig.person = NobodyHere()
    session, ended = await say(rig)
    assert ended.ending == "blocked"
    assert exit_code(ended) is ExitCode.BLOCKED
    assert not any(isinstance(e, CallStarted) for e in await rig.logged(session))


async def test_a_reply_whose_server_ended_it_in_an_unknown_way_is_not_vouched_for() -> None:
    _, ended = await say(Rig(Scripted(text="half of", finish="other")))
    assert (ended.ending, ended.code) == ("done", "unknown_finish")
    assert "may not be whole" in ended.reason


@pytest.mark.parametrize(("effect", "ending"), [("reconcilable", "done"), ("pure", "blocked")])
async def test_a_denial_that_was_got_around_does_not_block(effect: Effect, ending: EndingKind) -> None:
    rig = Rig(asks(("rm", "all")), asks(("echo", "1")), Scripted(text="otherwise"))
    rig.tools = Rig(tools={"rm": ("effectful", echo), "echo": (effect, echo)}).tools
    rig.policy = Rig(verdicts={"rm": Judgement("ask", "mode ask", "it writes")}).policy
    rig.person = NobodyHere()
    _, ended = await say(rig)
    assert ended.ending == ending


async def test_a_cancelled_turn_keeps_what_was_done_and_says_what_was_stopped() -> None:
    stopped: list[str] = []

    async def slow(arguments: str, context: CallContext) -> ToolResult:
        scope.cancel()
        try:
            await anyio.sleep_forever()
        finally:
            stopped.append(arguments)
        return ok("never")

    rig = Rig(
        asks(("echo", "1")),
        asks(("slow", "2"), ("slow", "3")),
        Scripted(text="and on"),
        tools={"echo": ("pure", echo), "slow": ("effectful", slow)},
    )
    session = await rig.open()
    with anyio.CancelScope() as scope:
        await session.say(words("go"))
    assert scope.cancelled_caught
    assert stopped == ["2"]
    events = await rig.logged(session)
    outcomes = [e.outcome for e in events if isinstance(e, CallFinished)]
    assert outcomes == ["ok", "cancelled", "not_run"]
    ended = events[-1]
    assert isinstance(ended, TurnEnded)
    assert (ended.ending, ended.steps) == ("cancelled", 2)
    assert exit_code(ended) is ExitCode.CANCELLED
    assert (await session.say(words("on"))).ending == "done"
    await check_the_log(rig, session)


async def test_a_turn_cancelled_while_the_model_thinks_can_be_followed_by_another() -> None:
    def script(number: int, body: bytes) -> Scripted:
        if number == 0:
            scope.cancel()
        return Scripted(text="hello")

    rig = Rig(script=script)
    session = await rig.open()
    with anyio.CancelScope() as scope:
        await session.say(words("go"))
    ended = await session.say(words("once more"))
    assert ended.ending == "done"
    sent = [e for e in await rig.logged(session) if isinstance(e, RequestSent)]
    assert [(e.step, e.attempt) for e in sent] == [(1, 1), (2, 1)]


async def test_calls_of_one_cancelled_group_keep_the_results_they_have() -> None:
    async def quick(arguments: str, context: CallContext) -> ToolResult:
        return ok("quick")

    async def stuck(arguments: str, context: CallContext) -> ToolResult:
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        scope.cancel()
        await anyio.sleep_forever()
        return ok("never")

    rig = Rig(asks(("quick", ""), ("stuck", "")), tools={"quick": ("pure", quick), "stuck": ("pure", stuck)})
    session = await rig.open()
    with anyio.CancelScope() as scope:
        await session.say(words("go"))
    outcomes = [e.outcome for e in await rig.logged(session) if isinstance(e, CallFinished)]
    assert outcomes == ["ok", "cancelled"]


async def test_a_replys_cost_and_repairs_are_on_the_log() -> None:
    rig = Rig(Scripted(text="hi", repairs=("1 event was not JSON",)))
    session, _ = await say(rig)
    reply = next(e for e in await rig.logged(session) if isinstance(e, ModelReplied))
    assert (reply.nano_usd, reply.repairs) == (1000, ("1 event was not JSON",))
    assert await rig.store.get(reply.raw)


async def test_every_call_has_an_intent_before_its_start() -> None:
    rig = Rig(asks(("echo", "1"), ("echo", "2"), ("nosuch", "")), tools={"echo": ("pure", echo)})
    session, _ = await say(rig)
    events = await rig.logged(session)
    intended = [e.call for e in events if isinstance(e, CallIntended)]
    started = [e.call for e in events if isinstance(e, CallStarted)]
    assert intended == ["1.0", "1.1", "1.2"]
    assert started == ["1.0", "1.1"]
