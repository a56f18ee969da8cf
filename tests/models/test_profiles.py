import tomllib
from pathlib import Path

import msgspec
import pytest

from hames.core.errors import ConfigError
from hames.core.profiles import Price
from hames.models import profiles
from hames.models.profiles import (
    Profiles,
    Table,
    default_model,
    laid_over,
    on_wire,
    profile_of,
    providers,
    resolve,
)

TOML = Path(profiles.__file__).with_name("profiles.toml").read_text()
NAMES = [
    *("deepseek", "qwen", "kimi", "glm", "minimax", "openai", "anthropic"),
    *("openrouter", "vllm", "sglang", "ollama", "llamacpp", "custom"),
]
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra")


def test_the_providers_that_matter_are_known_the_chinese_ones_first() -> None:
    assert list(providers()) == NAMES
    assert len(providers()) == len(NAMES)


def test_each_provider_read_alone_is_as_in_the_whole_file() -> None:
    assert dict(providers()) == dict(Profiles({}, tomllib.loads(TOML)))
    with pytest.raises(KeyError):
        providers()["nobody"]


@pytest.mark.parametrize("name", NAMES)
def test_a_provider_names_what_is_needed_to_ask_it(name: str) -> None:
    provider = providers()[name]
    assert provider.base_url.startswith("http") or name == "custom"
    assert provider.models
    model = default_model(provider)
    assert not model or profile_of(provider, model).model == model
    for facts in provider.models.values():
        assert facts.max_output <= facts.window
        assert (facts.long_price is None) == (facts.long_input == 0)
        for price in (facts.price, facts.long_price):
            assert price is None or price.hit <= price.miss <= price.output


@pytest.mark.parametrize("name", [name for name in NAMES if providers()[name].only_efforts])
def test_a_closed_list_of_efforts_has_the_usual_ones(name: str) -> None:
    assert set(providers()[name].efforts) == set(EFFORTS)


def test_what_runs_on_this_machine_needs_no_key_and_costs_nothing() -> None:
    for name in ("vllm", "sglang", "ollama", "llamacpp"):
        profile = resolve(f"{name}/org/some-model")
        assert profile.model == "org/some-model"
        assert profile.provider.key_env == ""
        assert profile.provider.base_url.startswith("http://127.0.0.1:")
        assert profile.facts.price == Price(0.0, 0.0, 0.0)


def test_how_many_requests_deepseek_takes_at_once_is_known_of_each_model() -> None:
    models = providers()["deepseek"].models
    assert (models["deepseek-flash"].concurrency, models["deepseek-v4-pro"].concurrency) == (2500, 500)


MINE = """
    [deepseek]
    first_byte_s = 5.0
    headers = { X-Team = "a" }
    [deepseek.models.flash]
    price = { output = 9.0 }
    [deepseek.models.other]
    window = 5000
    max_output = 500
    [vllm.models.qwen]
    window = 131_072
    [gate]
    base_url = "https://gate.example/v1"
    wire = "messages"
    [one]
    base_url = "https://one.example/v1"
    wire = "chat"
    models.single = { window = 5000, max_output = 500 }
    [anthropic]
    wire = "chat"
    headers = { X-Gate = "b" }
"""


def test_a_table_of_the_users_changes_only_what_it_says() -> None:
    known = providers().over(tomllib.loads(MINE))
    was, now = providers()["deepseek"], known["deepseek"]
    flash = was.models["deepseek-flash"]
    price = Price(0.003, 0.15, 9.0)
    assert now.models["deepseek-flash"] == msgspec.structs.replace(flash, price=price)
    assert now.models["other"].window == 5000
    models = {**now.models, "deepseek-flash": flash}
    del models["other"]
    changed = msgspec.structs.replace(was, first_byte_s=5.0, headers={"X-Team": "a"})
    assert msgspec.structs.replace(now, models=models) == changed
    assert (len(known), list(known)[-2:]) == (len(NAMES) + 2, ["gate", "one"])
    assert known["kimi"] == providers()["kimi"]
    assert providers()["deepseek"] is was


def test_a_model_that_is_not_listed_begins_with_the_facts_of_any() -> None:
    facts = resolve("vllm/qwen", providers().over(tomllib.loads(MINE))).facts
    any_model = providers()["vllm"].models["*"]
    assert facts == msgspec.structs.replace(any_model, window=131_072)


def test_a_new_provider_without_models_takes_any_and_one_with_a_single_one_means_that() -> None:
    known = providers().over(tomllib.loads(MINE))
    assert resolve("gate/whatever", known).facts == providers()["custom"].models["*"]
    assert resolve("one", known).model == "single"


def test_another_wire_drops_what_was_meant_for_the_old_one() -> None:
    claude = providers().over(tomllib.loads(MINE))["anthropic"]
    assert (claude.wire, claude.extra, claude.efforts, claude.key_headers) == ("chat", {}, {}, ())
    assert claude.headers == {"X-Gate": "b"}


def test_tables_are_laid_over_each_other_one_after_the_other() -> None:
    first = {"wire": "chat", "models": {"a": {"window": 1, "price": {"hit": 1}}}, "extra": {"x": 1}}
    second = {"base_url": "u", "models": {"a": {"price": {"miss": 2}}, "b": {}}, "extra": {"y": 2}}
    assert laid_over(first, second) == {
        "wire": "chat",
        "base_url": "u",
        "models": {"a": {"window": 1, "price": {"hit": 1, "miss": 2}}, "b": {}},
        "extra": {"x": 1, "y": 2},
    }
    assert laid_over({}, second) == second


