import msgspec
import pytest

from hames.core.events import Usage
from hames.core.ports import Reply
from hames.models.messages_reader import MessagesReader
from hames.models.profiles import resolve
from hames.testing.messages_events import MessagesSpeech
from hames.testing.model_suite import read_in
from hames.testing.script import Fault, Served, ServedCall, ServedUsage, stream

GUESS = ServedUsage(10, 5)


def read(reply: Served, number: int = 1) -> Reply | str:
    served = stream(reply, number, GUESS, MessagesSpeech())
    ended = read_in(lambda: MessagesReader(resolve("anthropic")), served.events)
    return ended.reply or ended.failure.partition(":")[0]


@pytest.mark.parametrize("chunk", [0, 3])
def test_a_reply_is_told_in_blocks(chunk: int) -> None:
    made = ServedCall("bash", msgspec.Raw(b'{"command": "echo {i}"}'))
    usage = ServedUsage(100, 20, cached=64, reasoning=5)
    found = read(Served("step {i}", "think {i}", (made, made), usage=usage, chunk=chunk), 7)
    assert isinstance(found, Reply)
    assert found.message.text == "step 7"
    assert found.message.reasoning is not None
    assert found.message.reasoning.text == "think 7"
    assert [(call.wire_id, call.name, call.arguments) for call in found.message.calls] == [
        ("toolu_000007_0_thought", "bash", '{"command": "echo 7"}'),
        ("toolu_000007_1_thought", "bash", '{"command": "echo 7"}'),
    ]
    assert (found.finish, found.usage) == ("calls", Usage(input=100, cached=64, output=20, reasoning=5))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("cut_text", "cut"),
        ("cut_args", "cut"),
        ("no_finish", "cut"),
        ("empty", "empty"),
        ("error", "overload"),
    ],
)
def test_each_fault_is_one_on_this_wire_too(fault: Fault, kind: str) -> None:
    assert read(Served("A whole sentence.", fault=fault)) == kind


def test_other_endings_have_their_own_words() -> None:
    found = read(Served("x", finish="length"))
    assert isinstance(found, Reply)
    assert found.finish == "length"
    assert read(Served(finish="content_filter")) == "refused"
    assert read(Served("x", fault="error", type="rate_limit_error")) == "rate"
    garbled = read(Served("x", fault="garbage"))
    assert isinstance(garbled, Reply)
    assert len(garbled.repairs) == 1


def test_an_error_has_the_type_of_its_status_or_its_own() -> None:
    speech = MessagesSpeech()
    for reply, kind in (
        (Served(status=529), "overloaded_error"),
        (Served(status=503), "api_error"),
        (Served(status=503, type="odd"), "odd"),
    ):
        told = msgspec.convert(speech.complaint(reply), dict[str, object])
        assert told["error"] == {"type": kind, "message": f"a scripted {reply.status}"}
