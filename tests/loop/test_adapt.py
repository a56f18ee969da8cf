from collections.abc import Callable

import msgspec
import pytest

from hames.core.errors import ModelError
from hames.core.events import ContextShrunk, ModelFailed, SettingsPinned, TurnEnded, Usage
from hames.core.limits import OUTPUT_SPARE_TOKENS
from hames.core.messages import Text
from hames.core.ports import AskOptions, CallContext, ToolResult, Words
from hames.core.profiles import ModelFacts
from hames.session.session import Session
from hames.testing.scripted import Answer, Scripted
from tests.rig import Rig, asks, check_the_log, ok

pytestmark = pytest.mark.anyio

GO = [Words((Text("go"),))]


async def long(arguments: str, context: CallContext) -> ToolResult:
    return ok("x" * 5000)


def server(window: int, replies: list[Scripted], *, named: bool) -> Callable[[int, bytes], Answer]:
    """A model whose window is smaller than anybody said. It counts tokens as four bytes each."""
    left = iter(replies)

    def answer(number: int, body: bytes) -> Answer:
        if len(body) / 4 > window:
            return ModelError("overflow", "too long", window=window if named else None)
        reply = next(left)
        usage = msgspec.structs.replace(reply.usage, input=len(body) // 4)
        return msgspec.structs.replace(reply, usage=usage)

    return answer


@pytest.mark.parametrize("named", [True, False])
async def test_the_window_of_an_overflow_is_learnt_and_not_hit_again(*, named: bool) -> None:
    replies = [asks(("long", str(n))) for n in range(60)]
    script = server(20_000, [*replies, Scripted(text="done")], named=named)
    rig = Rig(script=script, tools={"long": ("pure", long)})
    session, ended = await say(rig)
    assert ended.ending == "done"
    events = await rig.logged(session)
    failures = [e for e in events if isinstance(e, ModelFailed)]
    assert [failure.kind for failure in failures] == ["overflow"]
    assert failures[0].window is not None
    assert failures[0].window <= (20_000 if named else 22_000)
    assert len([e for e in events if isinstance(e, ContextShrunk)]) > 3
    assert len(rig.model.bodies) == 62
    await check_the_log(rig, session)


async def test_what_was_learnt_holds_after_a_restart() -> None:
    replies = [asks(("long", str(n))) for n in range(40)]
    done = Scripted(text="done")
    script = server(20_000, [*replies[:20], done, *replies[20:], done], named=True)
    rig = Rig(script=script, tools={"long": ("pure", long)})
    session, _ = await say(rig)
    resumed = await rig.host.resume(session.id)
    assert (await resumed.say(GO)).ending == "done"
    failures = [e for e in await rig.logged(resumed) if isinstance(e, ModelFailed)]
    assert len(failures) == 1


async def test_a_session_of_more_steps_than_fit_goes_on_with_the_oldest_left_out() -> None:
    async def short(arguments: str, context: CallContext) -> ToolResult:
        return ok(f"did {arguments}")

    replies = [asks(("short", str(n)), text=f"Now for number {n}. " * 5) for n in range(400)]
    rig = Rig(
        script=server(8000, [*replies, Scripted(text="done")], named=True), tools={"short": ("pure", short)}
    )
    rig.profile = msgspec.structs.replace(rig.profile, facts=ModelFacts(window=8000, max_output=1000))
    session, ended = await say(rig)
    assert ended.ending == "done"
    events = await rig.logged(session)
    assert not any(isinstance(e, ModelFailed) for e in events)
    # Each rewrite makes room for many steps: they are no more than they have to be.
    shrunk = [e for e in events if isinstance(e, ContextShrunk)]
    assert 3 < len(shrunk) < 20
    assert sum(b"Your first" in body for body in rig.model.bodies) > 300
    assert all(b'"go"' in body and body.count(b"Your first") <= 1 for body in rig.model.bodies)
    assert session.view.left_out > 300
    await check_the_log(rig, session)
    assert (await rig.host.resume(session.id)).view.messages == session.view.messages


async def say(rig: Rig) -> tuple[Session, TurnEnded]:
    session = await rig.open()
    return session, await session.say(GO)


async def test_less_output_is_asked_for_where_that_is_all_that_does_not_fit() -> None:
    def answer(number: int, body: bytes) -> Answer:
        most = msgspec.json.decode(body)["options"]["max_tokens"]
        taken = len(body) // 4
        if taken + (90_000 if most is None else most) > 40_000:
            return ModelError("overflow", "too long with what you want", window=40_000)
        return Scripted(text="there", usage=msgspec.structs.replace(Scripted().usage, input=taken))

    rig = Rig(script=answer)
    rig.profile = msgspec.structs.replace(rig.profile, facts=ModelFacts(window=100_000, max_output=90_000))
    session, ended = await say(rig)
    assert (ended.ending, len(rig.model.bodies)) == ("done", 2)
    assert not any(isinstance(e, ContextShrunk) for e in await rig.logged(session))
    await check_the_log(rig, session)


async def test_no_more_output_is_asked_for_than_there_is_room() -> None:
    rig = Rig(*[asks(("long", str(n)), usage=Usage()) for n in range(9)], tools={"long": ("pure", long)})
    rig.options = AskOptions(max_tokens=9000)
    rig.profile = msgspec.structs.replace(rig.profile, facts=ModelFacts(window=12_000, max_output=9000))
    _, ended = await say(rig)
    assert ended.ending == "done"
    most = [msgspec.json.decode(body)["options"]["max_tokens"] for body in rig.model.bodies]
    assert most[0] == 9000
    assert OUTPUT_SPARE_TOKENS <= min(most) < 9000


async def test_a_request_that_was_rejected_is_made_by_the_rule_that_it_broke_once() -> None:
    rig = Rig(ModelError("rejected", "rule one"), Scripted(text="there"))
    rig.rules = {"rule one": "one", "rule two": "two"}
    session, ended = await say(rig)
    assert (ended.ending, len(rig.model.bodies)) == ("done", 2)
    pins = [e for e in await rig.logged(session) if isinstance(e, SettingsPinned)]
    assert [pin.mends for pin in pins] == [(), ("one",)]
    assert pins[1].segment == 2
    await check_the_log(rig, session)


async def test_what_was_mended_holds_after_a_restart() -> None:
    rig = Rig(ModelError("rejected", "rule one"), Scripted(text="there"))
    rig.rules = {"rule one": "one"}
    session, _ = await say(rig)
    resumed = await rig.host.resume(session.id)
    await resumed.say(GO)
    assert [mends for mends in rig.made if mends] == [("one",), ("one",)]
    assert len([e for e in await rig.logged(resumed) if isinstance(e, SettingsPinned)]) == 2


@pytest.mark.parametrize("words", [["rule one", "rule one"], ["nothing that is known"]])
async def test_a_rejection_that_is_not_understood_or_not_mended_is_told(words: list[str]) -> None:
    rig = Rig(*[ModelError("rejected", said, status=400) for said in words])
    rig.rules = {"rule one": "one"}
    _, ended = await say(rig)
    assert (ended.ending, ended.code, ended.reason) == ("failed", "rejected", words[-1])
    assert len(rig.model.bodies) == len(words)
