"""The list of models."""

import msgspec
import pytest

from hames.assembly.models_list import Row, list_models
from hames.core.errors import ExitCode, UsageError
from tests.assembly.conftest import House

KEY = "sk-secret"
MINE = """
[providers.mine]
base_url = "http://127.0.0.1:7/v1"
wire = "responses"
models.only = { window = 4096, max_output = 900, price = { hit = 0, miss = 12.5, output = 0.0004 } }
peak = { days = [6], hours = [[0, 2], [9, 10]], factor = 1.5 }
"""


def shown(
    house: House, capsys: pytest.CaptureFixture[str], wanted: str = "", *, as_json: bool = False
) -> str:
    settings = house.load(environ={"DEEPSEEK_API_KEY": KEY, "MOONSHOT_BASE_URL": "http://gate:1/v1"})
    assert list_models(settings, wanted, as_json=as_json) is ExitCode.DONE
    out = capsys.readouterr().out
    assert KEY not in out
    return out


def test_a_line_has_what_a_choice_needs(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    heading, flash, pro, *rest = shown(house, capsys, "DeepSeek").splitlines()
    assert heading.split() == [
        "model",
        "window",
        "output",
        "hit",
        "miss",
        "out",
        "sees",
        "key",
        "wire",
        "address",
    ]
    assert flash.split() == [
        *("deepseek/deepseek-flash", "(default)", "1M", "384k", "0.003", "0.15", "0.60", "yes"),
        *("DEEPSEEK_API_KEY", "is", "set", "chat", "https://api.deepseek.com"),
    ]
    assert "(default)" not in pro
    assert rest[-1].startswith(
        "deepseek: prices times 2 on Mon, Tue, Wed, Thu, Fri from 01:00 to 04:00 and 06:00"
    )


def test_the_whole_list_has_every_provider_with_the_state_of_its_key(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shown(house, capsys)
    assert "http://gate:1/v1" in out
    assert "MOONSHOT_API_KEY is not set" in out
    assert "openrouter/NAME" in out
    assert "0.20 / 5.00 / 15.00 with more than 272,000 tokens of input" in out
    lines = [line for line in out.splitlines() if line.startswith("custom/NAME")]
    assert [line.split()[3:] for line in lines] == [
        ["-", "-", "-", "no", "none", "needed", "chat", "--base-url", "URL"]
    ]


def test_models_are_found_by_an_alias_too(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(house, capsys, "opus", as_json=True)
    (row,) = [msgspec.json.decode(line, type=Row) for line in out.splitlines()]
    assert (row.provider, row.model, row.default, row.key_set) == (
        "anthropic",
        "claude-opus-5-5",
        True,
        False,
    )


def test_what_the_settings_add_is_there_as_json_and_as_a_line(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    house.write(house.user, MINE)
    row = msgspec.json.decode(shown(house, capsys, "mine/", as_json=True), type=Row)
    assert (row.model, row.window, row.key_env, row.key_set, row.default) == ("only", 4096, "", True, True)
    out = shown(house, capsys, "mine/")
    assert out.splitlines()[1].split()[:6] == ["mine/only", "(default)", "4.1k", "900", "0.00", "12.50"]
    assert " 0.0004 " in out
    assert "prices times 1.5 on Sun from 00:00 to 02:00 and 09:00 to 10:00 UTC." in out


def test_a_word_that_is_in_no_name_is_an_error(house: House) -> None:
    with pytest.raises(UsageError, match="no model has 'gpt-2' in its name"):
        list_models(house.load(), "gpt-2", as_json=False)
