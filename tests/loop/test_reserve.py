from collections.abc import AsyncGenerator
from typing import cast

import anyio
import msgspec
import pytest

from hames.context.view import fold
from hames.core.errors import FailureKind, ModelError
from hames.core.events import AnyEvent, Cost, ModelFailed, ModelReplied, RequestSent, TurnEnded, Usage
from hames.core.messages import Text
from hames.core.ports import (
    Alive,
    AskOptions,
    Body,
    CallContext,
    Closed,
    Delta,
    Reply,
    TextDelta,
    ToolResult,
    Words,
)
from hames.core.profiles import ModelFacts
from hames.loop.kit import TurnLimits
from hames.loop.reserve import Heard, cost_of_failure
from hames.session.session import Session
from hames.testing.scripted import Scripted, ScriptedModel
from tests.rig import PROFILE, BenchGate, Rig, asks, check_the_log, ok

pytestmark = pytest.mark.anyio

GO = [Words((Text("go"),))]
MOST = Cost(Usage(input=100, output=1000), 5000)


async def echo(arguments: str, context: CallContext) -> ToolResult:
    return ok("seen")


def priced(usage: Usage, at: float) -> int | None:
    """One for a token of input, ten for one of output."""
    return usage.input + 10 * usage.output


def too_much(usage: Usage, at: float) -> int | None:
    return usage.input * 1000


class Priced(Rig):
    """A model whose tokens cost something, with replies of up to 100,000 tokens."""

    def __init__(self, *answers: Scripted | ModelError, nano_usd: int | None = None) -> None:
        limits = TurnLimits(max_nano_usd=nano_usd, attempts=9)
        super().__init__(*answers, tools={"echo": ("pure", echo)}, limits=limits)
        self.price = priced
        self.profile = msgspec.structs.replace(PROFILE, facts=ModelFacts(window=10**6, max_output=100_000))

    async def say(self) -> tuple[Session, TurnEnded]:
        session = await self.open()
        return session, await session.say(GO)

    @property
    def asked_for(self) -> list[int | None]:
        """The most output that each request asked for."""
        return [most_output(body) for body in self.model.bodies]


class _Asked(msgspec.Struct):
    options: AskOptions


def most_output(body: bytes) -> int | None:
    return msgspec.json.decode(body, type=_Asked).options.max_tokens


async def test_without_a_budget_a_request_asks_for_what_it_always_did_and_says_what_it_can_cost() -> None:
    rig = Priced(Scripted(text="hi"))
    session, _ = await rig.say()
    assert rig.asked_for == [None]
    (sent,) = [event for event in await rig.logged(session) if isinstance(event, RequestSent)]
    assert sent.most is not None
    assert sent.most.usage.output == 100_000
    assert sent.most.nano_usd == sent.most.usage.input + 10**6


async def test_a_reply_is_asked_for_that_a_share_of_what_is_left_pays_for() -> None:
    rig = Priced(asks(("echo", "1"), usage=Usage(300, 0, 1000)), nano_usd=1_200_000)
    session, ended = await rig.say()
    assert ended.ending == "done"
    first, second = rig.asked_for
    assert first is not None
    assert second is not None
    assert 29_000 < first < 30_000
    assert second < first
    await check_the_log(rig, session)


async def test_a_short_reply_is_asked_for_with_all_that_is_left() -> None:
    rig = Priced(nano_usd=60_000)
    _, ended = await rig.say()
    assert ended.ending == "done"
    (asked,) = rig.asked_for
    assert asked is not None
    assert 5800 < asked < 6000


async def test_the_users_own_bound_on_a_reply_stays_the_most() -> None:
    rig = Priced(nano_usd=10**9)
    rig.options = AskOptions(max_tokens=500)
    _, ended = await rig.say()
    assert (ended.ending, rig.asked_for) == ("done", [500])


@pytest.mark.parametrize(("nano_usd", "ending"), [(10_500, "budget"), (12_000, "done")])
async def test_what_does_not_pay_for_a_short_reply_is_not_sent(nano_usd: int, ending: str) -> None:
    rig = Priced(nano_usd=nano_usd)
    session, ended = await rig.say()
    assert (ended.ending, len(rig.model.bodies)) == (ending, 1 if ending == "done" else 0)
    assert (session.view.totals.nano_usd or 0) <= nano_usd


