from difflib import SequenceMatcher

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hames.core.errors import Problem
from hames.tools.patch_text import Updated, read_patch
from hames.tools.patching import Fitted, fit

SOURCE = (
    "import os\n\n\ndef one():\n    return 1\n\n\ndef two():\n    return 1\n\n\n"
    "class C:\n    def two(self):\n        return 1\n"
)
PRINTED = "say(\u201ca\u201d \u2013 \u2018b\u2019)\u00a0\n"


def fitted(text: str, *lines: str) -> Fitted:
    """The text changed by the lines of an update."""
    (section,) = read_patch("\n".join(("*** Begin Patch", "*** Update File: a", *lines, "*** End Patch")))
    assert isinstance(section, Updated)
    return fit(text, section.chunks)


def patched(text: str, *lines: str) -> str:
    return fitted(text, *lines).after


def refused(text: str, *lines: str) -> str:
    with pytest.raises(Problem) as caught:
        fitted(text, *lines)
    return str(caught.value)


def test_lines_are_replaced_where_those_around_them_stand() -> None:
    found = fitted(SOURCE, " def two():", "-    return 1", "+    return 2", " ", " ")
    assert found.after == SOURCE.replace("two():\n    return 1", "two():\n    return 2")
    assert [(spot.line, spot.how) for spot in found.spots] == [(9, "")]


def test_an_anchor_says_which_of_several_places_is_meant() -> None:
    change = ("-    return 1", "+    return 2")
    assert "fits in several places: lines 5, 9" in refused(SOURCE, *change)
    after = patched(SOURCE, "@@ def two():", *change)
    assert after == SOURCE.replace("two():\n    return 1", "two():\n    return 2")


def test_anchors_go_one_into_the_other() -> None:
    after = patched(SOURCE, "@@ class C:", "@@     def two(self):", "-        return 1", "+        return 3")
    assert after == SOURCE.replace("        return 1", "        return 3")


def test_the_line_of_an_anchor_may_be_repeated() -> None:
    after = patched(SOURCE, "@@ def two():", " def two():", "-    return 1", "+    return 2")
    assert after == SOURCE.replace("two():\n    return 1", "two():\n    return 2")


@pytest.mark.parametrize("anchor", ["def two(", "  def two():  ", "def two(self"])
def test_an_anchor_need_not_be_to_the_letter(anchor: str) -> None:
    assert patched(SOURCE, f"@@ {anchor}", "+    x").count("    x\n") == 1


def test_a_wrong_anchor_does_no_harm_where_the_lines_are_clear() -> None:
    assert patched("a\nb\n", "@@ nowhere", "-b", "+c") == "a\nc\n"
    assert "is to come after" in refused("a\nb\n", "@@ nowhere", "+c")
    assert "several places" in refused("b\na\nb\n", "@@ nowhere", "-b", "+c")


def test_later_chunks_are_looked_for_after_earlier_ones() -> None:
    text = "x\na\nx\na\n"
    assert patched(text, " x", "-a", "+b", " x", "@@", "-a", "+c") == "x\nb\nx\nc\n"
    assert patched("a\nb\nc\n", "-c", "+C", "@@", "-a", "+A") == "A\nb\nC\n"


def test_an_anchor_before_the_last_chunk_is_found_too() -> None:
    assert patched("a\nb\nc\n", "-c", "+C", "@@ a", "-b", "+B") == "a\nB\nC\n"


def test_new_lines_alone_come_after_their_anchor_or_at_the_end() -> None:
    assert patched("a\nb\n", "@@ a", "+x") == "a\nx\nb\n"
    assert patched("a\nb\n", "+x", "+y") == "a\nb\nx\ny\n"
    assert patched("a\nb\n", "@@ a", "+x", "*** End of File") == "a\nb\nx\n"
    assert patched("", "+x") == "x\n"


def test_the_end_of_the_file_is_preferred_where_it_is_said() -> None:
    assert patched("a\nb\na\n", "-a", "+x", "*** End of File") == "a\nb\nx\n"
    assert patched("a\nb\n", "-a", "+x", "*** End of File") == "x\nb\n"


def test_a_text_without_a_last_line_feed_stays_without() -> None:
    assert patched("a\nb", "-b", "+c") == "a\nc"
    assert patched("a\nb", " b", "+c") == "a\nb\nc"
    assert patched("a\nb", "-a") == "b"
    assert patched("a", "-a") == ""


def test_line_ends_stay_as_they_are_and_new_lines_have_those_of_most() -> None:
    assert patched("a\r\nb\r\nc\nd\r\n", " b", "-c", "+x", "+y", " d") == "a\r\nb\r\nx\r\ny\r\nd\r\n"
    assert patched("a\nb\r\nc\n", " a", "+x", " b") == "a\nx\nb\r\nc\n"
    assert patched("a\r\nb", "+c") == "a\r\nb\r\nc"


