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
from hames.tools.arguments import read_arguments, spec_of, usage_of
from hames.tools.find import FindTools
from hames.tools.results import said
from hames.tools.toolbox import Toolbox
from tests.tools.bench import Bench

pytestmark = pytest.mark.anyio

TOOLS_BYTES = 4000
WEATHER = "Nothing was done. Usage: weather_forecast(city: string, days?: integer)"


TAKEN = '"{}" was taken for the tool {}'
MENDED = "the arguments were no valid JSON: {}"
COMMA = "a comma before the closing bracket"


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
            check_spec(bench.tools[spec.name])


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
        (
            "raed",
            "{}",
            'there is no tool "raed"; did you mean "read"? Nothing was done. Usage: read(file_path',
        ),
        ("cal_tool", "{}", 'did you mean "call_tool"? Nothing was done. Usage: call_tool(name: string, arg'),
        ("browse", "{}", 'there is no tool "browse"; find_tools finds those that you were not told of. Noth'),
        (
            "browse",
            "{}",
            "You were told of: read, write, edit, bash, grep, glob, todo_write, job, find_tools, ",
        ),
        ("call_tool", '{"name": "wether_forecast"}', f'did you mean "weather_forecast"? {WEATHER}'),
        (
            "call_tool",
            '{"name": "call_tool", "arguments": {"name": "read"}}',
            "call_tool cannot call itself. N",
        ),
        (
            "call_tool",
            '{"name": "weather_forecast", "arguments": {"town": "x"}}',
            f'no argument "town". {WEATHER}',
        ),
        ("call_tool", '{"name": "weather_forecast", "arguments": {"city": []}}', f"$.city`. {WEATHER}"),
        ("call_tool", '{"name": "weather_forecast"}', f"city missing. {WEATHER}"),
        (
            "call_tool",
            '{"name": "weather_forecast", "arguments": "{\\"city\\": \\"R"}',
            f"is long. {WEATHER}",
        ),
        ("call_tool", '{"name": "weather_forecast", "arguments": "R"}', f"one JSON object. {WEATHER}"),
        ("call_tool", '{"arguments": {}}', "name missing"),
        (
            "read",
            '{"file_path": "a',
            "the arguments were cut: the text ends inside a string. Send the whole call",
        ),
        (
            "read",
            '{"file_path": "a", "file_path": "b"}',
            '"file_path" is given twice, and it is not clear which',
        ),
        ("read_file", "{}", "file_path missing. Nothing was done. Usage: read(file_path: string, offset?"),
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
    ("name", "arguments", "tool", "sound", "repairs"),
    [
        ("bash", '{"command": "ls"}', "bash", '{"command": "ls"}', ()),
        (
            "functions.Bash",
            '{"command": "ls"}',
            "bash",
            '{"command": "ls"}',
            (TAKEN.format("functions.Bash", "bash"),),
        ),
        (
            "bash",
            "{'command': 'ls',}",
            "bash",
            '{"command":"ls"}',
            (MENDED.format("single quotes, " + COMMA),),
        ),
        (
            "CallTool",
            '{"name": "weather-forecast", "arguments": "{\\"city\\": \\"Rom\\",}",}',
            "weather_forecast",
            '{"city":"Rom"}',
            (
                TAKEN.format("CallTool", "call_tool"),
                MENDED.format(COMMA),
                TAKEN.format("weather-forecast", "weather_forecast"),
                MENDED.format(COMMA),
            ),
        ),
    ],
)
def test_a_call_that_is_plainly_meant_is_mended_and_that_is_noted(
    tmp_path: Path, name: str, arguments: str, tool: str, sound: str, repairs: tuple[str, ...]
) -> None:
    prepared = Bench(tmp_path, Weather()).toolbox.prepare(name, arguments)
    assert (prepared.tool, prepared.arguments, prepared.repairs) == (tool, sound, repairs)
    assert prepared.action.subject("/").tool == tool


def test_a_tool_with_a_schema_of_any_kind_is_described_in_one_line() -> None:
    schema = (
        b'{"properties":{"a":{"anyOf":[]},"b":{"type":"array"},"c":{"enum":[1,"x"]},'
        b'"d":{"type":["string","null"]},"e":{"type":"array","items":{"type":"integer"}}}}'
    )
    spec = ToolSpec("odd", "Odd.", msgspec.Raw(schema))
    said = "odd(a?: any, b?: array, c?: 1|x, d?: string|null, e?: [integer])"
    assert usage_of(spec) == said
    assert usage_of(ToolSpec("none", "None.", msgspec.Raw(b"{}"))) == "none()"


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
    modules = ("toolbox", "read", "write", "edit", "patch", "bash", "grep", "glob", "todo", "job")
    script = (
        "import hashlib, msgspec, sys; from anyio import CancelScope, to_thread; before = set(sys.modules); "
        f"import {', '.join(f'hames.tools.{name}' for name in modules)}; "
        "print(sorted(m for m in set(sys.modules) - before if m.split('.')[0] != 'hames'))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert set(ast.literal_eval(done.stdout)) <= {"difflib", "errno", "heapq", "_heapq", "bisect", "_bisect"}


async def test_a_known_tool_runs_and_is_neither_told_nor_found(bench: Bench) -> None:
    toolbox = Toolbox((), (), {"weather_forecast": Weather})
    assert [spec.name for spec in toolbox.specs()] == ["find_tools", "call_tool"]
    found = toolbox.prepare("find_tools", '{"query": "weather"}')
    assert "there are no more tools" in str((await found.action.run(bench.context())).parts)
    for name in ("weather_forecast", "Weather-Forecast"):
        prepared = toolbox.prepare(name, '{"city": "Rom"}')
        assert prepared.tool == "weather_forecast"
        assert await prepared.action.run(bench.context()) == said("sunny in Rom")
    wrapped = toolbox.prepare("call_tool", '{"name": "weather_forecast", "arguments": {"city": "Rom"}}')
    assert (wrapped.tool, wrapped.via) == ("weather_forecast", "call_tool")
    with pytest.raises(ArgumentProblem) as caught:
        toolbox.prepare("weather_forecasts", "{}")
    assert "did you mean" not in str(caught.value)
