import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.core.ids import CallId
from hames.core.messages import (
    AssistantMessage,
    Call,
    Image,
    Message,
    Reasoning,
    ResultPlace,
    Text,
    ToolMessage,
    UserMessage,
)
from hames.core.ports import AskOptions, Pinned, ToolSpec
from hames.core.profiles import ModelProfile
from hames.models.messages import MessagesWire
from hames.models.profiles import on_wire, resolve
from hames.testing.messages_rules import broken_messages_rule
from hames.testing.model_suite import check_body
from tests.models.histories import BLOB, PICTURES, histories

CLAUDE = resolve("anthropic")
LOCAL = ModelProfile(on_wire(resolve("custom/m").provider, "messages"), "m", resolve("custom/m").facts)
SPEC = ToolSpec("read", "Read a file.", msgspec.Raw(b'{"type": "object", "properties": {"b":{},"a":{}}}'))
PINNED = Pinned("claude-opus-5-5", "You are an agent.", msgspec.Raw(msgspec.json.encode([SPEC])))
CALL = Call(CallId("1.0"), "toolu_01A09q90qw", "read", '{"file_path":  "a\\u0062" }')
OWN = "messages/anthropic/claude-opus-5-5"
THOUGHT = '{"type":"thinking","thinking":"Hm.","signature":"c2ln"}'


def words(text: str) -> UserMessage:
    return UserMessage((Text(text),))


def piece(message: Message, profile: ModelProfile = CLAUDE) -> dict[str, object]:
    data = MessagesWire(profile).piece(message, PICTURES)
    return msgspec.json.decode(data, type=dict[str, object])


def raw_piece(message: Message, profile: ModelProfile = CLAUDE) -> str:
    return MessagesWire(profile).piece(message, PICTURES).decode()


options = st.builds(
    AskOptions, st.none() | st.integers(1, 10**6), st.none() | st.sampled_from(["low", "none", "odd"])
)


@given(histories(), options, st.sampled_from([CLAUDE, LOCAL]))
def test_every_history_extends_the_shorter_ones_and_keeps_the_providers_rules(
    messages: list[Message], asked: AskOptions, profile: ModelProfile
) -> None:
    body = check_body(MessagesWire(profile), PINNED, messages, asked, PICTURES)
    assert broken_messages_rule(body) == ""


def test_the_first_request_is_these_bytes() -> None:
    asked = AskOptions(max_tokens=100, effort="max")
    body = check_body(MessagesWire(CLAUDE), PINNED, [words("hi")], asked)
    assert body.decode() == (
        '{"model":"claude-opus-5-5","tools":[{"name":"read","description":"Read a file.",'
        '"input_schema":{"type": "object", "properties": {"b":{},"a":{}}}}],'
        '"system":[{"type":"text","text":"You are an agent.","cache_control":{"type":"ephemeral"}}],'
        '"messages":[{"role":"user","content":"hi"}],"stream":true,"max_tokens":100,'
        '"cache_control":{"type":"ephemeral"},"thinking":{"type":"adaptive","display":"summarized",'
        '"block_binding":{"prefix_mismatch_behavior":"drop_block"}},"output_config":{"effort":"max"}}'
    )


def test_without_a_system_text_the_mark_ends_the_tools_and_without_both_there_is_none() -> None:
    wire = MessagesWire(CLAUDE)
    two = msgspec.Raw(msgspec.json.encode([SPEC, SPEC]))
    head = wire.head(Pinned("m", "", two))
    assert head.endswith(b'}},"cache_control":{"type":"ephemeral"}}],"messages":[')
    assert head.count(b"cache_control") == 1
    assert msgspec.json.decode(head + b"]}")["tools"][1]["cache_control"] == {"type": "ephemeral"}
    assert wire.head(Pinned("m", "", msgspec.Raw(b"[]"))) == b'{"model":"m","messages":['
    assert b"cache_control" not in MessagesWire(LOCAL).head(PINNED)


def test_the_output_limit_is_always_named() -> None:
    assert b'"max_tokens":128000' in MessagesWire(CLAUDE).tail(AskOptions())
    assert b'"max_tokens":7,' in MessagesWire(CLAUDE).tail(AskOptions(max_tokens=7))


