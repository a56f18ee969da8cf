from collections.abc import Mapping

import anyio
import anyio.lowlevel
import msgspec
import pytest

from hames.core.errors import DamagedLog, ExitCode, LauncherError, Problem, SandboxError, StoreError
from hames.core.events import (
    ApprovalAnswered,
    ApprovalAsked,
    CallFinished,
    CallIntended,
    CallJudged,
    CallStarted,
    Effect,
    Verdict,
)
from hames.core.ids import blob_id, call_id
from hames.core.limits import CALLS_PER_REPLY, NOTE_BYTES, PARALLEL_CALLS
from hames.core.messages import Call, Image, Text
from hames.core.ports import (
    ApprovalAnswer,
    ApprovalRequest,
    CallContext,
    Judgement,
    Prepared,
    Subject,
    ToolResult,
    Words,
)
from hames.loop.act import Judged, side_by_side
from hames.loop.approve import describe
from hames.loop.endings import exit_code
from hames.testing.scripted import Scripted
from tests.rig import BenchPerson, BenchTools, Body, Rig, asks, ok

pytestmark = pytest.mark.anyio
GO = [Words((Text("go"),))]


async def results(rig: Rig) -> list[CallFinished]:
    session = await rig.open()
    await session.say(GO)
    return [e for e in await rig.logged(session) if isinstance(e, CallFinished)]


def told(event: CallFinished) -> str:
    part = event.parts[0]
    assert isinstance(part, Text)
    return part.text


async def echo(arguments: str, context: CallContext) -> ToolResult:
    return ok(arguments)


async def test_neighbours_that_change_nothing_run_side_by_side_and_stay_in_order() -> None:
    both = anyio.Event()
    arrived: list[str] = []

    async def meet(arguments: str, context: CallContext) -> ToolResult:
        arrived.append(arguments)
        if len(arrived) == 2:
            both.set()
        await both.wait()
        return ok(arguments)

    rig = Rig(asks(("meet", "a"), ("meet", "b")), tools={"meet": ("pure", meet)})
    assert [told(e) for e in await results(rig)] == ["a", "b"]


async def test_a_call_that_may_change_something_runs_alone() -> None:
    running: list[str] = []
    most: list[int] = []

    async def busy(arguments: str, context: CallContext) -> ToolResult:
        running.append(arguments)
        most.append(len(running))
        await anyio.lowlevel.checkpoint()
        running.remove(arguments)
        return ok(arguments)

    rig = Rig(
        asks(("look", "1"), ("change", "2"), ("change", "3"), ("look", "4")),
        tools={"look": ("pure", busy), "change": ("effectful", busy)},
    )
    assert [told(e) for e in await results(rig)] == ["1", "2", "3", "4"]
    assert max(most) == 1


async def test_no_more_run_together_than_the_limit() -> None:
    running: list[str] = []
    most: list[int] = []

    async def busy(arguments: str, context: CallContext) -> ToolResult:
        running.append(arguments)
        most.append(len(running))
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        running.remove(arguments)
        return ok(arguments)

    calls = [("look", str(n)) for n in range(PARALLEL_CALLS + 2)]
    rig = Rig(asks(*calls), tools={"look": ("pure", busy)})
    assert len(await results(rig)) == PARALLEL_CALLS + 2
    assert max(most) == PARALLEL_CALLS


async def test_each_later_call_starts_only_when_the_one_before_is_on_the_log() -> None:
    seen: list[list[str]] = []

    async def look(arguments: str, context: CallContext) -> ToolResult:
        seen.append([type(e.event).__name__ for e in rig.watcher.entries][-2:])
        return ok(arguments)

    rig = Rig(asks(("change", "1"), ("change", "2")), tools={"change": ("effectful", look)})
    await results(rig)
    assert seen == [["CallJudged", "CallStarted"], ["CallFinished", "CallStarted"]]


async def test_an_expected_failure_is_told_in_its_own_words() -> None:
    async def fail(arguments: str, context: CallContext) -> ToolResult:
        raise Problem("the file is gone; list the directory")

    (event,) = await results(Rig(asks(("fail", "")), tools={"fail": ("pure", fail)}))
    assert (event.outcome, told(event)) == ("failed", "the file is gone; list the directory")


async def test_a_crash_of_a_tool_is_a_result_and_not_the_end() -> None:
    async def crash(arguments: str, context: CallContext) -> ToolResult:
        raise ZeroDivisionError("by zero")

    (event,) = await results(Rig(asks(("crash", "")), tools={"crash": ("pure", crash)}))
    assert event.outcome == "failed"
    assert told(event) == "[the tool crash crashed: ZeroDivisionError: by zero]"


