import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.core.ids import BlobId, CallId
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
from hames.core.ports import AskOptions, Pinned, ToolSpec
from hames.core.profiles import Provider
from hames.models.chat import ChatWire
from hames.models.profiles import providers
from hames.testing.model_suite import check_body
from hames.testing.request_rules import broken_rule
from tests.models.histories import PICTURES
from tests.models.histories import histories as mixed_histories

DEEPSEEK = providers()["deepseek"]
CUSTOM = providers()["custom"]
CHAT = [provider for provider in providers().values() if provider.wire == "chat"]
SPEC = ToolSpec("read", "Read a file.", msgspec.Raw(b'{"type": "object", "properties": {"b":{},"a":{}}}'))
PINNED = Pinned("deepseek-flash", "You are an agent.", msgspec.Raw(msgspec.json.encode([SPEC])))
BLOB = BlobId("0" * 64)
CALL = Call(CallId("1.0"), "call_1", "read", '{"file_path":  "a\\u0062" }')


def words(text: str) -> UserMessage:
    return UserMessage((Text(text),))


def piece(message: Message, provider: Provider = DEEPSEEK, *, sees: bool = False) -> str:
    return ChatWire(provider, sees=sees).piece(message, {BLOB: b"\x89PNG"}).decode()


texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30)
user_messages = texts.map(words)
reasonings = st.none() | st.builds(
    Reasoning, st.sampled_from(["chat/deepseek/reasoning_content", "chat/custom/reasoning", "other"]), texts
)
calls = st.builds(Call, st.just(CallId("")), texts, st.just("read"), texts)
assistant_messages = st.builds(AssistantMessage, texts, reasonings, st.lists(calls, max_size=3).map(tuple))
tool_messages = st.builds(ToolMessage, st.just(CallId("1.0")), texts, st.tuples(st.builds(Text, texts)))
histories = st.lists(st.one_of(user_messages, assistant_messages, tool_messages), min_size=1, max_size=6)
options = st.builds(
    AskOptions, st.none() | st.integers(1, 10**6), st.none() | st.sampled_from(["low", "none", "odd"])
)


@given(histories, options, st.sampled_from([DEEPSEEK, CUSTOM]))
def test_every_history_is_one_json_object_that_extends_the_shorter_ones(
    messages: list[Message], asked: AskOptions, provider: Provider
) -> None:
    body = check_body(ChatWire(provider), PINNED, messages, asked)
    decoded = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    sent = msgspec.json.decode(decoded["messages"], type=list[dict[str, msgspec.Raw]])
    assert len(sent) == len(messages) + 1


@given(mixed_histories(), options, st.sampled_from(CHAT))
def test_every_history_of_whatever_wire_keeps_the_providers_rules(
    messages: list[Message], asked: AskOptions, provider: Provider
) -> None:
    body = check_body(ChatWire(provider, sees=True), PINNED, messages, asked, PICTURES)
    assert broken_rule(body, "deepseek" if provider is DEEPSEEK else "chat") == ""


def test_the_first_request_is_these_bytes() -> None:
    body = check_body(ChatWire(DEEPSEEK), PINNED, [words("hi")], AskOptions(max_tokens=100, effort="max"))
    assert body.decode() == (
        '{"model":"deepseek-flash","tools":[{"type":"function","function":{"name":"read",'
        '"description":"Read a file.","parameters":{"type": "object", "properties": {"b":{},"a":{}}}}}],'
        '"messages":[{"role":"system","content":"You are an agent."},{"role":"user","content":"hi"}],'
        '"stream":true,"stream_options":{"include_usage":true},"max_tokens":100,"reasoning_effort":"max"}'
    )


def test_without_system_text_and_tools_the_messages_still_make_a_body() -> None:
    pinned = Pinned("m", "", msgspec.Raw(b"[]"))
    body = check_body(ChatWire(DEEPSEEK), pinned, [words("a"), words("b")], AskOptions())
    assert body.startswith(b'{"model":"m","messages":[{"role":"user","content":"a"},{"role":"user"')


def test_arguments_go_back_letter_for_letter() -> None:
    sent = msgspec.json.decode(piece(AssistantMessage("", calls=(CALL,))))
    assert sent["tool_calls"][0] == {
        "id": "call_1",
        "type": "function",
        "function": {"name": "read", "arguments": '{"file_path":  "a\\u0062" }'},
    }
    assert sent["content"] == ""


def test_deepseek_gets_its_reasoning_back_with_every_message_that_has_calls() -> None:
    own = Reasoning("chat/deepseek/reasoning_content", "Hm.\n")
    foreign = Reasoning("chat/custom/reasoning", "Hm.\n")
    with_calls = [AssistantMessage("x", reasoning, (CALL,)) for reasoning in (own, None, foreign)]
    found = [msgspec.json.decode(piece(message))["reasoning_content"] for message in with_calls]
    assert found == ["Hm.\n", "", ""]
    assert "reasoning_content" not in piece(AssistantMessage("x", own))


