from collections.abc import Sequence

import anyio
import anyio.lowlevel
import pytest

from hames.context.view import View
from hames.core.events import AnyEvent, Entry, TurnStarted
from hames.core.ids import SessionId
from hames.core.ports import Claim, Departure, Passing, TextDelta
from hames.session.log import Listeners, SessionLog
from hames.stores.memory import MemoryStore
from hames.testing.clock import VirtualClock
from hames.testing.entries import entries
from tests.rig import Watcher

pytestmark = pytest.mark.anyio


class Broken:
    def entry(self, entry: Entry) -> None:
        raise RuntimeError("broken on an entry")

    def delta(self, step: int, delta: Passing) -> None:
        raise RuntimeError("broken on a delta")


class Waiting(MemoryStore):
    """Where something is done before the commit: a large payload is written, say."""

    async def append(
        self,
        claim: Claim,
        events: Sequence[AnyEvent],
        blobs: Sequence[bytes] = (),
        outward: Sequence[Departure] = (),
    ) -> tuple[Claim, tuple[Entry, ...]]:
        await anyio.lowlevel.checkpoint()
        return await super().append(claim, events, blobs, outward)


async def opened() -> tuple[SessionLog, View, Watcher, MemoryStore]:
    clock = VirtualClock()
    store = Waiting(clock)
    view, watcher = View(), Watcher()
    claim = await store.claim(SessionId("0" * 26))
    return SessionLog(store, claim, view, clock, watcher), view, watcher, store


async def test_what_is_staged_is_in_the_view_but_nobody_is_told_before_it_is_durable() -> None:
    log, view, watcher, store = await opened()
    log.stage(TurnStarted(turn=1))
    assert view.turn == 1
    assert not watcher.entries
    await log.record(TurnStarted(turn=2))
    kept = await store.read(SessionId("0" * 26))
    assert [entry.event for entry in kept] == [TurnStarted(turn=1), TurnStarted(turn=2)]
    assert watcher.entries == list(kept)


async def test_nothing_staged_is_nothing_to_commit() -> None:
    log, _, watcher, _ = await opened()
    await log.record()
    assert not watcher.entries


def test_a_listener_that_fails_is_dropped_and_harms_nobody() -> None:
    watcher = Watcher()
    listeners = Listeners()
    for listener in (Broken(), watcher, Broken()):
        listeners.add(listener)
    (entry,) = entries(TurnStarted(turn=1))
    listeners.entry(entry)
    listeners.delta(1, TextDelta("x"))
    assert watcher.entries == [entry]
    assert watcher.deltas == [(1, TextDelta("x"))]
    assert [str(failure) for failure in listeners.failures] == ["broken on an entry"] * 2


def test_a_listener_that_fails_on_a_delta_is_dropped_too() -> None:
    listeners = Listeners()
    listeners.add(Broken())
    listeners.delta(1, TextDelta("x"))
    listeners.delta(1, TextDelta("y"))
    assert [str(failure) for failure in listeners.failures] == ["broken on a delta"]


async def test_what_is_being_recorded_is_on_the_log_also_if_it_is_cancelled() -> None:
    log, view, watcher, store = await opened()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await log.record(TurnStarted(turn=1))
    kept = await store.read(SessionId("0" * 26))
    assert watcher.entries == list(kept)
    assert (len(kept), view.head) == (1, 1)