async def test_arguments_that_cannot_be_read_are_told_and_nothing_is_started() -> None:
    rig = Rig(asks(("nosuch", "{}")))
    session = await rig.open()
    await session.say(GO)
    events = await rig.logged(session)
    (event,) = [e for e in events if isinstance(e, CallFinished)]
    assert (event.outcome, told(event)) == ("invalid", "there is no tool nosuch")
    assert not any(isinstance(e, CallStarted | CallJudged) for e in events)
    (intended,) = [e for e in events if isinstance(e, CallIntended)]
    assert (intended.tool, intended.effect) == ("nosuch", "pure")


async def test_a_denied_call_tells_the_model_why() -> None:
    rig = Rig(
        asks(("rm", "x")),
        tools={"rm": ("effectful", echo)},
        verdicts={"rm": Judgement("deny", "user: Rm", "not here")},
    )
    (event,) = await results(rig)
    assert (event.outcome, told(event)) == ("denied", "[denied: not here]")


async def test_a_denial_without_words_names_its_rule() -> None:
    rig = Rig(
        asks(("rm", "x")),
        tools={"rm": ("effectful", echo)},
        verdicts={"rm": Judgement("deny", "user: Rm")},
    )
    assert told((await results(rig))[0]) == "[denied: user: Rm]"


async def test_a_person_is_asked_about_exactly_the_call_and_the_question_is_durable_first() -> None:
    logged: list[list[str]] = []

    class Person(BenchPerson):
        async def ask(self, request: ApprovalRequest) -> ApprovalAnswer:
            logged.append([type(e.event).__name__ for e in rig.watcher.entries])
            return await super().ask(request)

    rig = Rig(
        asks(("rm", "x")),
        tools={"rm": ("effectful", echo)},
        verdicts={"rm": Judgement("ask", "mode ask", "it writes")},
    )
    person = Person(ApprovalAnswer(allowed=True, by="terminal"))
    rig.person = person
    session = await rig.open()
    await session.say(GO)
    assert (person.asked[0].arguments, person.asked[0].why) == ("x", "it writes")
    assert logged[0][-1] == "ApprovalAsked"
    events = await rig.logged(session)
    assert [type(e) for e in events if isinstance(e, ApprovalAsked | ApprovalAnswered | CallStarted)] == [
        ApprovalAsked,
        ApprovalAnswered,
        CallStarted,
    ]


@pytest.mark.parametrize(
    ("words", "said"), [("", "[denied by the user]"), ("use mv", "[denied by the user: use mv]")]
)
async def test_a_persons_no_is_told_with_their_words_and_does_not_block(words: str, said: str) -> None:
    rig = Rig(
        asks(("rm", "x")),
        Scripted(text="as you wish"),
        tools={"rm": ("effectful", echo)},
        verdicts={"rm": Judgement("ask", "mode ask")},
    )
    rig.person = BenchPerson(ApprovalAnswer(allowed=False, by="terminal", words=words))
    session = await rig.open()
    ended = await session.say(GO)
    (event,) = [e for e in await rig.logged(session) if isinstance(e, CallFinished)]
    assert (event.outcome, told(event), ended.ending) == ("denied", said, "done")


async def test_too_many_calls_in_one_reply_are_refused_each_with_a_result() -> None:
    calls = [("echo", "x")] * (CALLS_PER_REPLY + 2)
    events = await results(Rig(asks(*calls), tools={"echo": ("pure", echo)}))
    assert [e.outcome for e in events] == ["ok"] * CALLS_PER_REPLY + ["not_run"] * 2


async def test_the_bytes_of_a_picture_are_stored_with_its_event() -> None:
    async def draw(arguments: str, context: CallContext) -> ToolResult:
        return ToolResult("ok", (Image("image/png", blob_id(b"png")),), blobs=(b"png",))

    rig = Rig(asks(("draw", "")), tools={"draw": ("pure", draw)})
    session = await rig.open()
    await session.say(GO)
    assert await rig.store.get(blob_id(b"png")) == b"png"
    assert blob_id(b"png").encode() in rig.model.bodies[-1]


async def test_a_running_call_knows_the_session() -> None:
    seen: list[CallContext] = []

    async def look(arguments: str, context: CallContext) -> ToolResult:
        seen.append(context)
        return ok("")

    await results(Rig(asks(("look", "")), tools={"look": ("pure", look)}))
    assert (seen[0].call, seen[0].cwd, dict(seen[0].jobs)) == ("1.0", "/w", {})


