"""What every tool must do, whoever wrote it: checks to be run by the tests of each."""

import re
from typing import cast, get_args

import msgspec

from hames.core.errors import ArgumentProblem
from hames.core.events import Effect, Outcome
from hames.core.limits import READ_SHOWN_BYTES
from hames.core.messages import Image, Text
from hames.core.ports import CallContext, Tool, ToolResult

_UNREADABLE = (
    "nonsense",
    "[]",
    '"text"',
    '{"a":',
    '{"no such argument": 1}',
    '{"no such argument": "\\ud800"}',
)


async def check_tool(tool: Tool, arguments: str, context: CallContext) -> ToolResult:
    """All checks. `arguments` are some that the tool takes; running them must not fail."""
    check_spec(tool)
    check_bad_arguments(tool)
    check_subject(tool, arguments, context.cwd)
    return await check_run(tool, arguments, context)


def check_spec(tool: Tool) -> None:
    """The spec is plain, short and always the same."""
    spec = tool.spec
    assert re.fullmatch(r"[a-z][a-z0-9_]{0,63}", spec.name), spec.name
    assert spec.description.strip() == spec.description != ""
    assert "\n" not in spec.description
    schema = cast("dict[str, object]", msgspec.json.decode(spec.parameters))
    assert schema["type"] == "object"
    properties = cast("dict[str, object]", schema["properties"])
    assert set(cast("list[str]", schema.get("required", []))) <= set(properties)
    for heavy in (b'"$defs"', b'"$ref"', b'"title"'):
        assert heavy not in bytes(spec.parameters)
    again = tool.spec
    assert (again.description, bytes(again.parameters)) == (spec.description, bytes(spec.parameters))


def check_bad_arguments(tool: Tool) -> None:
    """Arguments that cannot be read are told to the model in words, never a crash."""
    for arguments in _UNREADABLE:
        try:
            tool.prepare(arguments)
        except ArgumentProblem as problem:
            told = str(problem).encode()
        else:
            told = b""
        if not told:
            raise AssertionError(f"{tool.spec.name} took {arguments}")


def check_subject(tool: Tool, arguments: str, cwd: str) -> None:
    """What is judged is the same each time, and names whole paths."""
    action = tool.prepare(arguments)
    assert action.effect in get_args(Effect)
    subject = action.subject(cwd)
    assert subject == tool.prepare(arguments).subject(cwd)
    assert subject.tool == tool.spec.name
    assert all(path.startswith("/") and "/../" not in f"{path}/" for path in subject.reads + subject.writes)


async def check_run(tool: Tool, arguments: str, context: CallContext) -> ToolResult:
    """The result is something, within its bound, with the bytes of every picture."""
    result = await tool.prepare(arguments).run(context)
    assert result.outcome in get_args(Outcome)
    assert result.parts
    assert (
        len(msgspec.json.encode([part for part in result.parts if isinstance(part, Text)]))
        <= READ_SHOWN_BYTES
    )
    assert len([part for part in result.parts if isinstance(part, Image)]) == len(result.blobs)
    return result
