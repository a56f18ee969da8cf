"""Secrets do not show."""

import copy
import pickle

import msgspec
import pytest

from hames.assembly.secret import Environ, Secret


def test_a_secret_shows_only_when_it_is_revealed() -> None:
    secret = Secret("sk-123")
    assert secret.reveal() == "sk-123"
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r:>20}", repr([secret])):
        assert "sk-123" not in shown


def test_a_secret_is_never_encoded_or_stored() -> None:
    with pytest.raises(TypeError):
        msgspec.json.encode({"key": Secret("sk-123")})
    with pytest.raises(TypeError):
        pickle.dumps(Secret("sk-123"))
    with pytest.raises(TypeError):
        copy.deepcopy(Secret("sk-123"))


def test_secrets_compare_by_value() -> None:
    assert Secret("a") == Secret("a")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


def test_the_environment_does_not_print_its_values() -> None:
    environ = Environ({"KEY": "sk-123", "BLANK": "  "})
    assert repr(environ) == "Environ(2 variables)"
    assert sorted(environ) == ["BLANK", "KEY"]
    assert environ["KEY"] == "sk-123"
    assert environ.secret("KEY") == Secret("sk-123")
    assert environ.secret("BLANK") is None
    assert environ.secret("NONE") is None


def test_a_proxy_variable_may_be_in_either_case() -> None:
    assert Environ({"no_proxy": "a", "NO_PROXY": "b"}).either_case("no_proxy") == "a"
    assert Environ({"NO_PROXY": "b"}).either_case("no_proxy") == "b"
    assert Environ({}).either_case("no_proxy") == ""
