import ast
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from hames.core.errors import ArgumentProblem
from hames.core.events import Effect
from hames.core.ports import CallContext, Subject, ToolResult, ToolSpec
from hames.testing.tool_suite import check_spec, check_tool
from hames.tools.arguments import read_arguments, spec_of
from hames.tools.find import FindTools
from hames.tools.results import said
from hames.tools.toolbox import Toolbox
from tests.tools.bench import Bench

pytestmark = pytest.mark.anyio

TOOLS_BYTES = 4000


class WeatherArguments(msgspec.Struct, frozen=True):
    city: str
    days: int = 1


class Weather:
    """A deferred tool."""

    def __init__(self, name: str = "weather_forecast") -> None:
        self._spec = spec_of(name, "Forecast the weather of a city.", WeatherArguments)

    @property
    def spec(self) -> ToolSpec:
        return self._spec

    def prepare(self, arguments: str) -> "WeatherAction":
        return WeatherAction(read_arguments(self._spec.name, WeatherArguments, arguments))


class WeatherAction:
    """One forecast."""

    effect: Effect = "pure"

    def __init__(self, arguments: WeatherArguments) -> None:
        self.arguments = arguments

    def subject(self, cwd: str) -> Subject:
        return Subject("weather_forecast", hosts=("weather.example",))

    async def run(self, context: CallContext) -> ToolResult:
        return said(f"sunny in {self.arguments.city}")


async def test_all_tools_together_are_small_on_the_wire(bench: Bench) -> None:
    wire = [
        {
            "type": "function",
            "function": {"name": spec.name, "description": spec.description, "parameters": spec.parameters},
        }
        for spec in bench.toolbox.specs()
    ]
    assert len(msgspec.json.encode(wire)) <= TOOLS_BYTES


async def test_the_tools_are_always_the_same_in_the_same_order(bench: Bench) -> None:
    names = [spec.name for spec in bench.toolbox.specs()]
    assert names == [
        "read", "write", "edit", "bash", "grep", "glob", "todo_write", "job", "find_tools", "call_tool"
    ]  # fmt: skip
    with_more = Toolbox((), (Weather(),))
    assert [spec.name for spec in with_more.specs()] == ["find_tools", "call_tool"]


async def test_every_spec_is_well_made(bench: Bench) -> None:
    for spec in bench.toolbox.specs():
        if spec.name in bench.tools:
            check_spec(bench.toolbox._tool(spec.name))  # pyright: ignore[reportPrivateUsage]


async def test_find_tools_keeps_the_rules_of_all_tools(bench: Bench) -> None:
    await check_tool(FindTools({"weather_forecast": Weather()}), '{"query": "weather"}', bench.context())


async def test_a_deferred_tool_is_found_and_called(bench: Bench) -> None:
    toolbox = Toolbox((), (Weather(), Weather("other")))
    found = toolbox.prepare("find_tools", '{"query": "weather forecast"}')
    result = await found.action.run(bench.context())
    assert result == said(
        "weather_forecast: Forecast the weather of a city.\n"
        '  arguments: {"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},'
        '"required":["city"]}\n'
        "other: Forecast the weather of a city.\n"
        '  arguments: {"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},'
        '"required":["city"]}'
    )
    prepared = toolbox.prepare("call_tool", '{"name": "weather_forecast", "arguments": {"city": "Rom"}}')
    assert (prepared.tool, prepared.arguments, prepared.via) == (
        "weather_forecast",
        '{"city":"Rom"}',
        "call_tool",
    )
    assert prepared.action.subject("/").hosts == ("weather.example",)
    assert await prepared.action.run(bench.context()) == said("sunny in Rom")


def test_a_deferred_tool_may_be_called_by_its_name_too() -> None:
    prepared = Toolbox((), (Weather(),)).prepare("weather_forecast", '{"city": "Rom"}')
    assert (prepared.tool, prepared.via) == ("weather_forecast", None)


async def test_a_wrapped_fixed_tool_is_judged_as_itself(bench: Bench) -> None:
    prepared = bench.toolbox.prepare(
        "call_tool", '{"name": "bash", "arguments": "{\\"command\\": \\"ls\\"}"}'
    )
    assert (prepared.tool, prepared.arguments, prepared.via) == ("bash", '{"command":"ls"}', "call_tool")
    assert prepared.action.effect == "effectful"
    assert prepared.action.subject("/") == Subject("bash", command="ls")


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("raed", "{}", 'there is no tool "raed"; did you mean "read"?'),
        ("Todo-Write", "{}", 'there is no tool "Todo-Write"; did you mean "todo_write"?'),
        ("browse", "{}", 'there is no tool "browse"; find_tools finds those that you were not told of'),
        ("call_tool", '{"name": "wether_forecast"}', 'did you mean "weather_forecast"?'),
        ("call_tool", '{"name": "call_tool", "arguments": {"name": "read"}}', "call_tool cannot call itself"),
        ("call_tool", '{"name": "weather_forecast", "arguments": {"town": "x"}}', 'no argument "town"'),
        ("call_tool", '{"arguments": {}}', "name missing"),
    ],
)
def test_a_call_that_cannot_be_is_told_in_words(
    tmp_path: Path, name: str, arguments: str, words: str
) -> None:
    bench = Bench(tmp_path, Weather())
    with pytest.raises(ArgumentProblem) as caught:
        bench.toolbox.prepare(name, arguments)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("deferred", "query", "words"),
    [
        ((), "anything", "there are no more tools than those that you were told of"),
        ((Weather(),), "wether_forecast", "weather_forecast: Forecast"),
    ],
)
async def test_a_search_always_answers(
    bench: Bench, deferred: tuple[Weather, ...], query: str, words: str
) -> None:
    action = (
        Toolbox((), deferred).prepare("find_tools", msgspec.json.encode({"query": query}).decode()).action
    )
    assert words in str((await action.run(bench.context())).parts)


async def test_a_search_without_a_hit_names_what_there_is(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Weather())
    assert await bench.say("find_tools", query="payroll") == "no tool fits; there are weather_forecast"


async def test_many_found_tools_stay_within_the_bound(tmp_path: Path) -> None:
    bench = Bench(tmp_path, *(Weather(f"weather_{number:03}") for number in range(200)))
    text = await bench.say("find_tools", query="weather")
    assert len(msgspec.json.encode(text)) <= 8000
    assert "more: weather_" in text.splitlines()[-1]


def test_importing_the_tools_loads_nothing_heavy() -> None:
    modules = ("toolbox", "read", "write", "edit", "bash", "grep", "glob", "todo", "job")
    script = (
        "import hashlib, msgspec, sys; from anyio import CancelScope, to_thread; before = set(sys.modules); "
        f"import {', '.join(f'hames.tools.{name}' for name in modules)}; "
        "print(sorted(m for m in set(sys.modules) - before if m.split('.')[0] != 'hames'))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert set(ast.literal_eval(done.stdout)) <= {"difflib", "heapq", "_heapq", "bisect", "_bisect"}
