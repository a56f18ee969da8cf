from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.core.errors import ModelError
from hames.core.events import Usage
from hames.core.messages import Reasoning
from hames.core.ports import Alive, CallDelta, ReasoningDelta, Reply, TextDelta
from hames.models.messages import MessagesWire
from hames.models.messages_reader import MessagesReader
from hames.models.profiles import resolve
from hames.testing.model_suite import check_cuts, check_reading, read_in

STREAMS = Path(__file__).with_name("streams")
CLAUDE = resolve("anthropic")
OWN = "messages/anthropic/claude-opus-5-5"
WHOLE = [
    "messages_text.sse",
    "messages_calls.sse",
    "messages_interleaved.sse",
    "messages_odd.sse",
    "messages_whole.json",
]


def reader() -> MessagesReader:
    return MessagesReader(CLAUDE)


def stream(name: str) -> bytes:
    return (STREAMS / name).read_bytes()


def reply(data: bytes) -> Reply:
    ended = read_in(reader, [data])
    assert ended.reply is not None, ended.failure
    return ended.reply


def calls(found: Reply) -> list[tuple[str, str, str]]:
    return [(call.wire_id, call.name, call.arguments) for call in found.message.calls]


def event(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\ndata: ".encode() + msgspec.json.encode({"type": kind, **fields}) + b"\n\n"


def block(index: int, begin: Mapping[str, object], *deltas: Mapping[str, object]) -> bytes:
    pieces = [event("content_block_delta", index=index, delta=delta) for delta in deltas]
    opened = event("content_block_start", index=index, content_block=begin)
    return opened + b"".join(pieces) + event("content_block_stop", index=index)


def text(words: str, index: int = 0) -> bytes:
    return block(index, {"type": "text", "text": ""}, {"type": "text_delta", "text": words})


def thinking(words: str, *, signed: str = "c2ln", index: int = 0) -> bytes:
    deltas: list[Mapping[str, object]] = [{"type": "thinking_delta", "thinking": words}]
    if signed:
        deltas.append({"type": "signature_delta", "signature": signed})
    return block(index, {"type": "thinking", "thinking": "", "signature": ""}, *deltas)


def tool(arguments: str, *, name: str = "read", wire_id: str = "toolu_0001", index: int = 1) -> bytes:
    begin: dict[str, object] = {"type": "tool_use", "id": wire_id, "name": name, "input": {}}
    return block(index, begin, {"type": "input_json_delta", "partial_json": arguments})


def stop(reason: str, **more: object) -> bytes:
    return event("message_delta", delta={"stop_reason": reason, **more}, usage={"output_tokens": 9}) + event(
        "message_stop"
    )


@pytest.mark.parametrize("name", [*WHOLE, "messages_overloaded.sse", "messages_refusal.sse"])
def test_a_stream_reads_the_same_wherever_it_is_cut(name: str) -> None:
    check_reading(reader, stream(name))


@pytest.mark.parametrize("name", WHOLE)
def test_a_stream_that_breaks_off_is_never_taken_for_an_answer(name: str) -> None:
    check_cuts(reader, stream(name))


@given(st.lists(st.integers(0, 3000), max_size=8), st.sampled_from(WHOLE))
def test_a_stream_reads_the_same_in_whatever_pieces_it_comes(places: list[int], name: str) -> None:
    data = stream(name)
    cuts = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    parts = [data[start:end] for start, end in pairwise(cuts)]
    assert read_in(reader, parts) == read_in(reader, [data])


def test_text_with_a_thought_pings_and_usage() -> None:
    ended = read_in(reader, [stream("messages_text.sse")])
    found = ended.reply
    assert found is not None
    assert found.message.text == "Hello, 世界 🙂!"
    assert found.message.reasoning == Reasoning(
        OWN,
        "The user greets.",
        '[{"type":"thinking","thinking":"The user greets.","signature":"EqoBCkYIARgC"},'
        '{"type":"text","at":0,"size":12}]',
    )
    assert found.usage == Usage(input=2120, cached=2048, output=31, reasoning=12)
    assert (found.finish, found.model, found.repairs) == ("stop", "claude-opus-5-5", ())
    assert ended.deltas == (
        Alive(queued=False),
        ReasoningDelta("The user"),
        ReasoningDelta(" greets."),
        TextDelta("Hello, "),
        Alive(queued=False),
        TextDelta("世界 🙂!"),
    )


def test_parallel_calls_keep_their_raw_arguments() -> None:
    ended = read_in(reader, [stream("messages_calls.sse")])
    assert ended.reply is not None
    assert ended.reply.finish == "calls"
    assert calls(ended.reply) == [
        ("toolu_01T1x1fJ34qAmk2tNTrN7Up6", "read", '{"file_path":  "a.py"}'),
        ("toolu_01T2x1fJ34qAmk2tNTrN7Up7", "bash", '{"command": "ls \\"x\\""}'),
        ("toolu_01T3x1fJ34qAmk2tNTrN7Up8", "jobs", "{}"),
    ]
    begun = [delta for delta in ended.deltas if isinstance(delta, CallDelta)]
    assert begun == [CallDelta(0, "read"), CallDelta(1, "bash"), CallDelta(2, "jobs")]


def test_a_reply_goes_back_as_it_came_block_for_block() -> None:
    found = reply(stream("messages_interleaved.sse"))
    assert found.message.text == "First.\n\nThen."
    assert found.message.reasoning is not None
    assert found.message.reasoning.text == "One.\n\nTwo."
    sent = msgspec.json.decode(MessagesWire(CLAUDE).piece(found.message, {}))
    assert sent["content"] == [
        {"type": "thinking", "thinking": "One.", "signature": "c2lnMQ=="},
        {"type": "text", "text": "First."},
        {"type": "tool_use", "id": "toolu_01A09q90qw", "name": "read", "input": {"file_path": "a"}},
        {"type": "redacted_thinking", "data": "RW1lbmNyeXB0ZWQ="},
        {"type": "thinking", "thinking": "Two.", "signature": "c2lnMg==", "more": [1]},
        {"type": "text", "text": "Then."},
        {"type": "tool_use", "id": "toolu_01B09q90qw", "name": "grep", "input": {"pattern": "x"}},
    ]


def test_a_thought_that_is_not_shown_is_kept_all_the_same() -> None:
    hidden = block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "signature_delta", "signature": "c2ln"},
    )
    reasoning = reply(hidden + text("x", 1) + stop("end_turn")).message.reasoning
    assert reasoning is not None
    assert (reasoning.text, reasoning.opaque) == (
        "",
        '[{"type":"thinking","thinking":"","signature":"c2ln"},{"type":"text","at":0,"size":1}]',
    )


