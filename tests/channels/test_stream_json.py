import msgspec

from hames.channels.stream_json import StreamJson
from hames.core.events import (
    CallLost,
    CommandFact,
    GoalChecked,
    GoalSet,
    LimitReached,
    ModelFailed,
    WaitStarted,
)
from hames.core.ids import CallId, call_id
from hames.core.messages import Text
from hames.core.ports import Notice, Progress, TextDelta
from hames.testing.entries import SESSION, entries


def test_a_lost_call_is_a_result_that_failed() -> None:
    out: list[str] = []
    shape = StreamJson(out.append, "0", [])
    (entry,) = entries(CallLost(call=call_id(1, 0), parts=(Text("nobody knows"),), why=""))
    shape.entry(entry)
    shape.delta(1, TextDelta("x"))
    block = msgspec.json.decode(out[0])["message"]["content"][0]
    assert block["is_error"]


def test_a_notice_is_a_system_message_once_it_is_known_of_which_session() -> None:
    out: list[str] = []
    shape = StreamJson(out.append, "0", [])
    shape.delta(0, Notice("one"))
    assert out == []
    (entry,) = entries(CallLost(call=call_id(1, 0), parts=(), why=""))
    shape.entry(entry)
    shape.delta(1, Notice("two"))
    shape.delta(1, Progress("looking", 1, 2))
    lines = [msgspec.json.decode(line) for line in out[1:]]
    notice = {"type": "system", "subtype": "notice", "session_id": entry.session}
    assert lines == [{**notice, "content": "one"}, {**notice, "content": "two"}]


def test_a_retry_is_told_with_its_end_and_its_cause() -> None:
    out: list[str] = []
    shape = StreamJson(out.append, "0", [])
    failed = ModelFailed(step=1, attempt=3, kind="rate", message="slow down", status=429)
    wait = WaitStarted(until_ms=9_000, reason="slow down")
    alone, *after = entries(wait, failed, wait)
    for entry in (alone, *after):
        shape.entry(entry)
    lines = [msgspec.json.decode(line) for line in out]
    shared = {"type": "system", "subtype": "api_retry", "until_ms": 9000, "content": "slow down"}
    shared |= {"session_id": alone.session}
    first = {"attempt": 0, "retry_delay_ms": 8000, "error_status": None, "error": "overload", "seq": 1}
    second = {"attempt": 3, "retry_delay_ms": 6000, "error_status": 429, "error": "rate", "seq": 3}
    assert lines == [shared | first, shared | second]


def test_a_limit_that_is_near_is_a_system_message() -> None:
    out: list[str] = []
    shape = StreamJson(out.append, "0", [])
    near = LimitReached(limit="max_steps", value=50, used=40, warned=True)
    (entry, other) = entries(near, LimitReached(limit="max_steps", value=50))
    shape.entry(entry)
    shape.entry(other)
    assert [msgspec.json.decode(line) for line in out] == [
        {
            "type": "system",
            "subtype": "limit_warning",
            "limit": "max_steps",
            "value": 50,
            "used": 40,
            "content": "most of a limit is used: 40 of 50 steps",
            "session_id": entry.session,
            "seq": 1,
        }
    ]


def test_a_goal_and_its_checks_are_system_messages() -> None:
    out: list[str] = []
    shape = StreamJson(out.append, "0", [])
    fact = CommandFact(exit_code=1)
    checked = GoalChecked(check=CallId("check.1"), command="make", passed=False, fact=fact, told="[no]")
    for entry in entries(GoalSet(command="make", by="test", told="[the goal]"), checked):
        shape.entry(entry)
    shared = {"type": "system", "command": "make", "session_id": SESSION}
    check = {"subtype": "goal_check", "content": "[no]", "passed": False, "exit_code": 1, "seq": 2}
    assert [msgspec.json.decode(line) for line in out] == [
        {**shared, "subtype": "goal", "content": "[the goal]", "seq": 1},
        {**shared, **check},
    ]
