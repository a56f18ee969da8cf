"""Mistyped names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.core.nearest import hint, nearest

KEYS = ("model", "base_url", "permission_mode", "max_steps")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("modle", "model"),
        ("baseurl", "base_url"),
        ("base-url", "base_url"),
        ("PermissionMode", "permission_mode"),
        ("max_step", "max_steps"),
        ("zzzzz", None),
    ],
)
def test_the_nearest_name_is_the_one_with_the_fewest_edits(typed: str, meant: str | None) -> None:
    assert nearest(typed, KEYS) == meant


def test_a_hint_is_silent_when_nothing_is_near() -> None:
    assert hint("zzzzz", KEYS) == ""
    assert hint("modle", KEYS) == '; did you mean "model"?'


@given(st.text(max_size=80), st.lists(st.text(max_size=20), max_size=5))
def test_whatever_is_found_was_offered(typed: str, names: list[str]) -> None:
    assert nearest(typed, names) in (None, *names)


@given(st.text(min_size=1, max_size=20))
def test_a_name_is_nearest_to_itself(name: str) -> None:
    assert nearest(name, ["", name]) == name
