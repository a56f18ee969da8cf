"""All tools of a session: those that the model is told of, those it can find, and those it may know."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from hames.core.errors import ArgumentProblem
from hames.core.lenient import Found, read_object
from hames.core.nearest import nearest
from hames.core.ports import Prepared, Tool, ToolSpec
from hames.core.text import one_line
from hames.core.tool_names import tool_meant
from hames.tools.arguments import usage_of
from hames.tools.find import CALL_TOOL, FindTools, inner_call

_NAMED_CHARS = 100


class _Read(NamedTuple):
    """A name or arguments as they were meant, and what had to be mended for it."""

    text: str
    repairs: tuple[str, ...] = ()


class Toolbox:
    """The tools, in the order in which they were given. The specs never change.

    `known` ones, by name, are made when they are called. They are neither told nor found: a session that has
    begun with another model was told of them.
    """

    def __init__(
        self,
        fixed: Sequence[Tool],
        deferred: Sequence[Tool] = (),
        known: Mapping[str, Callable[[], Tool]] = {},
    ) -> None:
        found = {tool.spec.name: tool for tool in deferred}
        self._fixed = {tool.spec.name: tool for tool in (*fixed, FindTools(found))}
        self._tools = found | self._fixed
        self._known = known
        self._specs = (*(tool.spec for tool in self._fixed.values()), CALL_TOOL)
        self._names = (*self._tools, CALL_TOOL.name)

    def specs(self) -> tuple[ToolSpec, ...]:
        """What the model is told, always the same."""
        return self._specs

    def prepare(self, name: str, arguments: str) -> Prepared:
        """Read a call, also one that is not quite well written. A `call_tool` is unwrapped. Raises
        `ArgumentProblem`."""
        tool, given = self._meant(name), _sound(arguments)
        repairs = (*tool.repairs, *given.repairs)
        if tool.text != CALL_TOOL.name:
            return Prepared(tool.text, given.text, self._tool(tool.text).prepare(given.text), None, repairs)
        inner = inner_call(given.text)
        tool, given = self._meant(inner.name), _sound(inner.arguments)
        if tool.text == CALL_TOOL.name:
            raise ArgumentProblem(
                f"call_tool cannot call itself. Nothing was done. Usage: {usage_of(CALL_TOOL)}"
            )
        action = self._tool(tool.text).prepare(given.text)
        repairs = (*repairs, *tool.repairs, *given.repairs)
        return Prepared(tool.text, given.text, action, CALL_TOOL.name, repairs)

    def _tool(self, name: str) -> Tool:
        return self._tools[name] if name in self._tools else self._known[name]()

    def _meant(self, name: str) -> _Read:
        tool = tool_meant(name, (*self._names, *self._known))
        if tool == name:
            return _Read(name)
        said = one_line(name, _NAMED_CHARS)
        if tool is not None:
            return _Read(tool, (f'"{said}" was taken for the tool {tool}',))
        near = nearest(name, self._names)
        if near is None:
            known = ", ".join(spec.name for spec in self._specs)
            raise ArgumentProblem(
                f'there is no tool "{said}"; find_tools finds those that you were not told of. '
                f"Nothing was done. You were told of: {known}"
            )
        spec = CALL_TOOL if near == CALL_TOOL.name else self._tools[near].spec
        raise ArgumentProblem(
            f'there is no tool "{said}"; did you mean "{near}"? Nothing was done. Usage: {usage_of(spec)}'
        )


def _sound(arguments: str) -> _Read:
    """Arguments as valid JSON. Those that cannot be read are left to the tool, which says how it is used."""
    read = read_object(arguments) if arguments else None
    if not isinstance(read, Found):
        return _Read(arguments)
    if not read.repairs:
        return _Read(read.text)
    return _Read(read.text, (f"the arguments were no valid JSON: {', '.join(read.repairs)}",))
