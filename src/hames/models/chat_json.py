"""Chat Completions for backends that cannot call tools: replies are JSON of a set form. Pure."""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from hames.core.ids import BlobId
from hames.core.messages import ALONE, AssistantMessage, Message, ResultPlace, Text, ToolMessage, UserMessage
from hames.core.ports import AskOptions, Pinned, ToolSpec
from hames.core.profiles import Provider
from hames.models.calls import is_object
from hames.models.chat import ChatWire
from hames.models.chat_json_reader import ChatJsonReader

_encode = msgspec.json.encode
_specs = msgspec.json.Decoder(list[ToolSpec])

_HOW = """\
Answer with one JSON object and nothing else.
To call tools: {"say": "why, in a few words", "calls": [{"name": "tool", "arguments": {}}]}
To end your turn: {"say": "your answer"}
Results come in the order of the calls, as messages that begin with [result of NAME_1], [result of NAME_2].

The tools, with the JSON schema of their arguments:"""


class ChatJsonWire:
    """Implements `Wire`.

    The tools stand in the system text, and the form of replies among the parameters before the messages,
    where it stays the same for as long as the tools do. History is written in the form of the replies.
    `must_call`: where there are tools, each reply is one call, never words alone.
    """

    def __init__(
        self, provider: Provider, *, sees: bool = False, model: str = "", must_call: bool = False
    ) -> None:
        self._chat = ChatWire(provider, sees=sees, model=model)
        self._name = provider.name
        self._must_call = must_call

    def head(self, pinned: Pinned) -> bytes:
        specs = _specs.decode(pinned.tools)
        system = "\n\n".join(part for part in (pinned.system, _told(specs)) if part)
        head = self._chat.head(Pinned(pinned.model, system, msgspec.Raw(b"[]")))
        begin = b'{"model":' + _encode(pinned.model)
        return (
            begin
            + b',"response_format":'
            + _form(specs, must_call=self._must_call)
            + head.removeprefix(begin)
        )

    def piece(self, message: Message, images: Mapping[BlobId, bytes], place: ResultPlace = ALONE) -> bytes:
        match message:
            case UserMessage():
                pass
            case AssistantMessage():
                message = msgspec.structs.replace(message, text=_written(message), calls=())
            case ToolMessage(wire_id=wire_id, parts=parts):
                message = UserMessage((Text(f"[result of {_shown(wire_id)}]"), *parts))
        return self._chat.piece(message, images, place)

    def tail(self, options: AskOptions) -> bytes:
        return self._chat.tail(options)

    def reader(self) -> ChatJsonReader:
        return ChatJsonReader(self._name, self._chat.reader())


def _told(specs: Sequence[ToolSpec]) -> str:
    """What the model is told of the form, and of the tools."""
    if not specs:
        return 'Answer with one JSON object and nothing else: {"say": "your answer"}'
    tools = (f"{spec.name}: {spec.description} {bytes(spec.parameters).decode()}" for spec in specs)
    return "\n".join([_HOW, *tools])


def _form(specs: Sequence[ToolSpec], *, must_call: bool) -> bytes:
    """The schema of replies: words, or calls with or without words."""
    say = {"say": {"type": "string"}}
    forms = [] if must_call and specs else [_closed(say, ["say"])]
    if specs:
        calls = {"type": "array", "items": _any_of([_call(spec) for spec in specs]), "minItems": 1}
        if must_call:
            calls["maxItems"] = 1
        forms.append(_closed({**say, "calls": calls}, ["calls"]))
    return _encode({"type": "json_schema", "json_schema": {"name": "reply", "schema": _any_of(forms)}})


def _any_of(forms: Sequence[dict[str, object]]) -> dict[str, object]:
    return {"anyOf": forms} if len(forms) > 1 else forms[0]


def _call(spec: ToolSpec) -> dict[str, object]:
    """A call of this tool, with the arguments that it takes: a small model is then held to them, too."""
    name = {"type": "string", "enum": [spec.name]}
    arguments = _without_others(msgspec.json.decode(spec.parameters, type=dict[str, object]))
    return _closed({"name": name, "arguments": arguments}, ["name", "arguments"])


def _without_others(schema: dict[str, object]) -> dict[str, object]:
    """An object whose properties are named has no others, unless the schema says so."""
    properties = cast("dict[str, dict[str, object]] | None", schema.get("properties"))
    if properties is not None:
        inner = {key: _without_others(value) for key, value in properties.items()}
        schema = {"additionalProperties": False, **schema, "properties": inner}
    if isinstance(schema.get("items"), dict):
        schema = {**schema, "items": _without_others(cast("dict[str, object]", schema["items"]))}
    return schema


def _closed(properties: Mapping[str, object], required: Sequence[str]) -> dict[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _written(message: AssistantMessage) -> str:
    """A reply in the form in which the model gave it; arguments stay letter for letter."""
    said: dict[str, object] = {"say": message.text} if message.text or not message.calls else {}
    if message.calls:
        said["calls"] = [
            {
                "name": call.name,
                "arguments": msgspec.Raw(call.arguments.encode())
                if is_object(call.arguments)
                else call.arguments,
            }
            for call in message.calls
        ]
    return _encode(said).decode()


def _shown(wire_id: str) -> str:
    """A call as its result names it: the tool and the place of the call, without what makes the id unique."""
    name, _, at = wire_id.rpartition("_")[0].rpartition("_")
    return f"{name}_{at}" if name and at.isdecimal() else wire_id
