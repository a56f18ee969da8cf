"""Reading one settings file."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.assembly.settings_file import Choices, Permissions, decode, read_choices, schema
from hames.core.errors import ConfigError, ExitCode


def test_a_missing_file_says_nothing(tmp_path: Path) -> None:
    assert read_choices(str(tmp_path / "none.toml")) is None
    (tmp_path / "file").touch()
    assert read_choices(str(tmp_path / "file" / "below.toml")) is None


def test_a_file_says_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('model = "deepseek"\nmax_budget_usd = 2\n[permissions]\ndeny = ["Bash(rm *)"]\n')
    expected = Choices(model="deepseek", max_budget_usd=2.0, permissions=Permissions(deny=("Bash(rm *)",)))
    assert read_choices(str(path)) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"model = \n", "is not valid TOML: .*line 1.*correct that line"),
        (b'a = 1\nmodel = "\xff"\n', "line 2: not UTF-8"),
        (b"modle = 1\n", 'no setting "modle"; did you mean "model"'),
        (b"[permissions]\nalow = []\n", r'no setting "permissions.alow"; did you mean "allow"'),
        (b"qqqqqqqqq = 1\n", "the keys are model, base_url"),
        (b'window = "big"\n', '"window": expected int, got str'),
        (b"window = 1\n", '"window": expected int >= 1024'),
        (b"max_budget_usd = -1\n", '"max_budget_usd": expected float > 0'),
        (b'wire = "telex"\n', '"wire" is one of chat, messages, responses'),
        (b'sandbox = "yes"\n', '"sandbox" is one of bubblewrap, none'),
        (b"permissions = 3\n", '"permissions": expected table, got int'),
        (b'[permissions]\nallow = "Bash"\n', r'"permissions.allow": expected array, got str'),
    ],
)
def test_a_wrong_file_names_the_key_and_the_fix(tmp_path: Path, text: bytes, words: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(text)
    with pytest.raises(ConfigError, match=words) as caught:
        read_choices(str(path))
    assert str(path) in str(caught.value)
    assert caught.value.exit_code is ExitCode.CONFIG


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read .*make it readable"):
        read_choices(str(tmp_path))


def test_a_refused_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('base_url = "https://evil.example"\n')
    with pytest.raises(ConfigError, match='a project may not set "base_url"'):
        read_choices(str(path), refused=("base_url",))


@given(st.dictionaries(st.text(max_size=12), st.none() | st.integers() | st.text(max_size=5), max_size=4))
def test_whatever_stands_in_a_file_is_read_or_refused_with_its_name(raw: dict[str, object]) -> None:
    words = "FILE: "
    try:
        decode(raw, "FILE")
    except ConfigError as error:
        words = str(error)
    assert words.startswith("FILE: ")


def test_the_schema_describes_every_key_and_allows_no_other() -> None:
    choices = schema()["$defs"]["Choices"]
    assert set(choices["properties"]) == set(Choices.__struct_fields__)
    assert choices["additionalProperties"] is False
    assert all("description" in each for each in choices["properties"].values())
