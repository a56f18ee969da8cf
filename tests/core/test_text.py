import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.core.text import (
    Shown,
    and_more,
    clean,
    clip,
    clip_end,
    decode_end,
    decode_start,
    fit,
    for_terminal,
    is_binary,
    kind_of,
    listed,
    media_type,
    one_line,
    presentable,
    wire_size,
)

TEXTS = st.text(st.characters(codec="utf-8"))
MESSY = st.text(st.sampled_from("ab\n\r\t\x1b[]0;m\x07\x08\x00é漢\x9b\\P")) | TEXTS
OUTPUTS = st.binary(max_size=400) | MESSY.map(str.encode)


def test_colours_titles_and_cursor_moves_are_taken_out() -> None:
    assert (
        clean("\x1b[1;31mred\x1b[0m \x1b]0;title\x07x\x1b]8;;http://a\x1b\\y\x1b(B\x1bPq\x1b\\z\x1b[?25l")
        == "red xyz"
    )


def test_progress_is_settled_to_its_last_state() -> None:
    assert clean("a\r\n 10%\r 50%\r100%\nb\rc\r\r\n\r") == "a\n100%\nc\n"


def test_tabs_and_line_feeds_stay_and_other_control_codes_go() -> None:
    assert clean("a\tb\nc\x07\x08\x7f\x85\x0cd") == "a\tb\ncd"


def test_names_separated_by_nul_become_lines() -> None:
    assert clean("one\0two\0") == "one\ntwo\n"


def test_plain_text_is_left_as_it_is() -> None:
    assert clean("漢字 and words") == "漢字 and words"


@given(MESSY)
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(MESSY)
def test_cleaned_text_is_never_longer_and_has_no_control_codes(text: str) -> None:
    cleaned = clean(text)
    assert len(cleaned) <= len(text)
    assert not any(char < " " and char not in "\n\t" for char in cleaned)


def test_an_enumeration_says_how_many_it_leaves_out() -> None:
    assert [listed("abc", most) for most in (2, 3, 4)] == ["a, b, and 1 more", "a, b, c", "a, b, c"]
    assert (listed([]), and_more(-1)) == ("", "")


def test_a_terminal_gets_nothing_to_obey_and_one_line() -> None:
    assert (
        for_terminal("fix \x1b[31mit\r\nnow\tor\x7f\x85 never, 漢字") == "fix  [31mit  now\tor   never, 漢字"
    )


def test_a_terminal_gets_the_lines_where_they_are_wanted_and_no_other_control_codes() -> None:
    shown = for_terminal("fix \x1b[31mit\r\nnow\tor\x7f\x85 never, 漢字", lines=True)
    assert shown == "fix [31mit\nnow\tor never, 漢字"


@given(MESSY)
def test_on_one_line_every_character_keeps_its_place(text: str) -> None:
    shown = for_terminal(text)
    assert len(shown) == len(text)
    assert all(after in (before, " ") for before, after in zip(text, shown, strict=True))
    assert not any(char < " " and char != "\t" for char in shown)


@pytest.mark.parametrize(
    ("text", "shown"), [(" a\n\tb  c ", "a b c"), ("12345", "12345"), ("123456", "1234…"), ("", "")]
)
def test_a_text_on_one_line_is_never_longer_than_wanted(text: str, shown: str) -> None:
    assert one_line(text, 5) == shown


@given(TEXTS, st.integers(0, 12), st.integers(0, 12))
def test_a_broken_character_at_a_cut_is_left_out(text: str, start: int, end: int) -> None:
    data = text.encode()
    assert text.startswith(decode_start(data[: max(len(data) - end, 0)]))
    assert text.endswith(decode_end(data[start:]))


def test_escaped_bytes_become_replacement_characters() -> None:
    assert presentable(b"caf\xe9".decode("utf-8", "surrogateescape")) == "caf\ufffd"


@pytest.mark.parametrize(
    ("data", "kind", "media"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", "PNG image", "image/png"),
        (b"\xff\xd8\xff\xe0", "JPEG image", "image/jpeg"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "WebP image", "image/webp"),
        (b"%PDF-1.7", "PDF document", ""),
        (b"\x7fELF\x02", "ELF program", ""),
        (b"SQLite format 3\0", "SQLite database", ""),
        (b"plain words", "", ""),
    ],
)
def test_formats_are_known_by_their_first_bytes(data: bytes, kind: str, media: str) -> None:
    assert kind_of(data) == kind
    assert media_type(data) == media


