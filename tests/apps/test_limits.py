import time
from pathlib import Path

import msgspec
import pytest

from hames.core.profiles import WireName
from hames.testing.model_server import ModelServer, running
from hames.testing.request_rules import Rules
from hames.testing.script import read_script
from tests.apps.outside import Outside, bash, calls, texts

pytestmark = pytest.mark.anyio

BARE = ["--sandbox", "none", "--permission-mode", "auto", "--output-format", "json"]
PRICE = "[providers.custom.models.scripted.price]\nhit = 0.1\nmiss = 1\noutput = 10\n"
DEAR = "[providers.custom.models.scripted.price]\nhit = 0.1\nmiss = 100\noutput = 1000\n"


def cost(result: dict[str, object]) -> float:
    return msgspec.convert(result["total_cost_usd"], float)


async def test_money_ends_a_run_before_it_is_over_the_budget_with_54(outside: Outside) -> None:
    outside.settings(PRICE)
    usage = {"input": 3000, "output": 100}
    async with outside.scripted({"repeat": 99, "calls": [bash("echo {i}")], "usage": usage}) as model:
        flags = ["--max-budget-usd", "0.05", *BARE]
        ended = await outside.hames("-p", "go", *flags, *outside.to(model), check=54)
    result = ended.result
    assert (result["subtype"], result["code"]) == ("error_max_budget_usd", "max_budget_usd")
    assert 0.03 < cost(result) <= 0.05
    assert result["estimated_cost_usd"] == 0
    assert "most of a limit is used" in ended.err


async def test_tokens_end_a_run_with_54_and_the_warning_is_a_line_of_stream_json(outside: Outside) -> None:
    usage = {"input": 3000, "output": 100}
    async with outside.scripted({"repeat": 99, "calls": [bash("echo {i}")], "usage": usage}) as model:
        flags = ["--max-budget-tokens", "50000", *BARE[:-1], "stream-json"]
        ended = await outside.hames("-p", "go", *flags, *outside.to(model), check=54)
    assert ended.result["code"] == "max_budget_tokens"
    (warning,) = [line for line in ended.lines if line.get("subtype") == "limit_warning"]
    assert (warning["limit"], warning["value"]) == ("max_budget_tokens", 50_000)
    assert msgspec.convert(warning["used"], float) >= 40_000
    assert any("[Most of a limit is used" in str(line) for line in ended.lines if line["type"] == "user")


async def test_steps_end_a_run_with_53_after_a_warning(outside: Outside) -> None:
    async with outside.scripted({"repeat": 99, "calls": [bash("echo {i}")]}) as model:
        ended = await outside.hames("-p", "go", "--max-turns", "5", *BARE, *outside.to(model), check=53)
    assert (ended.result["subtype"], ended.result["num_turns"]) == ("error_max_turns", 5)
    assert "4 of 5 steps" in ended.err


async def test_the_time_of_a_turn_stops_its_command_and_exits_124(outside: Outside) -> None:
    sleeps = bash("sleep 600 & echo $! > pid; wait")
    async with outside.scripted(calls(sleeps)) as model:
        flags = ["--max-time", "5", *BARE[:-1], "stream-json"]
        ended = await outside.hames("-p", "go", *flags, *outside.to(model), check=124)
    assert (ended.result["ending"], ended.result["code"]) == ("time_limit", "max_time_s")
    assert texts(ended) == ["[stopped: the time limit of 5 s was reached]"]
    pid = int((outside.workspace / "pid").read_text())
    assert not Path(f"/proc/{pid}").exists()


async def test_a_silent_model_is_not_waited_for_beyond_the_time_and_its_request_counts(
    outside: Outside,
) -> None:
    outside.settings(PRICE)
    async with outside.scripted({"fault": "silent"}) as model:
        flags = ["--max-time", "2", "--max-budget-usd", "1", *BARE]
        ended = await outside.hames("-p", "go", *flags, *outside.to(model), check=124)
    assert 0 < cost(ended.result) <= 1
    assert ended.result["estimated_cost_usd"] == cost(ended.result)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--stop-at", "6 pm"], '"stop_at": 6 pm is no time of the day; write it as 18:00'),
        (["--stop-at", "24:00"], "24:00 is no time of the day"),
        (["--max-time", "0"], "--max-time: expected float > 0.0, got 0"),
        (["--max-budget-tokens", "0"], "--max-budget-tokens: expected int >= 1, got 0"),
    ],
)
async def test_a_limit_that_is_none_ends_the_start_with_52(
    outside: Outside, flags: list[str], words: str
) -> None:
    ended = await outside.hames("-p", "go", *flags, check=52)
    assert words in ended.err


async def test_a_time_of_the_day_that_is_far_away_stops_nothing(outside: Outside) -> None:
    later = time.localtime(time.time() + 7200)
    async with outside.scripted({"text": "done"}) as model:
        at = f"{later.tm_hour:02}:{later.tm_min:02}"
        ended = await outside.hames("-p", "go", "--stop-at", at, *BARE, *outside.to(model))
    assert ended.result["ending"] == "done"


@pytest.mark.parametrize(
    ("wire", "rules", "field"),
    [
        ("chat", "chat", "max_tokens"),
        ("messages", "messages", "max_tokens"),
        ("responses", "responses", "max_output_tokens"),
    ],
)
async def test_a_request_asks_for_no_more_than_what_is_left_pays_for_on_each_wire(
    outside: Outside, wire: WireName, rules: Rules, field: str, tmp_path: Path
) -> None:
    outside.settings(DEAR)
    record = tmp_path / "record"
    record.mkdir()
    reply = {"calls": [bash("true")], "usage": {"input": 2000, "output": 500}}
    script = read_script(msgspec.json.encode([reply, {"text": "done"}]))
    server = ModelServer(script, rules=rules, record=record, bodies=True)
    async with running(server) as model:
        flags = ["--max-budget-usd", "5", *BARE]
        await outside.hames("-p", "go", *flags, *outside.to(model, wire))
        assert [seen.problem for seen in model.seen] == ["", ""]
    bodies = [msgspec.json.decode((record / f"{number:06}.json").read_bytes()) for number in (1, 2)]
    first, second = (body[field] for body in bodies)
    assert 4000 < first < 5000
    assert 3000 < second < first - 500
