from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.core.ids import BlobId, CallId, call_id
from hames.core.messages import (
    AssistantMessage,
    Call,
    Image,
    Message,
    Reasoning,
    Text,
    ToolMessage,
    UserMessage,
)
from hames.core.ports import AskOptions, Pinned, Reply, ToolSpec
from hames.core.profiles import ModelFacts, ModelProfile, Provider
from hames.models.profiles import providers
from hames.models.responses import ResponsesWire
from hames.testing.model_suite import check_body, read_in
from hames.testing.responses_events import ResponsesSpeech
from hames.testing.responses_rules import broken_responses_rule
from hames.testing.script import Served, ServedCall, ServedUsage
from tests.models.histories import PICTURES
from tests.models.histories import histories as mixed_histories

OPENAI = msgspec.structs.replace(providers()["custom"], name="openai", reasoning="always")
SILENT = msgspec.structs.replace(OPENAI, reasoning="never")
ON_CALLS = msgspec.structs.replace(OPENAI, reasoning="calls")
MARK = "responses/openai/gpt-x"
SPEC = ToolSpec("read", "Read a file.", msgspec.Raw(b'{"type": "object", "properties": {"b":{},"a":{}}}'))
PINNED = Pinned("gpt-x", "You are an agent.", msgspec.Raw(msgspec.json.encode([SPEC])))
BLOB = BlobId("0" * 64)
CALL = Call(CallId("1.0"), "call_oOjmwEF", "read", '{"file_path":  "a\\u0062" }')
THOUGHT = '{"id":"rs_1","type":"reasoning","encrypted_content":"gAAA\\u003d","summary":[]}'


def words(text: str) -> UserMessage:
    return UserMessage((Text(text),))


def result(call: Call, *parts: Text | Image) -> ToolMessage:
    return ToolMessage(call.id, call.wire_id, parts or (Text("ok"),))


def wire(provider: Provider = OPENAI, *, sees: bool = False, model: str = "gpt-x") -> ResponsesWire:
    return ResponsesWire(ModelProfile(provider, model, ModelFacts(1000, 100, sees=sees)))


def piece(message: Message, provider: Provider = OPENAI, *, sees: bool = False, model: str = "gpt-x") -> str:
    return wire(provider, sees=sees, model=model).piece(message, {BLOB: b"\x89PNG"}).decode()


def items(message: Message, provider: Provider = OPENAI, *, sees: bool = False) -> list[dict[str, object]]:
    return msgspec.json.decode(f"[{piece(message, provider, sees=sees)}]", type=list[dict[str, object]])


def kinds(message: Message, provider: Provider = OPENAI) -> list[object]:
    return [item["type"] for item in items(message, provider)]


def served(reply: Served, number: int = 1) -> Reply:
    speech, usage = ResponsesSpeech(), ServedUsage(5, 5)
    events = [
        *speech.begin(number, usage),
        *speech.deltas(reply, number),
        *speech.ending(reply, number, usage),
    ]
    ended = read_in(wire().reader, events)
    assert ended.reply is not None, ended.failure
    return ended.reply


replace = msgspec.structs.replace
texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30)
layouts = st.sampled_from([
    None,
    f"[{THOUGHT}," + '{"type":"message","id":"m","size":2},{"type":"function_call","id":"f"}]',
    '[{"type":"function_call"},{"type":"message","phase":"commentary","size":3}]',
    f"[{THOUGHT}," + '{"type":"function_call","id":"f"}]',
])  # fmt: skip
reasonings = st.none() | st.builds(
    Reasoning, st.sampled_from([MARK, "chat/openai/reasoning"]), texts, layouts
)
calls = st.builds(Call, st.just(CallId("")), texts, st.just("read"), texts)
assistant_messages = st.builds(AssistantMessage, texts, reasonings, st.lists(calls, max_size=3).map(tuple))
tool_messages = st.builds(ToolMessage, st.just(CallId("1.0")), texts, st.tuples(st.builds(Text, texts)))
histories = st.lists(st.one_of(texts.map(words), assistant_messages, tool_messages), min_size=1, max_size=6)
options = st.builds(
    AskOptions, st.none() | st.integers(1, 10**6), st.none() | st.sampled_from(["low", "none", "odd"])
)


