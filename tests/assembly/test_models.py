"""Which models a run may ask."""

import pytest

from hames.assembly.endpoint import KeyMissing
from hames.assembly.models import Candidate, candidates, profile_for
from hames.assembly.secret import Secret
from hames.assembly.settings import Flags
from hames.assembly.settings_file import Choices
from hames.core.errors import ConfigError
from tests.assembly.conftest import House

KEYS = {"DEEPSEEK_API_KEY": "sk-d", "MOONSHOT_API_KEY": "sk-m", "OPENAI_API_KEY": "sk-o", "MINE": "sk-mine"}
AT = "http://127.0.0.1:9/v1"


def asked(house: House, **said: object) -> tuple[Candidate, ...]:
    return candidates(house.load(Flags(Choices(**said)), KEYS))  # pyright: ignore[reportArgumentType] - keys of a test


def names(found: tuple[Candidate, ...]) -> list[str]:
    return [f"{each.profile.provider.name}/{each.profile.model}" for each in found]


def test_without_a_word_deepseek_is_asked(house: House) -> None:
    (found,) = asked(house)
    assert names((found,)) == ["deepseek/deepseek-flash"]
    assert (found.key, found.concurrency) == (Secret("sk-d"), 2500)
    assert found.profile == profile_for(house.load())


def test_those_that_stand_in_come_in_their_order_each_once_with_their_own_key(house: House) -> None:
    found = asked(house, fallback=("kimi", "deepseek", "openai/sol", "kimi/kimi-k3.1-pro"))
    assert names(found) == ["deepseek/deepseek-flash", "kimi/kimi-k3.1-pro", "openai/gpt-6.2-sol"]
    assert [each.key for each in found] == [Secret("sk-d"), Secret("sk-m"), Secret("sk-o")]
    assert [each.profile.provider.wire for each in found] == ["chat", "chat", "responses"]


def test_the_base_url_holds_for_the_first_model_and_for_others_of_its_provider(house: House) -> None:
    found = asked(
        house, base_url=AT, wire="messages", api_key_env="MINE", model="big", fallback=("small", "deepseek")
    )
    assert names(found) == ["custom/big", "custom/small", "deepseek/deepseek-flash"]
    where = [(each.profile.provider.base_url, each.profile.provider.wire, each.key) for each in found]
    own = (AT, "messages", Secret("sk-mine"))
    assert where == [own, own, ("https://api.deepseek.com", "chat", Secret("sk-d"))]


def test_the_mode_for_calls_belongs_to_the_endpoint_that_it_is_said_for(house: House) -> None:
    said = {"tool_mode": "json_schema", "base_url": AT, "model": "small"}
    found = asked(house, **said, fallback=("smaller", "deepseek"))
    assert [each.profile.provider.tool_mode for each in found] == ["json_schema", "json_schema", "native"]
    house.write(house.user, 'base_url = "http://other"\ntool_mode = "json_schema"\n')
    (flagged,) = asked(house, base_url=AT, model="small")
    assert flagged.profile.provider.tool_mode == "native"
    (filed,) = asked(house, model="small")
    assert filed.profile.provider.tool_mode == "json_schema"


def test_a_mode_for_calls_that_the_wire_has_not_is_refused(house: House) -> None:
    with pytest.raises(ConfigError, match="tool_mode json_schema is for the wire chat, not responses"):
        asked(house, tool_mode="json_schema", base_url=AT, model="big", wire="responses")


def test_the_window_of_the_settings_is_that_of_the_first_model(house: House) -> None:
    first, second = asked(house, window=5000, fallback=("deepseek/pro",))
    assert (first.profile.facts.window, second.profile.facts.window) == (5000, 1_000_000)


def test_the_smaller_number_of_requests_at_once_holds(house: House) -> None:
    assert [each.concurrency for each in asked(house, concurrency=600, fallback=("deepseek/pro",))] == [
        600,
        500,
    ]
    house.write(house.user, "[providers.kimi]\nconcurrency = 50\n")
    assert asked(house, model="kimi")[0].concurrency == 50
    assert asked(house, model="openai")[0].concurrency is None


def test_the_key_of_a_model_that_stands_in_must_be_there_at_the_start(house: House) -> None:
    with pytest.raises(KeyMissing, match="ZAI_API_KEY is not set"):
        asked(house, fallback=("glm",))


def test_a_provider_of_the_settings_can_be_asked_and_stand_in(house: House) -> None:
    house.write(
        house.user,
        """
        fallback = ["deepseek"]
        [providers.mine]
        base_url = "http://127.0.0.1:7/v1"
        wire = "responses"
        key_env = "MINE"
        default_model = "m"
        """,
    )
    first, second = asked(house, model="mine")
    assert names((first, second)) == ["mine/m", "deepseek/deepseek-flash"]
    assert (first.key, first.profile.provider.base_url) == (Secret("sk-mine"), "http://127.0.0.1:7/v1")
    assert names(asked(house, model="deepseek", fallback=("mine",))) == ["deepseek/deepseek-flash", "mine/m"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"fallback": ("kimmi",)}, "fallback: 'kimmi' is not known.*Known: "),
        ({"fallback": ("deepseek/flsh",)}, "fallback: deepseek has no model 'flsh'"),
        ({"effort": "hard"}, "effort: deepseek does not take 'hard'; it takes none, minimal, low"),
        ({"effort": "hard", "model": "openai"}, "effort: openai does not take"),
        (
            {"base_url": AT, "model": "org/m", "max_budget_usd": 2.0},
            r"max_budget_usd: no price is known for custom/org/m.*\[providers.custom.models.\"org/m\"\]",
        ),
        (
            {"base_url": AT, "model": "m", "max_budget_usd": 2.0, "fallback": ("deepseek",)},
            "max_budget_usd: no price is known for custom/m",
        ),
        (
            {"fallback": ("custom/m",), "fallback_max_usd": 1.5},
            "fallback_max_usd: no price is known for custom/m, so 1.5 dollars mean nothing",
        ),
    ],
)
def test_what_cannot_be_kept_to_is_refused_at_the_start(
    house: House, said: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        asked(house, **said)


def test_an_effort_goes_out_by_its_name_where_the_list_is_open(house: House) -> None:
    (found,) = asked(house, base_url=AT, model="m", effort="hard")
    assert found.options.effort == "hard"
    (elsewhere,) = asked(house, base_url=AT, wire="messages", model="deepseek/pro", effort="hard")
    assert elsewhere.options.effort == "hard"


def test_only_those_that_stand_in_need_a_price_for_what_they_may_cost(house: House) -> None:
    assert len(asked(house, base_url=AT, model="m", fallback=("deepseek",), fallback_max_usd=1.0)) == 2


def test_a_price_of_the_settings_is_enough_for_a_budget(house: House) -> None:
    house.write(house.user, "[providers.custom.models.m]\nprice = { hit = 0.1, miss = 1, output = 2 }\n")
    (found,) = asked(house, base_url=AT, model="m", max_budget_usd=2.0)
    assert found.profile.facts.price is not None
    assert found.profile.facts.window == 65_536
