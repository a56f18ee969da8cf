import msgspec

from hames.context.lasting import Wait
from hames.core.events import (
    CommandFact,
    JobDetached,
    JobFinished,
    JobStarted,
    ModeChanged,
    ModelFailed,
    SnapshotTaken,
    TurnStarted,
    WaitEnded,
    WaitStarted,
)
from hames.core.ids import BlobId, JobId, call_id
from hames.testing.entries import entries
from tests.context.test_view import PINNED, reply, said, sent, view_of


def test_the_last_snapshot_and_the_packs_of_all_of_them_are_known() -> None:
    one, other, third = (BlobId(letter * 64) for letter in "123")
    view = view_of(SnapshotTaken(tree=one, packs=(other,)), SnapshotTaken(tree=other, packs=(one, third)))
    assert view.tree == other
    assert view.packs == [other, one, third]
    assert (view_of().tree, view_of().packs) == (None, [])


def test_money_is_counted_until_a_price_is_missing() -> None:
    assert view_of(reply(1), reply(2)).totals.nano_usd == 10
    assert view_of(reply(1), reply(2, nano_usd=None), reply(3)).totals.nano_usd is None


def test_tokens_and_requests_are_counted() -> None:
    totals = view_of(sent(1), reply(1), sent(2), sent(2, 2), reply(2)).totals
    assert (totals.requests, totals.replies, totals.input, totals.cached) == (3, 2, 20, 8)
    assert (totals.output, totals.reasoning) == (6, 2)


def test_a_detached_job_is_live_but_not_awaited_until_it_ends() -> None:
    job = JobStarted(job=JobId("1.0"), call=call_id(1, 0), command="serve")
    other = JobStarted(job=JobId("1.1"), call=call_id(1, 1), command="make")
    view = view_of(job, other, JobDetached(job=JobId("1.0")))
    assert list(view.jobs) == ["1.0", "1.1"]
    assert list(view.awaited) == ["1.1"]
    over = JobFinished(job=JobId("1.0"), command=CommandFact(), output=None, told="[gone]")
    view.fold(entries(over, first=view.head + 1)[0])
    assert not view.detached


def test_a_job_without_output_leaves_none() -> None:
    over = JobFinished(job=JobId("1.0"), command=CommandFact(), output=None, told="[gone]")
    assert not view_of(over).outputs


def failure(kind: str, elapsed_ms: int = 0, window: int | None = None) -> ModelFailed:
    return ModelFailed(step=1, attempt=1, kind=kind, message="", elapsed_ms=elapsed_ms, window=window)


def test_a_wait_is_open_until_it_ends() -> None:
    begun_ms = 1_000 + 1000 * 3
    wait = WaitStarted(until_ms=begun_ms + 5, reason="rate")
    assert view_of(failure("rate"), wait).wait == Wait(begun_ms, begun_ms + 5, "rate")
    assert view_of(wait, WaitEnded(reason="")).wait is None
    assert view_of(wait, reply(1)).wait is None
    assert view_of(wait, TurnStarted(turn=2)).wait is None


def test_trouble_is_counted_from_the_last_reply_with_its_waits() -> None:
    wait = WaitStarted(until_ms=1_000 + 1000 * 4 + 700, reason="rate")
    view = view_of(reply(1), failure("rate", 300), wait, failure("cut", 50), failure("rate"))
    assert (view.trouble.kinds, view.trouble.failures) == ({"rate": 2, "cut": 1}, 3)
    assert view.trouble.spent_ms == 1050
    for end in (reply(2), TurnStarted(turn=2)):
        view = view_of(failure("rate", 300), wait, end)
        assert (view.trouble.failures, view.trouble.spent_ms) == (0, 0)


def test_a_wait_whose_end_is_past_counts_for_nothing() -> None:
    assert view_of(WaitStarted(until_ms=5, reason="rate")).trouble.spent_ms == 0


def test_the_smallest_window_that_a_failure_has_shown_is_kept_for_each_model() -> None:
    other = msgspec.structs.replace(PINNED, model="other")
    events = (
        failure("overflow", window=900),
        failure("overflow", window=800),
        failure("overflow", window=850),
    )
    view = view_of(*events, failure("rate"), other, failure("overflow", window=70))
    assert view.windows == {f"{PINNED.provider}/{PINNED.model}": 800, f"{PINNED.provider}/other": 70}
    assert view.model == f"{PINNED.provider}/other"


def test_the_cost_of_each_model_is_known() -> None:
    other = msgspec.structs.replace(PINNED, model="other")
    view = view_of(reply(1), reply(2), other, reply(3), reply(4, nano_usd=None))
    assert list(view.nano_usd.values()) == [10, 5]


def test_the_mode_can_change() -> None:
    assert view_of(ModeChanged(mode="plan", by="user")).mode == "plan"


def test_words_are_heard_once_by_their_key() -> None:
    view = view_of(said("go", dedup="k"))
    assert view.has_heard("k")
    assert not view.has_heard("other")
    assert not view.has_heard(None)
