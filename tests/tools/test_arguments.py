from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.core.errors import ArgumentProblem
from hames.tools.arguments import read_arguments, spec_of


class Item(msgspec.Struct, frozen=True):
    content: str
    status: Literal["pending", "completed"]


class Sample(msgspec.Struct, frozen=True):
    file_path: str
    command: str
    items: tuple[Item, ...] = ()
    limit: int | None = None
    flag: bool = msgspec.field(name="-i", default=False)
    share: Annotated[float, msgspec.Meta(description="of all")] = 0.5
    arguments: dict[str, object] = {}


ITEM = '{"content": "x", "status": "pending"}'


def read(raw: str) -> Sample:
    return read_arguments("sample", Sample, raw)


def test_the_schema_says_what_the_struct_says_and_no_more() -> None:
    assert msgspec.json.decode(spec_of("sample", "A sample.", Sample).parameters) == {
        "type": "object",
        "properties": {
            "file_path": {"type": "string"},
            "command": {"type": "string"},
            "items": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "content": {"type": "string"},
                        "status": {"type": "string", "enum": ["pending", "completed"]},
                    },
                    "required": ["content", "status"],
                },
            },
            "limit": {"type": "integer"},
            "-i": {"type": "boolean"},
            "share": {"type": "number", "description": "of all"},
            "arguments": {"type": "object"},
        },
        "required": ["file_path", "command"],
    }


def test_arguments_are_read() -> None:
    raw = f'{{"file_path": "a", "command": "b", "limit": 3, "-i": true, "items": [{ITEM}]}}'
    assert read(raw) == Sample("a", "b", (Item("x", "pending"),), 3, flag=True)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ('{"path": "a", "cmd": "b"}', Sample("a", "b")),
        ('{"filename": "a", "command": "b", "limit": "10"}', Sample("a", "b", limit=10)),
        ('{"file_path": "a", "command": "b", "limit": null, "-i": null}', Sample("a", "b")),
        ('{"file_path": "a", "command": "b", "-i": "true"}', Sample("a", "b", flag=True)),
        ('{"file_path": 12, "command": "b"}', Sample("12", "b")),
        ('{"file_path": "a", "command": "b", "description": "because"}', Sample("a", "b")),
        (
            msgspec.json.encode({"file_path": "a", "command": "b", "items": f"[{ITEM}]"}).decode(),
            Sample("a", "b", (Item("x", "pending"),)),
        ),
        ('{"file_path": "a", "command": "b", "args": "{\\"x\\": 1}"}', Sample("a", "b", arguments={"x": 1})),
    ],
)
def test_what_is_plainly_meant_is_taken(raw: str, expected: Sample) -> None:
    assert read(raw) == expected


def test_what_the_model_is_told_of_bad_arguments(pinned: Callable[[str, str], None]) -> None:
    raws = (
        "",
        "{}",
        "[1]",
        '{"file_path": "a", "command"',
        '{"file_path": "a", "command": "b", "limt": 3}',
        '{"file_path": "a", "path": "b", "command": "c"}',
        '{"file_path": "a", "command": "b", "limit": "many"}',
        '{"file_path": "a", "command": null}',
        '{"file_path": "a", "command": ["b"]}',
        '{"file_path": "a", "command": "b\\u0000"}',
        '{"file_path": "a", "command": "b", "items": "no list"}',
        '{"file_path": "a", "command": "b", "items": [{"content": "x", "status": "done"}]}',
    )
    said: list[str] = []
    for raw in raws:
        with pytest.raises(ArgumentProblem) as caught:
            read(raw)
        said.append(f"{raw}\n{caught.value}")
    pinned("arguments", "\n---\n".join(said))


def test_an_endless_name_does_not_make_an_endless_answer() -> None:
    with pytest.raises(ArgumentProblem) as caught:
        read(msgspec.json.encode({"x" * 100_000: 1}).decode())
    assert len(str(caught.value)) < 1500


@given(
    st.text() | st.recursive(st.none() | st.text(), lambda inner: st.dictionaries(st.text(), inner)).map(repr)
)
def test_any_argument_string_that_does_not_fit_is_refused_in_words(raw: str) -> None:
    with pytest.raises(ArgumentProblem, match="Usage: sample"):
        read(raw)
