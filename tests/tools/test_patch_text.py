import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.core.errors import ArgumentProblem
from hames.tools.patch_text import Added, Chunk, Deleted, Line, Section, Updated, read_patch


def read(*lines: str) -> tuple[Section, ...]:
    """The sections of a patch with these lines."""
    return read_patch("\n".join(("*** Begin Patch", *lines, "*** End Patch")))


def chunks(*lines: str) -> tuple[Chunk, ...]:
    """The chunks of an update with these lines."""
    (section,) = read("*** Update File: a", *lines)
    assert isinstance(section, Updated)
    return section.chunks


def refused(text: str) -> str:
    with pytest.raises(ArgumentProblem) as caught:
        read_patch(text)
    assert str(caught.value).endswith(". Nothing was changed")
    return str(caught.value)


def test_all_kinds_of_sections_are_read_in_their_order() -> None:
    found = read(
        "*** Add File: new.txt",
        "+one",
        "+",
        "+++two",
        "*** Delete File: old one.txt",
        "*** Update File: a.py",
        "*** Move to: b.py",
        "@@ def f():",
        " stays",
        "-goes",
        "+comes",
        "*** End of File",
    )
    lines = (Line(" ", "stays"), Line("-", "goes"), Line("+", "comes"))
    assert found == (
        Added("new.txt", "one\n\n++two\n"),
        Deleted("old one.txt"),
        Updated("a.py", (Chunk(9, ("def f():",), lines, at_end=True),), "b.py"),
    )


def test_chunks_are_parted_by_their_anchors_and_several_anchors_are_one_way() -> None:
    first, second, third = chunks("-a", "@@", "-b", "@@ class C", "@@   def d", "+e", "@@")
    assert (first.number, first.anchors, first.lines) == (3, (), (Line("-", "a"),))
    assert (second.number, second.anchors, second.lines) == (4, (), (Line("-", "b"),))
    assert (third.number, third.anchors, third.lines) == (6, ("class C", "  def d"), (Line("+", "e"),))


@pytest.mark.parametrize(
    ("line", "anchors"),
    [
        ("@@ -1,4 +2,5 @@", ()),
        ("@@ -1 +2 @@ def f():", ("def f():",)),
        ("@@ def f(): @@", ("def f():",)),
        ("@@def f():", ("def f():",)),
        ("@@ ", ()),
    ],
)
def test_the_numbers_of_a_unified_diff_are_passed_over(line: str, anchors: tuple[str, ...]) -> None:
    (chunk,) = chunks(line, "+x")
    assert chunk.anchors == anchors


def test_an_empty_line_counts_between_others_and_not_at_the_end() -> None:
    (chunk,) = chunks("", " a", "", "+b", "", "")
    assert chunk.lines == (Line(" ", ""), Line(" ", "a"), Line(" ", ""), Line("+", "b"))
    found = read("", "*** Add File: a", "", "+x", "", "+y", "", "*** Delete File: b", "")
    assert found == (Added("a", "\nx\n\ny\n"), Deleted("b"))


def test_the_note_of_a_missing_last_line_feed_is_passed_over() -> None:
    (chunk,) = chunks("-a", "\\ No newline at end of file", "+b")
    assert chunk.lines == (Line("-", "a"), Line("+", "b"))


def test_neighbouring_updates_of_one_file_are_one() -> None:
    assert [len(section.chunks) for section in read(
        "*** Update File: a", "+x", "*** Update File: a", "+y", "*** Update File: b", "+z"
    ) if isinstance(section, Updated)] == [2, 1]  # fmt: skip
    moved = read("*** Update File: a", "*** Move to: b", "*** Update File: a", "+x")
    assert len(moved) == 2


