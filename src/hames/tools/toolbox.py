"""All tools of a session: a fixed set that the model is told of, and deferred ones that it can find."""

from collections.abc import Sequence

from hames.core.errors import ArgumentProblem
from hames.core.nearest import hint
from hames.core.ports import Prepared, Tool, ToolSpec
from hames.tools.find import CALL_TOOL, FindTools, inner_call


class Toolbox:
    """The tools, in the order in which they were given. The specs never change."""

    def __init__(self, fixed: Sequence[Tool], deferred: Sequence[Tool] = ()) -> None:
        found = {tool.spec.name: tool for tool in deferred}
        self._fixed = {tool.spec.name: tool for tool in (*fixed, FindTools(found))}
        self._tools = found | self._fixed
        self._specs = (*(tool.spec for tool in self._fixed.values()), CALL_TOOL)

    def specs(self) -> tuple[ToolSpec, ...]:
        """What the model is told, always the same."""
        return self._specs

    def prepare(self, name: str, arguments: str) -> Prepared:
        """Read a call. A `call_tool` is unwrapped. Raises `ArgumentProblem`."""
        if name != CALL_TOOL.name:
            return Prepared(name, arguments, self._tool(name).prepare(arguments))
        inner = inner_call(arguments)
        action = self._tool(inner.name).prepare(inner.arguments)
        return Prepared(inner.name, inner.arguments, action, CALL_TOOL.name)

    def _tool(self, name: str) -> Tool:
        if name in self._tools:
            return self._tools[name]
        if name == CALL_TOOL.name:
            raise ArgumentProblem("call_tool cannot call itself")
        near = hint(name, self._tools) or "; find_tools finds those that you were not told of"
        raise ArgumentProblem(f'there is no tool "{name[:100]}"{near}')
