import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hames.context.leave_out import KEEP_STEPS, NO_STEPS, told, whole_steps
from hames.context.shrink import shrink
from hames.context.view import View, fold
from hames.core.events import AnyEvent, CallFinished, CommandFact, FileFact, Todo, UserSpoke
from hames.core.ids import call_id
from hames.core.messages import AssistantMessage, Message, Text, ToolMessage, UserMessage, plain
from hames.testing.entries import entries
from tests.context.test_view import OPENED, PINNED, done, reply, said

LONG = "I think about it. " * 40


def step(number: int, text: str = LONG, result: str = "ok") -> list[AnyEvent]:
    return [reply(number, "bash", text=text), done(number, 0, result)]


def talk(steps: int, text: str = LONG, result: str = "ok") -> View:
    """A user who says something, and steps of the model that have little to clear."""
    events = [event for number in range(1, steps + 1) for event in step(number, text, result)]
    return fold(entries(OPENED, PINNED, said("go"), *events))


def after(view: View, tokens: int, window: int) -> View:
    """The view when room was made for so many tokens in such a window."""
    event = shrink(view, tokens, window)
    assert event is not None
    view.fold(entries(event, first=view.head + 1)[0])
    return view


def test_where_results_are_short_the_oldest_steps_go_until_the_goal_is_met() -> None:
    view = talk(40)
    # A step takes some 240 tokens here.
    event = shrink(view, tokens=9600, window=10_000)
    assert event is not None
    assert event.cleared == ()
    assert 18 <= event.left_out // 2 <= 22
    assert event.told.startswith(f"[Your first {event.left_out // 2} steps are left out here")
    assert event.left_out % 2 == 1


def test_steps_that_are_left_out_do_not_come_back_and_are_counted_on() -> None:
    view = after(talk(40), 9600, 10_000)
    first = view.left_out
    for number in range(41, 60):
        for entry in entries(*step(number), first=view.head + 1):
            view.fold(entry)
    view = after(view, 9600, 10_000)
    notes = [m for m in view.messages if isinstance(m, UserMessage) and m.passing]
    assert view.left_out > first
    assert [plain(note.parts).partition(" steps")[0] for note in notes] == [f"[Your first {view.left_out}"]


def test_results_of_steps_that_go_are_not_cleared_one_by_one() -> None:
    event = shrink(talk(40, result="x" * 400), tokens=16_000, window=10_000)
    assert event is not None
    assert event.cleared
    shown = event.left_out // 2 + 1
    assert event.cleared[0] == call_id(shown, 0)


def test_the_newest_steps_stay_however_little_room_there_is() -> None:
    event = shrink(talk(10), tokens=90_000, window=1000)
    assert event is None or event.left_out <= 1 + 2 * (10 - KEEP_STEPS)
    assert whole_steps(talk(KEEP_STEPS), (), 90_000, 100) == NO_STEPS
    found = whole_steps(talk(10), (), 3000, 100)
    assert found.count == 10 - KEEP_STEPS


def test_steps_that_take_hardly_any_room_are_not_left_out_for_it() -> None:
    assert whole_steps(talk(10, text=""), (), 100_000, 50_000) == NO_STEPS


def test_what_the_user_said_counts_for_nothing_that_could_be_gained() -> None:
    words = [said("a long story " * 1000), *step(1), *step(2), *step(3), *step(4), *step(5)]
    view = fold(entries(OPENED, PINNED, *words))
    assert whole_steps(view, (), 4000, 100).tokens < 400


def test_the_note_names_the_files_and_the_plan() -> None:
    facts = tuple(FileFact(f"/w/{number}.py", "h", "read") for number in range(23))
    plan = (Todo("find it", "completed"), Todo("mend it", "in_progress"))
    read = CallFinished(call=call_id(1, 0), outcome="ok", parts=(Text("ok"),), files=facts, todos=plan)
    view = fold(entries(OPENED, PINNED, said("go"), reply(1, "read"), read, *step(2)))
    found = whole_steps(talk(10), (), 3000, 100)
    words = told(view, found)
    assert "/w/22.py and 3 more" in words
    assert "/w/2.py" not in words
    assert words.endswith("Your plan:\n- completed: find it\n- in_progress: mend it")


def ran(number: int, command: str, exit_code: int, output: str = "") -> list[AnyEvent]:
    asked = reply(number, "bash", text=LONG)
    call = msgspec.structs.replace(asked.message.calls[0], arguments=f'{{"command": "{command}"}}')
    outcome = "ok" if exit_code == 0 else "failed"
    end = CallFinished(call.id, outcome, (Text(output),), command=CommandFact(exit_code=exit_code))
    return [
        msgspec.structs.replace(asked, message=msgspec.structs.replace(asked.message, calls=(call,))),
        end,
    ]


def test_what_has_failed_and_was_not_mended_is_not_forgotten() -> None:
    failed = "E: x\nFAILED tests/test_a.py::test_x - wrong"
    events = [
        *ran(1, "make", 2, "make: *** [all] Error 2"),
        *ran(2, "make", 0),
        *ran(3, "pytest -q", 1, failed),
        *ran(4, "pytest -q", 1, failed),
        *ran(5, "odd", 1),
    ]
    view = fold(entries(OPENED, PINNED, said("go"), *events))
    words = told(view, whole_steps(talk(10), (), 3000, 100))
    assert words.partition("What has failed, and not gone well since:\n")[2].splitlines() == [
        "- `pytest -q`, step 4: as it was: tests/test_a.py::test_x",
        "- `odd`, step 5: as it was",
    ]


def test_the_words_are_as_they_are() -> None:
    view = talk(10)
    assert told(view, whole_steps(view, (), 3000, 100)) == (
        "[Your first 6 steps are left out here to save room. What they did holds, and what the user said"
        " stands above. Read a file or run a command again where you need what it gave.]"
    )


def is_whole(messages: list[Message]) -> bool:
    """Each result stands after the reply that asked for it, and each call has its result."""
    open_calls: list[str] = []
    for message in messages:
        match message:
            case AssistantMessage(calls=calls):
                assert not open_calls
                open_calls = [call.id for call in calls]
            case ToolMessage(call=call):
                assert open_calls.pop(0) == call
            case UserMessage():
                assert not open_calls
    return not open_calls


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3000), st.booleans()), max_size=30),
    st.integers(1000, 40_000),
    st.booleans(),
)
def test_what_is_left_is_whole_and_what_the_user_said_is_there(
    steps: list[tuple[int, int, bool]], window: int, forced: bool
) -> None:
    events: list[AnyEvent] = [said("first")]
    for number, (calls, size, speaks) in enumerate(steps, 1):
        events += [reply(number, *["bash"] * calls, text="t" * size)]
        events += [done(number, at, "x" * size) for at in range(calls)]
        source = "steer" if number % 2 else "harness"
        events += [UserSpoke(parts=(Text(f"said {number}"),), source=source)] if speaks else []
    view = fold(entries(OPENED, PINNED, *events))
    before = [m for m in view.messages if isinstance(m, UserMessage) and not m.passing]
    newest = view.messages[-1]
    event = shrink(view, 40_000, window, forced=forced)
    if event is None:
        return
    view.fold(entries(event, first=view.head + 1)[0])
    assert is_whole(view.messages)
    assert [m for m in view.messages if isinstance(m, UserMessage) and not m.passing] == before
    assert view.messages[-1] == newest or isinstance(newest, ToolMessage)
