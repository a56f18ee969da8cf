import pytest

from hames.core.errors import ExitCode
from hames.core.events import LimitReached, UserSpoke
from hames.core.messages import Text
from hames.core.ports import CallContext, ToolResult, Words
from hames.loop.budget import warning_words
from hames.loop.endings import exit_code
from hames.loop.kit import TurnLimits
from hames.loop.time_limit import minute_of_day
from hames.session.session import Session
from hames.testing.clock import VirtualClock
from hames.testing.scripted import Scripted
from tests.rig import Rig, asks, check_the_log, ok

pytestmark = pytest.mark.anyio

GO = [Words((Text("go"),))]


async def echo(arguments: str, context: CallContext) -> ToolResult:
    return ok(f"echo {arguments}")


def busy(limits: TurnLimits, steps: int = 20) -> Rig:
    """A model that has a call more for so many steps. Each costs 1000, and takes 110 tokens."""
    calls = [asks(("echo", str(n))) for n in range(steps)]
    return Rig(*calls, tools={"echo": ("pure", echo)}, limits=limits)


async def warnings(rig: Rig, session: Session) -> list[LimitReached]:
    return [e for e in await rig.logged(session) if isinstance(e, LimitReached) and e.warned]


async def notes(rig: Rig, session: Session) -> list[str]:
    logged = await rig.logged(session)
    spoken = [e.parts for e in logged if isinstance(e, UserSpoke) and e.source == "harness"]
    return [part.text for parts in spoken for part in parts if isinstance(part, Text)]


async def test_money_is_never_spent_over_the_budget() -> None:
    rig = busy(TurnLimits(max_nano_usd=2500))
    session = await rig.open()
    ended = await session.say(GO)
    assert (ended.ending, ended.code, ended.steps) == ("budget", "max_budget_usd", 2)
    assert exit_code(ended) is ExitCode.BUDGET
    assert "do not pay for another request" in ended.reason
    assert session.view.totals.nano_usd == 2000
    assert LimitReached(limit="max_budget_usd", value=2.5e-06) in await rig.logged(session)
    await check_the_log(rig, session)


async def test_a_budget_that_is_spent_to_the_last_ends_the_turn() -> None:
    _, ended = (rig := busy(TurnLimits(max_nano_usd=3000))), await (await rig.open()).say(GO)
    assert (ended.ending, ended.steps) == ("budget", 3)
    assert ended.reason == "the budget of 3e-06 USD was reached"


async def test_the_budget_is_the_sessions_and_a_resume_goes_on_counting() -> None:
    rig = busy(TurnLimits(max_nano_usd=10_000, max_steps=4))
    session = await rig.open()
    assert (await session.say(GO)).ending == "step_limit"
    resumed = await rig.host.resume(session.id)
    assert (await resumed.say(GO)).steps == 4
    ended = await resumed.say(GO)
    assert (ended.ending, ended.steps, resumed.view.totals.nano_usd) == ("budget", 2, 10_000)
    assert len(await warnings(rig, resumed)) == 1


async def test_a_budget_without_a_known_price_is_refused_before_anything_is_sent() -> None:
    rig = busy(TurnLimits(max_nano_usd=2500))
    rig.nano_usd = None
    ended = await (await rig.open()).say(GO)
    assert (ended.ending, ended.steps, rig.model.bodies) == ("budget", 0, [])
    assert "no price is known" in ended.reason


async def test_a_price_that_was_not_known_before_leaves_a_budget_without_meaning() -> None:
    rig = busy(TurnLimits(), steps=1)
    rig.nano_usd = None
    session = await rig.open()
    await session.say(GO)
    rig.nano_usd, rig.limits = 1000, TurnLimits(max_nano_usd=10**9)
    ended = await (await rig.host.resume(session.id)).say(GO)
    assert (ended.ending, ended.reason) == ("budget", "a budget is set but no price is known")


async def test_a_budget_that_is_not_reached_only_bounds_the_reply() -> None:
    rig = busy(TurnLimits(max_nano_usd=10_000), steps=0)
    session = await rig.open()
    assert (await session.say(GO)).ending == "done"
    assert b'"max_tokens":1000' in rig.model.bodies[0]
    assert await warnings(rig, session) == []


