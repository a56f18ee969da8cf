import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.core.ports import Alive, CallDelta, Delta, ReasoningDelta, Reply, TextDelta
from hames.models.chat_json import ChatJsonWire
from hames.models.chat_json_reader import ChatJsonReader
from hames.models.profiles import providers
from hames.testing.model_suite import check_cuts, check_reading, read_in

WIRE = ChatJsonWire(providers()["custom"])
WORDS = 'I "look":\n\u00e9 \U0001f600 \\ {"calls": [{"name": "x"'
CALLS: list[dict[str, object]] = [
    {"name": "read", "arguments": {"file_path": "a"}},
    {"name": "bash", "arguments": {}},
]


def reader() -> ChatJsonReader:
    return WIRE.reader()


def event(delta: object, finish: str | None = None) -> bytes:
    chunk = {"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def stream(text: str, finish: str = "stop", size: int = 7) -> bytes:
    """A reply whose content is `text`, in pieces."""
    pieces = (text[at : at + size] for at in range(0, len(text), size))
    return b"".join(event({"content": piece}) for piece in pieces) + event({}, finish) + b"data: [DONE]\n\n"


def encoded(value: object) -> str:
    return msgspec.json.encode(value).decode()


def reply(data: bytes) -> Reply:
    ended = read_in(reader, [data])
    assert ended.reply is not None, ended.failure
    return ended.reply


def failure(data: bytes) -> str:
    ended = read_in(reader, [data])
    assert ended.reply is None
    return ended.failure


def deltas(data: bytes) -> list[Delta]:
    return [delta for delta in read_in(reader, [data]).deltas if not isinstance(delta, Alive)]


def test_words_are_words() -> None:
    found = reply(stream(encoded({"say": WORDS})))
    assert (found.message.text, found.message.calls, found.finish) == (WORDS, (), "stop")


def test_calls_are_calls_with_arguments_letter_for_letter_and_ids_that_name_them() -> None:
    text = '{"say": "I look.", "calls": [{"name": "read", "arguments": { "a" :1.0}}, {"name": "查"}]}'
    found = reply(stream(text))
    assert (found.message.text, found.finish) == ("I look.", "calls")
    first, second = found.message.calls
    assert (first.name, first.arguments) == ("read", '{ "a" :1.0}')
    assert (second.name, second.arguments) == ("查", "{}")
    assert first.wire_id.startswith("read_1_")
    assert second.wire_id.startswith("call_2_")
    assert reply(stream(text, size=8)).message.calls[0].wire_id != first.wire_id


@pytest.mark.parametrize(
    "text",
    [
        encoded({"say": WORDS}),
        '{"say":"\\ud83d\\ude00\\u00e9\\n", "calls": [{"name": "read", "arguments": {}}]}',
        encoded({"calls": CALLS}),
        encoded({"calls": CALLS, "say": "after"}),
        '{"say": "", "calls": [{"name": "bash"}]}',
    ],
)
def test_a_reply_reads_the_same_wherever_its_bytes_are_cut(text: str) -> None:
    ended = check_reading(reader, stream(text))
    assert ended.reply is not None
    check_cuts(reader, stream(text))


def test_the_words_are_shown_as_they_come_and_the_first_call_is_announced() -> None:
    shown = deltas(stream(encoded({"say": WORDS, "calls": CALLS}), size=3))
    assert "".join(delta.text for delta in shown if isinstance(delta, TextDelta)) == WORDS
    assert shown.count(CallDelta(0, "read")) == 1
    assert len(shown) > 5
    assert deltas(stream(encoded({"calls": CALLS}))) == [CallDelta(0, "read")]


def test_reasoning_and_signs_of_life_pass_through() -> None:
    data = b": waiting\n\n" + event({"reasoning": "hm"}) + stream(encoded({"say": "x"}))
    assert read_in(reader, [data]).deltas[:2] == (Alive(queued=True), ReasoningDelta("hm"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Sure, I can do that.", "the text must be one JSON object; it begins with 'Sure, I can do that.'"),
        ('{"say": "x"', 'the text ends before all brackets are closed; it begins with \'{"say": "x"\''),
        ("{'say': 'x'}", "it is no valid JSON; it begins with \"{'say': 'x'}\""),
        ('{"say": "x", "say": "y"}', '"say" is given twice'),
        ('{"say": "x", "more": 1}', "unknown field `more`"),
        ('{"say": 1}', "Expected `str`, got `int` - at `$.say`"),
        ('{"calls": [{"arguments": {}}]}', "missing required field `name`"),
        ('{"calls": [{"name": "a", "arguments": "{}"}]}', "Expected `object`, got `str`"),
        ('{"say": "\x01"}', "it is no valid JSON"),
        ('{"say": "\\ud83dx"}', "it is no valid JSON"),
    ],
)
def test_another_form_is_malformed_and_the_words_are_told(text: str, why: str) -> None:
    said = failure(stream(text))
    assert said.startswith("malformed: custom did not answer in the form that it was asked for: ")
    assert why in said


def test_a_reply_that_the_limit_or_a_filter_ended_says_so() -> None:
    half = encoded({"calls": CALLS})[:-9]
    assert failure(stream(half, "length")).startswith("cut: ")
    assert failure(stream(half, "content_filter")).startswith("refused: ")
    assert reply(stream(encoded({"calls": CALLS}), "length")).finish == "calls"


@pytest.mark.parametrize("text", ['{"say": " "}', "{}", '{"calls": []}'])
def test_a_reply_that_says_nothing_is_empty(text: str) -> None:
    assert failure(stream(text)) == "empty: custom sent an empty reply"


def test_a_thought_that_the_limit_ended_is_still_told_as_such() -> None:
    data = event({"reasoning": "hm"}) + event({}, "length")
    assert (reply(data).finish, reply(data).message.text) == ("length", "")


def test_a_server_that_calls_natively_all_the_same_is_understood() -> None:
    call = {"index": 0, "id": "call_0123456789", "function": {"name": "read", "arguments": "{}"}}
    found = reply(event({"tool_calls": [call]}) + event({}, "tool_calls"))
    assert [(call.wire_id, call.name) for call in found.message.calls] == [("call_0123456789", "read")]


@pytest.mark.parametrize(
    "text", ["prose " * 2000, '{"say": "' + "x" * 20_000, '{"say": "x", ' + " " * 20_000]
)
def test_a_long_reply_in_no_form_is_not_kept_to_look_for_one(text: str) -> None:
    made = reader()
    for at in range(0, len(text), 50):
        made.feed(event({"content": text[at : at + 50]}))
    assert len(made._progress._left) < 1000  # pyright: ignore[reportPrivateUsage]


@given(st.text(), st.integers(1, 9))
def test_any_words_are_shown_as_they_are(words: str, size: int) -> None:
    data = stream(encoded({"say": words, "calls": CALLS}), size=size)
    assert reply(data).message.text == words
    assert "".join(delta.text for delta in deltas(data) if isinstance(delta, TextDelta)) == words
