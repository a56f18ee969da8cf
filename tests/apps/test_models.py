"""`hames models` and `hames models test`: the real command, over real HTTP."""

import socket
from pathlib import Path

import msgspec
import pytest

from hames.core.profiles import WireName
from hames.testing.model_server import ModelServer, running
from hames.testing.script import read_script
from tests.apps.outside import KEY, Outside

pytestmark = pytest.mark.anyio

AS_ASKED = {"reasoning": "hm", "calls": [{"name": "report", "arguments": {"word": "ready"}}]}
PRICED = "[providers.custom.models.scripted.price]\nhit = 1\nmiss = 1\noutput = 1\n"


def lines(shown: str) -> dict[str, str]:
    """What is said of each thing."""
    found = [(line[:12].strip(), line[13:]) for line in shown.splitlines()]
    assert len(dict(found)) == len(found), shown
    return dict(found)


async def test_the_models_are_listed_with_the_state_of_their_keys_but_never_a_key(outside: Outside) -> None:
    outside.env["DEEPSEEK_API_KEY"] = KEY
    ended = await outside.hames("models")
    assert "DEEPSEEK_API_KEY is set" in ended.out
    assert "OPENAI_API_KEY is not set" in ended.out
    as_json = await outside.hames("models", "deepseek/", "--json")
    assert [(line["model"], line["default"], line["key_set"]) for line in as_json.lines] == [
        ("deepseek-flash", True, True),
        ("deepseek-v4-pro", False, True),
    ]
    assert KEY not in ended.out + as_json.out


async def test_a_word_in_no_name_is_one_line(outside: Outside) -> None:
    ended = await outside.hames("models", "gpt-2", check=2)
    assert ended.err == "hames: no model has 'gpt-2' in its name: `hames models` shows all\n"


@pytest.mark.parametrize("wire", ["chat", "messages", "responses"])
async def test_a_model_that_calls_the_tool_is_told_of_with_all_that_is_known(
    outside: Outside, wire: WireName
) -> None:
    outside.settings(PRICED)
    async with outside.scripted(AS_ASKED) as model:
        ended = await outside.hames("models", "test", *outside.to(model, wire))
        assert [seen.problem for seen in model.seen] == [""]
    said = lines(ended.out)
    assert said["asked"] == f"custom/scripted at {model.base_url}, wire {wire}"
    assert said["key"] == "none"
    assert float(said["first byte"].removesuffix(" s")) <= float(said["whole reply"].removesuffix(" s")) < 60
    assert said["model"] == "hames-scripted"
    assert said["usage"].endswith("10 out (0 thought)")
    assert said["cost"].endswith(" US dollars")
    assert said["tool"] == "called as asked"


async def test_a_provider_of_the_settings_is_tried_by_its_name_with_its_key(outside: Outside) -> None:
    async with outside.scripted(AS_ASKED) as model:
        outside.settings(
            f'[providers.mine]\nbase_url = "{model.base_url}"\nwire = "chat"\nkey_env = "MINE"\n'
            'default_model = "scripted"\n'
        )
        missing = await outside.hames("models", "test", "mine", check=41)
        assert "MINE is not set" in missing.err
        outside.env["MINE"] = KEY
        ended = await outside.hames("models", "test", "mine")
        assert len(model.seen) == 1
    said = lines(ended.out)
    assert (said["asked"].split()[0], said["key"], said["cost"]) == ("mine/scripted", "MINE", "not known")
    assert KEY not in ended.out


@pytest.mark.parametrize("wire", ["chat", "messages", "responses"])
async def test_a_model_that_answers_in_words_is_of_no_use(outside: Outside, wire: WireName) -> None:
    async with outside.scripted({"text": "I report:\nready"}) as model:
        ended = await outside.hames("models", "test", *outside.to(model, wire), check=1)
    said = lines(ended.out)
    assert said["tool"] == "not called; it said: I report: ready"
    assert 'tool_mode = "json_schema"` into [providers.custom]' in said["to do"]


async def test_a_server_that_cannot_call_tools_is_tried_in_the_mode_for_it(outside: Outside) -> None:
    written = '{"say": "", "calls": [{"name": "report", "arguments": {"word": "ready"}}]}'
    mode = ("--tool-mode", "json_schema")
    async with outside.scripted({"text": written}, rules="json_schema") as model:
        ended = await outside.hames("models", "test", *outside.to(model), *mode)
    assert lines(ended.out)["tool"] == "called as asked"


