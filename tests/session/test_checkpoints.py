"""A long session is come back to by its checkpoint, and is the same as if all of its log had been read."""

from collections.abc import Sequence

import pytest

from hames.context.view import fold
from hames.core.errors import StoreError, StoreFull
from hames.core.events import AnyEvent, Entry, Rewound
from hames.core.ids import SessionId
from hames.core.messages import Text
from hames.core.ports import CallContext, Claim, ToolResult, Words
from hames.session.checkpoints import maker
from hames.session.session import Session
from hames.testing.clock import VirtualClock
from hames.testing.scripted import Scripted
from tests.rig import CountingStore, Rig, asks, check_the_log, ok
from tests.session.test_history import restoring

pytestmark = pytest.mark.anyio
GO = [Words((Text("go"),))]
STEPS = 12


async def echo(arguments: str, context: CallContext) -> ToolResult:
    return ok(f"echo {arguments}")


class WatchedStore(CountingStore):
    """Remembers from where it was read, and may have no room for checkpoints."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.reads: list[int] = []
        self.is_full = False

    async def read(self, session: SessionId, after: int = 0) -> Sequence[Entry]:
        self.reads.append(after)
        return await super().read(session, after)

    async def keep_checkpoint(self, claim: Claim, maker: str, data: bytes) -> None:
        if self.is_full:
            raise StoreFull("no room")
        await super().keep_checkpoint(claim, maker, data)


class Bench:
    """A session of a dozen steps that was let go of, in a store that is watched."""

    def __init__(self) -> None:
        calls = [asks(("echo", str(number))) for number in range(STEPS)]
        self.rig = Rig(*calls, Scripted(text="one"), Scripted(text="two"), tools={"echo": ("pure", echo)})
        self.store = WatchedStore(self.rig.clock)
        self.rig.store = self.store
        self.rig.checkpoint_entries = 20

    async def session(self) -> Session:
        session = await self.rig.open()
        await session.say(GO)
        return session

    async def add(self, session: Session, *events: AnyEvent) -> None:
        await self.store.append(await self.store.claim(session.id), events)

    async def resumed(self, session: Session) -> Session:
        """The session as a new process has it; then a turn is had with it, and the log keeps its laws."""
        self.store.reads.clear()
        again = await self.rig.host.resume(session.id)
        whole = fold(await self.store.read(session.id))
        # What was done is compared when somebody asks.
        assert again.view.progress.steps == whole.progress.steps
        assert again.view == whole
        await again.say(GO)
        await check_the_log(self.rig, again)
        return again


async def checkpoint_of(bench: Bench, session: Session) -> int:
    found = await bench.store.checkpoint(session.id, maker())
    assert found is not None
    return found.seq


async def test_a_resume_reads_what_came_after_the_checkpoint_and_nothing_else() -> None:
    bench = Bench()
    session = await bench.session()
    seq, last = await checkpoint_of(bench, session), session.view.last_request
    assert seq > STEPS
    again = await bench.resumed(session)
    assert bench.store.reads[0] == seq
    assert last is not None
    assert again.view.last_request is not None
    assert again.view.last_request.event.extends == last.seq


async def test_a_short_session_keeps_no_checkpoint() -> None:
    bench = Bench()
    bench.rig.checkpoint_entries = 1000
    session = await bench.session()
    assert await bench.store.checkpoint(session.id, maker()) is None
    await bench.resumed(session)
    assert bench.store.reads[0] == 0


@pytest.mark.parametrize(("by", "data"), [("another", b"\x80"), (None, b"\x80\xc1"), (None, b"\x93")])
async def test_a_checkpoint_that_cannot_be_read_only_takes_time(by: str | None, data: bytes) -> None:
    bench = Bench()
    session = await bench.session()
    claim = await bench.store.claim(session.id)
    await bench.store.keep_checkpoint(claim, by or maker(), data)
    await bench.resumed(session)
    assert 0 in bench.store.reads[:2]


async def test_who_has_gone_back_to_before_the_checkpoint_reads_all() -> None:
    bench = Bench()
    session = await bench.session()
    await bench.add(session, Rewound(what="undo", through=9))
    await bench.resumed(session)
    since, whole = bench.store.reads[:2]
    assert (since > 9, whole) == (True, 0)


async def test_who_has_gone_back_to_after_the_checkpoint_does_not() -> None:
    bench = Bench()
    session = await bench.session()
    seq = await checkpoint_of(bench, session)
    entries = await bench.store.read(session.id)
    await bench.add(session, Rewound(what="undo", through=entries[-1].seq))
    await bench.resumed(session)
    assert bench.store.reads[0] == seq


async def test_a_restore_that_was_cut_short_is_seen() -> None:
    bench = Bench()
    session = await bench.session()
    await bench.add(session, restoring(1, 2, 1))
    with pytest.raises(StoreError, match="undo is switched off"):
        await bench.rig.host.resume(session.id)


async def test_without_room_for_a_checkpoint_the_session_goes_on() -> None:
    bench = Bench()
    bench.store.is_full = True
    session = await bench.session()
    assert session.view.ended is not None
    assert session.view.ended.ending == "done"
    assert await bench.store.checkpoint(session.id, maker()) is None
