import pytest

from hames.context.report import Report, Told
from hames.core.events import (
    NOBODY,
    AnyEvent,
    ApprovalAnswered,
    CallFinished,
    CallIntended,
    CallJudged,
    CallLost,
    Effect,
    ModelReplied,
    Outcome,
    TurnStarted,
    Usage,
)
from hames.core.ids import BlobId, CallId, call_id
from hames.core.messages import AssistantMessage, Call, Finish, Text


def told(*events: AnyEvent) -> Report:
    report = Report()
    for event in events:
        report.take(event)
    return report


def said(text: str, finish: Finish = "stop", *calls: CallId) -> ModelReplied:
    asked = tuple(Call(call, "w", "bash", "{}") for call in calls)
    message = AssistantMessage(text, calls=asked)
    return ModelReplied(1, 1, message, finish, "m", BlobId("0" * 64), Usage())


def call(step: int, effect: Effect, outcome: Outcome) -> list[AnyEvent]:
    """A call of a step; one that is denied would have needed a person."""
    asked = call_id(step, {"denied": 0, "ok": 1}.get(outcome, 2))
    events: list[AnyEvent] = [
        CallIntended(asked, step, "bash", "", effect),
        CallJudged(asked, "ask", "mode", f"why {step}"),
    ]
    if outcome == "denied":
        events.append(ApprovalAnswered(asked, allowed=False, by=NOBODY))
    return [*events, CallFinished(asked, outcome, ())]


def test_what_was_said_last_is_kept_until_the_next_turn() -> None:
    assert told(said("Looking.", "calls", call_id(1, 0)), said("done")).said == "done"
    assert told(said("done"), TurnStarted(turn=2)).said == ""


def test_a_reply_that_was_cut_and_those_that_go_on_from_it_are_one() -> None:
    assert told(said("One, ", "length"), said("two, ", "length"), said("three.")).said == "One, two, three."
    assert told(said("One, ", "length"), TurnStarted(turn=2), said("other")).said == "other"
    assert told(said("One, ", "length", call_id(1, 0)), said("done")).said == "done"


def test_denied_and_lost_calls_are_named_with_the_reason() -> None:
    asked, other = call_id(1, 0), call_id(1, 1)
    report = told(
        said("", "calls", asked, other),
        *(CallIntended(asked, 1, "bash", "", "effectful"), CallJudged(asked, "deny", "user: Bash")),
        *(CallFinished(asked, "denied", ()), CallLost(other, (), "the supervisor is gone")),
    )
    assert report.denied == [Told("bash", asked, "user: Bash")]
    assert report.lost == [Told("", other, "the supervisor is gone")]
    assert report.unapproved == []
    report.take(CallFinished(asked, "failed", (Text("[outcome not known]\nthe rest"),), lost=True))
    assert report.lost[1:] == [Told("bash", asked, "[outcome not known] the rest")]
    report.take(TurnStarted(turn=2))
    assert (report.denied, report.lost) == ([], [])


@pytest.mark.parametrize(
    ("denied", "later", "outcome", "stands"),
    [
        ("effectful", "effectful", "ok", False),
        ("effectful", "reconcilable", "ok", False),
        ("effectful", "effectful", "failed", True),
        ("effectful", "pure", "ok", True),
        ("pure", "pure", "ok", False),
    ],
)
def test_what_a_person_must_allow_stands_until_something_is_done_in_its_place(
    denied: Effect, later: Effect, outcome: Outcome, stands: bool
) -> None:
    report = told(*call(1, denied, "denied"), said(""), *call(2, later, outcome))
    assert [each.why for each in report.unapproved] == (["why 1"] if stands else [])


def test_what_was_asked_in_the_same_step_is_not_done_in_the_place_of_what_was_denied() -> None:
    report = told(*call(1, "effectful", "denied"), *call(1, "effectful", "ok"))
    assert len(report.unapproved) == 1
    assert told(*call(1, "effectful", "denied"), TurnStarted(turn=2)).unapproved == []


def test_a_denial_whose_call_a_repair_took_away_stands_until_something_is_done() -> None:
    lone = ApprovalAnswered(call_id(1, 0), allowed=False, by=NOBODY)
    assert told(lone, CallFinished(call_id(1, 1), "ok", ())).unapproved
    assert not told(lone, *call(2, "effectful", "ok")).unapproved
    assert not told(ApprovalAnswered(call_id(1, 0), allowed=False, by="terminal")).unapproved
