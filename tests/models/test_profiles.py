import pytest

from hames.core.errors import ConfigError
from hames.models.profiles import on_wire, profile_of, providers, read_providers, resolve


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
    known = read_providers("""
        [mine]
        base_url = "http://h/v1"
        wire = "chat"
        key_env = ""
        default_model = "m"
        extra = { top_p = 0.5, nested = { a = [1] } }
        models.m = { window = 1000, max_output = 100 }
    """)
    profile = resolve("mine", known)
    assert profile == profile_of(known["mine"], "m")
    assert {key: bytes(value) for key, value in profile.provider.extra.items()} == {
        "top_p": b"0.5",
        "nested": b'{"a":[1]}',
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = [", "TOML"),
        ("[mine]\nbase_url = 1", "'mine'"),
        ("[mine]\nnonsense = 1", "'mine'"),
        ("mine = 3", "'mine'"),
    ],
)
def test_a_profile_that_does_not_fit_is_an_error_that_names_it(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_providers(text)
