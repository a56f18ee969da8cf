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
from hames.models.responses_reader import ResponsesReader
from hames.testing.model_suite import check_cuts, check_reading, read_in

STREAMS = Path(__file__).with_name("streams")
WHOLE = [
    "responses_text.sse",
    "responses_items.sse",
    "responses_one_place.sse",
    "responses_deltas_only.sse",
    "responses_end_only.sse",
    "responses_whole.json",
]


def reader() -> ResponsesReader:
    return ResponsesReader("openai", "responses/openai/gpt-x")


def stream(name: str) -> bytes:
    return (STREAMS / name).read_bytes()


def reply(data: bytes) -> Reply:
    ended = read_in(reader, [data])
    assert ended.reply is not None, ended.failure
    return ended.reply


def calls(found: Reply) -> list[tuple[str, str, str]]:
    return [(call.wire_id, call.name, call.arguments) for call in found.message.calls]


def reasoning(found: Reply) -> Reasoning:
    assert found.message.reasoning is not None
    return found.message.reasoning


def event(kind: str, **fields: object) -> bytes:
    name = kind if kind == "error" else f"response.{kind}"
    return b"data: " + msgspec.json.encode({"type": name, **fields}) + b"\n\n"


def text(words: str, index: int = 0) -> bytes:
    return event("output_text.delta", output_index=index, delta=words)


def done(index: int = 0, **item: object) -> bytes:
    return event("output_item.done", output_index=index, item=item)


def call(arguments: str, *, whole: bool = True, name: str = "bash") -> bytes:
    item = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": name}
    begun = event("output_item.added", output_index=0, item={**item, "arguments": ""})
    pieces = event("function_call_arguments.delta", output_index=0, delta=arguments)
    end = event("function_call_arguments.done", output_index=0, arguments=arguments)
    return begun + pieces + (end if whole else b"")


def completed(**response: object) -> bytes:
    return event("completed", response={"status": "completed", **response})


def incomplete(reason: str | None) -> bytes:
    return event("incomplete", response={"status": "incomplete", "incomplete_details": {"reason": reason}})


@pytest.mark.parametrize("name", [*WHOLE, "responses_failed.sse"])
def test_a_stream_reads_the_same_wherever_it_is_cut(name: str) -> None:
    check_reading(reader, stream(name))


@pytest.mark.parametrize("name", WHOLE)
def test_a_stream_that_breaks_off_is_never_taken_for_an_answer(name: str) -> None:
    check_cuts(reader, stream(name))


def test_a_text_with_comments_unknown_events_and_usage() -> None:
    ended = read_in(reader, [stream("responses_text.sse")])
    found = ended.reply
    assert found is not None
    assert found.message.text == "Hello, 世界 🙂!"
    assert found.message.reasoning is None
    assert found.usage == Usage(input=120, cached=64, output=18, reasoning=7)
    assert (found.finish, found.model, found.repairs) == ("stop", "gpt-x-2026-10-01", ())
    assert ended.deltas == (Alive(queued=True), TextDelta("Hello, "), TextDelta("世界 🙂!"))


def test_items_of_all_kinds_keep_their_order_and_their_encrypted_reasoning() -> None:
    ended = read_in(reader, [stream("responses_items.sse")])
    found = ended.reply
    assert found is not None
    assert found.message.text == "Let me look.\n\nReading."
    assert calls(found) == [("call_A", "read", '{"file_path":  "a.py"}')]
    assert found.finish == "calls"
    kept = reasoning(found)
    assert kept.wire == "responses/openai/gpt-x"
    assert kept.text == "**Where?**\n\nIn a.py."
    assert kept.opaque == (
        '[{"type":"message","id":"msg_1","phase":"commentary","size":12},'
        '{"id":"rs_1","type":"reasoning","encrypted_content":"gAAA\\u003d/x+\\/",'
        '"summary":[{"type":"summary_text","text":"**Where?**"},{"type":"summary_text","text":"In a.py."}]},'
        '{"type":"function_call","id":"fc_1"},'
        '{"type":"message","id":"msg_2","size":8}]'
    )
    assert ended.deltas == (
        TextDelta("Let me"),
        TextDelta(" look."),
        ReasoningDelta("**Where"),
        ReasoningDelta("?**"),
        ReasoningDelta("\n\n"),
        ReasoningDelta("In a.py."),
        CallDelta(0, "read"),
        TextDelta("\n\n"),
        TextDelta("Reading."),
    )