def test_a_question_names_the_one_thing_it_is_about() -> None:
    assert describe(Subject("bash", command="ls"), "{}") == "bash: ls"
    assert describe(Subject("write", writes=("/a", "/b")), "{}") == "write: write /a, /b"
    assert describe(Subject("fetch", hosts=("h",)), "{}") == "fetch: reach h"
    assert describe(Subject("odd"), "{1}") == "odd: {1}"


def test_calls_that_need_a_word_stand_alone() -> None:
    prepared = Rig(tools={"look": ("pure", echo)}).tools.prepare("look", "")
    call = Call(call_id(1, 0), "w", "look", "")
    verdicts: list[Verdict] = ["allow", "allow", "ask", "allow"]
    plans = [Judged(call, prepared, Subject("look"), Judgement(verdict, "rule")) for verdict in verdicts]
    assert [len(group) for group in side_by_side(plans)] == [2, 1, 1]


async def test_without_a_sandbox_nothing_runs_and_the_turn_says_what_to_do() -> None:
    async def unboxed(arguments: str, context: CallContext) -> ToolResult:
        raise SandboxError("bubblewrap is missing: install it")

    rig = Rig(
        asks(("look", "1"), ("look", "2"), ("run", "3")),
        tools={"look": ("pure", unboxed), "run": ("effectful", echo)},
    )
    session = await rig.open()
    ended = await session.say(GO)
    assert (ended.ending, ended.reason) == ("failed", "bubblewrap is missing: install it")
    assert exit_code(ended) is ExitCode.CONFIG
    outcomes = [e.outcome for e in await rig.logged(session) if isinstance(e, CallFinished)]
    assert outcomes == ["not_run"] * 3


async def test_a_lost_launcher_is_told_as_an_outcome_that_is_not_known() -> None:
    async def lose(arguments: str, context: CallContext) -> ToolResult:
        raise LauncherError("the launcher ended")

    (event,) = await results(Rig(asks(("lose", "")), tools={"lose": ("effectful", lose)}))
    assert (event.outcome, told(event)) == ("failed", "[outcome not known: the launcher ended]")


async def test_a_broken_store_stops_the_session() -> None:
    async def fail(arguments: str, context: CallContext) -> ToolResult:
        raise StoreError("the disk failed")

    rig = Rig(asks(("fail", "")), tools={"fail": ("effectful", fail)})
    session = await rig.open()
    with pytest.raises(StoreError, match="the disk failed"):
        await session.say(GO)


async def test_a_damaged_payload_is_told_and_the_turn_goes_on() -> None:
    async def look(arguments: str, context: CallContext) -> ToolResult:
        raise DamagedLog("blob 7 is missing")

    (event,) = await results(Rig(asks(("look", "")), tools={"look": ("pure", look)}))
    assert (event.outcome, told(event)) == ("failed", "blob 7 is missing")


class MendingTools(BenchTools):
    """Mends every call in the same way."""

    def __init__(self, tools: Mapping[str, tuple[Effect, Body]], *repairs: str) -> None:
        super().__init__(tools)
        self._repairs = repairs

    def prepare(self, name: str, arguments: str) -> Prepared:
        return msgspec.structs.replace(super().prepare("echo", arguments), repairs=self._repairs)


async def test_a_mended_call_runs_once_and_the_model_and_the_log_are_told() -> None:
    rig = Rig(asks(("Ekko", "{'x'")))
    rig.tools = MendingTools({"echo": ("effectful", echo)}, "it was Ekko", "it had quotes")
    session = await rig.open()
    await session.say(GO)
    events = await rig.logged(session)
    (intended,) = [e for e in events if isinstance(e, CallIntended)]
    assert (intended.tool, intended.repairs) == ("echo", ("it was Ekko", "it had quotes"))
    (end,) = [e for e in events if isinstance(e, CallFinished)]
    assert end.parts == (Text("[mended: it was Ekko; it had quotes]"), Text("{'x'"))
    assert b"{'x'" in rig.model.bodies[1]


async def test_a_note_on_a_mended_call_is_bounded() -> None:
    rig = Rig(asks(("echo", "x")))
    rig.tools = MendingTools({"echo": ("pure", echo)}, "long " * 1000)
    (end,) = await results(rig)
    assert len(told(end).encode()) == NOTE_BYTES
