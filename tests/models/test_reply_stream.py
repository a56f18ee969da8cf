import pytest

from hames.core.errors import ModelError
from hames.core.messages import AssistantMessage
from hames.models.reply_stream import ReplyStream


def test_a_body_that_is_one_value_gives_no_events_and_is_kept_whole() -> None:
    stream = ReplyStream("acme")
    assert stream.feed(b'  {"a"') == []
    assert stream.feed(b": 1}") == []
    assert stream.is_whole
    assert stream.raw == b'  {"a": 1}'


def test_events_come_as_they_are_complete() -> None:
    stream = ReplyStream("acme")
    assert stream.feed(b"data: on") == []
    assert stream.feed(b"e\n\n: alive\n\ndata: two") == [b"one", None]
    assert stream.end() == [b"two"]
    assert not stream.is_whole


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