def test_other_servers_get_reasoning_back_in_the_field_it_came_in() -> None:
    for field in ("reasoning", "reasoning_content"):
        message = AssistantMessage("x", Reasoning(f"chat/custom/{field}", "Hm."))
        assert msgspec.json.decode(piece(message, CUSTOM)) == {
            "role": "assistant",
            "content": "x",
            field: "Hm.",
        }
    for reasoning in (None, Reasoning("chat/deepseek/reasoning_content", "Hm.")):
        assert "reasoning" not in piece(AssistantMessage("x", reasoning, (CALL,)), CUSTOM)


def test_a_provider_that_wants_no_reasoning_gets_none() -> None:
    silent = msgspec.structs.replace(CUSTOM, reasoning="never")
    assert "Hm" not in piece(
        AssistantMessage("x", Reasoning("chat/custom/reasoning", "Hm."), (CALL,)), silent
    )


def test_details_go_back_as_they_came_to_the_model_that_made_them_alone() -> None:
    router = providers()["openrouter"]
    details = '[{"type":"reasoning.text","text":"Hm.","signature":"s","index":0}]'
    own = Reasoning("chat/openrouter/org/a/reasoning_details", "Hm.", details)
    message = AssistantMessage("x", own, (CALL,))
    sent = ChatWire(router, model="org/a").piece(message, {}).decode()
    assert f',"reasoning_details":{details},' in sent
    for other in (ChatWire(router, model="org/b"), ChatWire(CUSTOM, model="org/a")):
        assert "Hm." not in other.piece(message, {}).decode()


def test_kimi_gets_a_thought_with_every_message_and_a_blank_where_there_was_none() -> None:
    kimi = providers()["kimi"]
    own = Reasoning("chat/kimi/reasoning_content", "Hm.")
    messages = [
        AssistantMessage("x", own),
        AssistantMessage("x"),
        AssistantMessage("", None, (CALL,)),
        AssistantMessage("x", Reasoning("chat/deepseek/reasoning_content", "Not his."), (CALL,)),
    ]
    found = [msgspec.json.decode(piece(message, kimi))["reasoning_content"] for message in messages]
    assert found == ["Hm.", " ", " ", " "]


def test_a_model_that_sees_gets_the_picture_and_another_is_told() -> None:
    message = UserMessage((Text("Look:"), Image("image/png", BLOB)))
    assert msgspec.json.decode(piece(message, sees=True))["content"] == [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
    ]
    blind = msgspec.json.decode(piece(message))["content"]
    assert blind == "Look:\n[image/png picture, not shown: this model cannot see pictures]"


def test_a_picture_in_a_result_is_told_of_in_words() -> None:
    message = ToolMessage(CallId("1.0"), "call_1", (Text("done"), Image("image/png", BLOB)))
    assert msgspec.json.decode(piece(message, sees=True)) == {
        "role": "tool",
        "tool_call_id": "call_1",
        "content": "done\n[image/png picture, not shown: tool results carry text only]",
    }


def test_a_missing_picture_is_an_error_and_not_a_blank() -> None:
    with pytest.raises(KeyError):
        ChatWire(DEEPSEEK, sees=True).piece(UserMessage((Image("image/png", BLOB),)), {})


@pytest.mark.parametrize(
    ("effort", "sent"),
    [
        (None, b""),
        ("none", b',"thinking":{"type":"disabled"}'),
        ("medium", b',"reasoning_effort":"high"'),
        ("ultra", b',"reasoning_effort":"max"'),
        ("odd", b',"reasoning_effort":"odd"'),
    ],
)
def test_an_effort_is_asked_for_in_the_providers_words(effort: str | None, sent: bytes) -> None:
    begin = b'],"stream":true,"stream_options":{"include_usage":true}'
    assert ChatWire(DEEPSEEK).tail(AskOptions(effort=effort)) == begin + sent + b"}"


def test_an_effort_stands_for_what_is_sent_else_and_no_parameter_is_sent_twice() -> None:
    extra = {"thinking": msgspec.Raw(b'{"type":"enabled"}'), "top_p": msgspec.Raw(b"0.5")}
    wire = ChatWire(msgspec.structs.replace(DEEPSEEK, extra=extra))
    begin = b'],"stream":true,"stream_options":{"include_usage":true}'
    assert wire.tail(AskOptions(effort="none")) == begin + b',"thinking":{"type":"disabled"},"top_p":0.5}'
    assert wire.tail(AskOptions()) == begin + b',"thinking":{"type":"enabled"},"top_p":0.5}'


def test_the_parameters_follow_the_provider() -> None:
    provider = msgspec.structs.replace(
        CUSTOM,
        stream_usage=False,
        max_tokens_field="max_completion_tokens",
        extra={"top_p": msgspec.Raw(b"0.5"), "stop": msgspec.Raw(b'["x"]')},
    )
    tail = ChatWire(provider).tail(AskOptions(max_tokens=5))
    assert tail == b'],"stream":true,"max_completion_tokens":5,"top_p":0.5,"stop":["x"]}'
