import os

import pytest

from hames.apps.flags import parse
from hames.assembly.ask_for import LocalRequest
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


def test_a_model_near_at_hand_is_weights_or_a_server() -> None:
    file = parse(["models", "local", "--gguf", "small.gguf", "--port", "8090", "--window", "4096"])
    assert file.command == "models local"
    assert file.local == LocalRequest(gguf=os.path.abspath("small.gguf"), port=8090)
    assert (file.flags.choices.base_url, file.flags.choices.window) == (None, 4096)
    server = parse(["doctor", "--local", "--url", "http://h/v1", "--model", "big"])
    assert (server.command, server.local) == ("doctor local", LocalRequest(url="http://h/v1"))
    assert (server.flags.choices.base_url, server.flags.choices.model) == ("http://h/v1", "big")
    assert parse(["doctor", "--local"]).local == LocalRequest()
    assert parse(["doctor", "--base-url", "http://h/v1"]).command == "doctor"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["models", "local"], "name weights with --gguf FILE, or a server with --url URL"),
        (["models", "local", "--gguf", "a", "--url", "http://h"], "not allowed with argument"),
        (["doctor", "--url", "http://h"], "--gguf and --url go with --local"),
        (["doctor", "--gguf", "a"], "--gguf and --url go with --local"),
    ],
)
def test_what_does_not_name_one_of_them_is_refused(words: list[str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse(words)