@pytest.mark.parametrize(
    ("effort", "sent"),
    [
        (None, b""),
        ("none", b',"thinking":{"type":"disabled"}'),
        ("high", b',"output_config":{"effort":"high"}'),
    ],
)
def test_an_effort_is_asked_for_in_the_words_of_the_wire(effort: str | None, sent: bytes) -> None:
    tail = MessagesWire(LOCAL).tail(AskOptions(effort=effort))
    assert tail == b'],"stream":true,"max_tokens":16384' + sent + b"}"


def test_a_profile_may_ask_for_an_effort_by_a_budget_in_place_of_its_usual_parameters() -> None:
    budget = {"thinking": msgspec.Raw(b'{"type":"enabled","budget_tokens":4096}')}
    provider = msgspec.structs.replace(CLAUDE.provider, efforts={"high": budget})
    wire = MessagesWire(msgspec.structs.replace(CLAUDE, provider=provider))
    sent = msgspec.json.decode(b'{"messages":[' + wire.tail(AskOptions(effort="high")))
    assert sent["thinking"] == {"type": "enabled", "budget_tokens": 4096}
    assert sent["cache_control"] == {"type": "ephemeral"}


def test_all_results_of_a_reply_are_one_message() -> None:
    wire = MessagesWire(CLAUDE)
    results = [ToolMessage(CallId(f"1.{at}"), f"toolu_000{at}", (Text(f"r{at}"),)) for at in range(3)]
    places = [ResultPlace(last=False), ResultPlace(first=False, last=False), ResultPlace(first=False)]
    joined = b",".join(wire.piece(r, {}, p) for r, p in zip(results, places, strict=True))
    assert msgspec.json.decode(joined) == {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": f"toolu_000{at}", "content": f"r{at}"} for at in range(3)
        ],
    }


def test_arguments_go_back_letter_for_letter() -> None:
    sent = raw_piece(AssistantMessage("", calls=(CALL,)))
    assert '"input":{"file_path":  "a\\u0062" }' in sent


def test_arguments_that_are_no_object_go_back_inside_one() -> None:
    for raw, sent in (('{"a', {"arguments that are not a JSON object": '{"a'}), ("", {})):
        message = AssistantMessage("", calls=(msgspec.structs.replace(CALL, arguments=raw),))
        assert f'"input":{msgspec.json.encode(sent).decode()}' in raw_piece(message)


def test_a_reply_goes_back_with_its_blocks_in_the_order_they_came_in() -> None:
    second = msgspec.structs.replace(CALL, wire_id="toolu_01B09q90qw", arguments="{}")
    redacted = '{"type":"redacted_thinking","data":"RW1l"}'
    kept = (
        f'[{THOUGHT},{{"type":"text","at":0,"size":5}},{{"type":"tool_use"}},{redacted},'
        '{"type":"text","at":7,"size":3},{"type":"tool_use"}]'
    )
    message = AssistantMessage("First\n\nEnd", Reasoning(OWN, "Hm.", kept), (CALL, second))
    assert raw_piece(message) == (
        f'{{"role":"assistant","content":[{THOUGHT},{{"type":"text","text":"First"}},'
        '{"type":"tool_use","id":"toolu_01A09q90qw","name":"read","input":{"file_path":  "a\\u0062" }},'
        f'{redacted},{{"type":"text","text":"End"}},'
        '{"type":"tool_use","id":"toolu_01B09q90qw","name":"read","input":{}}]}'
    )


def test_where_words_or_calls_were_mended_the_thoughts_come_first() -> None:
    kept = f'[{{"type":"text","at":0,"size":5}},{THOUGHT},{{"type":"tool_use"}}]'
    for text, calls in (("Other", ()), ("Else", (CALL,))):
        sent = raw_piece(AssistantMessage(text, Reasoning(OWN, "Hm.", kept), calls))
        assert sent.startswith(f'{{"role":"assistant","content":[{THOUGHT},{{"type":"text","text":"{text}"}}')
        assert sent.count('"tool_use"') == len(calls)


