import msgspec
import pytest

from hames.core.ports import Reply
from hames.models.chat_reader import ChatReader
from hames.models.profiles import resolve
from hames.testing.chat_events import ChatSpeech, is_own_id, thought_sum
from hames.testing.model_suite import check_reading
from hames.testing.script import Served, ServedCall, ServedUsage
from hames.testing.scripted import MODEL_NAME

SPEECH = ChatSpeech()
USAGE = ServedUsage(input=12, output=7, cached=3, reasoning=2)
CALLS = (ServedCall("read", msgspec.Raw(b'{"file_path": "{i}.py"}')), ServedCall("bash", id="mine"))


def events_of(reply: Served) -> list[bytes]:
    return [*SPEECH.deltas(reply, 3), *SPEECH.ending(reply, 3, USAGE), *SPEECH.mark()]


def read(reply: Served) -> Reply:
    stream = b"".join(events_of(reply))
    found = check_reading(lambda: ChatReader(resolve("deepseek").provider), stream).reply
    assert found is not None
    return found


@pytest.mark.parametrize("chunk", [0, 3])
def test_a_reply_is_read_back_as_it_was_scripted(chunk: int) -> None:
    found = read(Served(text="Text {i}.", reasoning="Hm {i}.", calls=CALLS, chunk=chunk))
    assert found.message.text == "Text 3."
    assert found.message.reasoning is not None
    assert found.message.reasoning.text == "Hm 3."
    own = f"call_3_0_thought_{thought_sum('Hm 3.')}"
    assert [(call.wire_id, call.name, call.arguments) for call in found.message.calls] == [
        (own, "read", '{"file_path": "3.py"}'),
        ("mine", "bash", "{}"),
    ]
    assert (found.finish, found.model) == ("calls", MODEL_NAME)
    assert (found.usage.input, found.usage.output, found.usage.cached, found.usage.reasoning) == (12, 7, 3, 2)


def test_the_first_piece_of_a_thought_is_empty_and_the_usage_comes_alone_at_the_end() -> None:
    first, *_, usage, mark = events_of(Served(reasoning="Hm.", text="x"))
    assert b'"delta":{"role":"assistant","content":"","reasoning_content":""}' in first
    assert b'"choices":[],' in usage
    assert mark == b"data: [DONE]\n\n"


def test_an_id_that_is_null_is_left_out() -> None:
    stream = b"".join(events_of(Served(calls=(ServedCall("bash", id=None),))))
    assert b'"tool_calls":[{"index":0,"type"' in stream


def test_its_own_ids_are_known_again() -> None:
    known = {wire_id: is_own_id(wire_id) for wire_id in ("call_3_0", "call_3_0_thought_x", "call_3", "mine")}
    assert known == {"call_3_0": True, "call_3_0_thought_x": True, "call_3": False, "mine": False}


def test_an_error_is_said_as_others_say_it() -> None:
    error = {"message": "no", "type": "odd", "code": "why"}
    asked = Served(status=400, message="no", type="odd", code="why")
    assert SPEECH.complaint(asked) == {"error": {**error, "param": None}}
    assert msgspec.json.decode(SPEECH.trouble(asked)[6:]) == {"error": error}
