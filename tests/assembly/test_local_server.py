"""Which model of a server is meant."""

import pytest

from hames.assembly.local_server import Near, named
from hames.assembly.settings import Flags
from hames.assembly.settings_file import Choices
from hames.assembly.system import SystemClock
from hames.core.errors import ConfigError
from hames.models.client import HttpClient
from hames.models.served import ServedModel
from tests.assembly.conftest import House

SMALL, BIG = ServedModel("small", 4096, "library"), ServedModel("qwen/big", None, "vllm")


def near(house: House, *models: ServedModel, model: str | None = None, window: int | None = None) -> Near:
    settings = house.load(Flags(Choices(base_url="http://h/v1", model=model, window=window)))
    clock = SystemClock()
    return Near(HttpClient(clock), clock, settings, "http://h/v1", models)


def test_the_only_one_is_meant_where_none_is_named(house: House) -> None:
    assert near(house, SMALL).model() == SMALL
    assert near(house, SMALL, BIG).model() is None


@pytest.mark.parametrize("name", ["qwen/big", "vllm/qwen/big"])
def test_a_name_is_taken_as_the_server_or_as_a_run_has_it(house: House, name: str) -> None:
    assert near(house, SMALL, BIG, model=name).model() == BIG


def test_a_name_that_the_server_has_not_is_refused_with_those_it_has(house: House) -> None:
    with pytest.raises(ConfigError, match="this server has no model 'huge'; it has small, qwen/big"):
        near(house, SMALL, BIG, model="huge").model()


def test_a_server_that_says_what_it_is_is_asked_as_such(house: House) -> None:
    assert [named(model) for model in (SMALL, BIG)] == ["custom/small", "vllm/qwen/big"]


def test_the_window_that_was_said_holds_over_that_of_the_server(house: House) -> None:
    assert near(house, SMALL).asked(SMALL, "native").window == 4096
    assert near(house, SMALL, window=2000).asked(SMALL, "native").window == 2000
