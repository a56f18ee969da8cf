import msgspec
import pytest

from hames.context.prompt import SYSTEM
from hames.context.view import fold
from hames.core.errors import DamagedLog, Fenced, SessionMissing
from hames.core.events import (
    AnyEvent,
    CallFinished,
    CallLost,
    CallStarted,
    RequestSent,
    SettingsPinned,
    TurnEnded,
)
from hames.core.ids import SessionId, call_id, session_id
from hames.core.messages import Text, ToolMessage
from hames.core.ports import CallContext, ToolResult, Words
from hames.session.session import Session
from hames.testing.scripted import Scripted
from tests.rig import Rig, asks, check_the_log, ok

pytestmark = pytest.mark.anyio
GO = [Words((Text("go"),))]


async def echo(arguments: str, context: CallContext) -> ToolResult:
    return ok(f"echo {arguments}")


async def killed_after(rig: Rig, keep: int) -> Session:
    """The session as a new process finds it when the old one died after `keep` events."""
    session = await rig.open()
    await session.say(GO)
    entries = await rig.store.read(session.id)
    cut = Rig(tools={"echo": ("pure", echo), "change": ("effectful", echo)})
    cut.clock = rig.clock
    claim = await cut.store.claim(session.id)
    events = [entry.event for entry in entries[:keep] if entry.event is not None]
    await cut.store.append(claim, events, rig.store.brought)
    rig.store, rig.model = cut.store, cut.model
    rig.asked = rig.model
    return await rig.host.resume(session.id)


def script() -> Rig:
    return Rig(
        asks(("echo", "1"), ("change", "2"), ("change", "3")),
        asks(("echo", "4")),
        Scripted(text="done"),
        tools={"echo": ("pure", echo), "change": ("effectful", echo)},
    )


async def length_of_script() -> int:
    rig = script()
    session = await rig.open()
    await session.say(GO)
    return len(await rig.logged(session))


@pytest.mark.parametrize("words", [[], [Words((Text("go on"),))]])
async def test_a_log_cut_after_any_event_is_gone_on_with_and_keeps_its_prefix(words: list[Words]) -> None:
    for keep in range(1, await length_of_script()):
        rig = script()
        session = await killed_after(rig, keep)
        before = await rig.store.read(session.id)
        if not session.unfinished and not words:
            continue
        ended = await (session.say(words) if words else session.go_on())
        assert ended.ending == "done"
        after = await rig.store.read(session.id)
        assert list(after[: len(before)]) == list(before)
        again = fold(after)
        assert again.messages == session.view.messages
        assert not again.open_calls
        results = [m.call for m in again.messages if isinstance(m, ToolMessage)]
        asked = [e.event.call for e in after if isinstance(e.event, CallFinished | CallLost)]
        assert sorted(results) == sorted(asked)
        assert len(set(asked)) == len(asked)
        sent = [e.event for e in after if isinstance(e.event, RequestSent)]
        assert {e.segment for e in sent} == {1}
        assert_nothing_with_an_effect_started_twice([e.event for e in after])


def assert_nothing_with_an_effect_started_twice(events: list[AnyEvent | None]) -> None:
    started = [e.call for e in events if isinstance(e, CallStarted) and e.call in ("1.1", "1.2")]
    assert len(set(started)) == len(started)


async def test_a_started_call_with_an_effect_is_lost_and_what_stood_after_it_is_not_run() -> None:
    rig = script()
    session = await resumed_in(rig, CallStarted, 1)
    await session.go_on()
    events = await rig.logged(session)
    (lost,) = [e for e in events if isinstance(e, CallLost)]
    assert lost.call == "1.1"
    part = lost.parts[0]
    assert isinstance(part, Text)
    assert "outcome not known" in part.text
    assert "The call: change 2" in part.text
    outcomes = {e.call: e.outcome for e in events if isinstance(e, CallFinished)}
    assert outcomes[call_id(1, 2)] == "not_run"


async def resumed_in(rig: Rig, kind: type, nth: int) -> Session:
    probe = script()
    session = await probe.open()
    await session.say(GO)
    places = [i for i, event in enumerate(await probe.logged(session)) if isinstance(event, kind)]
    return await killed_after(rig, places[nth] + 1)


async def test_a_started_call_that_changes_nothing_is_run_again_as_a_second_attempt() -> None:
    rig = script()
    session = await resumed_in(rig, CallStarted, 0)
    await session.go_on()
    started = [e for e in await rig.logged(session) if isinstance(e, CallStarted) and e.call == "1.0"]
    assert [e.attempt for e in started] == [1, 2]


async def test_a_call_that_was_not_started_is_run_when_the_turn_goes_on() -> None:
    rig = script()
    session = await resumed_in(rig, CallFinished, 0)
    await session.go_on()
    outcomes = {e.call: e.outcome for e in await rig.logged(session) if isinstance(e, CallFinished)}
    assert outcomes == {"1.0": "ok", "1.1": "ok", "1.2": "ok"}


async def test_new_words_close_the_interrupted_turn_and_run_nothing_of_it() -> None:
    rig = script()
    session = await resumed_in(rig, CallFinished, 0)
    ended = await session.say([Words((Text("something else"),))])
    assert (ended.turn, ended.ending) == (2, "done")
    events = await rig.logged(session)
    outcomes = {e.call: e.outcome for e in events if isinstance(e, CallFinished)}
    assert outcomes == {"1.0": "ok", "1.1": "not_run", "1.2": "not_run"}
    first = next(e for e in events if isinstance(e, TurnEnded))
    assert (first.ending, first.code) == ("cancelled", "interrupted")


