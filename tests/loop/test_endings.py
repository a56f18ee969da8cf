import pytest

from hames.core.events import Ran, TurnEnded
from hames.loop.endings import verified_words

WELL, ILL, UNSEEN = Ran("pytest -q", 0, 5), Ran("mypy\x1b[2J", 1, 6), Ran("a | tail", None, 7)


@pytest.mark.parametrize(
    ("verified", "has_changes", "words"),
    [
        ((), False, ""),
        ((), True, "not verified: nothing was checked after the last change"),
        ((WELL,), False, "verified after the last change: `pytest -q` exit 0"),
        ((ILL,), False, "not verified after the last change: `mypy [2J` exit 1"),
        (
            (WELL, UNSEEN),
            False,
            "not verified after the last change: `a | tail` exit code not seen; passed: `pytest -q` exit 0",
        ),
    ],
)
def test_an_ending_says_what_was_checked_after_the_last_change(
    verified: tuple[Ran, ...], has_changes: bool, words: str
) -> None:
    ended = TurnEnded(1, "done", "", verified=verified, unverified_changes=has_changes)
    assert verified_words(ended) == words
