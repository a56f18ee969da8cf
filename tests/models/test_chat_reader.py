from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.core.errors import ModelError
from hames.core.events import Usage
from hames.core.messages import Reasoning
from hames.core.ports import Alive, CallDelta, ReasoningDelta, Reply, TextDelta
from hames.models.chat_reader import ChatReader
from hames.models.profiles import providers
from hames.testing.model_suite import check_cuts, check_reading, read_in

STREAMS = Path(__file__).with_name("streams")
WHOLE = [
    "deepseek_text.sse",
    "deepseek_calls.sse",
    "openai_usage_chunk.sse",
    "vllm_reasoning.sse",
    "ollama_calls.sse",
    "bare_calls.sse",
    "duplicate_ids.sse",
    "repeated_ids.sse",
    "odd_framing.sse",
    "openrouter_details.sse",
    "minimax_details.sse",
    "whole.json",
]


def reader() -> ChatReader:
    return ChatReader(providers()["deepseek"])


def stream(name: str) -> bytes:
    return (STREAMS / name).read_bytes()


def reply(data: bytes) -> Reply:
    ended = read_in(reader, [data])
    assert ended.reply is not None, ended.failure
    return ended.reply


def calls(found: Reply) -> list[tuple[str, str, str]]:
    return [(call.wire_id, call.name, call.arguments) for call in found.message.calls]


def event(delta: Mapping[str, object], finish: str | None = None, **more: object) -> bytes:
    chunk = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def call(**fields: object) -> dict[str, object]:
    return {"tool_calls": [fields]}


@pytest.mark.parametrize("name", [*WHOLE, "error_event.sse"])
def test_a_stream_reads_the_same_wherever_it_is_cut(name: str) -> None:
    check_reading(reader, stream(name))


@pytest.mark.parametrize("name", WHOLE)
def test_a_stream_that_breaks_off_is_never_taken_for_an_answer(name: str) -> None:
    check_cuts(reader, stream(name))


def test_deepseek_text_with_reasoning_comments_and_usage_on_the_last_event() -> None:
    ended = read_in(reader, [stream("deepseek_text.sse")])
    found = ended.reply
    assert found is not None
    assert found.message.text == "Hello, 世界 🙂!"
    assert found.message.reasoning == Reasoning("chat/deepseek/reasoning_content", "The user greets.")
    assert found.usage == Usage(input=120, cached=64, output=18, reasoning=7)
    assert (found.finish, found.model, found.repairs) == ("stop", "deepseek-flash", ())
    assert ended.deltas[:4] == (
        Alive(queued=True),
        Alive(queued=True),
        ReasoningDelta("The user"),
        ReasoningDelta(" greets."),
    )
    assert ended.deltas[4] == TextDelta("Hello")


def test_parallel_calls_keep_their_raw_arguments() -> None:
    ended = read_in(reader, [stream("deepseek_calls.sse")])
    assert ended.reply is not None
    assert calls(ended.reply) == [
        ("call_00_aB", "read", '{"file_path": "a.py"}'),
        ("call_01_cD", "bash", '{"command": "ls \\"x\\""}'),
    ]
    assert ended.reply.finish == "calls"
    assert ended.deltas[-2:] == (CallDelta(0, "read"), CallDelta(1, "bash"))


def test_the_usage_may_come_alone_after_the_finish_event() -> None:
    found = reply(stream("openai_usage_chunk.sse"))
    assert (found.message.text, found.usage) == ("Yes.", Usage(input=9, output=2))


def test_the_field_that_reasoning_came_in_is_kept() -> None:
    found = reply(stream("vllm_reasoning.sse"))
    assert found.message.reasoning == Reasoning("chat/deepseek/reasoning", "Let me see.")
    both = {"reasoning": "Hm", "reasoning_content": "Hm", "content": "x"}
    assert reply(event(both, "stop")).message.reasoning == Reasoning("chat/deepseek/reasoning", "Hm")


def test_calls_that_share_an_index_are_told_apart_by_their_ids() -> None:
    assert calls(reply(stream("ollama_calls.sse"))) == [
        ("call_aa", "read", '{"file_path":"a"}'),
        ("call_bb", "read", '{"file_path":"b"}'),
    ]


def test_calls_without_index_and_id_get_ids_of_their_own() -> None:
    found = reply(stream("bare_calls.sse"))
    assert [entry[1:] for entry in calls(found)] == [
        ("read", '{"file_path": "a"}'),
        ("grep", '{"pattern": "x"}'),
    ]
    assert len(found.repairs) == 2
    assert calls(found) == calls(reply(stream("bare_calls.sse")))
    other = reply(stream("bare_calls.sse").replace(b'"x"', b'"y"'))
    assert {entry[0] for entry in calls(found)}.isdisjoint(entry[0] for entry in calls(other))


