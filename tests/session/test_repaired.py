"""A session whose log was repaired can be gone on with, whatever was taken out of it."""

import pytest

from hames.core.errors import DamagedLog
from hames.core.events import AnyEvent, Repaired, RequestSent, SettingsPinned
from hames.core.ids import BlobId, blob_id
from hames.core.messages import AssistantMessage, Message, Text, ToolMessage
from hames.core.ports import CallContext, ToolResult, Words
from hames.session.session import Session
from hames.testing.scripted import Scripted
from tests.rig import Rig, asks, ok

pytestmark = pytest.mark.anyio
GO = [Words((Text("go"),))]


async def echo(arguments: str, context: CallContext) -> ToolResult:
    return ok(f"echo {arguments}")


def script() -> Rig:
    return Rig(
        asks(("echo", "1"), ("change", "2")),
        asks(("echo", "3")),
        Scripted(text="one"),
        Scripted(text="two"),
        tools={"echo": ("pure", echo), "change": ("effectful", echo)},
    )


async def story() -> tuple[Rig, Session, list[AnyEvent]]:
    rig = script()
    session = await rig.open()
    await session.say(GO)
    return (
        rig,
        session,
        [entry.event for entry in await rig.store.read(session.id) if entry.event is not None],
    )


async def again(rig: Rig, session: Session, events: list[AnyEvent], blobs: list[bytes]) -> Session:
    """The session as it is resumed from a log of these events and blobs."""
    fresh = script()
    claim = await fresh.store.claim(session.id)
    await fresh.store.append(claim, events, blobs)
    rig.store = fresh.store
    return await rig.host.resume(session.id)


def lost(events: list[AnyEvent], *places: int) -> list[AnyEvent]:
    """The log as a repair leaves it: the events at these places (from 1) are gone."""
    return [
        Repaired(seq, seq, f"entry {seq} is missing") if seq in places else event
        for seq, event in enumerate(events, 1)
    ]


def check_the_history(messages: list[Message]) -> None:
    """What any provider asks for: right after the calls of a reply, one result for each."""
    owed: list[str] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            assert message.call == owed.pop(0)
            continue
        assert owed == []
        if isinstance(message, AssistantMessage):
            owed = [call.id for call in message.calls]
    assert owed == []


async def test_a_log_that_lost_any_entry_is_gone_on_with_and_its_history_is_valid() -> None:
    _, _, events = await story()
    for place in range(1, len(events) + 1):
        for cut in (place, len(events)):
            rig, session, events = await story()
            resumed = await again(rig, session, lost(events[:cut], place), rig.store.brought)
            ended = await resumed.say(GO)
            assert (ended.ending, place, cut) == ("done", place, cut)
            check_the_history(resumed.view.messages)
            assert resumed.view.cwd == "/w"


async def test_a_log_that_lost_two_neighbours_is_gone_on_with() -> None:
    _, _, events = await story()
    for place in range(1, len(events)):
        rig, session, events = await story()
        resumed = await again(rig, session, lost(events, place, place + 1), rig.store.brought)
        assert (await resumed.say(GO)).ending == "done"
        check_the_history(resumed.view.messages)


def blobs_of(events: list[AnyEvent]) -> list[BlobId]:
    found: list[BlobId] = []
    for event in events:
        match event:
            case RequestSent():
                found += [event.head, *event.added, event.tail]
            case SettingsPinned():
                found += [event.system, event.tools]
            case _:
                pass
    return found


async def test_a_payload_that_is_gone_starts_a_new_segment_once_a_repair_has_said_so() -> None:
    _, _, events = await story()
    for gone in blobs_of(events):
        rig, session, events = await story()
        kept = [data for data in rig.store.brought if blob_id(data) != gone]
        tail = [event.tail for event in events if isinstance(event, RequestSent)]
        told = Repaired(1, 1, f"blob {gone} is missing", blobs=(gone,))
        if gone not in tail:
            with pytest.raises(DamagedLog, match=gone):
                await again(rig, session, events, kept)
        resumed = await again(rig, session, [*events, told], kept)
        assert (await resumed.say(GO)).ending == "done"
        assert resumed.view.segment == (1 if gone in tail else 2)
        check_the_history(resumed.view.messages)
