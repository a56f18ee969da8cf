from hames.core.text import wire_size
from hames.tools.results import within


def test_whole_lines_are_taken_while_they_fit() -> None:
    assert within(["aaa", "bbb", "ccc"], 10) == ("aaa\nbbb", 2)
    assert within(["aaa", "bbb", "ccc"], 15) == ("aaa\nbbb\nccc", 3)
    assert within([], 10) == ("", 0)


def test_a_first_line_that_is_too_long_is_cut() -> None:
    text, count = within(['"' * 100], 11)
    assert (text, count) == ('"' * 5, 1)
    assert wire_size(text) <= 11