def test_a_second_call_with_the_same_id_is_kept_under_another() -> None:
    for name in ("duplicate_ids.sse", "whole.json"):
        found = reply(stream(name))
        first, second = calls(found)
        assert first[0] == "dup" != second[0]
        assert "twice" in found.repairs[0]


def test_a_call_whose_id_and_name_are_repeated_is_one_call() -> None:
    assert calls(reply(stream("repeated_ids.sse"))) == [("call_7", "bash", '{"command":"x"}')]


def test_calls_without_index_and_with_one_name_are_told_apart_when_whole() -> None:
    one = event(call(function={"name": "bash", "arguments": '{"command":"a"}'}))
    two = event(call(function={"name": "bash", "arguments": '{"command":"b"}'}), "tool_calls")
    assert [entry[2] for entry in calls(reply(one + two))] == ['{"command":"a"}', '{"command":"b"}']


def test_an_event_that_is_not_json_is_skipped_and_counted() -> None:
    found = reply(stream("odd_framing.sse"))
    assert found.message.text == "lines"
    assert found.repairs == ("1 events that are not JSON were skipped",)
    assert reply(b"data: 5\n\n" + event({"content": "x"}, "stop")).repairs == found.repairs


def test_half_a_surrogate_pair_costs_one_letter_and_not_the_event() -> None:
    halves = rb'data: {"choices":[{"delta":{"content":"a\ud83d b\\ud83d \ud83d\ude42"}}]}' + b"\n\n"
    found = reply(halves + event({"content": "."}, "stop"))
    assert found.message.text == "a\N{REPLACEMENT CHARACTER} b\\ud83d 🙂."
    assert found.repairs == ("half a character was replaced",)


def test_a_server_that_does_not_stream_is_read_too() -> None:
    found = reply(stream("whole.json"))
    assert found.finish == "calls"
    assert found.usage == Usage(input=5, output=6)
    assert found.message.reasoning == Reasoning("chat/deepseek/reasoning_content", "Hm.")


@pytest.mark.parametrize(
    ("name", "finish"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("model_length", "length"),
        ("eos", "stop"),
        ("sensitive", "filter"),
        ("who knows", "other"),
        ("tool_calls", "stop"),
    ],
)
def test_the_reason_to_stop_is_told(name: str, finish: str) -> None:
    assert reply(event({"content": "x"}, name)).finish == finish


def test_calls_count_even_if_the_server_says_stop() -> None:
    found = reply(event(call(index=0, id="c", function={"name": "read", "arguments": "{}"}), "stop"))
    assert found.finish == "calls"


def test_a_length_with_whole_calls_keeps_them_and_one_inside_a_call_does_not() -> None:
    whole = event(call(index=0, id="c", function={"name": "read", "arguments": "{}"}), "length")
    assert reply(whole).finish == "length"


def test_reasoning_that_used_up_the_length_is_a_reply() -> None:
    found = reply(event({"reasoning_content": "Hm"}, "length"))
    assert (found.message.text, found.finish) == ("", "length")


FAILURES = {
    "nothing came": (b"", "cut"),
    "only comments came": (b": keep-alive\n\n", "cut"),
    "no finish event": (event({"content": "half"}), "cut"),
    "done without a finish event": (event({"content": "half"}) + b"data: [DONE]\n\n", "cut"),
    "half of a body that is not streamed": (b'{"choices":[{"message":{"content":"x"', "cut"),
    "no content": (event({"content": ""}, "stop"), "empty"),
    "blank content": (event({"content": " \n"}, "stop"), "empty"),
    "no choices": (event({}, "tool_calls"), "empty"),
    "only reasoning": (event({"reasoning_content": "Hm"}, "stop"), "empty"),
    "arguments cut by the length": (
        event(call(index=0, id="c", function={"name": "bash", "arguments": '{"command": "rm -'}), "length"),
        "cut",
    ),
    "arguments that are half of a number": (
        event(call(index=0, id="c", function={"name": "bash", "arguments": "12"}), "length"),
        "cut",
    ),
    "a call without a name": (
        event(call(index=0, id="c", function={"arguments": "{}"}), "stop"),
        "malformed",
    ),
    "content of another shape": (event({"content": {"text": "x"}}, "stop"), "malformed"),
    "a filter before any word": (event({}, "content_filter"), "refused"),
    "a refusal": (event({"refusal": "I cannot."}, "stop"), "refused"),
    "a call that the filter stopped": (
        event(call(index=0, id="c", function={"name": "bash", "arguments": "{}"}), "content_filter"),
        "refused",
    ),
    "an engine that gave up": (event({"content": "x"}, "insufficient_system_resource"), "overload"),
    "a network that gave up": (event({"content": "x"}, "network_error"), "overload"),
    "an error event": (stream("error_event.sse"), "overload"),
    "an error in words": (b'data: {"error": "rate_limit reached"}\n\n', "rate"),
    "an error instead of a stream": (
        b'{"error":{"message":"maximum context length is 5","code":400}}',
        "overflow",
    ),
}


