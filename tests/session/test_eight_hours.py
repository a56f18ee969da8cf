"""Eight hours of one session with faults, kills and a full window, in a few seconds of a virtual clock."""

from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

import pytest

from hames.context.view import fold
from hames.core.events import (
    AnyEvent,
    CallFinished,
    CallLost,
    CallStarted,
    ContextShrunk,
    Entry,
    Event,
    JobFinished,
    JobStarted,
    ModelFailed,
    ModelReplied,
    RequestSent,
    TurnEnded,
    TurnStarted,
    UserSpoke,
    WaitEnded,
    WaitStarted,
)
from hames.session.session import Session
from hames.testing.sent import body_blobs, requests_in
from tests.session.long_day import DAY_S, PLACES, ROUNDS, SAID_AT_S, Day, Fate
from tests.session.long_day_model import FAULTS, ODD, WINDOW
from tests.session.long_day_world import KINDS, LID_S, World

pytestmark = pytest.mark.anyio

E = TypeVar("E", bound=Event)


@pytest.mark.parametrize(
    ("anyio_backend", "seed"), [("asyncio", 1), ("asyncio", 2), ("asyncio", 3), ("trio", 1), ("trio", 4)]
)
async def test_eight_hours_of_faults_and_kills_end_as_done_with_every_effect_once(seed: int) -> None:
    day = Day(seed)
    session = await day.live()
    assert day.world.passed_s >= DAY_S
    assert Counter(day.killed) == dict.fromkeys(PLACES, ROUNDS)
    assert set(day.provider.failed) == {*FAULTS, "overflow"}
    assert day.provider.mind.odd == set(ODD)
    assert day.world.clock.slept_s == LID_S
    assert len(day.said) == len(SAID_AT_S)
    await check(day, session)
    shrunk = of_kind(await day.entries(), ContextShrunk)
    assert any(event.cleared for event in shrunk)
    assert any(event.left_out for event in shrunk)
    assert session.view.left_out > session.view.step / 2


async def test_a_call_that_is_run_again_after_a_kill_would_be_found() -> None:
    for world, finds in ((World(), ""), (World({**KINDS, "send": "pure"}), "not once")):
        day = Day(1, lasts_s=1200, world=world)
        day.fates = [Fate("send", 2)]
        await check_finds(day, finds)


async def test_a_wait_that_is_forgotten_after_a_kill_would_be_found() -> None:
    for world, finds in ((World(), ""), (World(forgotten=(WaitStarted,)), "before its time")):
        day = Day(4, lasts_s=1200, world=world)
        day.fates, day.away_s = [Fate("wait", 1) for _ in range(6)], 1.0
        await check_finds(day, finds)


async def check_finds(day: Day, finds: str) -> None:
    """The laws hold on this day, unless something is wrong with it that they should find."""
    session = await day.live()
    assert day.killed
    if not finds:
        await check(day, session)
        return
    with pytest.raises(AssertionError, match=finds):
        await check(day, session)


async def check(day: Day, session: Session) -> None:
    """The laws of every day, whatever has happened on it."""
    entries = await day.entries()
    check_the_world(day)
    check_the_end(entries, session)
    check_each_step(day, entries)
    await check_the_requests(day, entries)


def check_the_world(day: Day) -> None:
    """Each task was done, and once; the provider was asked for nothing that it cannot or will not give."""
    mind, provider = day.provider.mind, day.provider
    wanted = {task for task, kind in mind.tasks.items() if kind != "read"}
    odd = {task: day.world.effects[task] for task in wanted if day.world.effects[task] != 1}
    assert not odd, f"these were not once done: {odd}"
    assert set(day.world.effects) == wanted
    assert not provider.too_soon, "somebody has asked before its time"
    assert provider.largest <= WINDOW
    assert provider.failed["overflow"] <= 1, "a window that was found to be smaller was forgotten"


def check_the_end(entries: Sequence[Entry], session: Session) -> None:
    """It is over, and nothing is left open: in the view of who worked last, and in that of who reads it."""
    view = fold(entries)
    # What was done is compared when somebody asks.
    assert view.progress.steps == session.view.progress.steps
    assert view == session.view
    assert view.ended is not None
    assert view.ended.ending == "done"
    assert not view.turn_open
    assert not view.open_calls
    assert not view.jobs
    assert view.wait is None
    assert view.reserved is None
    assert not session.has_waiting
    assert len(of_kind(entries, TurnStarted)) == len(of_kind(entries, TurnEnded)) == 1
    assert len(of_kind(entries, WaitStarted)) == len(of_kind(entries, WaitEnded))


def check_each_step(day: Day, entries: Sequence[Entry]) -> None:
    """Each step, call, job and word is on the log once, and what was started has an end."""
    events = [entry.event for entry in entries]
    replies = [event for event in events if isinstance(event, ModelReplied)]
    steps = [event.step for event in replies]
    assert sorted({*steps, *replaced(events)}) == list(range(1, steps[-1] + 1))
    assert steps == sorted(set(steps))
    asked = [call.id for event in replies for call in event.message.calls]
    assert [event.call for event in events if isinstance(event, CallFinished | CallLost)] == asked
    assert {event.call for event in events if isinstance(event, CallStarted)} <= set(asked)
    may_be_lost = {call.id for event in replies for call in event.message.calls if call.name == "send"}
    assert {event.call for event in events if isinstance(event, CallLost)} <= may_be_lost
    started = [event.job for event in events if isinstance(event, JobStarted)]
    assert sorted(event.job for event in events if isinstance(event, JobFinished)) == sorted(started)
    heard = [event.dedup for event in events if isinstance(event, UserSpoke) and event.dedup]
    assert heard == ["go", *day.said]


def replaced(events: Sequence[AnyEvent | None]) -> list[int]:
    """The steps whose request was never answered, and for a reason was not sent again as it was: it was too
    long, or there were news for the model meanwhile. To have been killed is none."""
    found: list[int] = []
    last: RequestSent | None = None
    has_reason = False
    for event in events:
        match event:
            case RequestSent():
                if last is not None and last.step != event.step and has_reason:
                    found.append(last.step)
                last, has_reason = event, False
            case ModelReplied():
                last = None
            case UserSpoke() | JobFinished() | ModelFailed(kind="overflow"):
                has_reason = True
            case _:
                pass
    return found


async def check_the_requests(day: Day, entries: Sequence[Entry]) -> None:
    """What was sent is on the log, byte for byte; it was put there before, and not before a wait was over.
    One request extends the other unless history was rewritten."""
    requests, store = requests_in(entries), day.world.store
    logged = [b"".join([await store.get(blob) for blob in body_blobs(requests, seq)]) for seq in requests]
    unsent = iter(logged)
    assert all(body in unsent for body in day.provider.sent), "a request is not as the log has it"
    assert len(logged) - len(day.provider.sent) <= len(day.killed)
    assert day.provider.rewritten == len(of_kind(entries, ContextShrunk))
    assert sum(request.extends is None for request in requests.values()) == 1 + day.provider.rewritten
    until_ms = 0
    for entry in entries:
        if isinstance(entry.event, WaitStarted):
            until_ms = entry.event.until_ms
        assert not isinstance(entry.event, RequestSent) or entry.at_ms >= until_ms


def of_kind(entries: Sequence[Entry], kind: type[E]) -> list[E]:
    return [entry.event for entry in entries if isinstance(entry.event, kind)]