def test_a_thought_that_the_limit_cut_short_is_not_given_back() -> None:
    found = reply(thinking("Hm", signed="") + stop("max_tokens"))
    assert (found.finish, found.message.text) == ("length", "")
    assert found.message.reasoning == Reasoning(OWN, "Hm", None)
    signed = reply(thinking("Hm") + text("x", 1) + stop("max_tokens")).message.reasoning
    assert signed is not None
    assert signed.opaque is not None
    # A compatible server may sign nothing and want its thoughts back.
    unsigned = reply(thinking("Hm", signed="") + text("x", 1) + stop("end_turn")).message.reasoning
    assert unsigned is not None
    assert unsigned.opaque is not None


def test_texts_side_by_side_are_one_text() -> None:
    assert reply(text("Half a ") + text("sentence.", 1) + stop("end_turn")).message.text == "Half a sentence."


def test_unknown_events_deltas_and_blocks_are_passed_over() -> None:
    found = reply(stream("messages_odd.sse"))
    assert found.message.text == "fine"
    assert found.repairs == (
        "1 events that are not JSON were skipped",
        "blocks of the kind 'server_tool_use' were left out",
    )


def test_half_a_surrogate_pair_costs_one_letter_and_not_the_event() -> None:
    halves = (
        rb'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a\ud83d b"}}'
    )
    found = reply(
        event("content_block_start", index=0, content_block={"type": "text"})
        + halves
        + b"\n\n"
        + stop("end_turn")
    )
    assert found.message.text == "a\N{REPLACEMENT CHARACTER} b"
    assert found.repairs == ("half a character was replaced",)


def test_a_server_that_does_not_stream_is_read_too() -> None:
    found = reply(stream("messages_whole.json"))
    assert (found.finish, found.message.text, found.model) == ("calls", "Reading.", "claude-opus-5-5")
    assert calls(found) == [("toolu_01A09q90qw", "read", '{"file_path": "a"}')]
    assert found.usage == Usage(input=5, output=6)
    assert found.message.reasoning is not None
    assert found.message.reasoning.text == "Hm."


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "other"),
        ("refusal", "filter"),
        ("something new", "other"),
    ],
)
def test_the_reason_to_stop_is_told(reason: str, finish: str) -> None:
    assert reply(text("x") + stop(reason)).finish == finish


