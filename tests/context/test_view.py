from hypothesis import given
from hypothesis import strategies as st

from hames.context.view import View, fold
from hames.core.events import (
    AnyEvent,
    ApprovalAnswered,
    ApprovalAsked,
    CallFinished,
    CallIntended,
    CallJudged,
    CallLost,
    CallStarted,
    ChildReported,
    CommandFact,
    ContextShrunk,
    Entry,
    FileFact,
    GoalChecked,
    GoalSet,
    JobFinished,
    JobStarted,
    Labelled,
    ModelReplied,
    OutputFact,
    RequestSent,
    SessionClosed,
    SessionOpened,
    SettingsPinned,
    Todo,
    TurnEnded,
    TurnStarted,
    Usage,
    UserSpoke,
)
from hames.core.ids import BlobId, CallId, JobId, SessionId, call_id
from hames.core.limits import LOG_FORMAT
from hames.core.messages import AssistantMessage, Call, Text, ToolMessage, UserMessage, plain
from hames.testing.entries import SESSION, entries

BLOB = BlobId("b" * 64)
OPENED = SessionOpened(session=SESSION, format=LOG_FORMAT, hames="0", workspace="/w")
PINNED = SettingsPinned(
    segment=1, model="m", provider="p", wire="chat", system=BLOB, tools=BLOB, sandbox="none", mode="auto"
)


def said(text: str, dedup: str | None = None) -> UserSpoke:
    return UserSpoke(parts=(Text(text),), dedup=dedup)


def sent(step: int, attempt: int = 1, segment: int = 1) -> RequestSent:
    return RequestSent(
        step=step, attempt=attempt, segment=segment, head=BLOB, added=(), tail=BLOB, sha256="", size=100
    )


def reply(step: int, *names: str, text: str = "", nano_usd: int | None = 5) -> ModelReplied:
    calls = tuple(Call(call_id(step, i), f"w{i}", name, "{}") for i, name in enumerate(names))
    return ModelReplied(
        step=step,
        attempt=1,
        message=AssistantMessage(text, calls=calls),
        finish="calls" if calls else "stop",
        model="m",
        raw=BLOB,
        usage=Usage(input=10, cached=4, output=3, reasoning=1),
        nano_usd=nano_usd,
    )


def done(step: int, index: int, text: str = "ok") -> CallFinished:
    return CallFinished(call=call_id(step, index), outcome="ok", parts=(Text(text),))


def intended(step: int, index: int) -> CallIntended:
    return CallIntended(call=call_id(step, index), step=step, tool="bash", args_hash="h", effect="effectful")


def view_of(*events: AnyEvent) -> View:
    return fold(entries(OPENED, PINNED, *events))


def test_results_stand_in_the_models_order_whatever_order_they_came_in() -> None:
    view = view_of(said("go"), reply(1, "a", "b"), done(1, 1, "second"), done(1, 0, "first"))
    texts = [m.parts[0] for m in view.messages if isinstance(m, ToolMessage)]
    assert texts == [Text("first"), Text("second")]


def test_words_that_arrive_while_calls_are_open_stand_after_the_results() -> None:
    view = view_of(reply(1, "a"), said("hurry"), done(1, 0))
    assert [type(m) for m in view.messages] == [AssistantMessage, ToolMessage, UserMessage]


def test_a_call_is_followed_from_intent_to_end() -> None:
    call = call_id(1, 0)
    open_view = view_of(
        reply(1, "bash"),
        intended(1, 0),
        CallJudged(call=call, verdict="ask", rule="mode"),
        ApprovalAsked(call=call, subject="bash: ls"),
        ApprovalAnswered(call=call, allowed=True, by="terminal"),
        CallStarted(call=call),
    )
    was = open_view.open_calls[call]
    assert was.intended is not None
    assert was.judged is not None
    assert was.asked is not None
    assert was.answered is not None
    assert was.started is not None
    assert was.started_ms == 8_000
    open_view.fold(Entry(SESSION, 9, 1, 9_000, done(1, 0), ""))
    assert not open_view.open_calls


def test_a_lost_call_has_a_result_too() -> None:
    lost = CallLost(call=call_id(1, 0), parts=(Text("nobody knows"),), why="killed")
    view = view_of(reply(1, "bash"), lost)
    assert view.messages[-1] == ToolMessage(call_id(1, 0), "w0", (Text("nobody knows"),))


def test_what_a_call_learnt_is_kept() -> None:
    finished = CallFinished(
        call=call_id(1, 0),
        outcome="ok",
        parts=(),
        output=OutputFact(blob=BLOB, bytes=9, kept=9),
        command=CommandFact(exit_code=0, cwd="/w/sub"),
        files=(FileFact(path="/w/a", sha256="s", did="read"),),
        todos=(Todo("x", "pending"),),
    )
    view = view_of(reply(1, "bash"), finished)
    assert view.cwd == "/w/sub"
    assert view.seen == {"/w/a": "s"}
    assert view.todos == (Todo("x", "pending"),)
    assert view.outputs[call_id(1, 0)].bytes == 9


def test_a_file_that_was_removed_counts_as_never_seen() -> None:
    seen, wrote = FileFact("/w/a", "s", "read"), FileFact("/w/a", "t", "wrote")
    gone = FileFact("/w/a", "", "removed")
    for files, left in (((seen, gone), {}), ((gone,), {}), ((seen, gone, wrote), {"/w/a": "t"})):
        finished = CallFinished(call=call_id(1, 0), outcome="ok", parts=(), files=files)
        assert view_of(reply(1, "bash"), finished).seen == left