async def test_the_price_at_any_time_of_the_reply_is_what_counts() -> None:
    def dear(usage: Usage, at: float) -> int:
        return (usage.input + 10 * usage.output) * (2 if at > rig.clock.now() + 60 else 1)

    rig = Priced(nano_usd=1_200_000)
    rig.price = dear
    await rig.say()
    (asked,) = rig.asked_for
    assert asked is not None
    assert 14_000 < asked < 15_000


async def test_a_price_that_rises_in_a_wait_shortens_the_reply_that_is_asked_for() -> None:
    def dear(usage: Usage, at: float) -> int:
        return (usage.input + 10 * usage.output) * (2 if at >= begun + 5 * 3600 else 1)

    rig = Priced(nano_usd=60_000)
    begun = rig.clock.now()
    rig.limits = msgspec.structs.replace(rig.limits, patience_s=None)
    rig.price = dear
    rig.gate.closed = [Closed(begun + 6 * 3600, "others were told to wait")]
    _, ended = await rig.say()
    assert ended.ending == "done"
    (asked,) = rig.asked_for
    assert asked is not None
    assert 2800 < asked < 3000


# Attempts without a whole reply


@pytest.mark.parametrize(
    ("kind", "came", "counts"),
    [
        *((kind, (), False) for kind in ("rate", "overload", "transport", "auth", "rejected", "refused")),
        *((kind, (), True) for kind in ("cut", "empty", "malformed", "stalled")),
        ("overload", (Alive(queued=True),), False),
        ("transport", (Alive(queued=False),), True),
        ("overload", (Alive(queued=False), TextDelta("so")), True),
        ("refused", (TextDelta("I"),), True),
    ],
)
def test_an_attempt_counts_in_full_unless_the_server_has_made_nothing_of_it(
    kind: FailureKind, came: tuple[Delta, ...], counts: bool
) -> None:
    heard = Heard()
    for item in came:
        heard.take(item)
    assert cost_of_failure(ModelError(kind, ""), heard, MOST) == (MOST if counts else None)


async def test_attempts_that_were_of_no_use_are_paid_for_and_refused_ones_are_not() -> None:
    busy, cut = ModelError("overload", "busy"), ModelError("cut", "gone")
    rig = Priced(busy, cut, busy, Scripted(text="there", usage=Usage(500, 0, 100)), nano_usd=10**7)
    session, ended = await rig.say()
    assert ended.ending == "done"
    failures = [event for event in await rig.logged(session) if isinstance(event, ModelFailed)]
    lost = failures[1].cost
    assert [failure.cost for failure in failures] == [None, lost, None]
    assert lost is not None
    assert lost.nano_usd is not None
    totals = session.view.totals
    assert (totals.nano_usd, totals.estimated_nano_usd) == (lost.nano_usd + 1500, lost.nano_usd)
    assert totals.tokens == lost.usage.input + lost.usage.output + 600
    await check_the_log(rig, session)


async def test_retries_do_not_push_money_over_the_budget() -> None:
    rig = Priced(*[ModelError("cut", "gone")] * 20, nano_usd=10**6)
    rig.limits = msgspec.structs.replace(rig.limits, attempts=99)
    session, ended = await rig.say()
    assert (ended.ending, ended.code) == ("budget", "max_budget_usd")
    assert len(rig.model.bodies) > 5
    assert session.view.totals.nano_usd is not None
    assert 900_000 < session.view.totals.nano_usd <= 10**6
    await check_the_log(rig, session)


class Hanging(ScriptedModel):
    """Answers with a word, and then never again."""

    def __init__(self) -> None:
        super().__init__([])
        self.spoke = anyio.Event()

    async def ask(self, body: Body) -> AsyncGenerator[Delta | Reply]:
        self.bodies.append(b"".join(body.chunks))
        yield TextDelta("so")
        self.spoke.set()
        await anyio.sleep_forever()