def test_a_server_that_puts_all_items_in_one_place_is_understood() -> None:
    found = reply(stream("responses_one_place.sse"))
    first, second = calls(found)
    assert first == ("c1", "read", '{"file_path":"a"}')
    assert second[1:] == ("read", '{"file_path":"b"}')
    assert second[0] != "c1"
    assert found.repairs == (f"the id of call 1 was twice: it is now {second[0]}",)
    kept = reasoning(found)
    assert kept.text == "Two files."
    assert kept.opaque is not None
    first_item = msgspec.json.decode(kept.opaque, type=list[msgspec.Raw])[0]
    assert bytes(first_item) == (
        b'{"id":"rs_9","type":"reasoning","summary":[],'
        b'"content":[{"type":"reasoning_text","text":"Two files."}]}'
    )


def test_a_server_that_never_says_what_is_whole_is_understood() -> None:
    ended = read_in(reader, [stream("responses_deltas_only.sse")])
    assert ended.reply is not None
    assert ended.reply.message.text == "I read it."
    assert calls(ended.reply) == [("c1", "read", '{"file_path":"a"}')]
    assert reasoning(ended.reply) == Reasoning("responses/openai/gpt-x", "Hm.")
    assert ended.deltas[-1] == CallDelta(0, "read")


def test_a_server_that_says_all_at_the_end_is_understood() -> None:
    ended = read_in(reader, [stream("responses_end_only.sse")])
    assert ended.reply is not None
    assert ended.reply.message.text == "I see."
    assert calls(ended.reply) == [("c1", "read", "{}")]
    assert reasoning(ended.reply).text == "One.\n\nTwo."
    assert ended.reply.repairs == ("an item of the kind 'web_search_call' was left out",)
    assert ended.deltas == (
        Alive(queued=True),
        ReasoningDelta("One.\n\nTwo."),
        TextDelta("I see."),
        CallDelta(0, "read"),
    )


def test_half_a_surrogate_pair_costs_one_letter_and_not_the_event() -> None:
    halves = rb'data: {"type":"response.output_text.delta","output_index":0,"delta":"a\ud83d b"}' + b"\n\n"
    found = reply(halves + completed())
    assert found.message.text == "a\N{REPLACEMENT CHARACTER} b"
    assert found.repairs == ("half a character was replaced",)


def test_a_server_that_does_not_stream_is_read_too() -> None:
    found = reply(stream("responses_whole.json"))
    assert (found.message.text, found.finish, found.usage) == ("Done.", "stop", Usage(input=5, output=6))
    assert reasoning(found).text == "Hm."


def test_what_an_item_says_when_it_is_whole_counts_before_its_pieces() -> None:
    content = [{"type": "output_text", "text": "Hello."}]
    data = text("Hel") + b"data: {lost\n\n" + done(type="message", content=content) + completed()
    found = reply(data)
    assert found.message.text == "Hello."
    assert found.repairs == ("1 events that are not JSON were skipped",)


def test_only_what_began_and_was_not_ended_is_taken_from_the_end() -> None:
    item = {"type": "function_call", "call_id": "c1", "name": "bash", "arguments": '{"command":"x"}'}
    message = {"type": "message", "content": [{"type": "output_text", "text": "again"}]}
    came = call('{"comm', whole=False) + event("output_item.done", output_index=1, item=message)
    found = reply(came + completed(output=[item, message, message]))
    assert calls(found) == [("c1", "bash", '{"command":"x"}')]
    assert found.message.text == "again\n\nagain"
    assert calls(reply(call("{}") + completed(output=[message]))) == [("c1", "bash", "{}")]


