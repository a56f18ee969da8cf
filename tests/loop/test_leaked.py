"""Calls that a server has left in the text of a reply."""

import pytest

from hames.core.events import CallFinished, ModelFailed, ModelReplied, RequestSent
from hames.core.messages import Text
from hames.core.ports import CallContext, ToolResult, Words
from hames.testing.scripted import Scripted
from tests.rig import Rig, check_the_log, ok

pytestmark = pytest.mark.anyio
GO = [Words((Text("go"),))]
LEAK = 'I do it.\n<tool_call>{"name": "Act", "arguments": {"a": 1}}</tool_call>'


class Acts:
    """A tool that remembers what was done."""

    def __init__(self) -> None:
        self.done: list[str] = []

    async def act(self, arguments: str, context: CallContext) -> ToolResult:
        self.done.append(arguments)
        return ok("done")


async def test_a_call_in_the_text_runs_once_and_is_a_call_in_history() -> None:
    acts = Acts()
    rig = Rig(Scripted(text=LEAK), tools={"act": ("effectful", acts.act)})
    session = await rig.open()
    ended = await session.say(GO)
    assert (ended.ending, ended.steps, acts.done) == ("done", 2, ['{"a": 1}'])
    replied = next(e for e in await rig.logged(session) if isinstance(e, ModelReplied))
    assert replied.repairs == ("1 call taken out of the text, from <tool_call>",)
    assert b"<tool_call>" in await rig.store.get(replied.raw)
    (call,) = replied.message.calls
    assert (replied.message.text, replied.finish, call.name) == ("I do it.", "calls", "act")
    assert b"<tool_call>" not in rig.model.bodies[1]
    await check_the_log(rig, session)


async def test_half_a_call_in_the_text_is_a_failure_that_is_tried_again() -> None:
    acts = Acts()
    half = Scripted(text=LEAK[:-16])
    rig = Rig(half, half, Scripted(text=LEAK), tools={"act": ("effectful", acts.act)})
    session = await rig.open()
    ended = await session.say(GO)
    events = await rig.logged(session)
    assert (ended.ending, acts.done) == ("done", ['{"a": 1}'])
    assert [e.kind for e in events if isinstance(e, ModelFailed)] == ["malformed", "malformed"]
    assert [(e.step, e.attempt) for e in events if isinstance(e, RequestSent)] == [
        (1, 1),
        (1, 2),
        (1, 3),
        (2, 1),
    ]
    assert len([e for e in events if isinstance(e, CallFinished)]) == 1


async def test_a_call_of_a_tool_that_was_not_offered_stays_text() -> None:
    rig = Rig(Scripted(text=LEAK))
    session = await rig.open()
    ended = await session.say(GO)
    assert (ended.ending, ended.steps) == ("done", 1)