@given(histories, options, st.sampled_from([OPENAI, SILENT, ON_CALLS]))
def test_every_history_is_one_json_object_that_extends_the_shorter_ones(
    messages: list[Message], asked: AskOptions, provider: Provider
) -> None:
    body = check_body(wire(provider), PINNED, messages, asked)
    sent = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    found = msgspec.json.decode(sent["input"], type=list[dict[str, object]])
    wanted = [call for m in messages if isinstance(m, AssistantMessage) for call in m.calls]
    called = [item for item in found if item["type"] == "function_call"]
    assert [item["arguments"] for item in called] == [call.arguments for call in wanted]
    assert not any("status" in item for item in found)


@given(mixed_histories(), options)
def test_every_history_of_whatever_wire_keeps_the_providers_rules(
    messages: list[Message], asked: AskOptions
) -> None:
    body = check_body(wire(sees=True), PINNED, messages, asked, PICTURES)
    assert broken_responses_rule(body) == ""


def test_instructions_and_tools_are_in_the_head_and_nothing_is_kept_on_the_server() -> None:
    body = check_body(wire(), PINNED, [words("Hi")], AskOptions())
    assert body == (
        b'{"model":"gpt-x","instructions":"You are an agent.","tools":[{"type":"function","name":"read",'
        b'"description":"Read a file.","parameters":{"type": "object", "properties": {"b":{},"a":{}}},'
        b'"strict":false}],"input":[{"type":"message","role":"user","content":"Hi"}],'
        b'"stream":true,"store":false,"include":["reasoning.encrypted_content"]}'
    )


def test_without_system_text_and_tools_there_is_no_field_for_them() -> None:
    assert wire().head(Pinned("m", "", msgspec.Raw(b"[]"))) == b'{"model":"m","input":['


def test_a_reply_from_elsewhere_is_its_text_and_then_its_calls() -> None:
    message = AssistantMessage("I look.", Reasoning("chat/openai/reasoning", "Hm."), (CALL,))
    assert piece(message) == (
        '{"type":"message","role":"assistant","content":"I look."},'
        '{"type":"function_call","call_id":"call_oOjmwEF","name":"read",'
        '"arguments":"{\\"file_path\\":  \\"a\\\\u0062\\" }"}'
    )
    assert kinds(AssistantMessage("", None, (CALL, CALL))) == ["function_call", "function_call"]
    assert items(AssistantMessage("")) == [{"type": "message", "role": "assistant", "content": ""}]


def test_reasoning_goes_back_unchanged_and_in_its_place() -> None:
    layout = (
        '[{"type":"message","id":"msg_1","phase":"commentary","size":5},'
        + THOUGHT
        + ',{"type":"function_call","id":"fc_1"},{"type":"message","id":"msg_2","size":3}]'
    )
    sent = piece(AssistantMessage("Look.\n\nSo:", Reasoning(MARK, "", layout), (CALL,)))
    first, thought, call, last = items(AssistantMessage("Look.\n\nSo:", Reasoning(MARK, "", layout), (CALL,)))
    assert f",{THOUGHT}," in sent
    assert "status" not in sent
    assert thought["encrypted_content"] == "gAAA="
    assert (first["id"], first["phase"]) == ("msg_1", "commentary")
    assert first["content"] == [{"type": "output_text", "text": "Look.", "annotations": []}]
    assert (call["id"], call["call_id"], call["arguments"]) == ("fc_1", "call_oOjmwEF", CALL.arguments)
    assert last["content"] == [{"type": "output_text", "text": "So:", "annotations": []}]


def test_only_the_model_that_made_reasoning_gets_it_back() -> None:
    layout = f"[{THOUGHT}," + '{"type":"function_call","id":"fc_1"}]'
    plain = piece(AssistantMessage("", None, (CALL,)))
    assert THOUGHT in piece(AssistantMessage("", Reasoning(MARK, "", layout), (CALL,)))
    assert piece(AssistantMessage("", Reasoning(MARK, "", layout), (CALL,)), model="gpt-y") == plain
    for made_by in ("responses/other/gpt-x", "chat/openai/reasoning"):
        assert piece(AssistantMessage("", Reasoning(made_by, "", layout), (CALL,))) == plain
    assert piece(AssistantMessage("", Reasoning(MARK, "Hm."), (CALL,))) == plain


def test_a_provider_that_wants_no_reasoning_is_not_asked_for_it_either() -> None:
    layout = f"[{THOUGHT}," + '{"type":"message","id":"msg_1","size":1}]'
    said = AssistantMessage("x", Reasoning(MARK, "", layout))
    assert kinds(said) == ["reasoning", "message"]
    assert kinds(said, SILENT) == kinds(said, ON_CALLS) == ["message"]
    assert b"encrypted_content" in wire(ON_CALLS).tail(AskOptions())
    assert wire(SILENT).tail(AskOptions()) == b'],"stream":true,"store":false}'


