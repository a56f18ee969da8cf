import msgspec
import pytest

from hames.core.errors import FailureKind, ModelError
from hames.core.events import SettingsPinned, TurnEnded
from hames.core.messages import Text
from hames.core.ports import AskOptions, CallContext, Closed, Notice, ToolResult, Words
from hames.core.profiles import ModelProfile
from hames.loop.kit import TurnLimits
from hames.session.session import Session
from hames.testing.plain_wire import PlainWire
from hames.testing.scripted import Answer, Scripted, ScriptedModel
from hames.testing.sent import body_blobs, requests_in
from tests.rig import PROFILE, BenchGate, Rig, asks, ok

pytestmark = pytest.mark.anyio

GO = [Words((Text("go"),))]
BUSY = ModelError("overload", "busy")
HOUR_S = 3600.0
TAIL = PlainWire().tail(AskOptions())


async def look(arguments: str, context: CallContext) -> ToolResult:
    return ok("seen")


class Bench(Rig):
    """Two or three models in an order of preference, the first the user's choice."""

    def __init__(self, *scripts: list[Answer], limits: TurnLimits | None = None) -> None:
        super().__init__(tools={"look": ("pure", look)}, limits=limits)
        self.models = [ScriptedModel(script) for script in scripts]
        self.answerers = [
            self.answerer(model, profile_of(name))
            for model, name in zip(self.models, ("first", "second", "third"), strict=False)
        ]

    @property
    def asked_of_each(self) -> list[int]:
        return [len(model.bodies) for model in self.models]

    async def say(self, session: Session | None = None) -> tuple[Session, TurnEnded]:
        session = session or await self.open()
        return session, await session.say(GO)

    async def pinned(self, session: Session) -> list[str]:
        return [event.model for event in await self.logged(session) if isinstance(event, SettingsPinned)]


def profile_of(name: str) -> ModelProfile:
    return msgspec.structs.replace(PROFILE, model=name)


async def check_bodies(rig: Bench, session: Session) -> None:
    """Each request can be rebuilt from the log, whoever was asked."""
    entries = await rig.store.read(session.id)
    requests = requests_in(entries)
    rebuilt = [
        b"".join([await rig.store.get(blob) for blob in body_blobs(requests, seq)]) for seq in requests
    ]
    assert sorted(rebuilt) == sorted(body for model in rig.models for body in model.bodies)


async def test_another_model_stands_in_after_some_time_of_trouble() -> None:
    rig = Bench([BUSY] * 100, [Scripted(text="there")])
    session, ended = await rig.say()
    assert ended.ending == "done"
    assert rig.clock.elapsed() < 60
    assert rig.asked_of_each[1] == 1
    assert await rig.pinned(session) == ["first", "second"]
    told = [delta.words for _, delta in rig.watcher.deltas if isinstance(delta, Notice)]
    assert told == ["test/first cannot answer (overload): test/second is asked now"]
    assert b'"model":"second"' in rig.models[1].bodies[0]
    await check_bodies(rig, session)


async def test_a_short_trouble_is_waited_out_without_another_model() -> None:
    rig = Bench([BUSY, BUSY, Scripted(text="there")], [])
    session, ended = await rig.say()
    assert ended.ending == "done"
    assert await rig.pinned(session) == ["first"]


async def test_a_long_wait_that_is_asked_for_is_not_waited_when_another_may_answer() -> None:
    rig = Bench([ModelError("rate", "later", wait_s=HOUR_S)], [Scripted(text="there")])
    _, ended = await rig.say()
    assert (ended.ending, rig.asked_of_each, rig.clock.elapsed()) == ("done", [1, 1], 0.0)


@pytest.mark.parametrize("kind", ["auth", "balance", "unknown_model"])
async def test_what_is_final_with_one_model_is_not_with_another(kind: FailureKind) -> None:
    rig = Bench([ModelError(kind, "no")] * 2, [asks(("look", "")), Scripted(text="there")])
    session, ended = await rig.say()
    assert (ended.ending, rig.asked_of_each) == ("done", [1, 2])
    await rig.clock.sleep(24 * HOUR_S)
    _, again = await rig.say(session)
    assert (again.ending, rig.asked_of_each) == ("done", [1, 3])


async def test_a_refusal_is_no_reason_to_ask_somebody_else() -> None:
    rig = Bench([ModelError("refused", "no")], [])
    _, ended = await rig.say()
    assert (ended.ending, rig.asked_of_each) == ("refused", [1, 0])


async def test_the_first_is_asked_again_when_it_has_recovered() -> None:
    rig = Bench([ModelError("rate", "later", wait_s=30.0), Scripted(text="well again")], [])
    session, _ = await rig.say()
    await rig.clock.sleep(59)
    await rig.say(session)
    assert rig.asked_of_each == [1, 2]
    await rig.clock.sleep(2)
    _, ended = await rig.say(session)
    assert (ended.ending, rig.asked_of_each) == ("done", [2, 2])
    assert await rig.pinned(session) == ["first", "second", "first"]
    await check_bodies(rig, session)


