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
    event = shrink(long_view(10, 500), tokens=90_000, window=10_000)
    assert event is not None
    assert len(event.cleared) == 10 - KEEP_RESULTS


def test_a_refused_request_is_shrunk_though_it_seems_to_fit() -> None:
    event = shrink(long_view(10, 3600), tokens=5000, window=10_000, forced=True)
    assert event is not None
    assert "refused" in event.reason


def test_where_there_is_nothing_to_clear_nothing_is_done() -> None:
    assert shrink(view_of(), tokens=9_900, window=10_000) is None
