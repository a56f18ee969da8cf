from contextlib import aclosing

import pytest

from hames.core.errors import ModelError
from hames.core.events import Usage
from hames.core.ports import Body, CallDelta, Delta, Model, ReasoningDelta, Reply, TextDelta
from hames.testing.scripted import MODEL_NAME, Scripted, ScriptedCall, ScriptedModel

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def ask(model: Model, data: bytes = b"{}") -> list[Delta | Reply]:
    async with aclosing(model.ask(Body((data[:1], data[1:]), len(data), ""))) as stream:
        return [item async for item in stream]


async def test_a_scripted_model_says_what_the_script_says_in_its_order() -> None:
    calls = (ScriptedCall("read", "{}"), ScriptedCall("bash", '{"command": "x', "own"))
    model = ScriptedModel([Scripted("Hi", calls, "Hm", usage=Usage(input=7)), Scripted("Bye")])
    *deltas, reply = await ask(model)
    assert deltas == [ReasoningDelta("Hm"), TextDelta("Hi"), CallDelta(0, "read"), CallDelta(1, "bash")]
    assert isinstance(reply, Reply)
    assert (reply.message.text, reply.finish, reply.model, reply.usage.input) == (
        "Hi",
        "calls",
        MODEL_NAME,
        7,
    )
    assert [call.wire_id for call in reply.message.calls] == ["scripted_0_0", "own"]
    assert [call.arguments for call in reply.message.calls] == ["{}", '{"command": "x']
    assert reply.raw
    last = (await ask(model))[-1]
    assert isinstance(last, Reply)
    assert (last.message.text, last.finish) == ("Bye", "stop")


async def test_a_scripted_failure_is_raised_and_counts_as_an_attempt() -> None:
    model = ScriptedModel([ModelError("rate", "slow down", wait_s=2.0), Scripted("fine")])
    with pytest.raises(ModelError) as caught:
        await ask(model, b"one")
    assert caught.value.wait_s == 2.0
    await ask(model, b"two")
    assert model.bodies == [b"one", b"two"]


async def test_a_script_may_be_a_function_of_what_was_asked() -> None:
    model = ScriptedModel(lambda number, body: Scripted(f"{number}:{body.decode()}"))
    await ask(model, b"a")
    reply = (await ask(model, b"b"))[-1]
    assert isinstance(reply, Reply)
    assert reply.message.text == "1:b"


async def test_after_its_end_a_script_is_done() -> None:
    reply = (await ask(ScriptedModel([])))[-1]
    assert isinstance(reply, Reply)
    assert (reply.message.text, reply.finish) == ("done", "stop")