async def test_a_request_that_is_cancelled_counts_at_the_most_that_it_can_cost() -> None:
    rig = Priced(nano_usd=10**7)
    rig.asked = model = Hanging()
    known: list[int] = []
    session = await rig.open()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session.say, GO)
        await model.spoke.wait()
        assert session.view.totals.nano_usd == 0
        known.append(session.view.spent.nano_usd or 0)
        tasks.cancel_scope.cancel()
    assert session.view.totals.nano_usd == known[0]
    assert known[0] > 10**6
    resumed = await rig.host.resume(session.id)
    assert resumed.view.totals == session.view.totals


async def test_a_request_that_a_killed_process_has_sent_counts_for_whoever_goes_on() -> None:
    rig = Priced(Scripted(text="there", usage=Usage(500, 0, 100)), nano_usd=2 * 10**6)
    session, _ = await rig.say()
    events = cast("list[AnyEvent]", await rig.logged(session))
    at, sent = next((at, event) for at, event in enumerate(events) if isinstance(event, RequestSent))
    left = Priced(Scripted(text="there", usage=Usage(500, 0, 100)), nano_usd=2 * 10**6)
    claim = await left.store.claim(session.id)
    await left.store.append(claim, events[: at + 1], rig.store.brought)
    await left.store.release(claim)
    resumed = await left.host.resume(session.id)
    assert sent.most is not None
    assert sent.most.nano_usd is not None
    assert resumed.view.spent.nano_usd == sent.most.nano_usd
    assert (await resumed.go_on()).ending == "done"
    totals = resumed.view.totals
    assert (totals.nano_usd, totals.estimated_nano_usd) == (sent.most.nano_usd + 1500, sent.most.nano_usd)
    first, second = (most_output(body) or 0 for body in (*rig.model.bodies, *left.model.bodies))
    assert second < first
    assert fold(await left.store.read(session.id)).totals == totals


# Replies that the provider has not counted


@pytest.mark.parametrize(
    ("reply", "output"),
    [
        (Scripted(text="four", reasoning="and 8", usage=Usage()), 9),
        (Scripted(text="four", usage=Usage(), finish="length"), 100_000),
        (Scripted(text="four", usage=Usage(input=77)), 4),
        (asks(("echo", "123456"), usage=Usage()), 10),
        (Scripted(text="x" * 200_000, usage=Usage()), 100_000),
    ],
)
async def test_a_reply_that_was_not_counted_costs_what_can_be_told_of_it(
    reply: Scripted, output: int
) -> None:
    rig = Priced(reply)
    rig.limits = TurnLimits(max_steps=1)
    session, _ = await rig.say()
    (sent,) = [event for event in await rig.logged(session) if isinstance(event, RequestSent)]
    (event,) = [event for event in await rig.logged(session) if isinstance(event, ModelReplied)]
    assert sent.most is not None
    expected = reply.usage.input or sent.most.usage.input
    assert (event.usage.input, event.usage.output, event.estimated) == (expected, output, True)
    assert event.nano_usd == event.usage.input + 10 * output
    assert session.view.totals.estimated_nano_usd == event.nano_usd


async def test_a_reply_that_was_counted_costs_what_was_counted() -> None:
    rig = Priced(Scripted(text="x" * 99, usage=Usage(10, 5, 3)))
    session, _ = await rig.say()
    assert (session.view.totals.nano_usd, session.view.totals.estimated_nano_usd) == (40, 0)


# Other models


async def test_who_stands_in_is_not_asked_with_money_that_does_not_pay_for_it() -> None:
    later = ModelError("rate", "later", wait_s=600.0)
    rig = Priced(later, Scripted(text="at last"), nano_usd=100_000)
    other = ScriptedModel([])
    first = rig.answerer(rig.model, rig.profile)
    second = rig.answerer(other, msgspec.structs.replace(rig.profile, model="dear"))
    gate = BenchGate(rig.clock, rig.chance)
    rig.answerers = [
        first,
        msgspec.structs.replace(second, price=too_much, gate=gate),
    ]
    _, ended = await rig.say()
    assert (ended.ending, len(rig.model.bodies), other.bodies) == ("done", 2, [])
