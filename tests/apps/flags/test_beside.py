import pytest

from hames.apps.flags import parse
from hames.core.errors import UsageError


def test_models_are_listed_all_or_some_as_a_table_or_as_json() -> None:
    every, some = parse(["models"]), parse(["models", "kimi", "--json", "--settings", "s.toml"])
    assert (every.command, every.words, every.as_json) == ("models", ("",), False)
    assert (some.words, some.as_json, some.flags.settings) == (("kimi",), True, "s.toml")


@pytest.mark.parametrize(
    "words", [["models", "test", "kimi/kimi-k3"], ["models", "test", "--model", "kimi/kimi-k3"]]
)
def test_the_model_to_be_tried_is_named_with_or_without_its_flag(words: list[str]) -> None:
    asked = parse([*words, "--base-url", "http://h", "--wire", "chat"])
    assert asked.command == "models test"
    choices = asked.flags.choices
    assert (choices.model, choices.base_url, choices.wire) == ("kimi/kimi-k3", "http://h", "chat")
    assert parse(["models", "test"]).flags.choices.model is None


def test_what_is_not_known_of_models_is_refused() -> None:
    with pytest.raises(UsageError, match="see `hames models --help`"):
        parse(["models", "--jsn"])


def test_patience_and_models_that_stand_in_are_settings() -> None:
    choices = parse(
        ["-p", "x", "--patience", "90", "--fallback-model", "a", "--fallback-model", "b"]
    ).flags.choices
    assert (choices.patience_s, choices.fallback) == (90.0, ("a", "b"))
    assert parse(["-p", "x"]).flags.choices.fallback is None
