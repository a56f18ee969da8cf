"""A scripted model in the process of the test: it says what the script says and keeps what it was asked."""

from collections.abc import AsyncGenerator, Callable, Iterable

import anyio.lowlevel
import msgspec

from hames.core.errors import ModelError
from hames.core.events import Usage
from hames.core.ids import CallId
from hames.core.messages import AssistantMessage, Call, Finish, Reasoning
from hames.core.ports import Body, CallDelta, Delta, ReasoningDelta, Reply, TextDelta

MODEL_NAME = "hames-scripted"
"""What a scripted model calls itself: nobody should take it for a real one."""


class ScriptedCall(msgspec.Struct, frozen=True):
    """A call in a script. `arguments` is the raw string, whole or not."""

    name: str
    arguments: str
    wire_id: str = ""


class Scripted(msgspec.Struct, frozen=True):
    """One reply in a script. Calls without a wire id get one that no other reply has."""

    text: str = ""
    calls: tuple[ScriptedCall, ...] = ()
    reasoning: str = ""
    usage: Usage = Usage(input=100, output=10)
    finish: Finish | None = None
    repairs: tuple[str, ...] = ()


Answer = Scripted | ModelError
"""What one attempt comes to."""


class ScriptedModel:
    """Implements `Model`. The script is a list of answers, or a function of the attempt's number (from 0)
    and its body. After the end of a list every answer is a plain `done`.

    `bodies` are those it was asked with, whole.
    """

    def __init__(self, script: Iterable[Answer] | Callable[[int, bytes], Answer]) -> None:
        self._script = script if callable(script) else _in_turn(list(script))
        self.bodies: list[bytes] = []

    async def ask(self, body: Body) -> AsyncGenerator[Delta | Reply]:
        """Deltas, and last the `Reply`; a scripted `ModelError` is raised."""
        number = len(self.bodies)
        self.bodies.append(b"".join(body.chunks))
        await anyio.lowlevel.checkpoint()
        answer = self._script(number, self.bodies[-1])
        if isinstance(answer, ModelError):
            raise answer
        if answer.reasoning:
            yield ReasoningDelta(answer.reasoning)
        if answer.text:
            yield TextDelta(answer.text)
        for index, call in enumerate(answer.calls):
            yield CallDelta(index, call.name)
        await anyio.lowlevel.checkpoint()
        yield _reply(number, answer)


def _in_turn(answers: list[Answer]) -> Callable[[int, bytes], Answer]:
    def answer(number: int, _body: bytes) -> Answer:
        return answers[number] if number < len(answers) else Scripted(text="done")

    return answer


def _reply(number: int, answer: Scripted) -> Reply:
    calls = tuple(
        Call(CallId(""), call.wire_id or f"scripted_{number}_{index}", call.name, call.arguments)
        for index, call in enumerate(answer.calls)
    )
    reasoning = Reasoning("scripted", answer.reasoning) if answer.reasoning else None
    message = AssistantMessage(answer.text, reasoning, calls)
    return Reply(
        message=message,
        finish=answer.finish or ("calls" if calls else "stop"),
        model=MODEL_NAME,
        usage=answer.usage,
        raw=msgspec.json.encode(message),
        first_byte_s=0.0,
        repairs=answer.repairs,
    )