async def test_a_first_that_has_not_recovered_costs_one_request_and_longer_each_time() -> None:
    rig = Bench([ModelError("rate", "later", wait_s=30.0)] * 100, [])
    session, _ = await rig.say()
    for wait_s, first in ((61, 2), (61, 2), (60, 3), (200, 3), (41, 4)):
        await rig.clock.sleep(wait_s)
        _, ended = await rig.say(session)
        assert ended.ending == "done"
        assert rig.asked_of_each[0] == first


async def test_all_are_waited_for_when_none_can_answer() -> None:
    rig = Bench([BUSY] * 9, [BUSY] * 100, [ModelError("auth", "no")])
    rig.models[0] = ScriptedModel(
        lambda number, body: BUSY if rig.clock.elapsed() < 300 else Scripted(text="x")
    )
    rig.answerers[0] = rig.answerer(rig.models[0], profile_of("first"))
    session, ended = await rig.say()
    assert ended.ending == "done"
    assert 300 <= rig.clock.elapsed() < 500
    assert rig.asked_of_each[2] == 1
    assert (await rig.pinned(session))[-1] == "first"
    await check_bodies(rig, session)


async def test_when_nobody_can_ever_answer_the_turn_fails_with_the_last_reason() -> None:
    rig = Bench([ModelError("auth", "no key")], [ModelError("balance", "no money")])
    _, ended = await rig.say()
    assert (ended.ending, ended.code, rig.asked_of_each) == ("failed", "balance", [1, 1])


async def test_one_that_is_only_busy_is_waited_for_when_the_others_never_answer() -> None:
    rig = Bench([BUSY] * 60, [ModelError("auth", "no")])
    rig.limits = TurnLimits(patience_s=120.0)
    session, ended = await rig.say()
    assert (ended.ending, ended.code) == ("failed", "overload")
    assert rig.asked_of_each[1] == 1
    assert await rig.pinned(session) == ["first", "second", "first"]


@pytest.mark.parametrize(
    ("most", "why"),
    [
        (3000, "what other models may cost is spent"),
        (3500, "what is left does not pay for test/second"),
    ],
)
async def test_what_others_may_cost_is_a_ceiling(most: int, why: str) -> None:
    limits = TurnLimits(stand_in_nano_usd=most)
    later = ModelError("rate", "later", wait_s=600.0)
    script = [later, Scripted(text="at last"), later, Scripted(text="again at last")]
    rig = Bench(script, [asks(("look", str(n))) for n in range(9)], limits=limits)
    session, ended = await rig.say()
    assert (ended.ending, rig.asked_of_each) == ("done", [2, 3])
    assert await rig.pinned(session) == ["first", "second", "first"]
    told = [delta.words for _, delta in rig.watcher.deltas if isinstance(delta, Notice)]
    assert told[-1] == f"{why}: test/first is asked now"
    begun_s = rig.clock.elapsed()
    await rig.say(session)
    assert (rig.asked_of_each, rig.clock.elapsed() - begun_s) == ([4, 3], 600.0)


async def test_a_model_that_stands_in_is_asked_on_after_a_restart_and_for_no_longer() -> None:
    rig = Bench([ModelError("rate", "later", wait_s=30.0)], [])
    session, _ = await rig.say()
    await rig.clock.sleep(30)
    resumed = await rig.host.resume(session.id)
    await rig.say(resumed)
    assert rig.asked_of_each == [1, 2]
    assert rig.models[1].bodies[1].startswith(rig.models[1].bodies[0].removesuffix(TAIL))
    await rig.clock.sleep(31)
    await rig.say(resumed)
    assert rig.asked_of_each == [2, 2]


async def test_a_session_goes_on_with_the_first_when_who_stood_in_is_not_known_any_more() -> None:
    rig = Bench([ModelError("rate", "later", wait_s=30.0)], [])
    session, _ = await rig.say()
    rig.answerers = rig.answerers[:1]
    resumed = await rig.host.resume(session.id)
    _, ended = await rig.say(resumed)
    assert (ended.ending, rig.asked_of_each) == ("done", [2, 1])


async def test_replies_of_no_use_are_a_reason_for_another_model_too() -> None:
    rig = Bench([ModelError("empty", "nothing")] * 9, [Scripted(text="there")])
    _, ended = await rig.say()
    assert (ended.ending, rig.asked_of_each) == ("done", [5, 1])


async def test_a_gate_that_is_shut_for_long_is_a_reason_for_another_model() -> None:
    rig = Bench([], [Scripted(text="there")])
    now = rig.clock.now()
    own = BenchGate(rig.clock, rig.chance)
    rig.answerers[1] = msgspec.structs.replace(rig.answerers[1], gate=own)
    rig.gate.closed = [Closed(now + 0.5, "short"), Closed(now + 60.0, "others were told to wait")]
    _, ended = await rig.say()
    assert (ended.ending, rig.asked_of_each, rig.clock.elapsed()) == ("done", [0, 1], 0.5)