def test_a_turn_opens_and_ends() -> None:
    view = view_of(said("go"), TurnStarted(turn=1), sent(1), reply(1))
    assert view.turn_open
    assert view.turn_steps == 1
    end = TurnEnded(turn=1, ending="done", reason="")
    view.fold(entries(end, first=view.head + 1)[0])
    assert not view.turn_open
    assert view.ended == end


def test_the_last_request_knows_its_place() -> None:
    view = view_of(said("go"), sent(1))
    assert view.last_request is not None
    assert (view.last_request.seq, view.last_request.messages) == (4, 1)


def test_jobs_live_until_they_end_and_the_model_is_told() -> None:
    job = JobStarted(job=JobId("1.0"), call=call_id(1, 0), command="make")
    view = view_of(job)
    assert view.jobs == {JobId("1.0"): job}
    over = JobFinished(
        job=JobId("1.0"),
        command=CommandFact(exit_code=0),
        output=OutputFact(blob=BLOB, bytes=1, kept=1),
        told="[made]",
    )
    view.fold(entries(over, first=view.head + 1)[0])
    assert not view.jobs
    assert view.messages[-1] == UserMessage((Text("[made]"),), passing=True)
    assert call_id(1, 0) in view.outputs


def test_a_shrink_clears_results_and_starts_a_segment() -> None:
    big = CallFinished(
        call=call_id(1, 0),
        outcome="ok",
        parts=(Text("x" * 5000),),
        output=OutputFact(blob=BLOB, bytes=9, kept=9),
    )
    shrunk = ContextShrunk(segment=2, reason="full", cleared=(call_id(1, 0), call_id(1, 1)))
    view = view_of(sent(1), reply(1, "bash", "read"), big, done(1, 1, "text"), shrunk)
    texts = [m.parts[0] for m in view.messages if isinstance(m, ToolMessage)]
    assert texts == [
        Text("[5000 bytes cleared to save room; read file_path=output://1.0]"),
        Text("[4 bytes cleared to save room; make the call again if you need it]"),
    ]
    assert view.segment == 2
    assert view.last_request is None


def test_a_note_stands_in_for_steps_that_are_left_out_and_the_words_of_the_user_stay() -> None:
    nudge = UserSpoke(parts=(Text("[go on]"),), source="harness")
    shrunk = ContextShrunk(segment=2, reason="full", cleared=(call_id(2, 0),), left_out=5, told="[left out]")
    view = view_of(
        *(said("go"), reply(1, "bash"), done(1, 0), nudge, said("and hurry")),
        *(reply(2, "bash"), done(2, 0, "x" * 100), shrunk),
    )
    assert [m for m in view.messages if isinstance(m, UserMessage)] == [
        UserMessage((Text("go"),)),
        UserMessage((Text("and hurry"),)),
        UserMessage((Text("[left out]"),), passing=True),
    ]
    assert [type(m) for m in view.messages[3:]] == [AssistantMessage, ToolMessage]
    assert view.left_out == 1
    again = ContextShrunk(segment=3, reason="full", left_out=5, told="[more left out]")
    view.fold(entries(again, first=view.head + 1)[0])
    assert [m.parts for m in view.messages if isinstance(m, UserMessage)] == [
        *((Text("go"),), (Text("and hurry"),), (Text("[more left out]"),))
    ]
    assert (len(view.messages), view.left_out) == (3, 2)


def test_what_a_check_said_may_go_and_the_goal_stays() -> None:
    check = GoalChecked(
        check=CallId("check.1"),
        command="make test",
        passed=False,
        fact=CommandFact(exit_code=1),
        told="[it failed]",
        likeness="1",
    )
    view = view_of(
        *(said("go"), GoalSet(command="make test", by="user", told="[the goal]"), reply(1, text="done")),
        *(check, reply(2, "bash"), done(2, 0)),
        ContextShrunk(segment=2, reason="full", left_out=4, told="[left out]"),
    )
    heard = [plain(m.parts) for m in view.messages if isinstance(m, UserMessage)]
    assert heard == ["go", "[the goal]", "[left out]"]
    assert view.pursuit.streak.same == 1


def test_a_new_pin_in_a_new_segment_extends_nothing() -> None:
    other = SettingsPinned(
        segment=2, model="n", provider="p", wire="chat", system=BLOB, tools=BLOB, sandbox="none", mode="ask"
    )
    view = view_of(sent(1), other)
    assert view.last_request is None
    assert (view.pinned, view.mode, view.segment) == (other, "ask", 2)


def test_a_new_pin_in_the_same_segment_goes_on() -> None:
    assert view_of(sent(1), PINNED).last_request is not None


def test_a_childs_report_is_told() -> None:
    child = SessionId("1" * 26)
    view = view_of(ChildReported(child=child, ending="done", parts=(Text("found it"),)))
    assert view.messages == [UserMessage((Text("found it"),), passing=True)]


def test_events_for_others_and_unknown_ones_change_nothing_but_the_head() -> None:
    view = view_of(Labelled(step=1, label="loop", source="rule"), SessionClosed(reason="bye"))
    assert (view.head, view.messages) == (4, [])
    view.fold(Entry(SESSION, 5, 1, 0, None, ""))
    assert view.head == 5


@given(st.permutations([0, 1, 2, 3]), st.integers(0, 4))
def test_any_order_of_results_gives_the_same_messages(order: list[int], words_after: int) -> None:
    events: list[AnyEvent] = [done(1, index, f"r{index}") for index in order]
    events.insert(words_after, said("meanwhile"))
    messages = view_of(reply(1, "a", "b", "c", "d"), *events).messages
    assert [m.parts[0] for m in messages if isinstance(m, ToolMessage)] == [
        Text(f"r{index}") for index in range(4)
    ]
    assert isinstance(messages[-1], UserMessage)
