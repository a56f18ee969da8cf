import msgspec
import pytest
from hypothesis import given

from hames.core.ids import CallId
from hames.core.messages import AssistantMessage, Call, Image, Message, Text, ToolMessage, UserMessage
from hames.core.ports import AskOptions, Pinned, ToolSpec
from hames.models.chat_json import ChatJsonWire
from hames.models.profiles import providers
from hames.testing.model_suite import check_body
from hames.testing.request_rules import broken_rule
from tests.models.histories import BLOB, PICTURES, histories

CUSTOM = providers()["custom"]
SPECS = [
    ToolSpec("read", "Read a file.", msgspec.Raw(b'{"type":"object","properties":{"b":{},"a":{}}}')),
    ToolSpec("bash", "Run a command.", msgspec.Raw(b'{"type":"object"}')),
]
PINNED = Pinned("m", "You are an agent.", msgspec.Raw(msgspec.json.encode(SPECS)))
WIRE = ChatJsonWire(CUSTOM, sees=True, model="m")


class _Schema(msgspec.Struct):
    schema: dict[str, object]


class _Format(msgspec.Struct):
    json_schema: _Schema


class _Told(msgspec.Struct):
    role: str
    content: str


class _Head(msgspec.Struct):
    response_format: _Format
    messages: list[_Told]


def head(pinned: Pinned) -> tuple[dict[str, object], str]:
    """The schema of replies, and what the model is told first."""
    body = msgspec.json.decode(WIRE.head(pinned).removesuffix(b",") + b"]}", type=_Head)
    return body.response_format.json_schema.schema, body.messages[0].content


def content(message: Message) -> str:
    return msgspec.json.decode(WIRE.piece(message, PICTURES), type=_Told).content


def closed(required: list[str], **properties: object) -> dict[str, object]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def call_of(name: str, arguments: object) -> dict[str, object]:
    return closed(["name", "arguments"], name={"type": "string", "enum": [name]}, arguments=arguments)


@given(histories())
def test_every_history_is_one_request_that_extends_the_shorter_ones_and_needs_no_tools(
    messages: list[Message],
) -> None:
    body = check_body(WIRE, PINNED, messages, AskOptions(max_tokens=5), PICTURES)
    assert broken_rule(body, "json_schema") == ""


def test_the_form_allows_words_or_calls_of_the_tools() -> None:
    read: dict[str, object] = {
        "type": "object",
        "properties": {"b": {}, "a": {}},
        "additionalProperties": False,
    }
    call = {"anyOf": [call_of("read", read), call_of("bash", {"type": "object"})]}
    say = {"type": "string"}
    assert head(PINNED)[0] == {
        "anyOf": [
            closed(["say"], say=say),
            closed(["calls"], say=say, calls={"type": "array", "items": call, "minItems": 1}),
        ]
    }


def test_a_model_that_must_call_has_no_other_way_to_answer() -> None:
    wire = ChatJsonWire(CUSTOM, must_call=True)
    body = msgspec.json.decode(wire.head(PINNED).removesuffix(b",") + b"]}", type=_Head)
    form = body.response_format.json_schema.schema
    assert form["required"] == ["calls"]
    assert "'maxItems': 1" in str(form)


def test_arguments_are_held_to_the_schema_of_their_tool_all_the_way_down() -> None:
    todo = {"type": "object", "properties": {"content": {"type": "string"}}}
    parameters = {"type": "object", "properties": {"todos": {"type": "array", "items": todo}}}
    more: dict[str, object] = {"type": "object", "properties": {}, "additionalProperties": True}
    specs = [
        ToolSpec(name, "", msgspec.Raw(msgspec.json.encode(schema)))
        for name, schema in (("todo", parameters), ("free", more))
    ]
    told = head(Pinned("m", "", msgspec.Raw(msgspec.json.encode(specs))))[0]
    shut = {**todo, "additionalProperties": False}
    arguments = {
        "type": "object",
        "properties": {"todos": {"type": "array", "items": shut}},
        "additionalProperties": False,
    }
    assert _sorted(call_of("todo", arguments)) in _sorted(told)
    assert _sorted(call_of("free", more)) in _sorted(told)


def _sorted(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def test_the_tools_stand_in_the_system_text() -> None:
    assert head(PINNED)[1] == (
        "You are an agent.\n\n"
        "Answer with one JSON object and nothing else.\n"
        'To call tools: {"say": "why, in a few words", "calls": [{"name": "tool", "arguments": {}}]}\n'
        'To end your turn: {"say": "your answer"}\n'
        "Results come in the order of the calls, as messages that begin with [result of NAME_1], "
        "[result of NAME_2].\n\n"
        "The tools, with the JSON schema of their arguments:\n"
        'read: Read a file. {"type":"object","properties":{"b":{},"a":{}}}\n'
        'bash: Run a command. {"type":"object"}'
    )


def test_without_tools_only_words_are_asked_for() -> None:
    schema, told = head(Pinned("m", "", msgspec.Raw(b"[]")))
    assert schema == closed(["say"], say={"type": "string"})
    assert told == 'Answer with one JSON object and nothing else: {"say": "your answer"}'


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (AssistantMessage("Done."), '{"say":"Done."}'),
        (AssistantMessage(""), '{"say":""}'),
        (
            AssistantMessage("I look.", None, (Call(CallId("1.0"), "x", "read", '{ "a": 1.0 }'),)),
            '{"say":"I look.","calls":[{"name":"read","arguments":{ "a": 1.0 }}]}',
        ),
        (
            AssistantMessage("", None, (Call(CallId("1.0"), "x", "read", '{"a'),)),
            '{"calls":[{"name":"read","arguments":"{\\"a"}]}',
        ),
        (ToolMessage(CallId("1.0"), "todo_write_2_0a1b2c3d", (Text("ok"),)), "[result of todo_write_2]\nok"),
        (ToolMessage(CallId("1.0"), "call_abc", (Text("ok"),)), "[result of call_abc]\nok"),
        (ToolMessage(CallId("1.0"), "", (Text("ok"),)), "[result of ]\nok"),
        (UserMessage((Text("Go on."),)), "Go on."),
    ],
)
def test_history_is_written_in_the_form_of_the_replies(message: Message, said: str) -> None:
    assert content(message) == said


def test_a_result_may_show_a_picture() -> None:
    shown = WIRE.piece(ToolMessage(CallId("1.0"), "read_1_00000000", (Image("image/png", BLOB),)), PICTURES)
    assert b'"role":"user"' in shown
    assert b"data:image/png;base64," in shown
