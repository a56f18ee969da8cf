"""The two fixed tools through which all deferred ones are found and called."""

from collections.abc import Mapping

import msgspec

from hames.core.errors import Problem
from hames.core.events import Effect
from hames.core.nearest import nearest
from hames.core.ports import CallContext, Subject, Tool, ToolResult, ToolSpec
from hames.core.text import listed
from hames.tools.arguments import read_arguments, spec_of
from hames.tools.results import ROOM_BYTES, said, within

_NOTE_BYTES = 200


class FindToolsArguments(msgspec.Struct, frozen=True):
    """What `find_tools` is told."""

    query: str


class CallToolArguments(msgspec.Struct, frozen=True):
    """What `call_tool` is told. A text in place of the object is left to the tool that is meant."""

    name: str
    arguments: dict[str, object] | str = {}


CALL_TOOL = spec_of("call_tool", "Call a tool found by find_tools.", CallToolArguments)

_FIND_TOOLS = spec_of(
    "find_tools",
    "Find more tools by words of their name or purpose; gives their schemas.",
    FindToolsArguments,
)


class Inner(msgspec.Struct, frozen=True):
    """The call inside a `call_tool`."""

    name: str
    arguments: str


def inner_call(arguments: str) -> Inner:
    """What a `call_tool` asks for. Raises `ArgumentProblem`."""
    read = read_arguments("call_tool", CallToolArguments, arguments)
    given = read.arguments
    return Inner(read.name, given if isinstance(given, str) else msgspec.json.encode(given).decode())


class FindTools:
    """Searches the deferred tools."""

    def __init__(self, deferred: Mapping[str, Tool]) -> None:
        self._deferred = deferred

    @property
    def spec(self) -> ToolSpec:
        return _FIND_TOOLS

    def prepare(self, arguments: str) -> "FindToolsAction":
        return FindToolsAction(
            read_arguments("find_tools", FindToolsArguments, arguments).query, self._deferred
        )


class FindToolsAction:
    """One search of the catalogue."""

    effect: Effect = "pure"

    def __init__(self, query: str, deferred: Mapping[str, Tool]) -> None:
        self._query = query
        self._deferred = deferred

    def subject(self, cwd: str) -> Subject:
        return Subject("find_tools")

    async def run(self, context: CallContext) -> ToolResult:
        if not self._deferred:
            return said("there are no more tools than those that you were told of")
        words = self._query.casefold().replace("_", " ").split()
        ranked = sorted(
            ((_score(tool.spec, words), name) for name, tool in self._deferred.items()),
            key=lambda pair: (-pair[0], pair[1]),
        )
        names = [name for score, name in ranked if score] or _near(self._query, self._deferred)
        if not names:
            raise Problem(f"no tool fits; there are {listed(sorted(self._deferred), 40)}")
        text, count = within([_told(self._deferred[name].spec) for name in names], ROOM_BYTES - _NOTE_BYTES)
        more = f"\n[and {len(names) - count} more: {listed(names[count:])}]" if count < len(names) else ""
        return said(text + more)


def _score(spec: ToolSpec, words: list[str]) -> int:
    name, description = spec.name.casefold(), spec.description.casefold()
    return sum(3 * (word in name) + (word in description) for word in words)


def _near(query: str, deferred: Mapping[str, Tool]) -> list[str]:
    name = nearest(query, deferred)
    return [name] if name else []


def _told(spec: ToolSpec) -> str:
    return f"{spec.name}: {spec.description}\n  arguments: {bytes(spec.parameters).decode()}"