def test_an_end_that_fits_nothing_of_what_came_changes_nothing() -> None:
    other = {"type": "reasoning", "id": "rs_1", "encrypted_content": "x"}
    found = reply(text("x") + completed(output=[other]))
    assert (found.message.text, found.message.reasoning) == ("x", None)


def test_an_item_that_is_whole_is_not_taken_again_from_the_end() -> None:
    item = {"type": "reasoning", "id": "rs_1"}
    end = completed(output=[{**item, "encrypted_content": "second"}])
    first = event("output_item.done", output_index=0, item={**item, "encrypted_content": "first"})
    kept = reasoning(reply(first + text("x", 1) + end)).opaque
    assert kept is not None
    assert "first" in kept
    assert "second" not in kept


def test_whole_items_in_one_place_are_several() -> None:
    data = b"".join(
        done(0, type="function_call", call_id=f"c{at}", name="read", arguments="{}") for at in (1, 2)
    )
    assert [entry[0] for entry in calls(reply(data + completed()))] == ["c1", "c2"]


def test_an_item_that_says_nothing_when_it_is_whole_keeps_its_pieces() -> None:
    assert reply(text("x") + done(type="message", content=[]) + completed()).message.text == "x"


def test_items_that_are_not_asked_for_are_left_out() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "action": {"query": "x"}}
    begun = event("output_item.added", output_index=0, item=search)
    found = reply(begun + done(0, type="web_search_call") + text("x", 1) + completed(output=[search]))
    assert found.message.text == "x"
    assert found.repairs == ("an item of the kind 'web_search_call' was left out",)


def test_several_reasoning_items_are_shown_as_paragraphs() -> None:
    pieces = b"".join(
        event("reasoning_summary_text.delta", output_index=at, summary_index=0, delta=words)
        + done(at, type="reasoning", id=f"rs_{at}", summary=[], encrypted_content=f"g{at}")
        for at, words in enumerate(["One.", "", "Two."])
    )
    ended = check_reading(reader, pieces + text("x", 3) + completed())
    assert ended.reply is not None
    kept = reasoning(ended.reply)
    assert kept.text == "One.\n\nTwo."
    assert kept.opaque is not None
    assert [f'"encrypted_content":"g{at}"' in kept.opaque for at in range(3)] == [True] * 3


def test_a_call_without_an_id_gets_one_from_the_bytes_of_the_reply() -> None:
    item = done(type="function_call", name="read", arguments="{}")
    found = reply(item + completed())
    wire_id = calls(found)[0][0]
    assert found.repairs == (f"the id of call 0 was missing: it is now {wire_id}",)
    assert calls(reply(item + completed(model="other")))[0][0] != wire_id


def test_reasoning_that_is_only_a_reference_is_shown_and_not_kept() -> None:
    blank = done(type="reasoning", id="rs_1", summary=[])
    found = reply(blank + text("x", 1) + completed())
    assert found.message.reasoning is None
    shown = event("reasoning_summary_text.delta", output_index=0, summary_index=0, delta="Hm.")
    assert reasoning(reply(shown + blank + text("x", 1) + completed())).opaque is None


@pytest.mark.parametrize(
    ("end", "finish"),
    [
        (completed(), "stop"),
        (event("completed", response={}), "stop"),
        (incomplete("max_output_tokens"), "length"),
        (incomplete("content_filter"), "filter"),
        (incomplete("who_knows"), "other"),
        (event("incomplete", response={"status": "incomplete"}), "other"),
    ],
)
def test_the_reason_to_stop_is_told(end: bytes, finish: str) -> None:
    assert reply(text("x") + end).finish == finish


