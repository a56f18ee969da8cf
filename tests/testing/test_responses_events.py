import msgspec
import pytest

from hames.core.ports import Reply
from hames.models.responses_reader import ResponsesReader
from hames.testing.model_suite import check_reading, read_in
from hames.testing.responses_events import ResponsesSpeech
from hames.testing.script import Fault, Served, ServedCall, ServedUsage, stream
from hames.testing.scripted import MODEL_NAME

SPEECH = ResponsesSpeech()
USAGE = ServedUsage(input=12, output=7, cached=3, reasoning=2)
CALLS = (ServedCall("read", msgspec.Raw(b'{"file_path": "{i}.py"}')), ServedCall("bash", id="mine"))


def reader() -> ResponsesReader:
    return ResponsesReader("scripted", "responses/scripted/m")


def events_of(reply: Served) -> list[bytes]:
    return [*SPEECH.begin(3, USAGE), *SPEECH.deltas(reply, 3), *SPEECH.ending(reply, 3, USAGE)]


def read(reply: Served) -> Reply:
    found = check_reading(reader, b"".join(events_of(reply))).reply
    assert found is not None
    return found


@pytest.mark.parametrize("chunk", [0, 3])
def test_a_reply_is_read_back_as_it_was_scripted(chunk: int) -> None:
    found = read(Served(text="Text {i}.", reasoning="Hm {i}.", calls=CALLS, chunk=chunk))
    assert found.message.text == "Text 3."
    assert found.message.reasoning is not None
    assert found.message.reasoning.text == "Hm 3."
    assert [(call.wire_id, call.name, call.arguments) for call in found.message.calls] == [
        ("call_3_0", "read", '{"file_path": "3.py"}'),
        ("mine", "bash", "{}"),
    ]
    assert (found.finish, found.model) == ("calls", MODEL_NAME)
    assert (found.usage.input, found.usage.output, found.usage.cached, found.usage.reasoning) == (12, 7, 3, 2)


def test_the_events_are_counted_and_named() -> None:
    events = events_of(Served(text="x", calls=CALLS, chunk=5))
    for at, event in enumerate(events):
        name, data = event.removeprefix(b"event: ").removesuffix(b"\n\n").split(b"\ndata: ")
        found = msgspec.json.decode(data, type=dict[str, object])
        assert (found["sequence_number"], found["type"]) == (at, name.decode())


def test_the_finish_of_the_script_counts() -> None:
    assert read(Served(text="x", finish="length")).finish == "length"
    assert read(Served(text="x", finish="content_filter")).finish == "filter"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("cut_text", "cut"),
        ("cut_args", "cut"),
        ("no_finish", "cut"),
        ("empty", "empty"),
        ("stall", "cut"),
        ("error", "overload"),
    ],
)
@pytest.mark.parametrize("calls", [(), CALLS])
def test_each_fault_is_one_on_this_wire_too(fault: Fault, kind: str, calls: tuple[ServedCall, ...]) -> None:
    reply = Served(text="A sentence.", reasoning="Hm.", calls=calls, fault=fault, chunk=4)
    ended = read_in(reader, stream(reply, 1, USAGE, SPEECH).events)
    assert ended.failure.startswith(kind)


def test_garbage_between_the_events_costs_nothing() -> None:
    ended = read_in(reader, stream(Served(text="x", fault="garbage"), 1, USAGE, SPEECH).events)
    assert ended.reply is not None
    assert ended.reply.repairs == ("1 events that are not JSON were skipped",)