async def test_a_resumed_session_extends_its_last_request_byte_for_byte() -> None:
    rig = Rig(asks(("echo", "1")), Scripted(text="one"), Scripted(text="two"), tools={"echo": ("pure", echo)})
    session = await rig.open()
    await session.say(GO)
    again = await rig.host.resume(session.id)
    await again.say(GO)
    last, resumed = rig.model.bodies[-2:]
    end = last.rindex(b'],"options"')
    assert resumed[:end] == last[:end]
    await check_the_log(rig, again)


async def test_a_request_that_was_not_answered_is_sent_again_as_the_next_attempt() -> None:
    rig = script()
    session = await resumed_in(rig, RequestSent, 0)
    await session.go_on()
    sent = [e for e in await rig.logged(session) if isinstance(e, RequestSent)]
    assert [(e.step, e.attempt) for e in sent[:2]] == [(1, 1), (1, 2)]
    assert sent[0].sha256 == sent[1].sha256


OTHERS = {
    "model": ("m", "other"),
    "name": ("test", "other"),
    "wire": ("chat", "messages"),
    "tool_mode": ("chat", "chat/json_schema"),
}


@pytest.mark.parametrize(("what", "pinned"), OTHERS.items())
async def test_another_model_provider_or_wire_starts_a_segment_of_its_own(
    what: str, pinned: tuple[str, str]
) -> None:
    rig = Rig(Scripted(text="one"), Scripted(text="two"))
    session = await rig.open()
    await session.say(GO)
    if what == "model":
        rig.profile = msgspec.structs.replace(rig.profile, model="other")
    else:
        change = {what: pinned[1].rpartition("/")[2]}
        provider = msgspec.structs.replace(rig.profile.provider, **change)
        rig.profile = msgspec.structs.replace(rig.profile, provider=provider)
    again = await rig.host.resume(session.id)
    await again.say(GO)
    pins = [e for e in await rig.logged(again) if isinstance(e, SettingsPinned)]
    assert [pin.segment for pin in pins] == [1, 2]
    field = {"name": "provider", "tool_mode": "wire"}.get(what, what)
    assert [msgspec.structs.asdict(pin)[field] for pin in pins] == list(pinned)
    await check_the_log(rig, again)


async def test_another_mode_is_pinned_without_breaking_the_prefix() -> None:
    rig = Rig(Scripted(text="one"), Scripted(text="two"))
    session = await rig.open()
    await session.say(GO)
    rig.mode = "ask"
    again = await rig.host.resume(session.id)
    await again.say(GO)
    assert again.view.mode == "ask"
    sent = [e for e in await rig.logged(again) if isinstance(e, RequestSent)]
    assert sent[1].extends is not None


async def test_a_session_that_was_never_sent_can_be_resumed() -> None:
    rig = Rig(Scripted(text="one"))
    session = await rig.open()
    await session.say(GO)
    entries = await rig.store.read(session.id)
    rig = Rig(Scripted(text="one"))
    claim = await rig.store.claim(session.id)
    events = [e.event for e in entries[:3] if e.event is not None]
    await rig.store.append(claim, events, [b"[]", SYSTEM.encode()])
    again = await rig.host.resume(session.id)
    assert (await again.say(GO)).ending == "done"


async def test_a_session_that_is_not_there_cannot_be_resumed() -> None:
    with pytest.raises(SessionMissing):
        await Rig().host.resume(SessionId("0" * 26))


async def test_an_owner_that_was_overtaken_stops_at_its_next_append() -> None:
    rig = Rig(Scripted(text="one"), Scripted(text="two"))
    session = await rig.open()
    await session.say(GO)
    await rig.store.claim(session.id)
    asked = len(rig.model.bodies)
    with pytest.raises(Fenced):
        await session.say(GO)
    assert len(rig.model.bodies) == asked


async def test_a_new_session_takes_the_id_it_is_given() -> None:
    rig = Rig()
    wanted = session_id(1, 2)
    session = await rig.host.open(wanted)
    assert session.id == wanted
    assert not session.unfinished


async def test_words_delivered_twice_are_heard_once() -> None:
    rig = Rig(Scripted(text="one"), Scripted(text="two"))
    session = await rig.open()
    said = [Words((Text("only once"),), dedup="k")]
    await session.say(said)
    await session.say(said)
    assert rig.model.bodies[-1].count(b"only once") == 1


async def test_a_damaged_piece_of_a_request_stops_the_resume() -> None:
    rig = Rig(Scripted(text="one"))
    session = await rig.open()
    await session.say(GO)
    entries = await rig.store.read(session.id)
    bare = Rig()
    claim = await bare.store.claim(session.id)
    await bare.store.append(claim, [e.event for e in entries if e.event is not None])
    with pytest.raises(DamagedLog):
        await bare.host.resume(session.id)


async def test_a_call_whose_tool_is_gone_after_the_restart_is_told_so() -> None:
    rig = script()
    session = await resumed_in(rig, CallFinished, 0)
    rig.tools = Rig().tools
    again = await rig.host.resume(session.id)
    await again.go_on()
    outcomes = {e.call: e.outcome for e in await rig.logged(again) if isinstance(e, CallFinished)}
    assert outcomes[call_id(1, 1)] == "invalid"