def test_whole_calls_are_kept_when_the_length_ran_out() -> None:
    found = reply(call("{}") + incomplete("max_output_tokens"))
    assert (found.finish, calls(found)) == ("length", [("c1", "bash", "{}")])


def test_arguments_that_are_whole_but_no_json_are_left_to_be_mended() -> None:
    assert calls(reply(call("{'a': 1}") + completed())) == [("c1", "bash", "{'a': 1}")]


def test_reasoning_that_used_up_the_length_is_a_reply() -> None:
    for kept in ("", "gAAA"):
        item = done(type="reasoning", id="rs_1", summary=[], encrypted_content=kept)
        found = reply(item + incomplete("max_output_tokens"))
        assert (found.message.text, found.message.reasoning, found.finish) == ("", None, "length")


FAILURES = {
    "nothing came": (b"", "cut"),
    "only comments came": (b": keep-alive\n\n", "cut"),
    "no end": (text("half"), "cut"),
    "done without an end": (text("half") + b"data: [DONE]\n\n", "cut"),
    "half of a body that is not streamed": (b'{"object":"response","status":"compl', "cut"),
    "a body of a reply that still goes on": (b'{"status":"in_progress","output":[]}', "cut"),
    "no output": (completed(), "empty"),
    "blank text": (text(" \n") + completed(), "empty"),
    "only reasoning": (done(type="reasoning", id="r", encrypted_content="x") + completed(), "empty"),
    "a call that was cut by the length": (
        call('{"command": "rm -', whole=False) + incomplete("max_output_tokens"),
        "cut",
    ),
    "a call cut by the length, and said to be whole": (call("12") + incomplete("max_output_tokens"), "cut"),
    "a call that is not whole at the end": (call('{"command": "rm -', whole=False) + completed(), "cut"),
    "a call with a piece that could not be read": (
        call('{"command": "rm -', whole=False)
        + b"data: {lost\n\n"
        + event("function_call_arguments.delta", output_index=0, delta=' x"}')
        + completed(),
        "cut",
    ),
    "a whole call without its arguments, and a piece that could not be read": (
        call('{"command": "rm -', whole=False)
        + b"data: {lost\n\n"
        + event("function_call_arguments.delta", output_index=0, delta=' x"}')
        + event("function_call_arguments.done", output_index=0)
        + done(type="function_call", call_id="c1", name="bash", arguments="")
        + completed(),
        "cut",
    ),
    "a call without a name": (call("{}", name="") + completed(), "malformed"),
    "text of another shape": (
        event("output_text.delta", output_index=0, delta={"text": "x"}) + completed(),
        "malformed",
    ),
    "an item of another shape": (done(type="message", content="x") + completed(), "malformed"),
    "an end of another shape": (event("completed", response={"status": 5}), "malformed"),
    "a body of another shape": (b'{"status": 5}', "malformed"),
    "a refusal": (event("refusal.delta", output_index=0, delta="I cannot.") + completed(), "refused"),
    "a refusal that is only in the item": (
        done(type="message", content=[{"type": "refusal", "refusal": "I cannot."}]) + completed(),
        "refused",
    ),
    "a filter before any word": (incomplete("content_filter"), "refused"),
    "a call that the filter stopped": (call("{}") + incomplete("content_filter"), "refused"),
    "an end that failed": (stream("responses_failed.sse"), "rate"),
    "an end that failed without a word": (event("failed", response={"status": "failed"}), "overload"),
    "a body that failed": (b'{"status":"failed","error":{"code":"server_error","message":"x"}}', "overload"),
    "an error instead of a reply": (b'{"error":{"message":"maximum context length is 5"}}', "overflow"),
    "an error that is not said to be one": (
        b'data: {"error":{"message":"x","code":"server_error"}}\n\n' + completed(),
        "overload",
    ),
    "an error under another name": (event("error").replace(b'"error"', b'"response.error"'), "overload"),
    "an error that is nested": (
        event("error", error={"type": "invalid_request_error", "code": None, "message": "no"}),
        "rejected",
    ),
    "an error in words": (event("error", error="too many requests"), "rate"),
    "an error of another shape": (event("error", code=["x"], message="x"), "overload"),
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


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("server_error", "overload"),
        ("rate_limit_exceeded", "rate"),
        ("insufficient_quota", "balance"),
        ("context_length_exceeded", "overflow"),
        ("invalid_prompt", "refused"),
        ("cyber_policy", "refused"),
        ("image_content_policy_violation", "refused"),
        ("invalid_base64_image", "rejected"),
        ("model_not_found", "unknown_model"),
    ],
)
def test_the_code_of_an_error_gives_its_class(code: str, kind: str) -> None:
    ended = read_in(reader, [text("x") + event("error", code=code, message="Sorry.", param=None)])
    assert ended.failure == f"{kind}: openai broke off with an error: Sorry."


