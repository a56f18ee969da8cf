import msgspec
import pytest

from hames.core.errors import ArgumentProblem
from hames.core.events import Todo
from hames.testing.tool_suite import check_tool
from hames.tools.todo import TodoWrite
from tests.tools.bench import Bench

pytestmark = pytest.mark.anyio


async def test_todo_write_keeps_the_rules_of_all_tools(bench: Bench) -> None:
    result = await check_tool(
        TodoWrite(), '{"todos": [{"content": "a", "status": "completed"}]}', bench.context()
    )
    assert result.todos == (Todo("a", "completed"),)


async def test_the_whole_plan_is_set(bench: Bench) -> None:
    todos = [
        {"content": "one", "status": "completed", "activeForm": "doing one"},
        {"content": "two", "status": "in_progress", "id": "2"},
    ]
    result = await bench.run("todo_write", todos=todos)
    assert result.todos == (Todo("one", "completed"), Todo("two", "in_progress"))
    assert await bench.say("todo_write", todos=todos) == "the plan has 2 lines, 1 completed"
    assert (await bench.run("todo_write", todos=[])).todos == ()


@pytest.mark.parametrize(
    "todos", [[{"content": "x" * 1001, "status": "pending"}], [{"content": "x", "status": "pending"}] * 101]
)
def test_an_endless_plan_is_refused(todos: list[dict[str, str]]) -> None:
    with pytest.raises(ArgumentProblem, match="at most 100 lines"):
        TodoWrite().prepare(msgspec.json.encode({"todos": todos}).decode())
