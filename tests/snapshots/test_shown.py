"""What a person is shown of a path that was kept."""

import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hames.snapshots.contents import Contents
from hames.snapshots.shown import MOST_BYTES, MOST_LINES, shown
from tests.snapshots.desk import Desk
from tests.snapshots.test_any_tree import a_desk
from tests.snapshots.test_closed import without_rights


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "work", tmp_path / "shelf")


def _shown(desk: Desk, path: str = "f") -> tuple[str, ...]:
    assert desk.tree is not None
    return shown(path, desk.tree.get(path), desk.contents, str(desk.root))


def _between(desk: Desk, to: bytes, there: bytes) -> tuple[str, ...]:
    (desk.root / "f").write_bytes(to)
    (desk.root / "f").chmod(0o644)
    desk.take()
    (desk.root / "f").write_bytes(there)
    return _shown(desk)


def test_text_is_shown_as_a_diff(desk: Desk) -> None:
    assert _between(desk, b"one\ntwo\nthree\n", b"one\n2\nthree\nfour") == (
        "--- to be",
        "+++ there is",
        "@@ -1,3 +1,4 @@",
        " one",
        "-two",
        "+2",
        " three",
        "+four",
        "\\ No newline at end of file",
    )


def test_a_mode_is_said_beside_the_diff_or_alone(desk: Desk) -> None:
    words = "to be a file of 2 bytes, mode 644; there is a file of 2 bytes, mode 600"
    _between(desk, b"a\n", b"b\n")
    (desk.root / "f").chmod(0o600)
    assert _shown(desk)[:3] == (words, "--- to be", "+++ there is")
    (desk.root / "f").write_text("a\n")
    assert _shown(desk) == (words,)
    (desk.root / "f").chmod(0o644)
    assert _shown(desk) == ("it is what it was to be",)


def test_what_is_no_text_or_too_large_is_one_line(desk: Desk) -> None:
    assert _between(desk, b"a\0b", b"text\n") == (
        "to be a file of 3 bytes, mode 644; there is a file of 5 bytes, mode 644: no text",
    )
    large = b"x" * (MOST_BYTES + 1)
    same = "to be a file of 262,145 bytes, mode 644; there is a file of 262,145 bytes, mode 644"
    assert _between(desk, large, b"y" + large[1:]) == (f"{same}: too large to show",)
    assert _between(desk, large, b"") == (
        "to be a file of 262,145 bytes, mode 644; there is a file of 0 bytes, mode 644: too large to show",
    )
    assert _between(desk, bytes(1000), b"")[0].endswith("no text")
    assert len(_between(desk, large[1:], b"y" * MOST_BYTES)[2]) < 600


def test_other_kinds_are_one_line(desk: Desk) -> None:
    for name in ("gone", "kind", "same"):
        (desk.root / name).mkdir(mode=0o755)
    (desk.root / "link").symlink_to("old")
    desk.take()
    (desk.root / "gone").rmdir()
    (desk.root / "kind").rmdir()
    (desk.root / "kind").symlink_to("some\nwhere")
    (desk.root / "same").chmod(0o700)
    (desk.root / "link").unlink()
    (desk.root / "link").symlink_to("new")
    (desk.root / "new").write_text("x")
    (desk.root / "new").chmod(0o644)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(desk.root / "socket"))
        assert _shown(desk, "socket") == ("to be removed; there is a socket, a pipe or a device",)
    assert _shown(desk, "gone") == ("to be a directory, mode 755; there is nothing",)
    assert _shown(desk, "kind") == ("to be a directory, mode 755; there is a link to some\nwhere",)
    assert _shown(desk, "same") == ("to be a directory, mode 755; there is a directory, mode 700",)
    assert _shown(desk, "link") == ("to be a link to old; there is a link to new",)
    assert _shown(desk, "new") == ("to be removed; there is a file of 1 bytes, mode 644",)
    assert _shown(desk, "new/below") == _shown(desk, "nowhere/x") == ("it is what it was to be",)
    assert _shown(desk, "") == ("it is what it was to be",)


def test_no_link_is_followed_on_the_way(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/f").write_text("secret")
    (desk.root / "d").mkdir()
    (desk.root / "d/f").write_text("mine")
    desk.take()
    (desk.root / "d/f").unlink()
    (desk.root / "d").rmdir()
    (desk.root / "d").symlink_to(tmp_path / "secret")
    assert "secret" not in "".join(_shown(desk, "d/f"))


def test_a_content_that_is_missing_is_said(desk: Desk) -> None:
    _between(desk, b"a\n", b"b\n")
    desk.contents = Contents(desk.shelf.read)
    (words,) = _shown(desk)
    assert words.startswith("what it was to be cannot be shown: content")


def test_what_cannot_be_read_is_said() -> None:
    def act(desk: Desk) -> None:
        _between(desk, b"a\n", b"b\n")
        (desk.root / "f").chmod(0)
        assert _shown(desk) == ("what is there cannot be read: Permission denied",)

    without_rights(act)


@pytest.mark.parametrize("number", [MOST_LINES // 2 - 3, 500, 20_000])
def test_there_are_never_too_many_lines(desk: Desk, number: int) -> None:
    old = b"".join(b"%d\n" % each for each in range(number))
    lines = _between(desk, b"same\n" * 5 + old, b"same\n" * 5 + old.replace(b"\n", b"x\n"))
    assert len(lines) <= MOST_LINES
    assert sum(line.startswith("-") for line in lines) >= 95
    said = lines[-1] == f"... and {2 * number + 6 - MOST_LINES + 1} lines more"
    assert said == (2 * number + 6 > MOST_LINES)


def test_what_many_lines_differ_in_is_found_in_time(desk: Desk) -> None:
    chance = [b"%d\n" % (each * each % 7) for each in range(60_000)]
    assert len(_between(desk, b"".join(chance), b"".join(reversed(chance)))) == MOST_LINES
    middle = [*chance[:30_000], b"new\n", *chance[30_000:]]
    assert _between(desk, b"".join(chance), b"".join(middle))[2] == "@@ -29998,6 +29998,7 @@"


LINES = st.lists(st.sampled_from(("a", "b", "c", "", "ü")), max_size=30)


@settings(max_examples=60, deadline=None)
@given(LINES, LINES, st.sampled_from(("", "\n")))
def test_the_diff_makes_one_of_the_other(old: list[str], new: list[str], end: str) -> None:
    one, other = ("\n".join(lines) + (end if lines else "") for lines in (old, new))
    with a_desk() as desk:
        found = _between(desk, one.encode(), other.encode())
        if one == other:
            assert found == ("it is what it was to be",)
            return
        assert _patched(one, found) == other


def _patched(old: str, lines: Sequence[str]) -> str:
    """What a diff makes of a text."""
    left = old.splitlines(keepends=True)
    made: list[str] = []
    at = 0
    for number, line in enumerate(lines[2:], 2):
        mark, text = line[0], line[1:]
        if mark == "@":
            begin, _, count = line.split(" ")[1][1:].partition(",")
            start = int(begin) - (count != "0")
            made += left[at:start]
            at = start
        elif mark != "\\":
            cut_off = number + 1 < len(lines) and lines[number + 1].startswith("\\")
            whole = text if cut_off else f"{text}\n"
            if mark != "+":
                assert left[at] == whole
                at += 1
            if mark != "-":
                made.append(whole)
    return "".join(made + left[at:])
