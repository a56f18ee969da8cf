from collections.abc import Sequence

import pytest

from hames.core.events import SessionOpened, TurnStarted, UserSpoke
from hames.core.ids import SessionId
from hames.core.messages import Text
from hames.core.ports import Arrival, Words
from hames.session.inbox import SessionInbox, arrival_of, words_among
from hames.testing.scripted import Scripted
from tests.rig import CountingStore, Rig

pytestmark = pytest.mark.anyio
GO = [Words((Text("go"),))]


def left(text: str, key: str) -> Arrival:
    return arrival_of(Words((Text(text),)), key)


def test_words_come_back_as_they_were_and_other_arrivals_are_left() -> None:
    waiting = [left("one", "k1"), Arrival("approval", b"?", "approval/1.0"), left("two", "k2")]
    assert list(words_among(waiting)) == [Words((Text("one"),), "k1"), Words((Text("two"),), "k2")]


def test_an_inbox_knows_whether_something_waits() -> None:
    inbox = SessionInbox()
    assert not inbox.any_waiting
    inbox.put(GO[0])
    assert inbox.any_waiting
    assert inbox.take() == GO
    assert not inbox.any_waiting


async def test_words_that_came_while_nobody_was_here_are_heard_once_at_the_next_resume() -> None:
    rig = Rig(Scripted(text="one"), Scripted(text="two"), Scripted(text="three"))
    session = await rig.open()
    await session.say(GO)
    for _ in range(2):
        await rig.store.put(session.id, left("and the tests?", "k1"))
    resumed = await rig.host.resume(session.id)
    assert resumed.has_waiting
    assert (await resumed.say([])).ending == "done"
    again = await rig.host.resume(session.id)
    assert not again.has_waiting
    await again.say(GO)
    spoken = [event for event in await rig.logged(session) if isinstance(event, UserSpoke)]
    assert [event.dedup for event in spoken].count("k1") == 1
    assert await rig.store.waiting(session.id) == []


async def test_waiting_words_come_before_new_ones() -> None:
    rig = Rig(Scripted(text="one"), Scripted(text="two"))
    session = await rig.open()
    await session.say(GO)
    await rig.store.put(session.id, left("first", "k1"))
    resumed = await rig.host.resume(session.id)
    await resumed.say([Words((Text("second"),))])
    spoken = [event.parts for event in await rig.logged(session) if isinstance(event, UserSpoke)]
    assert spoken[-2:] == [(Text("first"),), (Text("second"),)]


async def test_waiting_words_steer_an_interrupted_turn() -> None:
    rig = Rig(Scripted(text="one"))
    session = await rig.open()
    claim = await rig.store.claim(session.id)
    opened = [SessionOpened(session.id, 1, "0", "/w"), UserSpoke((Text("go"),)), TurnStarted(1)]
    await rig.store.append(claim, opened)
    await rig.store.put(session.id, left("by the way", "k1"))
    resumed = await rig.host.resume(session.id)
    assert (resumed.unfinished, resumed.has_waiting) == (True, True)
    assert (await resumed.go_on()).ending == "done"
    spoken = [event for event in await rig.logged(session) if isinstance(event, UserSpoke)]
    assert (spoken[-1].source, spoken[-1].dedup) == ("steer", "k1")


async def test_words_in_mid_turn_are_durable_before_anybody_is_told_so() -> None:
    rig = Rig(Scripted(text="one"), Scripted(text="two"))
    session = await rig.open()
    await session.say(GO)
    await session.hear(Words((Text("not lost"),)))
    after_a_kill = await rig.host.resume(session.id)
    assert after_a_kill.has_waiting
    assert (await after_a_kill.say([])).ending == "done"
    assert b"not lost" in rig.model.bodies[-1]
    assert await rig.store.waiting(session.id) == []


async def test_words_that_were_heard_in_mid_turn_do_not_wait_any_more() -> None:
    rig = Rig(Scripted(text="one"), Scripted(text="two"))
    session = await rig.open()
    await session.say(GO)
    for words in ("this", "and that"):
        await session.hear(Words((Text(words),)))
    await session.say([])
    spoken = [event.parts for event in await rig.logged(session) if isinstance(event, UserSpoke)]
    assert spoken[-2:] == [(Text("this"),), (Text("and that"),)]
    assert await rig.store.waiting(session.id) == []
    assert not (await rig.host.resume(session.id)).has_waiting


async def test_words_that_were_recorded_before_they_came_to_wait_are_heard_once() -> None:
    class Late(CountingStore):
        async def waiting(self, session: SessionId) -> Sequence[Arrival]:
            return [left("go", "k1")]

    rig = Rig(Scripted(text="one"), Scripted(text="two"))
    rig.store = Late(rig.clock)
    session = await rig.open()
    await session.say([Words((Text("go"),), "k1")])
    assert not (await rig.host.resume(session.id)).has_waiting
