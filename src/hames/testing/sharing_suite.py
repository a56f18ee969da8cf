"""What every store must do where several share it: owners that come and go, and letters in and out."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from hames.core.errors import Fenced, SessionMissing
from hames.core.events import ApprovalAnswered, TurnStarted, UserSpoke
from hames.core.ids import CallId
from hames.core.ports import Arrival, Claim, Departure, Unsent
from hames.testing.store_suite import ONE, TWO, Bench, refusal, said, turns


async def a_released_claim_is_void_and_the_session_is_free(bench: Bench) -> None:
    async with bench.open() as store:
        claim = await store.claim(ONE)
        claim, _ = await store.append(claim, [TurnStarted(1)])
        await store.release(claim)
        await refusal(store, claim, [TurnStarted(9)])
        async with bench.open() as other:
            theirs = await other.claim(ONE)
            assert theirs.epoch > claim.epoch
            await other.append(theirs, [TurnStarted(2)])
            await other.release(theirs)
        assert turns(await store.read(ONE)) == [1, 2]
        assert (await store.claim(ONE)).head == 2


async def only_the_newest_claim_can_be_released(bench: Bench) -> None:
    async with bench.open() as store:
        old = await store.claim(ONE)
        new = await store.claim(ONE)
        await store.release(old)
        new, _ = await store.append(new, [TurnStarted(1)])
        await store.release(new)
        await store.release(new)
        await store.release(Claim(TWO, 1, 0))
        assert (await store.claim(ONE)).head == 1


async def a_session_can_be_taken_over_from_an_owner_that_lives(bench: Bench) -> None:
    async with bench.open() as store, bench.open() as other:
        old = await store.claim(ONE)
        old, _ = await store.append(old, [TurnStarted(1)])
        new = await other.claim(ONE, take_over=True)
        assert new == Claim(ONE, old.epoch + 1, 1)
        assert "taken over" in await refusal(store, old, [TurnStarted(9)], (b"unwanted",))
        await store.release(old)
        new, _ = await other.append(new, [TurnStarted(2)])
        assert turns(await store.read(ONE)) == [1, 2]
        fresh = await other.claim(TWO, take_over=True)
        assert fresh == Claim(TWO, 1, 0)


async def what_arrives_waits_until_the_event_that_records_it(bench: Bench) -> None:
    letters = [
        Arrival("words", b"first", "k1"),
        Arrival("words", b"second", "k2"),
        Arrival("answer", b"", "approval/1.0"),
    ]
    async with bench.open() as store:
        claim = await store.claim(ONE)
        await store.claim(TWO)
        for letter in letters:
            assert await store.put(ONE, letter)
        assert await store.put(TWO, letters[0])
        assert not await store.put(ONE, Arrival("words", b"delivered twice", "k1"))
        assert list(await store.waiting(ONE)) == letters
        await refusal(store, Claim(ONE, claim.epoch, 7), [UserSpoke((), dedup="k1")])
        assert list(await store.waiting(ONE)) == letters
        claim, _ = await store.append(claim, [UserSpoke((), dedup="k1"), UserSpoke(()), TurnStarted(1)])
    async with bench.open() as store:
        assert list(await store.waiting(ONE)) == letters[1:]
        assert list(await store.waiting(TWO)) == letters[:1]
        claim = await store.claim(ONE)
        claim, _ = await store.append(claim, [ApprovalAnswered(CallId("1.0"), True, "ann")])
        assert list(await store.waiting(ONE)) == letters[1:2]
        assert not await store.put(ONE, letters[0])
        assert list(await store.waiting(ONE)) == letters[1:2]


async def nothing_arrives_at_a_session_that_is_not_there(bench: Bench) -> None:
    async with bench.open() as store:
        assert ONE in await said(SessionMissing, store.put(ONE, Arrival("words", b"", "k")))
        assert list(await store.waiting(ONE)) == []


async def what_is_to_leave_is_kept_with_its_event_until_it_was_sent(bench: Bench) -> None:
    first, second, third = (Departure(f"key-{number}", "note", b"%d" % number) for number in (1, 2, 3))
    async with bench.open() as store:
        claim = await store.claim(ONE)
        stale = claim
        claim, _ = await store.append(claim, [TurnStarted(1)], outward=(first, second))
        claim, _ = await store.append(claim, [TurnStarted(2)], outward=(second,))
        with suppress(Fenced):
            await store.append(stale, [TurnStarted(9)], outward=(third,))
        two = await store.claim(TWO)
        await store.append(two, [TurnStarted(1)], outward=(first,))
    async with bench.open() as store:
        mine = [Unsent(ONE, 1, first), Unsent(ONE, 1, second)]
        assert list(await store.unsent(ONE)) == mine
        assert list(await store.unsent()) == [*mine, Unsent(TWO, 1, first)]
        await store.sent(ONE, "key-1")
        await store.sent(ONE, "key-1")
        assert list(await store.unsent()) == [mine[1], Unsent(TWO, 1, first)]
    async with bench.open() as store:
        assert list(await store.unsent(ONE)) == mine[1:]


CHECKS: tuple[Callable[[Bench], Awaitable[None]], ...] = (
    a_released_claim_is_void_and_the_session_is_free,
    only_the_newest_claim_can_be_released,
    a_session_can_be_taken_over_from_an_owner_that_lives,
    what_arrives_waits_until_the_event_that_records_it,
    nothing_arrives_at_a_session_that_is_not_there,
    what_is_to_leave_is_kept_with_its_event_until_it_was_sent,
)
"""Each is a sentence about a store."""
