import time

from hames.tools.matching import Place
from hames.tools.near import diff, near_misses


def test_a_change_at_the_first_and_the_last_line_is_shown_with_its_number() -> None:
    text = "a\nb\nc\nd\ne\nf\ng\nh\n"
    assert diff(text, Place(0, 1, "A")) == "@@ line 1 @@\n-a\n+A\n b\n c\n d"
    assert diff(text, Place(14, 15, "H")) == "@@ line 5 @@\n e\n f\n g\n-h\n+H\n "


def test_a_long_change_is_counted_not_shown() -> None:
    text = "a\n" * 500
    assert diff(text, Place(0, 1000, "b\n")) == "@@ line 1 @@\n501 lines became 2"


def test_a_wide_change_is_cut() -> None:
    shown = diff("a\n", Place(0, 1, "\n".join(["x" * 100] * 50)))
    assert shown.endswith("\n…")
    assert len(shown) < 2100


def test_a_difference_in_white_space_alone_is_named() -> None:
    assert "differs only in white space" in near_misses("if  a:\n  b\n", "if a:\n    b")


def test_looking_for_near_misses_in_a_large_file_takes_bounded_time() -> None:
    text = "".join(f"some line of a large file, number {number}\n" for number in range(200_000))
    begun = time.process_time()
    near_misses(text, "something else altogether that is nowhere\nand more of it")
    assert time.process_time() - begun < 5
