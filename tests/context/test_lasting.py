import msgspec

from hames.context.lasting import Wait
from hames.core.events import (
    ChildReported,
    CommandFact,
    Cost,
    JobDetached,
    JobFinished,
    JobStarted,
    ModeChanged,
    ModelFailed,
    RequestSent,
    SnapshotTaken,
    TurnEnded,
    TurnStarted,
    Usage,
    WaitEnded,
    WaitStarted,
)
from hames.core.ids import BlobId, JobId, SessionId, call_id
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


MOST = Cost(Usage(input=20, output=50), 700)


def asked(step: int, attempt: int = 1) -> RequestSent:
    return msgspec.structs.replace(sent(step, attempt), most=MOST)


def ended() -> TurnEnded:
    return TurnEnded(turn=1, ending="cancelled", reason="")


def test_what_is_set_aside_for_a_request_is_spent_until_it_is_known_what_it_was() -> None:
    view = view_of(reply(1), asked(2))
    assert (view.totals.nano_usd, view.spent.nano_usd, view.spent.tokens) == (5, 705, 83)
    assert (view.spent.estimated_nano_usd, view.nano_usd) == (700, {"p/m": 5})
    view = view_of(reply(1), asked(2), reply(2))
    assert view.spent == view.totals
    assert (view.totals.nano_usd, view.totals.estimated_nano_usd) == (10, 0)


def test_a_request_whose_end_is_never_known_counts_at_all_that_was_set_aside() -> None:
    for end in (TurnStarted(turn=2), ended(), asked(2, 2)):
        view = view_of(asked(2), end)
        assert (view.totals.nano_usd, view.totals.estimated_nano_usd) == (700, 700)
        assert view.nano_usd == {"p/m": 700}
    assert view_of(asked(2), ended()).reserved is None


def test_a_request_that_is_lost_is_paid_by_the_model_that_was_asked() -> None:
    other = msgspec.structs.replace(PINNED, model="other")
    assert view_of(asked(1), other, asked(1, 2), reply(1)).nano_usd == {"p/m": 700, "p/other": 5}


def test_a_failed_attempt_counts_at_what_the_log_says_of_it() -> None:
    free, dear = failure("rate"), msgspec.structs.replace(failure("cut"), cost=MOST)
    assert view_of(asked(1), free).spent.nano_usd == 0
    view = view_of(asked(1), dear, asked(1, 2), reply(1))
    assert (view.totals.nano_usd, view.totals.estimated_nano_usd, view.totals.output) == (705, 700, 53)


def test_an_estimated_reply_is_marked_in_the_totals() -> None:
    view = view_of(reply(1), msgspec.structs.replace(reply(2), estimated=True))
    assert (view.totals.nano_usd, view.totals.estimated_nano_usd) == (10, 5)


def test_what_a_child_has_cost_is_part_of_the_totals_and_counts_once() -> None:
    one, other = SessionId("1" * 26), SessionId("2" * 26)

    def report(child: SessionId, cost: Cost | None) -> ChildReported:
        return ChildReported(child=child, ending="done", parts=(), cost=cost)

    first = Cost(Usage(10, 4, 5, 1), 100)
    more = Cost(Usage(30, 4, 6, 1), 250)
    view = view_of(reply(1), report(one, first), report(one, more), report(other, first), report(one, more))
    assert view.totals.cost == Cost(Usage(50, 12, 14, 3), 355)
    assert view.nano_usd == {"p/m": 5}
    assert view_of(report(one, None)).totals.nano_usd == 0
    assert view_of(report(one, Cost(Usage(1), None))).totals.nano_usd is None


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
