"""Which gate stands in front of an endpoint."""

from pathlib import Path

import pytest

from hames.assembly.gates import gate_for
from hames.assembly.system import SystemClock
from hames.core.errors import ConfigError
from hames.core.ports import Closed
from tests.assembly.conftest import House

URL = "https://api.deepseek.com/v1"
KEY = "sk-0123456789"


def test_sessions_with_one_key_at_one_host_share_a_gate_in_the_state_directory(house: House) -> None:
    run = house.load()
    Path(run.directories.state).mkdir(parents=True)
    leave = gate_for(run, SystemClock(), URL, KEY).enter()
    assert not isinstance(leave, Closed)
    until = leave.refused(3600.0, "api.deepseek.com answers 429")
    same = gate_for(run, SystemClock(), "https://api.deepseek.com/beta", KEY, 500).enter()
    assert isinstance(same, Closed)
    assert (same.until >= until, same.why) == (True, "api.deepseek.com answers 429")
    for url, key in ((URL, None), (URL, "sk-other"), ("http://127.0.0.1:8000", KEY)):
        assert not isinstance(gate_for(run, SystemClock(), url, key).enter(), Closed)
    assert [path.parent for path in Path(run.directories.state).rglob("*") if path.is_file()] == [
        Path(run.directories.state, "gates")
    ]


def test_as_many_requests_are_under_way_as_the_provider_allows(house: House) -> None:
    run = house.load()
    Path(run.directories.state).mkdir(parents=True)
    leaves = [gate_for(run, SystemClock(), URL, KEY, 2).enter() for _ in range(3)]
    assert [isinstance(leave, Closed) for leave in leaves] == [False, False, True]
    for leave in leaves:
        if not isinstance(leave, Closed):
            leave.close()


def test_a_base_url_that_is_none_is_an_error(house: House) -> None:
    with pytest.raises(ConfigError):
        gate_for(house.load(), SystemClock(), "api.deepseek.com", KEY)