@pytest.mark.parametrize(
    "shell", ["apply_patch <<'EOF'", 'apply_patch << "EOF"', "<<EOF", "applypatch <<-EOF"]
)
@pytest.mark.parametrize("last", ["\nEOF\n", ""])
def test_a_here_document_around_the_patch_is_taken_off(shell: str, last: str) -> None:
    text = f"\n{shell}\n*** Begin Patch\n*** Delete File: a\n*** End Patch{last}"
    assert read_patch(text) == (Deleted("a"),)


def test_a_fence_around_the_patch_is_taken_off() -> None:
    assert read_patch("```patch\r\n*** Begin Patch\r\n*** Delete File: a\r\n*** End Patch\r\n```\r\n") == (
        Deleted("a"),
    )


def test_a_deletion_and_an_addition_of_one_file_are_one() -> None:
    assert read("*** Delete File: a", "*** Add File: a", "+x") == (Added("a", "x\n", replaces=True),)
    assert len(read("*** Add File: a", "*** Delete File: a", "*** Delete File: a")) == 3


def test_a_file_may_be_added_without_any_line() -> None:
    assert read("*** Add File: a") == (Added("a", ""),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        (" \n\n", "is empty"),
        ("nonsense", "does not begin with the line"),
        ("*** Update File: a\n-x\n*** End Patch", "does not begin with the line"),
        ("cd x && <<EOF\n*** Begin Patch\n*** Delete File: a\n*** End Patch\nEOF", "does not begin"),
        ("<<EOF", "does not begin"),
        ("*** Begin Patch", "was cut off"),
        ("*** Begin Patch\n*** Update File: a\n-x\n+y", "was cut off"),
        ("*** Begin Patch\n*** Delete File: a\n*** End Patch\nand more", "more comes after it"),
        ("*** Begin Patch\n*** End Patch", "names no file"),
        ("*** Begin Patch\nnonsense\n*** End Patch", 'line 2 of the patch is "nonsense", and should be'),
        ("*** Begin Patch\n*** Add File:\n+x\n*** End Patch", "line 2 of the patch names no file"),
        ("*** Begin Patch\n*** Delete File: a\0b\n*** End Patch", "line 2 of the patch names no file"),
        ("*** Begin Patch\n*** Update File: a\n*** Move to: \n*** End Patch", "line 3 of the patch names no"),
        ("*** Begin Patch\n*** Delete File: a\nmore\n*** End Patch", 'line 3 of the patch is "more"'),
        ("*** Begin Patch\n*** Add File: a\nx\n*** End Patch", 'line 3 of the patch is "x"'),
        ("*** Begin Patch\n*** Update File: a\nx = 1\n*** End Patch", "where it stays, with - where it goes"),
        ("*** Begin Patch\n*** Update File: a\n*** End Patch", "line 2 of the patch says no change"),
        ("*** Begin Patch\n*** Update File: a\n@@ x\n*** End Patch", "line 2 of the patch says no change"),
        ("*** Begin Patch\n*** Rename File: a\n*** End Patch", 'is "*** Rename File: a"'),
        ("*** Begin Patch\n" + "x" * 500 + "\n*** End Patch", "xxx…"),
    ],
)
def test_nonsense_is_refused_with_its_line(text: str, words: str) -> None:
    assert words in refused(text)


def test_every_beginning_of_a_patch_is_refused() -> None:
    whole = "*** Begin Patch\n*** Add File: a\n+x\n*** Update File: b\n@@\n-y\n+z\n*** End Patch"
    read_patch(whole)
    for size in range(len(whole)):
        refused(whole[:size])


_PIECES = [
    "*** Begin Patch", "*** End Patch", "*** Add File: a", "*** Delete File: b", "*** Update File: c",
    "*** Move to: d", "*** End of File", "@@", "@@ x", " a", "-b", "+c", "", "\\", "***",
    "nonsense", "```", "EOF",
]  # fmt: skip


@given(st.lists(st.sampled_from(_PIECES), max_size=12))
def test_any_lines_are_read_or_refused_in_words(lines: list[str]) -> None:
    try:
        sections = read_patch("\n".join(lines))
    except ArgumentProblem:
        return
    assert sections