async def test_tokens_in_and_out_have_a_budget_too() -> None:
    rig = busy(TurnLimits(max_tokens=3000))
    session = await rig.open()
    ended = await session.say(GO)
    assert (ended.ending, ended.code) == ("budget", "max_budget_tokens")
    assert exit_code(ended) is ExitCode.BUDGET
    assert 1500 < session.view.totals.tokens <= 3000
    assert "tokens that are left do not suffice" in ended.reason
    spent = session.view.totals.tokens
    rig.limits = TurnLimits(max_tokens=spent)
    ended = await (await rig.host.resume(session.id)).say(GO)
    assert ended.reason == f"the budget of {spent:,} tokens was reached"


async def test_the_model_and_the_person_are_told_once_when_most_of_a_limit_is_used() -> None:
    rig = busy(TurnLimits(max_steps=10))
    session = await rig.open()
    assert (await session.say(GO)).ending == "step_limit"
    expected = LimitReached(limit="max_steps", value=10, used=8, warned=True)
    assert await warnings(rig, session) == [expected]
    words = "[Most of a limit is used: 8 of 10 steps. Finish what matters most, or say what is left to do.]"
    assert await notes(rig, session) == [words]
    assert words.encode() in rig.model.bodies[8]
    assert words.encode() not in rig.model.bodies[7]
    await check_the_log(rig, session)


async def test_each_turn_has_its_own_warning_of_its_steps_and_the_session_one_of_its_money() -> None:
    rig = busy(TurnLimits(max_steps=5, max_nano_usd=12_000))
    session = await rig.open()
    for _ in range(3):
        await session.say(GO)
    told = [(event.limit, event.used) for event in await warnings(rig, session)]
    assert told == [("max_steps", 4), ("max_steps", 4), ("max_budget_usd", 1e-05)]


async def test_a_limit_that_is_raised_is_warned_of_again() -> None:
    rig = busy(TurnLimits(max_nano_usd=5000))
    session = await rig.open()
    await session.say(GO)
    rig.limits = TurnLimits(max_nano_usd=10_000)
    resumed = await rig.host.resume(session.id)
    await resumed.say(GO)
    assert [event.value for event in await warnings(rig, resumed)] == [5e-06, 1e-05]


async def test_a_short_limit_ends_without_a_warning() -> None:
    rig = busy(TurnLimits(max_steps=3))
    session = await rig.open()
    await session.say(GO)
    assert await warnings(rig, session) == []


async def test_time_that_is_nearly_over_is_warned_of() -> None:
    async def slow(arguments: str, context: CallContext) -> ToolResult:
        await rig.clock.advance(85)
        return ok("at last")

    rig = Rig(asks(("slow", "")), Scripted(text="done"), tools={"slow": ("pure", slow)})
    rig.clock = VirtualClock(1_750_000_040)
    rig.limits = TurnLimits(max_time_s=100.0, stop_at=minute_of_day(rig.clock.now() + 100))
    session = await rig.open()
    assert (await session.say(GO)).ending == "done"
    assert [event.limit for event in await warnings(rig, session)] == ["max_time_s", "stop_at"]
    assert "85 of 100 s" in (await notes(rig, session))[0]


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (LimitReached(limit="max_steps", value=50, used=40, warned=True), "40 of 50 steps"),
        (LimitReached(limit="max_budget_usd", value=2, used=1.6123, warned=True), "1.6 of 2 USD"),
        (LimitReached(limit="max_budget_tokens", value=2e6, used=1.7e6), "1,700,000 of 2,000,000 tokens"),
        (LimitReached(limit="max_time_s", value=90.5, used=75.2), "75 of 90.5 s"),
        (LimitReached(limit="stop_at", value=1080, used=1062), "it is 17:42, and the end is at 18:00"),
    ],
)
def test_how_far_a_limit_is_used_is_said_in_its_unit(event: LimitReached, words: str) -> None:
    assert warning_words(event) == f"most of a limit is used: {words}"