@pytest.mark.parametrize(
    ("words", "wait_s"),
    [("Please try again in 1.898s.", 1.898), ("try again in 250ms", 0.25), ("try again later", None)],
)
def test_the_wait_that_an_error_asks_for_is_kept(words: str, wait_s: float | None) -> None:
    found = reader()
    found.feed(event("error", code="rate_limit_exceeded", message=words))
    with pytest.raises(ModelError) as caught:
        found.finish(0.0)
    assert caught.value.wait_s == wait_s


def test_the_window_that_an_error_names_is_kept() -> None:
    found = reader()
    found.feed(event("error", code="context_length_exceeded", message="maximum context length is 65536"))
    with pytest.raises(ModelError) as caught:
        found.finish(0.0)
    assert (caught.value.kind, caught.value.window) == ("overflow", 65_536)


def test_half_a_character_in_a_whole_body_is_replaced() -> None:
    body = rb'{"status":"completed","output":[{"type":"message","content":[{"text":"a\ud83d b"}]}]}'
    found = reply(body)
    assert (found.message.text, found.repairs) == ("a\ufffd b", ("half a character was replaced",))


def test_an_unknown_event_may_have_any_shape() -> None:
    odd = event("code_interpreter.delta", delta={"x": 1}, output_index="first") + b'data: {"type": 5}\n\n'
    odd += event("mcp_call.failed", error={"message": "that tool is broken"})
    found = reply(odd + text("x") + completed())
    assert (found.message.text, found.repairs) == ("x", ())


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"input_tokens": 5, "output_tokens": 3, "more": None}, Usage(input=5, output=3)),
        ({"input_tokens": 5, "input_tokens_details": {"cached_tokens": 9}}, Usage(input=5, cached=5)),
        ({"input_tokens": -1, "output_tokens": None}, Usage()),
        (
            {"output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 4}},
            Usage(output=5, reasoning=4),
        ),
        ({"input_tokens": 5, "input_tokens_details": None}, Usage(input=5)),
    ],
)
def test_usage_is_read_from_every_shape(usage: Mapping[str, object], counted: Usage) -> None:
    assert reply(text("x") + completed(usage=usage)).usage == counted


def test_usage_that_cannot_be_read_does_not_spoil_the_reply() -> None:
    found = reply(text("x") + completed(usage={"input_tokens": "many"}))
    assert (found.usage, found.repairs) == (Usage(), ("the usage could not be read",))


@given(st.binary(max_size=300))
def test_noise_never_becomes_an_answer(noise: bytes) -> None:
    ended = read_in(reader, [b"data: ", noise])
    assert ended.reply is None


texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(st.lists(texts, min_size=1, max_size=8), st.integers(1, 40))
def test_text_in_any_pieces_comes_out_whole(pieces: list[str], step: int) -> None:
    data = b"".join(text(piece) for piece in [*pieces, "."]) + completed()
    ended = read_in(reader, [data[at : at + step] for at in range(0, len(data), step)])
    assert ended.reply is not None
    assert ended.reply.message.text == "".join(pieces) + "."
