from hames.context.pace import Pace
from hames.core.events import AnyEvent, Entry, LimitReached, TurnStarted, WaitEnded
from hames.testing.entries import SESSION

TURN = TurnStarted(turn=1)
TICK = WaitEnded(reason="")


def pace_of(*entries: tuple[AnyEvent | None, int, int]) -> Pace:
    """The pace after these events: each with its time in milliseconds, and the epoch of its owner."""
    pace = Pace()
    for seq, (event, at_ms, epoch) in enumerate(entries, 1):
        pace.take(Entry(SESSION, seq, epoch, at_ms, event, ""))
    return pace


def test_a_turn_is_worked_on_from_its_start() -> None:
    pace = pace_of((TICK, 100, 1), (TURN, 5_000, 1), (TICK, 6_000, 1), (None, 9_000, 1))
    assert (pace.begun_ms, pace.worked_ms) == (5_000, 4_000)


def test_time_without_an_owner_is_not_worked() -> None:
    pace = pace_of((TURN, 1_000, 1), (TICK, 3_000, 1), (TICK, 90_000, 2), (TICK, 91_000, 2))
    assert (pace.begun_ms, pace.worked_ms) == (1_000, 3_000)


def test_a_clock_that_is_set_back_takes_no_time_away() -> None:
    assert pace_of((TURN, 9_000, 1), (TICK, 1_000, 1), (TICK, 1_500, 1)).worked_ms == 500


def test_a_turn_whose_start_is_gone_has_begun_with_the_session() -> None:
    assert pace_of((TICK, 700, 1), (TICK, 900, 1)).begun_ms == 700


def test_a_warning_holds_for_its_limit_and_value_as_long_as_the_limit_does() -> None:
    steps = LimitReached(limit="max_steps", value=10, used=8, warned=True)
    money = LimitReached(limit="max_budget_usd", value=2, used=1.7, warned=True)
    over = LimitReached(limit="max_budget_tokens", value=5)
    pace = pace_of((TURN, 1, 1), (steps, 2, 1), (money, 3, 1), (over, 4, 1))
    assert pace.warned == {("max_steps", 10), ("max_budget_usd", 2)}
    pace.take(Entry(SESSION, 5, 1, 5, TurnStarted(turn=2), ""))
    assert pace.warned == {("max_budget_usd", 2)}
