"""From a struct to the schema a model is told, and from what it sent to the struct."""

from types import UnionType
from typing import Annotated, Literal, TypeVar, Union, cast, get_args, get_origin

import msgspec

from hames.core.errors import ArgumentProblem
from hames.core.lenient import Found, Refused, read_object
from hames.core.nearest import hint
from hames.core.ports import ToolSpec
from hames.core.text import clip

_OTHER_NAMES = {
    "path": "file_path",
    "filepath": "file_path",
    "filename": "file_path",
    "file": "file_path",
    "directory": "path",
    "dir_path": "path",
    "cmd": "command",
    "timeout_ms": "timeout",
    "background": "run_in_background",
    "is_background": "run_in_background",
    "old_str": "old_string",
    "new_str": "new_string",
    "old_text": "old_string",
    "new_text": "new_string",
    "contents": "content",
    "file_text": "content",
    "regex": "pattern",
    "include": "glob",
    "context": "-C",
    "id": "job_id",
    "input": "arguments",
    "patch": "input",
    "patch_text": "input",
    "args": "arguments",
    "tool_name": "name",
}
"""What other harnesses call the same arguments."""

_TO_THE_PERSON = frozenset(("description", "explanation"))
"""Arguments that only say why. They are in the log, and no tool needs them."""

_NO_NUL = frozenset(("file_path", "path", "command", "pattern", "glob", "type", "job_id"))

_NAMES: dict[object, str] = {str: "string", int: "integer", bool: "boolean", float: "number"}

_SAID_BYTES = 1000

A = TypeVar("A", bound=msgspec.Struct)

# Told


def spec_of(name: str, description: str, arguments: type[msgspec.Struct]) -> ToolSpec:
    """What the model is told of a tool whose arguments are `arguments`."""
    return ToolSpec(name, description, msgspec.Raw(msgspec.json.encode(_object(arguments))))


def _object(struct: type[msgspec.Struct]) -> dict[str, object]:
    kinds = struct.__annotations__
    names = dict(zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True))
    schema: dict[str, object] = {
        "type": "object",
        "properties": {names[field]: _schema(kinds[field]) for field in names},
    }
    needed = len(names) - len(struct.__struct_defaults__)
    if needed:
        schema["required"] = list(names.values())[:needed]
    return schema


def _schema(kind: object) -> dict[str, object]:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        meta = cast("msgspec.Meta", inner[1])
        return _schema(inner[0]) | {"description": meta.description}
    if origin is Literal:
        return {"type": "string", "enum": list(inner)}
    if origin is tuple:
        return {"type": "array", "items": _schema(inner[0])}
    if origin is dict:
        return {"type": "object"}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _object(kind)
    if origin in (Union, UnionType):
        return _schema(inner[0])
    return {"type": _NAMES[kind]}


# Sent


def read_arguments(name: str, kind: type[A], raw: str) -> A:
    """The arguments that a model sent for the tool `name`.

    Lenient where the meaning is plain: JSON that is almost right, numbers as strings, names that other
    harnesses use, null for what is optional, JSON in a string. Raises `ArgumentProblem` with the schema in
    short.
    """
    given = _decode(name, kind, raw)
    fields = kind.__struct_encode_fields__
    needed = fields[: len(fields) - len(kind.__struct_defaults__)]
    taken: dict[str, object] = {}
    for key, value in given.items():
        field = _field(name, kind, key, given)
        if field and not (value is None and field not in needed):
            taken[field] = value
    missing = [field for field in needed if field not in taken]
    if missing:
        raise _problem(name, kind, f"{' and '.join(missing)} missing")
    odd = [field for field, value in taken.items() if field in _NO_NUL and "\0" in str(value)]
    if odd:
        raise _problem(name, kind, f"{odd[0]} has a NUL character in it")
    try:
        return msgspec.convert(_unwrapped(kind, taken), type=kind, strict=False)
    except msgspec.ValidationError as error:
        raise _problem(name, kind, str(error)) from None


def _decode(name: str, kind: type[msgspec.Struct], raw: str) -> dict[str, object]:
    read = read_object(raw or "{}")
    match read:
        case Found(value=value):
            return value
        case Refused(why=why, cut=True):
            what = f"the arguments were cut: {why}. Send the whole call again, in smaller parts if it is long"
        case Refused(why=why):
            what = f"the arguments cannot be read: {why}"
    raise _problem(name, kind, what)


def _field(name: str, kind: type[msgspec.Struct], key: str, given: dict[str, object]) -> str | None:
    fields = kind.__struct_encode_fields__
    if key in fields:
        return key
    other = _OTHER_NAMES.get(key)
    if other in fields and other not in given:
        return other
    if key in _TO_THE_PERSON:
        return None
    raise _problem(name, kind, f'there is no argument "{key}"{hint(key, fields)}')


def _unwrapped(kind: type[msgspec.Struct], taken: dict[str, object]) -> dict[str, object]:
    """Numbers sent for text become text, and JSON text sent for a list or an object is read."""
    kinds = dict(zip(kind.__struct_encode_fields__, kind.__annotations__.values(), strict=True))
    for field, value in taken.items():
        wanted = _schema(kinds[field])["type"]
        if wanted == "string" and isinstance(value, int) and not isinstance(value, bool):
            taken[field] = str(value)
        elif wanted in ("array", "object") and isinstance(value, str):
            taken[field] = _json_or_text(value)
    return taken


def _json_or_text(text: str) -> object:
    try:
        return cast("object", msgspec.json.decode(text))
    except msgspec.DecodeError:
        return text


def _problem(name: str, kind: type[msgspec.Struct], what: str) -> ArgumentProblem:
    return ArgumentProblem(
        f"{clip(what, _SAID_BYTES).rstrip('.')}. Nothing was done. Usage: {usage(name, kind)}"
    )


def usage(name: str, kind: type[msgspec.Struct]) -> str:
    """The arguments of a tool in one line."""
    return _usage(name, _object(kind))


def usage_of(spec: ToolSpec) -> str:
    """The same, for a tool of which no more is known than its schema."""
    return _usage(spec.name, msgspec.json.decode(spec.parameters, type=dict[str, object]))


def _usage(name: str, schema: dict[str, object]) -> str:
    needed = cast("list[str]", schema.get("required", []))
    properties = cast("dict[str, dict[str, object]]", schema.get("properties", {}))
    said = (
        f"{field}{'' if field in needed else '?'}: {_short(entry)}" for field, entry in properties.items()
    )
    return f"{name}({', '.join(said)})"


def _short(entry: dict[str, object]) -> str:
    if "enum" in entry:
        return "|".join(map(str, cast("list[object]", entry["enum"])))
    if entry.get("type") == "array" and "items" in entry:
        return f"[{_short(cast('dict[str, object]', entry['items']))}]"
    if "properties" in entry:
        inner = cast("dict[str, dict[str, object]]", entry["properties"])
        return "{" + ", ".join(f"{field}: {_short(value)}" for field, value in inner.items()) + "}"
    kind = entry.get("type", "any")
    return "|".join(map(str, cast("list[object]", kind))) if isinstance(kind, list) else str(kind)
