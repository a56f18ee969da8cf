"""A disk that is full in mid-turn: the end is on the log, and the session can be gone on with."""

from collections.abc import Sequence

import pytest

from hames.context.view import fold
from hames.core.errors import StoreFull
from hames.core.events import AnyEvent, CallFinished, Entry, LimitReached, TurnEnded
from hames.core.messages import Text
from hames.core.ports import CallContext, Claim, Departure, ToolResult, Words
from hames.testing.clock import VirtualClock
from hames.testing.scripted import Scripted
from tests.rig import CountingStore, Rig, asks, check_the_log, ok

pytestmark = pytest.mark.anyio
GO = [Words((Text("go"),))]


class SmallStore(CountingStore):
    """Has room for `room` appends, and then for endings if there is a reserve."""

    def __init__(self, clock: VirtualClock, room: int) -> None:
        super().__init__(clock)
        self.room = room
        self.reserve = True

    async def append(
        self,
        claim: Claim,
        events: Sequence[AnyEvent],
        blobs: Sequence[bytes] = (),
        outward: Sequence[Departure] = (),
    ) -> tuple[Claim, tuple[Entry, ...]]:
        ending = any(isinstance(event, TurnEnded) for event in events)
        if len(self.appended) >= self.room and not (ending and self.reserve):
            raise StoreFull("no space is left")
        return await super().append(claim, events, blobs, outward)


async def echo(arguments: str, context: CallContext) -> ToolResult:
    if arguments == "too much":
        raise StoreFull("no space is left for the output")
    return ok(f"echo {arguments}")


def rig(room: int, arguments: str = "3") -> Rig:
    made = Rig(
        asks(("look", "1"), ("look", "2"), ("change", arguments)),
        Scripted(text="one"),
        Scripted(text="two"),
        Scripted(text="three"),
        tools={"look": ("pure", echo), "change": ("effectful", echo)},
    )
    made.store = SmallStore(made.clock, room)
    return made


def make_room(made: Rig) -> None:
    assert isinstance(made.store, SmallStore)
    made.store.room = 1000


async def test_a_full_disk_at_any_append_ends_the_turn_honestly_and_loses_nothing() -> None:
    for room in range(4):
        made = rig(room)
        session = await made.open()
        ended = await session.say(GO)
        assert (ended.ending, ended.code, ended.reason) == ("failed", "disk", "no space is left")
        events = await made.logged(session)
        assert events[-2:] == [LimitReached(limit="disk", value=0), ended]
        assert not session.view.open_calls
        make_room(made)
        assert (await session.say(GO)).ending == "done"
        entries = await made.store.read(session.id)
        assert fold(entries).messages == session.view.messages
        asked = [entry.event.call for entry in entries if isinstance(entry.event, CallFinished)]
        assert len(asked) == len(set(asked))


async def test_a_call_whose_start_did_not_fit_was_not_run() -> None:
    made = rig(1)
    session = await made.open()
    await session.say(GO)
    finished = [event for event in await made.logged(session) if isinstance(event, CallFinished)]
    assert {event.outcome for event in finished} == {"not_run"}
    assert len(finished) == 3


async def test_after_a_full_disk_every_request_can_still_be_rebuilt() -> None:
    made = rig(2)
    session = await made.open()
    await session.say(GO)
    make_room(made)
    await session.say(GO)
    await check_the_log(made, session)


async def test_a_call_whose_output_could_not_be_kept_was_run_and_says_so() -> None:
    made = rig(1000, "too much")
    session = await made.open()
    ended = await session.say(GO)
    assert (ended.code, ended.reason) == ("disk", "no space is left for the output")
    last = [event for event in await made.logged(session) if isinstance(event, CallFinished)][-1]
    assert last.outcome == "failed"
    (part,) = last.parts
    assert isinstance(part, Text)
    assert part.text.startswith("[it was run, but what it gave could not be kept")


async def test_a_disk_without_any_reserve_raises_and_what_is_on_the_log_stays() -> None:
    made = rig(2)
    assert isinstance(made.store, SmallStore)
    made.store.reserve = False
    session = await made.open()
    with pytest.raises(StoreFull):
        await session.say(GO)
    before = await made.logged(session)
    make_room(made)
    resumed = await made.host.resume(session.id)
    assert (await resumed.say(GO)).ending == "done"
    assert (await made.logged(session))[: len(before)] == before