@pytest.mark.parametrize(("data", "kind"), FAILURES.values(), ids=FAILURES.keys())
def test_what_is_no_answer_fails_with_its_class(data: bytes, kind: str) -> None:
    found = reader()
    found.feed(data)
    with pytest.raises(ModelError) as caught:
        found.finish(0.0)
    assert caught.value.kind == kind
    assert caught.value.raw == data
    check_reading(reader, data)


def test_an_answer_that_the_filter_cut_short_says_so() -> None:
    assert reply(event({"content": "half"}, "content_filter")).finish == "filter"


@given(st.binary(max_size=300))
def test_noise_never_becomes_an_answer(noise: bytes) -> None:
    ended = read_in(reader, [b"data: ", noise])
    assert ended.reply is None


texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(st.lists(texts, min_size=1, max_size=8), st.integers(1, 40))
def test_text_in_any_pieces_comes_out_whole(pieces: list[str], step: int) -> None:
    data = b"".join(event({"content": piece}) for piece in [*pieces, "."]) + event({}, "stop")
    parts = [data[at : at + step] for at in range(0, len(data), step)]
    ended = read_in(reader, parts)
    assert ended.reply is not None
    assert ended.reply.message.text == "".join(pieces) + "."


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 3, "cached": None}, Usage(input=5, output=3)),
        ({"prompt_tokens": 5, "prompt_cache_hit_tokens": 9}, Usage(input=5, cached=5)),
        ({"prompt_tokens": -1, "completion_tokens": None}, Usage()),
        ({"completion_tokens": 5, "reasoning_tokens": 4}, Usage(output=5, reasoning=4)),
        ({"prompt_tokens": 5, "prompt_tokens_details": None}, Usage(input=5)),
    ],
)
def test_usage_is_read_from_every_shape(usage: dict[str, object], counted: Usage) -> None:
    assert reply(event({"content": "x"}, "stop", usage=usage)).usage == counted


def test_usage_that_cannot_be_read_does_not_spoil_the_reply() -> None:
    found = reply(event({"content": "x"}, "stop", usage={"prompt_tokens": "many"}))
    assert found.usage == Usage()
    assert found.repairs == ("the usage could not be read",)


def test_details_of_thoughts_are_kept_as_they_came_for_the_model_that_was_asked() -> None:
    asked = ChatReader(providers()["openrouter"], "anthropic/claude-sonnet-5-5")
    ended = read_in(lambda: asked, [stream("openrouter_details.sse")])
    assert ended.reply is not None
    thought = ended.reply.message.reasoning
    assert thought is not None
    assert thought.wire == "chat/openrouter/anthropic/claude-sonnet-5-5/reasoning_details"
    assert thought.text == "I look it up."
    assert msgspec.json.decode(thought.opaque or "") == [
        {
            "type": "reasoning.text",
            "text": "I look it up.",
            "signature": "c2ln",
            "format": "anthropic-claude-v1",
            "index": 0,
        },
        {
            "type": "reasoning.encrypted",
            "data": "ZW5j",
            "id": "rs_1",
            "format": "anthropic-claude-v1",
            "index": 1,
        },
    ]
    assert calls(ended.reply) == [("toolu_1", "read", '{"file_path": "a"}')]


def test_a_thought_that_comes_as_words_and_as_details_is_shown_once() -> None:
    found = reply(stream("minimax_details.sse"))
    assert found.message.text == "Hello!"
    assert found.message.reasoning is not None
    assert found.message.reasoning.text == "They greet, so do I."
    assert found.usage == Usage(input=50, cached=32, output=10)


def test_details_alone_are_a_thought_too() -> None:
    detail = {"type": "reasoning.summary", "summary": "Hm.", "index": 0}
    found = reply(event({"reasoning_details": [detail], "content": "x"}) + event({}, "stop"))
    thought = found.message.reasoning
    assert thought is not None
    assert (thought.text, msgspec.json.decode(thought.opaque or "")) == ("Hm.", [detail])


def test_details_that_cannot_be_read_are_told_and_the_words_beside_them_kept() -> None:
    found = reply(
        event({"reasoning": "Hm.", "reasoning_details": "odd", "content": "x"})
        + event({"reasoning_details": None})
        + event({}, "stop")
    )
    assert found.repairs == ("the reasoning_details could not be read",)
    assert found.message.reasoning == Reasoning("chat/deepseek/reasoning", "Hm.")
