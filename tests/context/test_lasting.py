from hames.core.events import (
    CommandFact,
    JobDetached,
    JobFinished,
    JobStarted,
    ModeChanged,
    ModelFailed,
    SnapshotTaken,
    WaitEnded,
    WaitStarted,
)
from hames.core.ids import BlobId, JobId, call_id
from hames.testing.entries import entries
from tests.context.test_view import reply, said, sent, view_of


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


def test_a_wait_is_open_until_it_ends() -> None:
    wait = WaitStarted(until_ms=5, reason="rate")
    failed = ModelFailed(step=1, attempt=1, kind="rate", message="slow down")
    assert view_of(failed, wait).wait == wait
    assert view_of(wait, WaitEnded(reason="")).wait is None
    assert view_of(wait, reply(1)).wait is None


def test_the_mode_can_change() -> None:
    assert view_of(ModeChanged(mode="plan", by="user")).mode == "plan"


def test_words_are_heard_once_by_their_key() -> None:
    view = view_of(said("go", dedup="k"))
    assert view.has_heard("k")
    assert not view.has_heard("other")
    assert not view.has_heard(None)
