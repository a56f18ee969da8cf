import pytest

from hames.core.ids import CallId
from hames.models.calls import Written, is_object, is_plain, sent_id, with_own_ids

CALL = CallId("c1.0")


def test_an_id_that_is_missing_or_twice_becomes_one_of_our_own() -> None:
    written = [Written("a", "x", "{}"), Written("a", "y", "{}"), Written("", "z", "{}")]
    calls, repairs = with_own_ids(written, b"the reply")
    assert calls[0].wire_id == "a"
    assert len({call.wire_id for call in calls}) == 3
    assert [("twice" in words, "missing" in words) for words in repairs] == [(True, False), (False, True)]


def test_an_id_of_our_own_belongs_to_its_reply() -> None:
    nameless = [Written("", "x", "{}")]
    (first, _), (again, _), (other, _) = (with_own_ids(nameless, raw) for raw in (b"a", b"a", b"b"))
    assert first == again
    assert first != other


@pytest.mark.parametrize("wire_id", ["call_0", "toolu 01 with blanks", "-" * 12, "ä" * 12, "c" * 65])
def test_an_id_that_a_strict_server_refuses_is_not_sent(wire_id: str) -> None:
    sent = sent_id(wire_id, CALL)
    assert sent != wire_id
    assert is_plain(sent)
    assert sent == sent_id(wire_id, CALL)


def test_a_good_id_is_sent_as_it_came() -> None:
    assert sent_id("toolu_01A09q90qw", CALL) == "toolu_01A09q90qw"


@pytest.mark.parametrize(
    ("arguments", "whole"),
    [('{"a": 1}', True), ("{}", True), ('{"a": 1', False), ("[1]", False), ('"\ud800"', False)],
)
def test_only_a_whole_object_cannot_have_been_cut(arguments: str, *, whole: bool) -> None:
    assert is_object(arguments) == whole
