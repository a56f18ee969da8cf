import pytest

from hames.core.paths import is_within


@pytest.mark.parametrize(
    ("path", "place", "within"),
    [
        ("/a/b", "/a", True),
        ("/a", "/a", True),
        ("/ab", "/a", False),
        ("/", "/a", False),
        ("/a", "/", True),
        ("/", "/", True),
    ],
)
def test_a_path_is_within_itself_and_all_above_it(path: str, place: str, within: bool) -> None:
    assert is_within(path, place) is within
