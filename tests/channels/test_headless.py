from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import msgspec
import pytest

from hames.channels.headless import (
    Doings,
    Headless,
    NobodyHere,
    Output,
    OutputFormat,
    read_message,
)
from hames.channels.stream_json import StreamJson
from hames.core.errors import (
    ConfigError,
    ExitCode,
    Fenced,
    ModelError,
    OutputLost,
    StoreError,
    UsageError,
)
from hames.core.events import CallFinished, CallLost, Effect, ModelReplied, Usage
from hames.core.ids import blob_id, call_id
from hames.core.messages import AssistantMessage, Call, Text
from hames.core.ports import CallContext, Judgement, Subject, TextDelta, ToolResult
from hames.session.log import Listeners
from hames.session.session import Session
from hames.testing.entries import entries
from hames.testing.scripted import Scripted
from tests.rig import Rig, asks, ok

pytestmark = pytest.mark.anyio


async def echo(arguments: str, context: CallContext) -> ToolResult:
    return ok(f"echo {arguments}")


class ByArgument:
    """A policy that has another reason for each argument."""

    def judge(self, subject: Subject, effect: Effect) -> Judgement:
        return Judgement("deny", "rule", f"not {subject.command}")


class Desk:
    """A headless run on the bench, and what it printed."""

    def __init__(self, rig: Rig, shape: OutputFormat = "text") -> None:
        self.rig = rig
        self.out: list[str] = []
        self.err: list[str] = []
        self.listeners = Listeners()
        self.listeners.add(Doings(self.err.append))
        if shape == "stream-json":
            self.listeners.add(StreamJson(self.out.append, "0", ["echo"]))
        rig.listener = self.listeners
        rig.person = NobodyHere()
        self._shape: OutputFormat = shape

    async def open(self) -> tuple[Headless, Session]:
        session = await self.rig.open()
        output = Output(self._shape, self.out.append, self.err.append)
        return Headless(session, output, self.rig.clock), session


async def test_text_is_the_final_words_and_nothing_else() -> None:
    desk = Desk(
        Rig(
            asks(("echo", "1"), text="Looking."),
            Scripted(text="All is well."),
            tools={"echo": ("pure", echo)},
        )
    )
    headless, _ = await desk.open()
    assert await headless.run("go") is ExitCode.DONE
    assert desk.out == ["All is well."]
    assert desk.err == ["Looking.", "  echo 1: ok, 0 ms"]


async def test_an_ending_that_is_not_done_says_why_and_how_to_go_on() -> None:
    rig = Rig(*[asks(("echo", "1"))] * 5, tools={"echo": ("pure", echo)})
    rig.limits = msgspec.structs.replace(rig.limits, max_steps=1)
    desk = Desk(rig)
    headless, session = await desk.open()
    assert await headless.run("go") is ExitCode.STEP_LIMIT
    assert desk.out == []
    assert desk.err[-2:] == [
        "hames: the limit of 1 steps was reached (step_limit, exit 53)",
        f"hames: to go on: hames --resume {session.id}",
    ]


async def test_a_blocked_run_still_gives_the_models_words() -> None:
    rig = Rig(
        asks(("rm", "x")),
        Scripted(text="I may not."),
        tools={"rm": ("effectful", echo)},
        verdicts={"rm": Judgement("ask", "mode ask", "it writes")},
    )
    desk = Desk(rig)
    headless, _ = await desk.open()
    assert await headless.run("go") is ExitCode.BLOCKED
    assert desk.out == ["I may not."]


async def test_json_is_one_result() -> None:
    rig = Rig(
        asks(("rm", "x")),
        Scripted(text="I may not."),
        tools={"rm": ("effectful", echo)},
        verdicts={"rm": Judgement("deny", "user: Rm", "not here")},
    )
    desk = Desk(rig, "json")
    headless, session = await desk.open()
    await headless.run("go")
    (line,) = desk.out
    result = msgspec.json.decode(line)
    assert result["type"] == "result"
    assert (result["subtype"], result["is_error"], result["exit_code"]) == ("success", False, 0)
    assert (result["result"], result["session_id"], result["num_turns"]) == ("I may not.", session.id, 2)
    assert result["permission_denials"] == [{"tool_name": "rm", "tool_use_id": "1.0", "why": "not here"}]
    assert result["total_cost_usd"] == 2000 / 1e9
    assert result["usage"]["input_tokens"] == 200


