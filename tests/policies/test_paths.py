"""Path patterns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.core.errors import ConfigError
from hames.policies.paths import inside, read_pattern


def fits(pattern: str, path: str, *, below: bool = True) -> bool:
    return read_pattern(pattern, "/home/u/ws", "/home/u").matches(path, below=below)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("./secrets/**", "/home/u/ws/secrets/a/b"),
        ("secrets/**", "/home/u/ws/secrets/a"),
        ("/src/*.py", "/home/u/ws/src/a.py"),
        ("src/**/test_*.py", "/home/u/ws/src/test_a.py"),
        ("src/**/test_*.py", "/home/u/ws/src/x/y/test_a.py"),
        ("//etc/passwd", "/etc/passwd"),
        ("~/.ssh/**", "/home/u/.ssh/id"),
        ("~", "/home/u/x"),
        (".env", "/home/u/ws/.env"),
        (".env", "/home/u/ws/a/b/.env"),
        ("keys/", "/home/u/ws/a/keys/k"),
        ("../other/**", "/home/u/other/x"),
        ("**", "/home/u/ws/x"),
        ("//", "/anything"),
        ("./secrets/**", "/home/u/ws/src/../secrets/a"),
    ],
)
def test_a_path_that_a_pattern_means_fits(pattern: str, path: str) -> None:
    assert fits(pattern, path)
    assert fits(pattern, path, below=False)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("./secrets/**", "/home/u/ws/secrets2/a"),
        ("/src/*.py", "/home/u/ws2/src/a.py"),
        ("src/*.py", "/home/u/ws/deep/src/a.py"),
        ("./.env", "/home/u/ws/a/.env"),
        (".env", "/home/u/.env"),
        ("//etc/passwd", "/home/u/ws/etc/passwd"),
        ("./secrets/**", "/home/u/ws/secrets/../x"),
    ],
)
def test_a_neighbour_does_not_fit(pattern: str, path: str) -> None:
    assert not fits(pattern, path)


def test_only_the_broad_match_takes_what_lies_below() -> None:
    assert fits("src/*", "/home/u/ws/src/a/b")
    assert not fits("src/*", "/home/u/ws/src/a/b", below=False)


def test_a_pattern_that_climbs_in_the_middle_is_refused() -> None:
    with pytest.raises(ConfigError, match="in the middle"):
        read_pattern("a/../b", "/ws", "/home")


@pytest.mark.parametrize(
    ("pattern", "literal"),
    [
        ("./secrets/**", "/ws/secrets"),
        (".env", "/ws/.env"),
        ("//etc/x", "/etc/x"),
        ("*.pem", None),
        ("a/**/b", None),
    ],
)
def test_a_pattern_without_wildcards_names_its_path(pattern: str, literal: str | None) -> None:
    assert read_pattern(pattern, "/ws", "/home/u").literal() == literal


def test_inside_compares_components_and_not_letters() -> None:
    assert inside("/ws/a", ("/ws",))
    assert inside("/ws", ("/ws",))
    assert inside("/x/../ws/a", ("/ws",))
    assert not inside("/ws2/a", ("/ws",))
    assert not inside("/ws/../etc", ("/ws",))
    assert not inside("a", ("/",))
    assert inside("/a", ("/",))


components = st.lists(st.sampled_from(["a", "b", "..", ".", "c d", "é"]), max_size=6).map("/".join)


@given(components)
def test_dots_never_carry_a_path_out_of_its_root_unseen(tail: str) -> None:
    depth = 0
    lowest = 0
    for part in tail.split("/"):
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        lowest = min(lowest, depth)
    if lowest == 0:
        assert inside(f"/r/{tail}", ("/r",))
    if depth < 0:
        assert not inside(f"/r/{tail}", ("/r",))
