import msgspec
import pytest

from hames.testing.chat_events import ChatSpeech
from hames.testing.script import Script, Served, ServedCall, ServedUsage, arguments_of, read_script, stream

GUESS = ServedUsage(10, 5)
SPEECH = ChatSpeech()


def joined(reply: Served, number: int = 1) -> bytes:
    return b"".join(stream(reply, number, GUESS, SPEECH).events)


def test_replies_are_chosen_by_number_and_repeated() -> None:
    script = Script([Served(text="a"), Served(text="b", repeat=3), Served(text="c")])
    assert [script.reply(number).text for number in range(1, 6)] == ["a", "b", "b", "b", "c"]
    assert script.reply(6).text == "The script has ended."
    assert Script([]).reply(1).text == "The script has ended."


def test_the_number_of_the_request_is_put_in() -> None:
    call = ServedCall("bash", msgspec.Raw(b'{"command": "echo {i}"}'))
    reply = Served(text="step {i}", reasoning="think {i}", calls=(call,), repeat=9)
    data = joined(reply, 7)
    for wanted in (b'"step 7"', b'"think 7"', b"echo 7", b"call_7_0"):
        assert wanted in data
    assert b"{i}" not in data


def test_arguments_are_an_object_or_a_string_sent_as_it_is() -> None:
    script = read_script(b'[{"calls":[{"name":"a","arguments":{"x": 1}},{"name":"b","arguments":"{\\"x"}]}]')
    assert [arguments_of(call, 1) for call in script.reply(1).calls] == ['{"x": 1}', '{"x']


@pytest.mark.parametrize(
    "data", [b'{"text":"x"}', b'[{"txet":"x"}]', b'[{"fault":"odd"}]', b"[", b'[{"calls":[{}]}]']
)
def test_a_script_that_does_not_fit_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        read_script(data)


def test_a_chunk_size_cuts_text_into_events() -> None:
    whole, cut = (stream(Served(text="abcdef", chunk=size), 1, GUESS, SPEECH) for size in (0, 2))
    assert len(cut.events) == len(whole.events) + 2
    assert b'"ab"' in b"".join(cut.events)


def test_a_usage_is_sent_as_scripted_or_as_guessed() -> None:
    assert b'"prompt_tokens":10,' in joined(Served())
    assert b'"prompt_cache_hit_tokens":3' in joined(Served(usage=ServedUsage(9, 1, cached=3)))


def test_only_whole_replies_finish() -> None:
    for fault in ("cut_text", "cut_args", "no_finish", "stall", "error", "reset", "silent"):
        assert b'"finish_reason":"' not in joined(Served(text="a sentence", fault=fault))
    for fault in (None, "garbage", "empty"):
        assert b'"finish_reason":"stop"' in joined(Served(text="a sentence", fault=fault))
    assert b'"finish_reason":"length"' in joined(Served(text="x", finish="length"))