async def test_text_tells_of_what_was_denied_or_lost_or_may_not_be_whole_on_standard_error() -> None:
    rig = Rig(
        asks(*(("rm", str(number % 7)) for number in range(9))),
        Scripted(text="half of", finish="other"),
        tools={"rm": ("effectful", echo)},
    )
    rig.policy = ByArgument()
    desk = Desk(rig)
    headless, _ = await desk.open()
    assert await headless.run("go") is ExitCode.DONE
    assert desk.out == ["half of"]
    assert desk.err[-7:-2] == [f"hames: denied: rm: not {number}" for number in range(5)]
    assert desk.err[-2] == "hames: denied: and 2 more"
    assert "it may not be whole" in desk.err[-1]


class Breaks:
    """A policy of which something cannot be used."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def judge(self, subject: Subject, effect: Effect) -> Judgement:
        raise self._error


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (RuntimeError("a bug"), "crash", 1),
        (StoreError("log.db cannot be read"), "log", 1),
        (Fenced("it has another owner"), "taken_over", 1),
        (ConfigError("no"), "crash", 52),
    ],
)
@pytest.mark.parametrize("shape", ["json", "text"])
async def test_what_breaks_a_turn_off_is_a_result_too_and_is_raised_on(
    error: Exception, code: str, exit_code: int, shape: OutputFormat
) -> None:
    rig = Rig(asks(("rm", "x")), tools={"rm": ("effectful", echo)})
    rig.policy = Breaks(error)
    desk = Desk(rig, shape)
    headless, _ = await desk.open()
    with pytest.raises(type(error), match=str(error)):
        await headless.run("go")
    if shape == "text":
        assert desk.out == []
        return
    (result,) = map(msgspec.json.decode, desk.out)
    assert (result["ending"], result["code"], result["exit_code"]) == ("failed", code, exit_code)
    assert (result["is_error"], result["seq"], result["num_turns"]) == (True, None, 1)


async def test_a_result_that_cannot_be_printed_is_told_of_and_raised() -> None:
    rig = Rig(Scripted(text="done"))
    session = await rig.open()
    err: list[str] = []

    def full(line: str) -> None:
        raise OutputLost("no space")

    headless = Headless(session, Output("text", full, err.append), rig.clock)
    with pytest.raises(OutputLost):
        await headless.run("go")
    assert err == [f"hames: the turn has ended (done, exit 0): hames sessions show {session.id}"]


async def test_a_result_counts_only_its_own_turn_and_says_when_no_price_is_known() -> None:
    rig = Rig(Scripted(text="one"), Scripted(text="two"))
    desk = Desk(rig, "json")
    headless, _ = await desk.open()
    await headless.run("go")
    rig.nano_usd = None
    await headless.run("again")
    first, second = map(msgspec.json.decode, desk.out)
    assert first["usage"]["requests"] == second["usage"]["requests"] == 1
    assert first["total_cost_usd"] == 1e-6
    assert second["total_cost_usd"] is None


async def test_stream_json_has_claude_codes_shape_with_our_seq() -> None:
    rig = Rig(
        asks(("echo", '{"a": 1}'), ("echo", "broken"), text="Looking."),
        Scripted(text="done", reasoning="hm"),
        tools={"echo": ("pure", echo)},
    )
    desk = Desk(rig, "stream-json")
    headless, session = await desk.open()
    await headless.run("go")
    lines = [msgspec.json.decode(line) for line in desk.out]
    assert [line["type"] for line in lines] == ["system", "assistant", "user", "user", "assistant", "result"]
    init, first, result = lines[0], lines[1], lines[2]
    assert (init["subtype"], init["cwd"], init["tools"], init["permissionMode"]) == (
        "init",
        "/w",
        ["echo"],
        "auto",
    )
    assert [block["type"] for block in first["message"]["content"]] == ["text", "tool_use", "tool_use"]
    assert first["message"]["content"][1]["input"] == {"a": 1}
    assert first["message"]["content"][2]["input"] == {"_raw": "broken"}
    block = result["message"]["content"][0]
    assert (block["type"], block["tool_use_id"], block["is_error"]) == ("tool_result", "1.0", False)
    assert lines[4]["message"]["content"][0] == {"type": "thinking", "thinking": "hm"}
    assert all(line["session_id"] == session.id for line in lines)
    assert [line["seq"] for line in lines] == sorted(line["seq"] for line in lines)


def test_what_is_done_is_told_of_lost_calls_too() -> None:
    err: list[str] = []
    doings = Doings(err.append)
    for entry in entries(
        CallLost(call=call_id(1, 0), parts=(), why=""),
        CallFinished(call=call_id(1, 1), outcome="failed", parts=(), elapsed_ms=3),
    ):
        doings.entry(entry)
    doings.delta(1, TextDelta("x"))
    assert err == ["  1.0: outcome not known", "  1.1: failed, 3 ms"]


def test_what_a_model_says_cannot_steer_the_terminal_it_is_told_on() -> None:
    err: list[str] = []
    doings = Doings(err.append)
    call = Call(call_id(1, 0), "c", "bash", '{"command": "\x1b[2J"}')
    said = AssistantMessage("one\x1b]0;title\x07\ntwo", calls=(call,))
    for entry in entries(
        ModelReplied(1, 1, said, "calls", "m", blob_id(b""), Usage()),
        CallFinished(call=call_id(1, 0), outcome="ok", parts=(), elapsed_ms=3),
    ):
        doings.entry(entry)
    assert err == ["one]0;title\ntwo", '  bash {"command": " [2J"}: ok, 3 ms']


def user_line(text: str, **more: str) -> str:
    return msgspec.json.encode(
        {"type": "user", "message": {"role": "user", "content": text}, **more}
    ).decode()


async def test_each_message_of_stream_json_input_is_a_turn() -> None:
    desk = Desk(Rig(Scripted(text="one"), Scripted(text="two")), "json")
    headless, session = await desk.open()
    first = user_line("first")

    async def lines() -> AsyncIterator[str]:
        yield first
        yield ""
        while session.view.turn < 1 or session.view.turn_open:
            await anyio.lowlevel.checkpoint()
        yield user_line("second")

    assert await headless.converse(lines()) is ExitCode.DONE
    assert [msgspec.json.decode(line)["result"] for line in desk.out] == ["one", "two"]


async def test_a_turn_that_was_not_done_is_in_the_exit_code_whatever_comes_after_it() -> None:
    desk = Desk(Rig(ModelError("rejected", "no"), Scripted(text="two")), "json")
    headless, session = await desk.open()

    async def lines() -> AsyncIterator[str]:
        yield user_line("first")
        while session.view.ended is None:
            await anyio.lowlevel.checkpoint()
        yield user_line("second")

    assert await headless.converse(lines()) is ExitCode.FAILED
    assert [msgspec.json.decode(line)["exit_code"] for line in desk.out] == [1, 0]


async def test_a_message_that_comes_in_mid_turn_steers_it() -> None:
    talking = anyio.Event()
    heard = anyio.Event()

    async def wait(arguments: str, context: CallContext) -> ToolResult:
        talking.set()
        await heard.wait()
        return ok("waited")

    async def lines() -> AsyncIterator[str]:
        yield user_line("first")
        await talking.wait()
        yield user_line("meanwhile")
        heard.set()

    rig = Rig(asks(("wait", "")), Scripted(text="both heard"), tools={"wait": ("pure", wait)})
    desk = Desk(rig, "stream-json")
    headless, _ = await desk.open()
    assert await headless.converse(lines()) is ExitCode.DONE
    assert b"meanwhile" in rig.model.bodies[-1]
    assert any(
        msgspec.json.decode(line).get("message", {}).get("content") == "meanwhile" for line in desk.out
    )


async def test_a_line_that_is_no_message_ends_the_input_after_what_came_before() -> None:
    desk = Desk(Rig(Scripted(text="one")), "json")
    headless, _ = await desk.open()

    async def lines() -> AsyncIterator[str]:
        yield user_line("first")
        yield "nonsense"

    with pytest.raises(UsageError, match="not a user message"):
        await headless.converse(lines())
    assert [msgspec.json.decode(line)["result"] for line in desk.out] == ["one"]


@pytest.mark.parametrize(
    "line",
    ["{", "[]", '{"type":"user"}', user_line("x").replace('"user"', '"other"', 1),
     '{"type":"user","message":{"content":[{"type":"image"}]}}'],
)  # fmt: skip
def test_input_that_is_no_user_message_is_a_usage_error(line: str) -> None:
    with pytest.raises(UsageError, match="stream-json"):
        read_message(line)


def test_a_message_of_text_blocks_is_read_with_its_key() -> None:
    line = '{"type":"user","uuid":"u1","message":{"content":[{"type":"text","text":"a"}]}}'
    words = read_message(line)
    assert (words.parts, words.dedup) == ((Text("a"),), "u1")