def test_deepseek_is_known_with_its_rules() -> None:
    provider = providers()["deepseek"]
    assert provider.base_url == "https://api.deepseek.com"
    assert (provider.key_env, provider.base_url_env) == ("DEEPSEEK_API_KEY", "DEEPSEEK_BASE_URL")
    assert (provider.reasoning, provider.keepalive, provider.idle_s) == ("calls", True, 30.0)
    assert provider.first_byte_s >= 600
    assert provider.models["deepseek-flash"].sees
    assert not provider.models["deepseek-v4-pro"].sees


@pytest.mark.parametrize(
    ("name", "provider", "model"),
    [
        ("deepseek", "deepseek", "deepseek-flash"),
        ("deepseek/deepseek-v4-pro", "deepseek", "deepseek-v4-pro"),
        ("deepseek-v4-pro", "deepseek", "deepseek-v4-pro"),
        ("deepseek/pro", "deepseek", "deepseek-v4-pro"),
        ("flash", "deepseek", "deepseek-flash"),
        ("deepseek-v4-flash", "deepseek", "deepseek-flash"),
        ("anthropic", "anthropic", "claude-opus-5-5"),
        ("sonnet", "anthropic", "claude-sonnet-5-5"),
        ("anthropic/haiku", "anthropic", "claude-haiku-5-5"),
        ("custom/Qwen/Qwen3-8B", "custom", "Qwen/Qwen3-8B"),
    ],
)
def test_a_model_is_found_by_provider_id_or_alias(name: str, provider: str, model: str) -> None:
    profile = resolve(name)
    assert (profile.provider.name, profile.model) == (provider, model)


def test_anthropic_is_known_with_its_rules() -> None:
    provider = providers()["anthropic"]
    assert (provider.wire, provider.key_env, provider.key_headers) == (
        "messages",
        "ANTHROPIC_API_KEY",
        ("x-api-key",),
    )
    assert (provider.reasoning, provider.cache_marks) == ("always", True)
    assert all(facts.sees and facts.price and facts.window == 1_000_000 for facts in provider.models.values())


def test_on_another_wire_a_provider_keeps_none_of_the_parameters_of_its_own() -> None:
    provider = providers()["deepseek"]
    assert on_wire(provider, "chat") is provider
    other = on_wire(provider, "messages")
    assert (other.wire, other.efforts, other.key_env) == ("messages", {}, provider.key_env)
    claude = on_wire(providers()["anthropic"], "chat")
    assert (claude.extra, claude.headers, claude.key_headers) == ({}, {}, ())


def test_calls_as_json_are_for_the_chat_wire_alone() -> None:
    asked = {"base_url": "https://x", "tool_mode": "json_schema"}
    provider = providers().over({"x": {**asked, "wire": "chat"}})["x"]
    assert provider.tool_mode == "json_schema"
    assert on_wire(provider, "responses").tool_mode == "native"
    with pytest.raises(ConfigError, match="'x': tool_mode json_schema is for the wire chat, not messages"):
        _ = providers().over({"x": {**asked, "wire": "messages"}})["x"]


def test_any_model_of_a_custom_server_has_cautious_facts() -> None:
    facts = resolve("custom/anything").facts
    assert facts.window == 65_536
    assert facts.price is None
    assert not facts.sees


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("deepseek/deepseek-flsh", "deepseek-flash"),
        ("deepseek-v4-por", "deepseek-v4-pro"),
        ("depseek/deepseek-flash", "deepseek/deepseek-flash"),
        ("gpt-9", "Known: deepseek/deepseek-flash, deepseek/deepseek-v4-pro"),
        ("deepseek-chat", "use deepseek/deepseek-flash"),
        ("deepseek/deepseek-reasoner", "use deepseek/deepseek-flash"),
        ("custom", "--model custom/NAME"),
        ("custom/", "--model custom/NAME"),
        ("deepseek/*", "has no model"),
        ("", "is not known"),
    ],
)
def test_an_unknown_model_is_an_error_that_names_the_nearest(name: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(name)
    assert said in str(caught.value)


def test_a_provider_of_the_users_own_is_read_like_ours() -> None:
    known = providers().over(
        tomllib.loads("""
        [mine]
        base_url = "http://h/v1"
        wire = "chat"
        key_env = ""
        default_model = "m"
        extra = { top_p = 0.5, nested = { a = [1] } }
        models.m = { window = 2000, max_output = 100 }
    """)
    )
    profile = resolve("mine", known)
    assert profile == profile_of(known["mine"], "m")
    assert {key: bytes(value) for key, value in profile.provider.extra.items()} == {
        "top_p": b"0.5",
        "nested": b'{"a":[1]}',
    }


@pytest.mark.parametrize("said", [{"base_url": 1}, {"nonsense": 1}])
def test_a_profile_that_does_not_fit_is_an_error_that_names_it(said: Table) -> None:
    with pytest.raises(ConfigError, match="'mine'"):
        _ = providers().over({"mine": said})["mine"]