@pytest.mark.parametrize(
    ("text", "lines", "after", "how"),
    [
        ("a  \nb\n", (" a", "-b", "+c"), "a  \nc\n", "trailing white space"),
        (f"{PRINTED}b\n", (" say(\"a\" - 'b')", "-b", "+c"), f"{PRINTED}c\n", "quotes and dashes"),
        ("if a:\n  b\n  c\n", (" b", "-c", "+d", "+  e"), "if a:\n  b\n  d\n    e\n", "indentation"),
        ("if a:\n\tb\n\tc\n", ("     b", "-    c", "+      d"), "if a:\n\tb\n\t  d\n", "indentation"),
        ("if a:\n    b\n    c\n", (" b", "-c"), "if a:\n    b\n", "indentation"),
    ],
)  # fmt: skip
def test_what_models_get_wrong_is_overlooked_and_lines_that_stay_keep_every_byte(
    text: str, lines: tuple[str, ...], after: str, how: str
) -> None:
    found = fitted(text, *lines)
    assert found.after == after
    assert [spot.how for spot in found.spots] == [how]


def test_lines_that_would_move_by_different_amounts_do_not_fit() -> None:
    assert "fits nowhere" in refused("a\n    b\n", "     a", "-b", "+c")


def test_an_empty_line_at_the_end_of_a_chunk_need_not_be_there() -> None:
    assert patched("a\nb\nc\n", " a", "-b", "+x", " ") == "a\nx\nc\n"
    assert "fits nowhere" in refused("a\nb\nc\n", " y", "-b", "+x", " ")


def test_chunks_do_not_go_into_each_other() -> None:
    text = "a\nb\nc\n"
    assert "into the middle of another" in refused(text, "-a", "-b", "+x", "@@ a", "+y")
    assert "fits nowhere" in refused(text, "-a", "-b", "@@", "-b", "-c")
    assert patched(text, "@@ a", "+y", "@@ a", "+z", "@@", "-b") == "a\ny\nz\nc\n"


def test_a_chunk_that_fits_nowhere_says_what_comes_near() -> None:
    words = refused(SOURCE, " def two():", "-    return 7", "+    return 2")
    assert words.startswith("the chunk at line 3 of the patch fits nowhere. the nearest is at lines 8-9")
    assert "`-` is the patch, `+` the file" in words


def test_a_change_that_was_done_before_is_recognised() -> None:
    words = refused("a\nx\nc\n", " a", "-b", "+x", " c")
    assert "What it makes is already at line 1: was this done before?" in words
    assert "already" not in refused("a\n\nc\n", "-b", "+")


def test_many_places_are_not_all_named() -> None:
    assert refused("a\n" * 100, "-a", "+b").count(",") < 12
    assert "8 and more. Give" in refused("a\n" * 100, "-a", "+b")
    assert "overlooking trailing white space: lines 1, 2. Give" in refused("a \na \n", "-a", "+b")


# Any change of any text, as a patch with as many lines around each change as it takes


_LINES = st.lists(
    st.sampled_from(["", "a", "b", "  a", "\tb", "- x", "+ y", "@@", "*** End Patch", "é"]), max_size=14
)


def made_patch(old: list[str], new: list[str]) -> list[str]:
    """The lines of an update that makes `new` of `old`, each chunk in one place only."""
    for around in range(3, len(old) + 4):
        # A matcher serves once: grouping shortens what it has kept.
        groups = list(SequenceMatcher(None, old, new, False).get_grouped_opcodes(around))
        pieces = [old[group[0][1] : group[-1][2]] for group in groups]
        if all(piece and _count(old, piece) == 1 for piece in pieces) or (not old and groups):
            break
    else:
        return []
    lines: list[str] = []
    for group in groups:
        lines.append("@@")
        for kind, left, left_end, right, right_end in group:
            if kind == "equal":
                lines += [f" {line}" for line in old[left:left_end]]
            else:
                lines += [f"-{line}" for line in old[left:left_end]]
                lines += [f"+{line}" for line in new[right:right_end]]
    return lines


def _count(lines: list[str], piece: list[str]) -> int:
    return sum(lines[at : at + len(piece)] == piece for at in range(len(lines)))


@given(_LINES, _LINES, st.sampled_from(["\n", "\r\n"]), st.booleans())
@example(old=[""] * 4, new=[""] * 5, end="\n", is_open=False)
def test_any_change_of_any_text_makes_exactly_the_new_text(
    old: list[str], new: list[str], end: str, is_open: bool
) -> None:
    lines = made_patch(old, new)
    assert lines or old == new
    if not lines:
        return
    is_open = is_open and any(old[-1:])
    before = _joined(old, end, is_open=is_open)
    assert patched(before, *lines) == _joined(new, end if end in before else "\n", is_open=is_open)


def _joined(lines: list[str], end: str, *, is_open: bool) -> str:
    text = "".join(f"{line}{end}" for line in lines)
    return text.removesuffix(end) if is_open else text
