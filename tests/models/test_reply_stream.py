import msgspec
import pytest

from hames.core.errors import ModelError
from hames.core.messages import AssistantMessage
from hames.core.ports import Alive, Delta, TextDelta
from hames.models.reply_stream import ReplyStream

_said = msgspec.json.Decoder(str | dict[str, str])


def read(data: bytes, deltas: list[Delta]) -> None:
    said = _said.decode(data)
    deltas.append(TextDelta(said if isinstance(said, str) else said["a"]))


def test_a_body_that_is_one_value_is_read_at_its_end_as_it_is() -> None:
    stream, bodies = ReplyStream("acme"), list[bytes]()
    for data in (b'  {"a"', b": 1}"):
        assert stream.feed(data, lambda body, _: bodies.append(body)) == []
    assert stream.is_whole
    stream.end(lambda body, _: bodies.append(body))
    assert bodies == [b'  {"a": 1}'] == [stream.raw]


def test_events_are_read_as_they_are_complete() -> None:
    stream = ReplyStream("acme")
    assert stream.feed(b'data: "on', read) == []
    assert stream.feed(b'e"\n\n: alive\n\ndata: [DONE]\n\ndata: "two', read) == [
        TextDelta("one"),
        Alive(queued=True),
    ]
    stream.end(read)
    assert (stream.is_whole, stream.unreadable, stream.misshapen) == (False, 1, "")


@pytest.mark.parametrize(
    ("event", "told", "trouble"),
    [
        (rb'"a\ud83d b"', "a\ufffd b", (0, False, 1)),
        (rb'{"a": "\ud83d"}', "\ufffd", (0, False, 1)),
        (rb'{"b": "\ud83d", "a": 1}', "", (0, True, 1)),
        (b'{"a": 1}', "", (0, True, 0)),
        (b"[1]", "", (1, False, 0)),
        (b"no JSON", "", (1, False, 0)),
        (b'"\xff"', "", (1, False, 0)),
    ],
)
def test_what_cannot_be_read_of_an_event_is_noted(
    event: bytes, told: str, trouble: tuple[int, bool, int]
) -> None:
    stream = ReplyStream("acme")
    assert stream.feed(b"data: %b\n\n" % event, read) == ([TextDelta(told)] if told else [])
    assert (stream.unreadable, bool(stream.misshapen), len(stream.repairs)) == trouble


def test_what_the_server_says_of_its_failure_counts_most() -> None:
    stream = ReplyStream("acme")
    stream.error, stream.misshapen = b'{"message":"too many requests"}', "Expected `str`"
    with pytest.raises(ModelError, match="acme broke off with an error: too many") as caught:
        stream.check_end(b"raw", is_ended=True)
    assert (caught.value.kind, caught.value.raw) == ("rate", b"raw")


def test_an_event_that_cannot_be_read_counts_more_than_an_end() -> None:
    stream = ReplyStream("acme")
    stream.misshapen = "Expected `str`"
    with pytest.raises(ModelError, match="acme sent an event that cannot be read") as caught:
        stream.check_end(b"raw", is_ended=True)
    assert (caught.value.kind, caught.value.raw) == ("malformed", b"raw")


def test_a_reply_that_never_ended_is_cut() -> None:
    with pytest.raises(ModelError) as caught:
        ReplyStream("acme").check_end(b"", is_ended=False)
    assert caught.value.kind == "cut"


def test_a_reply_without_a_word_is_empty_unless_its_thought_met_the_limit() -> None:
    stream = ReplyStream("acme")
    nothing = AssistantMessage(" \n")
    stream.check_content(nothing, "length", b"", is_thought=True)
    with pytest.raises(ModelError, match="acme sent an empty reply"):
        stream.check_content(nothing, "stop", b"", is_thought=True)
    with pytest.raises(ModelError, match="acme sent an empty reply"):
        stream.check_content(nothing, "length", b"", is_thought=False)


def test_repairs_tell_what_was_skipped_and_then_of_calls() -> None:
    stream = ReplyStream("acme")
    stream.repairs.append("a")
    stream.unreadable = 2
    assert stream.all_repairs(["b"]) == ("a", "2 events that are not JSON were skipped", "b")