def test_calls_count_even_if_the_server_says_that_the_turn_ended() -> None:
    assert reply(tool("{}") + stop("end_turn")).finish == "calls"


def test_a_limit_after_whole_calls_keeps_them() -> None:
    found = reply(tool("{}") + stop("max_tokens"))
    assert (found.finish, calls(found)) == ("length", [("toolu_0001", "read", "{}")])


def test_a_second_call_with_the_same_id_is_kept_under_another() -> None:
    found = reply(tool('{"a":1}') + tool('{"a":2}', index=2) + stop("tool_use"))
    first, second = calls(found)
    assert first[0] == "toolu_0001" != second[0]
    assert "twice" in found.repairs[0]
    assert "missing" in reply(tool("{}", wire_id="") + stop("tool_use")).repairs[0]


def test_a_usage_that_cannot_be_read_costs_nothing_else() -> None:
    odd = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": "many"})
    found = reply(text("x") + odd)
    assert found.repairs == ("the usage could not be read",)
    assert (
        reply(text("x") + event("message_delta", delta={"stop_reason": "end_turn"}, usage=None)).usage
        == Usage()
    )


def error(kind: str, message: str) -> bytes:
    return event("error", error={"type": kind, "message": message})


UNFINISHED = event(
    "content_block_start", index=1, content_block={"type": "tool_use", "id": "t", "name": "bash"}
)
FAILURES = {
    "nothing came": (b"", "cut"),
    "only comments and pings came": (b": hi\n\n" + event("ping"), "cut"),
    "no finish event": (text("half"), "cut"),
    "a stop without a reason": (text("half") + event("message_stop"), "cut"),
    "half of a body that is not streamed": (b'{"type":"message","content":[{"type":"te', "cut"),
    "no content": (stop("end_turn"), "empty"),
    "blank content": (text(" \n") + stop("end_turn"), "empty"),
    "only a thought": (thinking("Hm") + stop("end_turn"), "empty"),
    "arguments cut by the limit": (tool('{"command": "rm -', name="bash") + stop("max_tokens"), "cut"),
    "a call begun when the limit came": (UNFINISHED + stop("max_tokens"), "cut"),
    "a call begun when the window was full": (UNFINISHED + stop("model_context_window_exceeded"), "cut"),
    "a call without a name": (tool("{}", name="") + stop("tool_use"), "malformed"),
    "a refusal before any word": (stop("refusal"), "refused"),
    "a refusal beside a call": (text("x") + tool("{}") + stop("refusal"), "refused"),
    "a block of another shape": (event("content_block_start", index=0, content_block=5), "malformed"),
    "an event of another shape": (event("content_block_delta", index="x"), "malformed"),
    "a block that is not there": (event("content_block_start", index=0) + stop("end_turn"), "malformed"),
    "overloaded": (text("x") + error("overloaded_error", "Busy"), "overload"),
    "an error of the server": (error("api_error", "Oops"), "overload"),
    "a time-out of the server": (error("timeout_error", "Slow"), "overload"),
    "too many requests": (error("rate_limit_error", "Wait"), "rate"),
    "no money": (error("billing_error", "Pay"), "balance"),
    "a wrong key": (error("authentication_error", "No"), "auth"),
    "not allowed": (error("permission_error", "No"), "auth"),
    "no such model": (error("not_found_error", "model: x"), "unknown_model"),
    "a wrong request": (error("invalid_request_error", "x"), "rejected"),
    "a prompt that is too long": (
        error("invalid_request_error", "prompt is too long: 2 > 1"),
        "overflow",
    ),
    "a request that is too large": (error("request_too_large", "x"), "overflow"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "kind"), FAILURES.values(), ids=FAILURES)
def test_what_is_no_reply_is_a_failure_of_its_class(data: bytes, kind: str) -> None:
    ended = read_in(reader, [data])
    assert ended.reply is None
    assert ended.failure.partition(":")[0] == kind


def test_a_refusal_says_why() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "It could do harm."}
    for stop_details, said in (
        (details, "the model refused: It could do harm."),
        ({**details, "explanation": None}, "the model refused: cyber"),
        (None, "the model refused"),
        (5, "the model refused"),
    ):
        failing = reader()
        failing.feed(stop("refusal", stop_details=stop_details))
        with pytest.raises(ModelError) as caught:
            failing.finish(0.5)
        assert str(caught.value) == said
