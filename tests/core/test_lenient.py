from collections.abc import Callable
from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.core.lenient import Found, Refused, read_object

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=5)


def encoded(value: object) -> str:
    return msgspec.json.encode(value).decode()


def found(text: str) -> Found:
    read = read_object(text)
    assert isinstance(read, Found), read
    return read


def refused(text: str) -> Refused:
    read = read_object(text)
    assert isinstance(read, Refused), read
    return read


# Forms in which models write an object: each must give the object that is meant, and no start of one may.


def in_words(given: object) -> str:
    return f"Here's the call:\n{encoded(given)}\nThat is all."


def in_a_fence(given: object) -> str:
    return f"```json\n{encoded(given)}\n```"


def in_a_string(given: object) -> str:
    return encoded(encoded(given))


def with_commas(given: object) -> str:
    return written(given, last=",\n")


def with_comments(given: object) -> str:
    return written(given, comma=", // first\n # second\n /* third */ ")


def without_commas(given: object) -> str:
    return written(given, comma="\n")


def python(given: object) -> str:
    return written(given, string=quoted, constant=repr)


def raw_controls(given: object) -> str:
    return written(given, string=lambda text: encoded(text).replace("\\\\", "\\u005c").replace("\\n", "\n"))


def quoted(text: str) -> str:
    return "'" + encoded(text)[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"


def written(
    value: object,
    *,
    comma: str = ", ",
    last: str = "",
    string: Callable[[str], str] = encoded,
    constant: Callable[[object], str] = encoded,
) -> str:
    """`comma` stands between the members of objects, `last` after the last of any."""

    def write(value: object) -> str:
        match value:
            case dict():
                members = cast("dict[str, object]", value)
                inner = comma.join(f"{string(key)}: {write(each)}" for key, each in members.items())
                return f"{{ {inner}{last if members else ''}}}"
            case list():
                items = cast("list[object]", value)
                return f"[ {', '.join(map(write, items))}{last if items else ''}]"
            case str():
                return string(value)
            case None | True | False:
                return constant(value)
            case _:
                return encoded(value)

    return write(value)


FORMS = (
    in_words,
    in_a_fence,
    in_a_string,
    with_commas,
    with_comments,
    without_commas,
    python,
    raw_controls,
)


@given(OBJECTS)
def test_a_valid_object_is_read_unchanged(given: dict[str, object]) -> None:
    text = encoded(given)
    assert found(text) == Found(cast("dict[str, object]", msgspec.json.decode(text)), text)


@given(OBJECTS.map(encoded), st.data())
def test_no_start_of_a_valid_object_is_mended(text: str, data: st.DataObject) -> None:
    refused(text[: data.draw(st.integers(0, len(text) - 1))])


@given(OBJECTS, st.sampled_from(FORMS))
def test_a_mended_object_is_the_one_that_was_meant(
    given: dict[str, object], form: Callable[[object], str]
) -> None:
    read = found(form(given))
    assert msgspec.json.decode(read.text) == read.value == msgspec.json.decode(encoded(given))


@given(OBJECTS, st.sampled_from(FORMS[1:]), st.data())
def test_no_start_of_a_form_that_would_be_mended_is_mended(
    given: dict[str, object], form: Callable[[object], str], data: st.DataObject
) -> None:
    text = form(given)
    refused(text[: data.draw(st.integers(0, len(text) - 1))])


@given(st.text(alphabet="{}[]\"':,\\/#`ntu0x \n*Tr"))
def test_any_text_is_read_or_refused_and_what_is_read_is_strict(text: str) -> None:
    read = read_object(text)
    if isinstance(read, Found):
        assert read_object(read.text) == Found(read.value, read.text)


@pytest.mark.parametrize(
    ("text", "expected", "repairs"),
    [
        ('{"a": 1,}', {"a": 1}, "a comma before the closing bracket"),
        ('{"a": [1, 2,],}', {"a": [1, 2]}, "a comma before the closing bracket"),
        ("{'a': 'b\"c'}", {"a": 'b"c'}, "single quotes"),
        ("{'a': 'it\\'s'}", {"a": "it's"}, "single quotes, escapes that JSON does not know"),
        ('{"a": "it\\\'s"}', {"a": "it's"}, "escapes that JSON does not know"),
        ('{"a": "\\d+\\."}', {"a": "\\d+\\."}, "escapes that JSON does not know"),
        ('{"a": "C:\\users"}', {"a": "C:\\users"}, "escapes that JSON does not know"),
        ('{"a": "x \\\ny"}', {"a": "x \\\ny"}, "escapes that JSON does not know"),
        ('{"a": True}', {"a": True}, "True is not JSON"),
        ('{"a": None, "b": False}', {"a": None, "b": False}, "None is not JSON, False is not JSON"),
        ('{"a": NaN}', {"a": None}, "NaN is not JSON: null was taken"),
        ('{a: 1, b-c: 2, "d": -1.5e3}', {"a": 1, "b-c": 2, "d": -1500.0}, "keys without quotes"),
        ('{"a": "x\n\ty"}', {"a": "x\n\ty"}, "line breaks or control characters in a string"),
        ('{"a": 1 /* why */, // so\n"b": 2 # end\n}', {"a": 1, "b": 2}, "comments"),
        ('```json\n{"a": 1}\n```', {"a": 1}, "a fence around the object"),
        ('Now:\n```\n{"a": 1}\n```\nDone.', {"a": 1}, "a fence around the object, words around the object"),
        ('I\'ll say {"a": 1};', {"a": 1}, "words around the object"),
        ('\ufeff{"a": 1}', {"a": 1}, ""),
        ('"{\\"a\\": 1}"', {"a": 1}, "the object was inside a string"),
        ("'{\"a\": 1}'", {"a": 1}, "single quotes, the object was inside a string"),
        ('{"a": 1\n "b": {"c": 2} "d": 3}', {"a": 1, "b": {"c": 2}, "d": 3}, "a missing comma"),
        ('{"a": "\\ud83d\\ude00", }', {"a": "\U0001f600"}, "a comma before the closing bracket"),
        ('{"a": "\\ud83dx"}', {"a": "\ufffdx"}, "half a character was replaced"),
        ('{"a": "\\u00e4",}', {"a": "ä"}, "a comma before the closing bracket"),
    ],
)
def test_what_is_plainly_meant_is_read(text: str, expected: dict[str, object], repairs: str) -> None:
    read = found(text)
    assert (read.value, ", ".join(read.repairs)) == (expected, repairs)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"command": "rm -rf /tmp/a', "the text ends inside a string"),
        ('{"command": "x\\', "the text ends inside a string"),
        ('{"command": "x"', "the text ends before all brackets are closed"),
        ('{"items": [{"a": 1}', "the text ends before all brackets are closed"),
        ('{"flag": tru', "the text ends inside a value"),
        ("{'a': 1, // }", "the text ends before all brackets are closed"),
        ('```json\n{"a": 1}', "the fence around it is not closed"),
        ('"{\\"a\\": 1', "the text ends inside a string"),
        ('"{\\"a\\": 1"', "the text ends inside a value"),
    ],
)
def test_what_was_cut_is_refused_as_cut(text: str, why: str) -> None:
    assert refused(text) == Refused(why, cut=True)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the text must be one JSON object"),
        ("nonsense", "the text must be one JSON object"),
        ("[1]", "the text must be one JSON object"),
        ("12", "the text must be one JSON object"),
        ('"text"', "the text must be one JSON object"),
        ('"{}" and more', "the text must be one JSON object, and not begin with a string"),
        ('[{"a": 1},]', "the text must be one JSON object, with nothing around it"),
        ('{"a": 1}{"b": 2}', "the text must be one JSON object, with nothing around it"),
        ('{"a": 1}}', "the text must be one JSON object, with nothing around it"),
        ('{"a": "x "} y"}', "the text must be one JSON object, with nothing around it"),
        ('{"a": 1, "a": 2}', '"a" is given twice, and it is not clear which is meant'),
        ('{"b": [{"a": 1, "\\u0061": 2}]}', '"a" is given twice, and it is not clear which is meant'),
        ("{'a': 1, 'a': 2}", '"a" is given twice, and it is not clear which is meant'),
        ('{"a": "say "hi" now"}', 'a comma or } was expected at character 13, before hi" now"}'),
        ('{"a": ["x" "y"]}', 'a comma or ] was expected at character 12, before "y"]}'),
        ('{"a": "x" b: 1}', "a comma or } was expected at character 11, before b: 1}"),
        ('{"a" 1}', "a colon was expected at character 6, before 1}"),
        ('{"a": hello}', "a text needs quotes at character 7, before hello}"),
        ('{"a": }', "a value was expected at character 7, before }"),
        ('{"a": 1,, "b": 2}', 'a key was expected at character 9, before , "b": 2}'),
        ('{"a": 1 /* open }', "a comma or } was expected at character 9, before /* open }"),
        ('{"a":' * 70 + "1" + "}" * 70 + ",", "the text is nested too deeply"),
        ("[" * 200_000, "the text is nested too deeply"),
        ('{"a": "\ud800",}', "the text has half a character in it"),
    ],
)
def test_what_has_no_one_meaning_is_refused(text: str, why: str) -> None:
    assert refused(text) == Refused(why)


@pytest.mark.parametrize(
    "text",
    [
        '{"items": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]}',
        '{"a": "a", "b": ["b", "a"]}',
        '{"a": "\\"a\\": 1", "c d": "\\u0061"}',
        '{"a": {"b": "{\\"x\\": 1, \\"x\\": 2}"}, "b": {"\\\\": {}}}',
    ],
)
def test_a_key_may_stand_in_several_objects_and_in_texts(text: str) -> None:
    assert found(text) == Found(found(text).value, text)
