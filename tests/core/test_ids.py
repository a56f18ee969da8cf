from hypothesis import given
from hypothesis import strategies as st

from hames.core.ids import blob_id, call_id, is_session_id, session_id

MOMENTS = st.integers(0, 2**48 - 1)
NOISE = st.integers(0, 2**80 - 1)


@given(MOMENTS, NOISE)
def test_a_session_id_is_26_characters_of_its_alphabet(now_ms: int, noise: int) -> None:
    assert is_session_id(session_id(now_ms, noise))


@given(MOMENTS, MOMENTS, NOISE, NOISE)
def test_session_ids_sort_by_time(first: int, second: int, one: int, other: int) -> None:
    assert (session_id(first, one) < session_id(second, other)) or first >= second


def test_what_is_no_session_id() -> None:
    for text in ("", "0" * 25, "0" * 27, "i" * 26, "A" * 26, "-" * 26):
        assert not is_session_id(text)


def test_a_call_is_named_by_its_step_and_place() -> None:
    assert call_id(12, 0) == "12.0"


def test_a_blob_is_named_by_its_content() -> None:
    assert blob_id(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
