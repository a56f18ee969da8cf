"""Providers in the settings."""

import tomllib
from collections.abc import Mapping

import pytest

from hames.assembly.provider_tables import check_providers, known_providers
from hames.core.errors import ConfigError
from hames.core.profiles import Price
from hames.models.profiles import Profiles, Table

FULL = """
[mine]
base_url = "https://mine.example/v1"
wire = "chat"
key_env = "MINE"
default_model = "a"
reasoning = "always"
extra = { top_p = 0.5, nested = { list = [1, "x"] } }
efforts.high = { think = true }
peak = { days = [0], hours = [[1, 2]], factor = 2.0 }
[mine.models.a]
window = 2048
max_output = 100
price = { hit = 0.1, miss = 1.0, output = 2.0 }
[mine.models."b.c"]
window = 4096
max_output = 100
"""


def known(text: str) -> Profiles:
    own: Mapping[str, Table] = tomllib.loads(text)
    check_providers(own, "FILE")
    return known_providers(own, dict.fromkeys(own, "FILE"))


def test_a_provider_may_say_all_that_ours_say() -> None:
    mine = known(FULL)["mine"]
    assert (mine.key_env, mine.default_model, mine.reasoning) == ("MINE", "a", "always")
    assert mine.models["a"].price == Price(0.1, 1.0, 2.0)
    assert mine.models["b.c"].window == 4096
    assert mine.peak is not None
    assert mine.peak.factor == 2.0


def test_one_price_of_a_known_model_can_be_set_alone() -> None:
    facts = known("[deepseek.models.pro.price]\noutput = 9.0\n")["deepseek"].models["deepseek-v4-pro"]
    assert facts.price == Price(0.022, 0.66, 9.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[mine]\nbase_ulr = 1", 'no setting "providers.mine.base_ulr"; did you mean "base_url"?'),
        ("[mine]\nname = 'x'", 'no setting "providers.mine.name"'),
        ("[deepseek]\nqqqqqqqqqqqq = 1", "; the keys are base_url, wire, key_env"),
        ("mine = 3", '"providers.mine": expected table, got int'),
        ('["a b"]\nx = 1', 'no setting "providers."a b".x"'),
        ('["a/b"]\n', "the name of a provider is not empty and has no slash"),
        ("[mine]\nbase_url = 'mine.example'", "'mine.example' is not a URL; it starts with https:// or"),
        ("[mine]\nbase_url = 3", '"providers.mine.base_url": expected str, got int'),
        ("[mine]\nwire = 'telex'", '"providers.mine.wire" is one of chat, messages, responses'),
        ("[mine]\nreasoning = 'odd'", '"providers.mine.reasoning" is one of calls, always, every, never'),
        ("[mine]\ntool_mode = 'json'", '"providers.mine.tool_mode" is one of native, json_schema'),
        (
            "[anthropic]\ntool_mode = 'json_schema'",
            "FILE: providers.anthropic: .*tool_mode json_schema is for the wire chat, not messages",
        ),
        ("[mine]\nkey_headers = ['odd']", "is one of authorization, x-api-key"),
        ("[mine]\nidle_s = 0", '"providers.mine.idle_s": expected float > 0.0, got 0'),
        ("[mine]\nmodels = 3", '"providers.mine.models": expected table, got int'),
        ("[mine]\npeak = 3", '"providers.mine.peak": expected table, got int'),
        ("[mine.peak]\nfactr = 2", 'no setting "providers.mine.peak.factr"; did you mean "factor"?'),
        ("[mine.peak]\nfactor = 0", '"providers.mine.peak.factor": expected float > 0.0'),
        ("[mine.models]\na = 3", '"providers.mine.models.a": expected table, got int'),
        ("[mine.models.a]\nwindw = 3", 'no setting "providers.mine.models.a.windw"; did you mean "window"?'),
        (
            '[mine.models."a.b"]\nwindow = 9',
            '"providers.mine.models."a.b".window": expected int >= 1024, got 9',
        ),
        ("[mine.models.a]\nprice = 1", '"providers.mine.models.a.price": expected table, got int'),
        (
            "[mine.models.a.price]\nouput = 1",
            'no setting "providers.mine.models.a.price.ouput"; did you mean "output"?',
        ),
        (
            "[mine.models.a.price]\noutput = -1",
            '"providers.mine.models.a.price.output": expected float >= 0.0',
        ),
        ("[mine]\nwire = 'chat'", 'FILE: providers.mine: a new provider needs "base_url"'),
        ("[deepseek.models.x]\nsees = true", 'models.x: a new model needs "window" and "max_output"'),
        (
            "[qwen.models.x]\nwindow = 2000\nmax_output = 9\nprice = { hit = 1 }",
            'providers.qwen.models.x.price: a price needs "miss" and "output"',
        ),
        ("[deepseek]\ndefault_model = 'flsh'", "providers.deepseek.default_model: .*deepseek-flash"),
    ],
)
def test_what_does_not_fit_names_the_file_the_whole_key_and_the_fix(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        known(text)
    assert str(caught.value).startswith("FILE: ")
    pattern, _, after = words.partition(".*")
    assert pattern in str(caught.value)
    assert after in str(caught.value)


def test_providers_are_tables() -> None:
    with pytest.raises(ConfigError, match='"providers": expected table, got int'):
        check_providers(3, "FILE")
