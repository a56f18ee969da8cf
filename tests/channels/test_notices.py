from hames.channels.notices import CLEAR, Notices
from hames.core.events import TurnStarted
from hames.core.ports import Notice, Progress, TextDelta
from hames.testing.entries import entries


def test_a_notice_is_one_line_that_no_control_code_is_in() -> None:
    shown: list[str] = []
    Notices(shown.append, live=False).delta(1, Notice("not covered: a\x1b[2J\nb"))
    assert shown == ["hames: not covered: a [2J b\n"]


def test_progress_is_one_line_written_in_its_place_and_gone_before_anything_else() -> None:
    shown: list[str] = []
    notices = Notices(shown.append, live=True)
    notices.delta(1, Progress("looking", 0, 2500))
    notices.delta(1, Progress("looking", 1200, 2500))
    notices.delta(1, Notice("careful"))
    notices.delta(1, Progress("looking", 1300, 2500))
    notices.entry(entries(TurnStarted(turn=1))[0])
    line = f"{CLEAR}looking: %s of 2,500"
    assert shown == [line % "0", line % "1,200", CLEAR, "hames: careful\n", line % "1,300", CLEAR]


def test_progress_is_gone_when_the_work_is_done_or_something_else_comes() -> None:
    shown: list[str] = []
    notices = Notices(shown.append, live=True)
    for after in (Progress("looking", 2, 2), TextDelta("hello")):
        notices.delta(1, Progress("looking", 1, 2))
        notices.delta(1, after)
        assert shown.pop() == CLEAR
        notices.clear()
        assert shown.pop() != CLEAR
    assert shown == []


def test_progress_is_shown_on_a_terminal_only() -> None:
    shown: list[str] = []
    notices = Notices(shown.append, live=False)
    notices.delta(1, Progress("looking", 1, 2))
    notices.clear()
    assert shown == []
