import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.models.chat_thoughts import DetailsReader


def read(*events: object, whole: bool = False) -> tuple[str, object]:
    """The words, and what goes back."""
    reader = DetailsReader()
    words = "".join(reader.add(msgspec.json.encode(event), whole=whole) for event in events)
    encoded = reader.encoded()
    return words, None if encoded is None else msgspec.json.decode(encoded)


def text(words: str | None, **more: object) -> dict[str, object]:
    return {"type": "reasoning.text", "text": words, **more}


def test_pieces_of_a_thought_are_one_and_its_signature_comes_last() -> None:
    words, back = read(
        [text("I ", index=0, signature=None)], [text("see.", index=0)], [text("", index=0, signature="s")]
    )
    assert words == "I see."
    assert back == [{"type": "reasoning.text", "text": "I see.", "index": 0, "signature": "s"}]


def test_thoughts_at_other_places_or_of_other_kinds_stay_apart() -> None:
    first, second = text("a", index=0), {"type": "reasoning.encrypted", "data": "x", "index": 0}
    third = text("b", index=1)
    assert read([first], [second], [third])[1] == [first, second, third]


def test_pieces_of_two_thoughts_may_come_in_turns() -> None:
    events = [[text(letter, index=at)] for letter, at in (("a", 0), ("b", 1), ("c", 0), ("d", 1))]
    assert read(*events)[1] == [text("ac", index=0), text("bd", index=1)]


def test_without_a_place_only_what_follows_at_once_goes_on() -> None:
    summary = {"type": "reasoning.summary", "summary": "s"}
    assert read([text("a")], [text("b")], [summary], [text("c")])[1] == [text("ab"), summary, text("c")]


def test_another_id_is_another_thought_and_none_is_the_same() -> None:
    assert read([text("a", index=0, id="1")], [text("b", index=0)])[1] == [text("ab", index=0, id="1")]
    apart = [text("a", index=0, id="1"), text("b", index=0, id="2")]
    assert read(*([each] for each in apart))[1] == apart


def test_what_is_encrypted_is_never_joined() -> None:
    apart = [{"type": "reasoning.encrypted", "data": data, "index": 0} for data in ("x", "y")]
    assert read(*([each] for each in apart))[1] == apart


def test_nothing_replaces_something_only_where_nothing_was() -> None:
    assert read([text(None, index=0)], [text("a", index=0, format="f")], [text(None, index=0, format=None)])[
        1
    ] == [text("a", index=0, format="f")]
    assert read([text(None, index=0)])[1] == [text(None, index=0)]


def test_the_details_of_a_whole_reply_go_back_as_they_are() -> None:
    details = [text("a"), text("b"), {"type": "reasoning.encrypted", "data": "x", "odd": [1, {"y": None}]}]
    assert read(details, whole=True) == ("ab", details)


def test_without_details_there_is_nothing_to_give_back() -> None:
    assert read() == ("", None)
    assert read([]) == ("", None)


def test_what_is_no_list_of_details_is_an_error() -> None:
    with pytest.raises(msgspec.DecodeError):
        read({"type": "reasoning.text"})


@given(st.lists(st.tuples(st.integers(0, 2), st.text(max_size=5)), max_size=12))
def test_however_a_thought_is_cut_its_words_are_whole(pieces: list[tuple[int, str]]) -> None:
    words, back = read(*([text(piece, index=at)] for at, piece in pieces))
    assert words == "".join(piece for _, piece in pieces)
    found = msgspec.convert(back or [], list[dict[str, object]])
    for at in range(3):
        whole = "".join(piece for place, piece in pieces if place == at)
        assert "".join(str(each["text"]) for each in found if each["index"] == at) == whole