def test_a_provider_that_wants_reasoning_beside_calls_gets_an_empty_one_where_there_is_none() -> None:
    layout = f"[{THOUGHT}," + '{"type":"function_call","id":"fc_1"}]'
    own, foreign = Reasoning(MARK, "", layout), Reasoning("chat/openai/reasoning", "Hm.")
    first, last = items(AssistantMessage("", own, (CALL,)), ON_CALLS)
    assert (first["id"], last["id"]) == ("rs_1", "fc_1")
    for reasoning in (foreign, None):
        first, said, last = items(AssistantMessage("x", reasoning, (CALL,)), ON_CALLS)
        assert first["content"] == [{"type": "reasoning_text", "text": ""}]
        assert (said["type"], last["type"]) == ("message", "function_call")
        assert kinds(AssistantMessage("x", reasoning), ON_CALLS) == ["message"]


def test_a_reply_that_was_changed_goes_without_its_reasoning() -> None:
    layout = f"[{THOUGHT}," + '{"type":"message","id":"msg_1","size":5},{"type":"function_call","id":"f"}]'
    for text, made in (("Look.", ()), ("Look!!", (CALL,)), ("", (CALL,))):
        assert "reasoning" not in kinds(AssistantMessage(text, Reasoning(MARK, "", layout), made))


@pytest.mark.parametrize("wire_id", ["call_oOjmwEF", "toolu_01-aB", "x" * 64])
def test_an_id_of_a_call_is_sent_as_it_came(wire_id: str) -> None:
    made = Call(CallId("1.0"), wire_id, "read", "{}")
    assert [item["call_id"] for item in items(AssistantMessage("", None, (made,)))] == [wire_id]
    assert [item["call_id"] for item in items(result(made))] == [wire_id]


@pytest.mark.parametrize("wire_id", ["", "call_0", "functions.read:0", "x" * 65, "é" * 12])
def test_an_id_that_the_protocol_refuses_or_that_may_come_twice_is_replaced(wire_id: str) -> None:
    sent: set[object] = set()
    for step in (1, 2):
        made = Call(call_id(step, 0), wire_id, "read", "{}")
        (asked,) = items(AssistantMessage("", None, (made,)))
        (answered,) = items(result(made))
        assert asked["call_id"] == answered["call_id"]
        sent.add(asked["call_id"])
    assert len(sent) == 2
    assert all(isinstance(name, str) and len(name) == 29 and name.startswith("call_") for name in sent)