async def test_a_call_that_was_left_in_the_text_counts_and_is_told(outside: Outside) -> None:
    leaked = '<tool_call>{"name": "report", "arguments": {"word": "ready"}}</tool_call>'
    async with outside.scripted({"text": leaked}) as model:
        ended = await outside.hames("models", "test", *outside.to(model))
    said = lines(ended.out)
    assert said["tool"] == "called as asked"
    assert "1 call" in said["mended"]


@pytest.mark.parametrize(
    "call",
    [
        {"name": "report", "arguments": {"word": "steady"}},
        {"name": "report", "arguments": '"ready"'},
        {"name": "other", "arguments": {"word": "ready"}},
    ],
)
async def test_a_call_that_was_not_asked_for_is_shown(outside: Outside, call: dict[str, object]) -> None:
    async with outside.scripted({"calls": [call]}) as model:
        ended = await outside.hames("models", "test", *outside.to(model), check=1)
    assert lines(ended.out)["tool"].startswith(f"called otherwise than asked: {call['name']} ")


@pytest.mark.parametrize(
    ("reply", "code", "failed", "to_do"),
    [
        ({"status": 401, "message": "no such key"}, 41, "auth", ""),
        ({"status": 402, "message": "Insufficient Balance"}, 41, "balance", ""),
        ({"status": 404, "message": "no such model"}, 52, "unknown_model", ""),
        ({"status": 429, "message": "slow down"}, 75, "rate", "too many requests"),
        ({"status": 503, "message": "busy"}, 75, "overload", "try again later"),
        ({"status": 400, "message": "odd"}, 1, "rejected", "--wire"),
        ({"fault": "cut_args", **AS_ASKED}, 75, "cut", "try again"),
        ({"fault": "empty"}, 75, "empty", "another model"),
    ],
)
async def test_a_failure_has_its_class_its_exit_code_and_what_to_do(
    outside: Outside, reply: dict[str, object], code: int, failed: str, to_do: str
) -> None:
    async with outside.scripted(reply) as model:
        ended = await outside.hames("models", "test", *outside.to(model), check=code)
        assert len(model.seen) == 1, "there is no second attempt"
    said = lines(ended.out)
    assert said["failed"].startswith(f"{failed}, after ")
    assert to_do in said.get("to do", "")
    assert ("to do" in said) == bool(to_do)


async def test_a_wrong_key_is_not_shown(outside: Outside) -> None:
    outside.env["DEEPSEEK_API_KEY"] = KEY
    async with outside.scripted({"status": 401, "message": f"{KEY} is wrong"}) as model:
        outside.env["DEEPSEEK_BASE_URL"] = model.base_url
        ended = await outside.hames("models", "test", check=41)
    assert "Check the API key in DEEPSEEK_API_KEY" in lines(ended.out)["failed"]
    assert KEY not in ended.out


async def test_a_server_that_is_not_there(outside: Outside) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        ended = await outside.hames("models", "test", "m", "--base-url", url, check=75)
    said = lines(ended.out)
    assert said["failed"].startswith("transport, ")
    assert "is the server running" in said["to do"]


async def test_a_server_that_says_nothing_is_given_up_as_its_provider_says(outside: Outside) -> None:
    outside.settings("[providers.custom]\nfirst_byte_s = 0.2\n")
    async with outside.scripted({"fault": "silent"}) as model:
        ended = await outside.hames("models", "test", *outside.to(model), check=75)
    assert lines(ended.out)["failed"].startswith("stalled, ")


async def test_the_least_thinking_is_asked_for_unless_the_settings_say_how_much(
    outside: Outside, tmp_path: Path
) -> None:
    outside.env["MOONSHOT_API_KEY"] = KEY
    script = read_script(msgspec.json.encode([{**AS_ASKED, "repeat": 2}]))
    async with running(ModelServer(script, record=tmp_path, bodies=True)) as model:
        outside.env["MOONSHOT_BASE_URL"] = model.base_url
        await outside.hames("models", "test", "kimi")
        await outside.hames("models", "test", "kimi", "--effort", "max")
    names = ("000001.json", "000002.json")
    bodies = [msgspec.json.decode((tmp_path / name).read_bytes(), type=dict[str, object]) for name in names]
    assert [body["reasoning_effort"] for body in bodies] == ["low", "max"]
    assert [body["max_completion_tokens"] for body in bodies] == [2048, 2048]