def test_a_thought_of_another_model_or_wire_is_left_out() -> None:
    for maker in ("messages/anthropic/claude-sonnet-5-5", "chat/deepseek/reasoning_content"):
        message = AssistantMessage("Yes.", Reasoning(maker, "Hm.", f"[{THOUGHT}]"), (CALL,))
        assert "Hm" not in raw_piece(message)
        assert "thinking" not in raw_piece(message)


def test_a_provider_that_wants_thoughts_beside_calls_gets_an_empty_one_where_there_was_none() -> None:
    deepseek = resolve("deepseek")
    profile = msgspec.structs.replace(deepseek, provider=on_wire(deepseek.provider, "messages"))
    sent = raw_piece(AssistantMessage("x", None, (CALL,)), profile)
    assert '"content":[{"type":"thinking","thinking":"","signature":""},{"type":"text"' in sent
    assert "thinking" not in raw_piece(AssistantMessage("x"), profile)
    silent = msgspec.structs.replace(CLAUDE.provider, reasoning="never")
    own = AssistantMessage("x", Reasoning(OWN, "Hm.", f"[{THOUGHT}]"), (CALL,))
    assert "Hm" not in raw_piece(own, msgspec.structs.replace(CLAUDE, provider=silent))


def test_no_message_is_empty_and_none_ends_with_a_thought() -> None:
    nothing = {"type": "text", "text": "[no words]"}
    assert piece(AssistantMessage(" \n")) == {"role": "assistant", "content": [nothing]}
    assert piece(words(" ")) == {"role": "user", "content": "[no words]"}
    thought = piece(AssistantMessage("", Reasoning(OWN, "Hm.", f"[{THOUGHT}]")))
    assert thought["content"] == [msgspec.json.decode(THOUGHT), nothing]
    result = msgspec.json.decode(raw_piece(ToolMessage(CallId("1.0"), "toolu_0001", (Text(""),))))
    assert result["content"] == [{"type": "tool_result", "tool_use_id": "toolu_0001"}]


def test_ids_and_names_that_the_server_would_refuse_are_replaced_alike_in_call_and_result() -> None:
    seen: set[str] = set()
    for step, wire_id in enumerate(
        ["functions.read:0", "call_0", "call_0", "x" * 65, "", "查查查查查查查查查查"]
    ):
        call = Call(CallId(f"{step}.0"), wire_id, "no such tool", "{}")
        made = msgspec.json.decode(raw_piece(AssistantMessage("", calls=(call,))))["content"][0]
        answered = msgspec.json.decode(raw_piece(ToolMessage(call.id, wire_id, (Text("x"),))))["content"][0]
        assert made["id"] == answered["tool_use_id"]
        assert made["name"] == "no_such_tool"
        seen.add(made["id"])
    assert len(seen) == 6
    assert all(name.startswith("call_") and len(name) == 29 for name in seen)


def test_a_model_that_sees_gets_pictures_from_people_and_from_tools() -> None:
    shown = (Text("Look:"), Image("image/png", BLOB))
    blocks = [
        {"type": "text", "text": "Look:"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}},
    ]
    assert piece(UserMessage(shown))["content"] == blocks
    result = msgspec.json.decode(raw_piece(ToolMessage(CallId("1.0"), "toolu_0001", shown)))
    assert result["content"][0]["content"] == blocks
    with pytest.raises(KeyError):
        MessagesWire(CLAUDE).piece(UserMessage(shown), {})


def test_a_picture_that_cannot_be_shown_is_told_of() -> None:
    shown = UserMessage((Text("Look:"), Image("image/png", BLOB)))
    told = "Look:\n[image/png picture, not shown: this model cannot see it]"
    assert piece(shown, LOCAL)["content"] == told
    both = UserMessage((Image("image/tiff", BLOB), Image("image/png", BLOB), Text(" ")))
    assert raw_piece(both).count('"type":') == 3
    assert piece(UserMessage((Image("image/tiff", BLOB),)))["content"] == (
        "[image/tiff picture, not shown: this model cannot see it]"
    )
