"""Frames."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.sandboxes.wire import FRAME_BYTES, Frames, encode

keys = st.text("abc_", min_size=1, max_size=5)
values = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
messages = st.tuples(st.lists(st.tuples(keys, values), max_size=5), st.binary(max_size=50))


@given(st.lists(messages, max_size=5), st.integers(1, 20))
def test_frames_come_back_however_the_stream_is_cut(
    sent: list[tuple[list[tuple[str, str]], bytes]], step: int
) -> None:
    stream = b"".join(encode(items, body) for items, body in sent)
    frames = Frames()
    found = [frame for at in range(0, len(stream), step) for frame in frames.feed(stream[at : at + step])]
    assert [frame.body for frame in found] == [body for _, body in sent]
    for frame, (items, _) in zip(found, sent, strict=True):
        assert sorted((key, value) for key in frame.fields for value in frame.all(key)) == sorted(items)


def test_values_that_are_not_text_survive() -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert Frames().feed(encode([("path", name)]))[0].get("path") == name


@given(values)
def test_a_nul_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="NUL"):
        encode([("key", f"{text}\0"), ("more", "x")])


def test_a_frame_that_is_too_long_is_refused_before_it_is_held() -> None:
    with pytest.raises(ValueError, match="too long"):
        Frames().feed(FRAME_BYTES.to_bytes(4, "big") + (1).to_bytes(4, "big"))


def test_numbers_and_defaults() -> None:
    frame = Frames().feed(encode([("a", "1.5"), ("b", "x"), ("b", "y")]))[0]
    assert (frame.number("a"), frame.number("none")) == (1.5, None)
    assert (frame.get("none", "else"), frame.all("b"), frame.all("none")) == ("else", ["x", "y"], [])
