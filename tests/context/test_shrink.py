from hames.context.shrink import KEEP_RESULTS, shrink
from hames.context.view import View, fold
from hames.core.ids import call_id
from hames.testing.entries import entries
from tests.context.test_view import OPENED, PINNED, done, reply, view_of


def long_view(results: int, size: int) -> View:
    events = [event for n in range(1, results + 1) for event in (reply(n, "bash"), done(n, 0, "x" * size))]
    return fold(entries(OPENED, PINNED, *events))


def test_nothing_is_cleared_while_there_is_room() -> None:
    assert shrink(long_view(10, 5000), tokens=8000, window=10_000) is None


def test_the_oldest_results_go_first_until_the_goal_is_met() -> None:
    event = shrink(long_view(10, 3600), tokens=9000, window=10_000)
    assert event is not None
    assert event.segment == 2
    assert event.cleared == tuple(call_id(n, 0) for n in range(1, 6))


def test_the_newest_results_stay() -> None:
    event = shrink(long_view(10, 10), tokens=9000, window=10_000)
    assert event is None
    event = shrink(long_view(10, 3600), tokens=9500, window=6500)
    assert event is not None
    assert len(event.cleared) == 10 - KEEP_RESULTS


def test_without_room_newer_results_go_too_but_none_that_the_model_has_not_answered() -> None:
    view = long_view(5, 3600)
    for tokens, window, newest in ((4200, 4000, 2), (9000, 4000, 4), (90_000, 4000, 4)):
        for forced in (True, False):
            event = shrink(view, tokens, window, forced=forced)
            assert event is not None
            assert event.cleared == tuple(call_id(n, 0) for n in range(1, newest + 1))


def test_of_many_results_that_are_not_answered_the_newest_stay() -> None:
    calls = reply(1, *["bash"] * 6)
    unread = fold(entries(OPENED, PINNED, calls, *[done(1, at, "x" * 3600) for at in range(6)]))
    event = shrink(unread, tokens=90_000, window=4000)
    assert event is not None
    assert event.cleared == (call_id(1, 0), call_id(1, 1))


def test_a_refused_request_is_shrunk_though_it_seems_to_fit() -> None:
    event = shrink(long_view(10, 3600), tokens=5000, window=10_000, forced=True)
    assert event is not None
    assert "refused" in event.reason


def test_where_there_is_nothing_to_clear_nothing_is_done() -> None:
    assert shrink(view_of(), tokens=9_900, window=10_000) is None
