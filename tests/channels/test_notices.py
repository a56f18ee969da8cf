from datetime import UTC, datetime, timedelta

from hames.channels.notices import CLEAR, Gauge, Notices
from hames.core.events import LimitReached, TurnStarted, WaitStarted
from hames.core.ports import Notice, Progress, TextDelta
from hames.session.log import Listeners
from hames.testing.entries import entries


def both(shown: list[str]) -> Listeners:
    listeners = Listeners()
    listeners.add(Gauge(shown.append))
    listeners.add(Notices(shown.append))
    return listeners


def test_a_notice_is_one_line_that_no_control_code_is_in() -> None:
    shown: list[str] = []
    notices = Notices(shown.append)
    notices.delta(1, Notice("not covered: a\x1b[2J\nb"))
    notices.delta(1, TextDelta("hello"))
    assert shown == ["hames: not covered: a [2J b"]


def test_progress_is_one_line_written_in_its_place_and_gone_before_anything_else() -> None:
    shown: list[str] = []
    listeners = both(shown)
    listeners.delta(1, Progress("looking", 0, 2500))
    listeners.delta(1, Progress("looking", 1200, 2500))
    listeners.delta(1, Notice("careful"))
    listeners.delta(1, Progress("looking", 1300, 2500))
    listeners.entry(entries(TurnStarted(turn=1))[0])
    line = f"{CLEAR}looking: %s of 2,500"
    assert shown == [line % "0", line % "1,200", CLEAR, "hames: careful", line % "1,300", CLEAR]
    assert not listeners.failures


def test_progress_is_gone_when_the_work_is_done_or_something_else_comes() -> None:
    shown: list[str] = []
    gauge = Gauge(shown.append)
    for after in (Progress("looking", 2, 2), TextDelta("hello")):
        gauge.delta(1, Progress("looking", 1, 2))
        gauge.delta(1, after)
        assert shown.pop() == CLEAR
        gauge.clear()
        assert shown.pop() != CLEAR
    assert shown == []


def test_a_wait_is_told_with_its_end_by_the_clock_of_the_person() -> None:
    begun = datetime(2026, 3, 1, 12, 0, 5, tzinfo=datetime.now(UTC).astimezone().tzinfo)
    at_ms = int(begun.timestamp() * 1000)
    shown: list[str] = []
    notices = Notices(shown.append)
    for seconds in (1, 30, 172_800):
        wait = WaitStarted(until_ms=at_ms + seconds * 1000, reason="slow\x1b[2J down")
        notices.entry(entries(wait, at_ms=at_ms)[0])
    begun_day, later = begun + timedelta(seconds=30), begun + timedelta(seconds=172_800)
    assert shown == [
        f"hames: waiting until {begun_day:%H:%M:%S} (30 s): slow [2J down",
        f"hames: waiting until {later:%d %b %H:%M:%S} (172800 s): slow [2J down",
    ]


def test_a_limit_that_is_near_is_told_and_one_that_was_reached_is_the_endings_to_tell() -> None:
    shown: list[str] = []
    notices = Notices(shown.append)
    near = LimitReached(limit="max_budget_usd", value=2, used=1.6, warned=True)
    for entry in entries(near, LimitReached(limit="max_budget_usd", value=2)):
        notices.entry(entry)
    assert shown == ["hames: most of a limit is used: 1.6 of 2 USD"]
