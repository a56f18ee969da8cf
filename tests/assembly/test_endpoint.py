"""Where requests go, and with which key."""

import pytest

from hames.assembly.endpoint import KeyMissing, endpoint
from hames.assembly.secret import Secret
from hames.assembly.settings import Flags
from hames.assembly.settings_file import Choices
from hames.core.errors import ExitCode
from hames.core.profiles import Provider
from tests.assembly.conftest import House

PROVIDER = Provider(
    name="deepseek",
    base_url="https://api.deepseek.com",
    wire="chat",
    key_env="DEEPSEEK_API_KEY",
    default_model="m",
    base_url_env="DEEPSEEK_BASE_URL",
)
KEYED = {"DEEPSEEK_API_KEY": "sk-1"}


def test_the_providers_key_alone_is_enough(house: House) -> None:
    found = endpoint(house.load(environ=KEYED), PROVIDER)
    assert (found.base_url, found.wire, found.key) == ("https://api.deepseek.com", "chat", Secret("sk-1"))
    assert "sk-1" not in repr(found)


def test_the_providers_own_variable_moves_it_and_keeps_the_key(house: House) -> None:
    found = endpoint(house.load(environ={**KEYED, "DEEPSEEK_BASE_URL": "http://gate:1/v1/"}), PROVIDER)
    assert (found.base_url, found.key) == ("http://gate:1/v1", Secret("sk-1"))


def test_another_base_url_does_not_get_the_providers_key(house: House) -> None:
    flags = Flags(Choices(base_url="http://localhost:1", wire="messages"))
    found = endpoint(house.load(flags, KEYED), PROVIDER)
    assert (found.base_url, found.wire, found.key) == ("http://localhost:1", "messages", None)


def test_a_key_named_beside_a_base_url_is_used(house: House) -> None:
    flags = Flags(Choices(base_url="http://localhost:1", api_key_env="MINE"))
    assert endpoint(house.load(flags, {"MINE": "sk-2"}), PROVIDER).key == Secret("sk-2")


@pytest.mark.parametrize(
    ("flags", "name"), [(Flags(), "DEEPSEEK_API_KEY"), (Flags(Choices(api_key_env="MINE")), "MINE")]
)
def test_a_missing_key_names_its_variable_and_what_to_do(house: House, flags: Flags, name: str) -> None:
    with pytest.raises(KeyMissing, match=f"{name} is not set.*--api-key-env") as caught:
        endpoint(house.load(flags, {name: " "}), PROVIDER)
    assert caught.value.exit_code is ExitCode.AUTH
