"""The `todo_write` tool: the plan, which lives in the log."""

import msgspec

from hames.core.errors import ArgumentProblem
from hames.core.events import Effect, Todo
from hames.core.messages import Text
from hames.core.ports import CallContext, Subject, ToolResult, ToolSpec
from hames.tools.arguments import read_arguments, spec_of

_MOST = 100
_CHARS = 1000


class TodoArguments(msgspec.Struct, frozen=True):
    """What `todo_write` is told."""

    todos: tuple[Todo, ...]


_SPEC = spec_of(
    "todo_write",
    "Set the plan for work of several steps: always the whole list, one of it in_progress.",
    TodoArguments,
)


class TodoWrite:
    """Keeps the plan."""

    @property
    def spec(self) -> ToolSpec:
        return _SPEC

    def prepare(self, arguments: str) -> "TodoWriteAction":
        todos = read_arguments("todo_write", TodoArguments, arguments).todos
        if len(todos) > _MOST or any(len(todo.content) > _CHARS for todo in todos):
            raise ArgumentProblem(f"a plan has at most {_MOST} lines of {_CHARS:,} characters")
        return TodoWriteAction(todos)


class TodoWriteAction:
    """One plan. It touches nothing but the log, so that doing it again is harmless: pure."""

    effect: Effect = "pure"

    def __init__(self, todos: tuple[Todo, ...]) -> None:
        self._todos = todos

    def subject(self, cwd: str) -> Subject:
        return Subject("todo_write")

    async def run(self, context: CallContext) -> ToolResult:
        done = sum(todo.status == "completed" for todo in self._todos)
        text = (
            f"the plan has {len(self._todos)} lines, {done} completed" if self._todos else "the plan is empty"
        )
        return ToolResult("ok", (Text(text),), todos=self._todos)