def test_a_model_that_sees_gets_the_picture_and_another_is_told() -> None:
    parts = (Text("Look:"), Image("image/png", BLOB))
    shown = [
        {"type": "input_text", "text": "Look:"},
        {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,iVBORw=="},
    ]
    told = "Look:\n[image/png picture, not shown: this model cannot see pictures]"
    assert items(UserMessage(parts), sees=True)[0]["content"] == shown
    assert items(UserMessage(parts))[0]["content"] == told
    assert items(result(CALL, *parts), sees=True)[0]["output"] == shown
    assert items(result(CALL, *parts))[0]["output"] == told
    assert items(result(CALL), sees=True)[0]["output"] == "ok"
    (drawing,) = items(UserMessage((Image("image/svg+xml", BLOB),)), sees=True)
    words = "[image/svg+xml picture, not shown: the server does not take this kind]"
    assert drawing["content"] == [{"type": "input_text", "text": words}]


def test_a_missing_picture_is_an_error_and_not_a_blank() -> None:
    with pytest.raises(KeyError):
        wire(sees=True).piece(UserMessage((Image("image/png", BLOB),)), {})


@pytest.mark.parametrize(
    ("effort", "sent"),
    [
        (None, {"reasoning": {"summary": "auto"}, "stream": True}),
        ("high", {"reasoning": {"summary": "auto", "effort": "high"}, "stream": True}),
        ("off", {"reasoning": {"effort": "none"}, "stream": True}),
    ],
)
def test_an_effort_is_asked_for_beside_the_providers_own_words(
    effort: str | None, sent: dict[str, object]
) -> None:
    provider = msgspec.structs.replace(
        SILENT,
        extra={"reasoning": msgspec.Raw(b'{"summary":"auto"}')},
        efforts={"off": {"reasoning": msgspec.Raw(b'{"effort":"none"}')}},
    )
    tail = wire(provider).tail(AskOptions(effort=effort))
    found = msgspec.json.decode(b"{" + tail.removeprefix(b"],"), type=dict[str, object])
    assert found == {**sent, "store": False}
    plain = wire(SILENT).tail(AskOptions(max_tokens=5, effort="low"))
    assert plain.endswith(b'"store":false,"max_output_tokens":5,"reasoning":{"effort":"low"}}')


def thought(text: str, at: int) -> dict[str, object]:
    summary = [{"type": "summary_text", "text": text}] if text else []
    return {"type": "reasoning", "id": f"rs_{at}", "encrypted_content": f"g/{at}+=", "summary": summary}


def said(text: str, at: int) -> dict[str, object]:
    content: list[dict[str, object]] = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": f"msg_{at}", "role": "assistant", "content": content}


def called(text: str, at: int) -> dict[str, object]:
    arguments = msgspec.json.encode({"x": text}).decode()
    return {
        "type": "function_call",
        "id": f"fc_{at}",
        "call_id": f"call_abcdef_{at}",
        "name": "read",
        "arguments": arguments,
    }


def events_of(output: list[dict[str, object]], *, pieces: bool, repeat: bool) -> bytes:
    """A stream of these items, in pieces or not, that repeats them at its end or does not."""
    events: list[dict[str, object]] = []
    for at, item in enumerate(output):
        if pieces:
            begun: dict[str, object] = {
                **item,
                "status": "in_progress",
                "content": [],
                "summary": [],
                "arguments": "",
            }
            events.append({"type": "response.output_item.added", "output_index": at, "item": begun})
        events.append({
            "type": "response.output_item.done",
            "output_index": at,
            "item": {**item, "status": "completed"},
        })  # fmt: skip
    response = {"status": "completed", "output": output if repeat else []}
    events.append({"type": "response.completed", "response": response})
    return b"".join(b"data: %b\n\n" % msgspec.json.encode(event) for event in events)


outputs = st.lists(st.tuples(st.sampled_from([thought, said, called]), texts), min_size=1, max_size=6)


@given(outputs, st.booleans(), st.booleans(), st.integers(1, 50))
def test_what_a_server_said_goes_back_to_it_item_by_item(
    made: list[tuple[Callable[[str, int], dict[str, object]], str]], pieces: bool, repeat: bool, step: int
) -> None:
    output = [make(text or ("x" if make is said else ""), at) for at, (make, text) in enumerate(made)]
    output.append(said("The end.", len(output)))
    data = events_of(output, pieces=pieces, repeat=repeat)
    ended = read_in(wire().reader, [data[at : at + step] for at in range(0, len(data), step)])
    assert ended.reply is not None
    sent = items(ended.reply.message)
    if any(item["type"] == "reasoning" for item in output):
        assert sent == output
    else:
        assert [item["type"] for item in sent] == [item["type"] for item in output]
        assert not any("id" in item for item in sent)


def test_a_whole_conversation_is_what_a_strict_server_accepts() -> None:
    script = [
        Served(text="I look.", reasoning="Where {i}?", calls=(ServedCall("read"), ServedCall("bash"))),
        Served(reasoning="Hm {i}.", calls=(ServedCall("read", id="functions.read:0"),)),
        Served(text="No thought.", calls=(ServedCall("read", id="functions.read:0"),)),
        Served(text="Done.", reasoning="So {i}."),
    ]
    messages: list[Message] = [words("Go")]
    before = b""
    for number, reply in enumerate(script, 1):
        body = check_body(wire(), PINNED, messages, AskOptions())
        assert broken_responses_rule(body) == ""
        assert body.startswith(before)
        before = body[: -len(wire().tail(AskOptions()))]
        found = served(reply, number).message
        mine = tuple(replace(call, id=call_id(number, at)) for at, call in enumerate(found.calls))
        found = replace(found, calls=mine)
        messages += [found, *(result(call) for call in found.calls)]
        messages += [] if found.calls else [words("Go on")]
    body = check_body(wire(), PINNED, messages, AskOptions())
    assert broken_responses_rule(body) == ""
    assert body.count(b"sealed-") == 3
    other = check_body(wire(model="gpt-y"), PINNED, messages, AskOptions())
    assert broken_responses_rule(other) == ""
    assert b"sealed-" not in other
