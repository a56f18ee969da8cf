import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.tools.matching import How, find


def edited(text: str, old: str, new: str) -> tuple[str, How]:
    """The text after an edit of its one place, and what was overlooked."""
    match = find(text, old, new)
    assert len(match.places) == 1
    place = match.places[0]
    return text[: place.start] + place.new + text[place.end :], match.how


def test_line_feeds_find_a_place_in_a_crlf_file_and_its_line_ends_stay() -> None:
    assert edited("a\r\nb\r\nc\r\n", "a\nb", "x\ny\nz") == ("x\r\ny\r\nz\r\nc\r\n", "line ends")
    assert edited("a\r\nb\r\n", "b", "b\nc") == ("a\r\nb\r\nc\r\n", "")


def test_crlf_finds_a_place_in_a_file_with_line_feeds() -> None:
    assert edited("a\nb\nc\n", "a\r\nb", "x\r\ny") == ("x\ny\nc\n", "line ends")


def test_a_file_with_both_line_ends_keeps_each_that_is_not_edited() -> None:
    assert edited("a\r\nb\nc\r\nd\n", "b\nc\nd", "x") == ("a\r\nx\n", "line ends")


def test_line_numbers_copied_from_read_are_taken_off() -> None:
    assert edited("a\n\tb\nc\n", "1\ta\n2\t\tb", "1\ta\n2\t\tB") == ("a\n\tB\nc\n", "line numbers")
    assert edited("a\nb\n", "     1\ta\n     2\tb", "x") == ("x\n", "line numbers")


def test_numbers_that_belong_to_the_text_are_left() -> None:
    assert edited("1\ta\n", "1\ta", "2\ta") == ("2\ta\n", "")
    assert find("a\n", "1\tb\nc", "x").places == ()
    assert find("a\n", "1\t", "x").places == ()


def test_trailing_white_space_is_overlooked() -> None:
    assert edited("a  \nb\t\nc\n", "a\nb", "x\ny") == ("x\ny\nc\n", "trailing white space")
    assert edited("a\nb\nc\n", "a \nb \n", "x\n") == ("x\nc\n", "trailing white space")
    assert edited("a\nb", "a \nb\n", "x\n") == ("x\n", "trailing white space")


@pytest.mark.parametrize(
    ("text", "old", "new", "after"),
    [
        (
            "\tif a:\n\t\tb\n",
            "    if a:\n        b",
            "    if a:\n        c\n        d",
            "\tif a:\n\t\tc\n\t\td\n",
        ),
        ("\tif a:\n\t\tb\n", "if a:\n  b", "if a:\n  c", "\tif a:\n\t\tc\n"),
        ("    if a:\n        b\n", "\tif a:\n\t\tb", "\tif a:\n\t\tc", "    if a:\n        c\n"),
        (
            "    if a:\n        b\n",
            "if a:\n    b",
            "if a:\n    c\n\n    d",
            "    if a:\n        c\n\n        d\n",
        ),
        ("if a:\n    b\n", "    if a:\n        b\n", "    c\n", "c\n"),
        ("a\n\tb\nc\n", " a\n     b", " a\n     x", "a\n\tx\nc\n"),
        ("def f():\n\tx\n\ny\n", "    y", "    y:\n        z", "def f():\n\tx\n\ny:\n\tz\n"),
    ],
)
def test_indentation_is_overlooked_and_the_new_text_stands_as_the_old_did(
    text: str, old: str, new: str, after: str
) -> None:
    assert edited(text, old, new) == (after, "indentation")


def test_lines_that_stand_differently_to_each_other_are_no_match() -> None:
    assert find("if a:\n    b\nc\n", "if a:\n    b\n    c\n", "x").places == ()


def test_blank_text_is_never_found_loosely() -> None:
    assert find("a\nb\n", " \n ", "x").places == ()


def test_several_places_are_all_told() -> None:
    match = find("a\na\na\n", "a", "b")
    assert len(match.places) == 3
    assert match.certain
    loose = find("\ta\n\ta\n", "    a", "b")
    assert len(loose.places) == 2
    assert not loose.certain


LINES = st.lists(st.text("ab \t", max_size=5), min_size=1, max_size=8)


@given(LINES, st.sampled_from(["\n", "\r\n"]), st.data())
def test_a_piece_of_a_file_is_found_whatever_its_line_ends(
    lines: list[str], end: str, data: st.DataObject
) -> None:
    text = end.join(lines)
    flat = "\n".join(lines)
    start = data.draw(st.integers(0, len(flat)))
    stop = data.draw(st.integers(start, len(flat)))
    old = flat[start:stop]
    if not old:
        return
    match = find(text, old, "X")
    assert match.places
    assert match.how in ("", "line ends")
    for place in match.places:
        assert text[place.start : place.end].replace("\r\n", "\n") == old