def test_text_in_any_script_is_no_binary() -> None:
    assert not is_binary("漢字 é \x1b[31mred\x1b[0m\r\n".encode())
    assert not is_binary("漢字".encode("gb18030") * 100)
    assert not is_binary(b"./one name\0./another name\0" * 10)
    assert not is_binary(b"")


def test_random_bytes_and_known_formats_are_binary() -> None:
    assert is_binary(bytes(range(256)) * 4)
    assert is_binary(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"words" * 100)


@given(TEXTS, st.integers(-1, 200))
def test_a_clip_is_the_longest_piece_that_fits(text: str, limit: int) -> None:
    start, end = clip(text, limit), clip_end(text, limit)
    assert text.startswith(start)
    assert text.endswith(end)
    assert wire_size(start) <= max(limit, 0)
    assert wire_size(end) <= max(limit, 0)
    if limit >= 0 and start != text:
        assert wire_size(text[: len(start) + 1]) > limit
        assert wire_size(text[len(text) - len(end) - 1 :]) > limit


def ends(data: bytes, size: int) -> tuple[bytes, bytes]:
    """The first and last bytes, as a reader of a spool takes them."""
    return data[:size], data[max(len(data) - size, 0) :]


@given(OUTPUTS, st.integers(1, 300), st.integers(0, 600))
def test_what_is_shown_stays_within_its_limit(data: bytes, size: int, limit: int) -> None:
    shown = fit(*ends(data, size), len(data), limit, "output://1.0")
    assert wire_size(shown.text) <= limit
    again = shown.text.encode()
    assert fit(again, b"", len(again), limit, "output://1.0") == Shown(shown.text, False)


@given(OUTPUTS, st.integers(0, 600))
def test_an_output_is_shown_whole_exactly_when_it_fits(data: bytes, limit: int) -> None:
    whole = clean(data.decode("utf-8", "replace"))
    shown = fit(data, b"", len(data), limit)
    assert shown.cut == (wire_size(whole) > limit)
    if not shown.cut:
        assert shown.text == whole


@given(st.integers(0, 5000))
def test_where_the_ends_meet_or_overlap_nothing_is_doubled(size: int) -> None:
    data = "".join(f"{number}\n" for number in range(1000)).encode()
    head, tail = data[: len(data) - size], data[max(len(data) - size - 7, 0) :]
    assert fit(head, tail, len(data), 10_000).text == data.decode()


def test_one_byte_over_the_limit_is_cut_and_at_the_limit_is_not() -> None:
    text = b"x" * 500
    assert fit(text, b"", 500, 500) == Shown("x" * 500, False)
    shown = fit(text, b"", 500, 499)
    assert shown.cut
    assert wire_size(shown.text) <= 499
    assert "of 500 bytes left out" in shown.text


def test_a_limit_in_the_middle_of_a_character_leaves_it_out() -> None:
    data = ("é" * 400).encode()
    for limit in range(300, 310):
        shown = fit(data[:601], data[-601:], len(data) * 100, limit)
        assert "\ufffd" not in shown.text
        assert wire_size(shown.text) <= limit


def test_a_line_of_ten_megabytes_keeps_its_start_and_its_end() -> None:
    head, tail = b"start " + b"x" * 65_530, b"y" * 65_530 + b" end."
    shown = fit(head, tail, 10_000_000, 7800, "output://3.0", 1)
    assert wire_size(shown.text) <= 7800
    assert shown.text.startswith("start x")
    assert shown.text.endswith("y end.")
    assert " of 10,000,000 bytes / 1 lines left out; all of it: read file_path=output://3.0" in shown.text


def test_the_count_of_what_is_left_out_is_right() -> None:
    data = b"".join(b"line %d\n" % number for number in range(10_000))
    shown = fit(*ends(data, 65_536), len(data), 2000, "output://3.0", 10_000)
    start, _, rest = shown.text.partition("\n[… ")
    note, _, end = rest.partition(" …]\n")
    left_out = int(note.split()[0].replace(",", ""))
    assert len(start) + left_out + len(end) == len(data)
    assert data.decode().startswith(f"{start}\n")
    assert data.decode().endswith(end)
    assert end.startswith("line ")


def test_a_limit_too_small_for_the_note_shows_the_start_alone() -> None:
    assert fit(b"x" * 500, b"", 500, 10) == Shown("x" * 10, True)
