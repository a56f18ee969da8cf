import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.core.errors import ModelError
from hames.core.events import Usage
from hames.core.ids import CallId
from hames.core.messages import AssistantMessage, Call, Finish
from hames.core.ports import Reply
from hames.models.salvage import salvaged
from tests.models.leaks import ALL, CLOSED, Asked, hermes, json_of

NAMES = ("read", "bash", "edit")
TWO: list[Asked] = [
    ("bash", {"command": "echo \"a\" </x> {\n} 'b'", "timeout": 5}),
    ("read", {"file_path": "/ä"}),
]


def reply(text: str, finish: Finish = "stop", calls: tuple[Call, ...] = ()) -> Reply:
    return Reply(AssistantMessage(text, None, calls), finish, "m", Usage(), text.encode(), 0.0, ("before",))


def taken(text: str) -> tuple[str, list[tuple[str, object]]]:
    """The text that is left, and the calls; numbers as text where the format has no others."""
    found = salvaged(reply(text), NAMES).message
    return found.text, [(call.name, msgspec.json.decode(call.arguments)) for call in found.calls]


def loose(asked: list[Asked]) -> list[tuple[str, object]]:
    return [(name, {key: str(value) for key, value in arguments.items()}) for name, arguments in asked]


@pytest.mark.parametrize("form", ALL)
@pytest.mark.parametrize("before", ["", "I look first.\n\n"])
@pytest.mark.parametrize("after", ["", "\n", "<|im_end|>\n"])
def test_calls_at_the_end_of_a_text_are_taken_out_of_it(form: str, before: str, after: str) -> None:
    text, calls = taken(before + ALL[form](TWO) + after)
    assert text == before.rstrip()
    assert calls in (list(TWO), loose(TWO))


def test_a_salvaged_reply_says_so_and_its_calls_have_ids_of_their_own() -> None:
    text = "Hm.\n" + hermes(TWO)
    found = salvaged(reply(text), NAMES)
    assert found.repairs == ("before", "2 calls taken out of the text, from <tool_call>")
    assert (found.finish, found.raw) == ("calls", text.encode())
    assert len({call.wire_id for call in found.message.calls}) == 2
    assert salvaged(reply(text), NAMES) == found
    one = salvaged(reply(hermes(TWO[:1])), NAMES)
    assert one.repairs[1] == "1 call taken out of the text, from <tool_call>"


def test_arguments_stay_letter_for_letter() -> None:
    arguments = '{ "command" :"l\\u0073",\n"timeout": 1.0 }'
    for text in (
        f'<tool_call>{{"name": "bash", "arguments": {arguments}}}</tool_call>',
        f"[TOOL_CALLS]bash[ARGS]{arguments}",
        f'<tool_call>{{"name": "bash", "arguments": {json_of(arguments)}}}</tool_call>',
    ):
        (call,) = salvaged(reply(text), NAMES).message.calls
        assert call.arguments == arguments


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        (
            '<tool_call>{"name": "Bash", "arguments": {"command": "ls",},}</tool_call>',
            "bash",
            {"command": "ls"},
        ),
        ('<tool_call>{"function": {"name": "bash", "arguments": "{}"}}</tool_call>', "bash", {}),
        ('<tool_call>{"type": "function", "name": "bash"}</tool_call>', "bash", {}),
        ('<tool_call>{"name": "bash", "arguments": null}</tool_call>', "bash", {}),
        ("<tool_call>bash</tool_call>", "bash", {}),
        ('{"name": "functions.read", "parameters": {"file_path": "a"}}', "read", {"file_path": "a"}),
        ('Go:\n```\n{"tool": "bash", "args": {"command": "ls"}}\n```', "bash", {"command": "ls"}),
        ('<invoke name="bash">\n</invoke>\n</function_calls>', "bash", {}),
        ("<function=read_file>\n<parameter=path>\na\n</parameter>\n</function>", "read", {"path": "a"}),
        (
            '<|DSML|invoke name="edit">\n<|DSML|parameter name="a" string="false">[1]</|DSML|parameter>\n'
            '<|DSML|parameter name="b" string="false">no</|DSML|parameter>\n</|DSML|invoke>',
            "edit",
            {"a": [1], "b": "no"},
        ),
        (
            "<function=bash>\n<parameter=command>\necho '</parameter>' > x\n\n</parameter>\n</function>",
            "bash",
            {"command": "echo '</parameter>' > x\n"},
        ),
        (
            '```sh\nls\n```\n<tool_call>{"name": "bash", "arguments": {"command": "ls"}}</tool_call>',
            "bash",
            {"command": "ls"},
        ),
        (
            'As <tool_call> says:\n<tool_call> and so on.\n<tool_call>{"name": "bash"}</tool_call>',
            "bash",
            {},
        ),
    ],
)
def test_calls_are_found_in_many_shapes(text: str, name: str, arguments: object) -> None:
    assert taken(text)[1] == [(name, arguments)]


CALL = '<tool_call>{"name": "bash", "arguments": {"command": "rm x"}}</tool_call>'


@pytest.mark.parametrize(
    "text",
    [
        "Nothing to see.",
        "A `<tool_call>` begins a call.",
        f"Write {CALL}",
        f"> {CALL}",
        f"`{CALL}`",
        f"For example:\n{CALL}\nThat would remove it.",
        f"```xml\n{CALL}\n```",
        f"```\n{CALL}",
        f"~~~\n{CALL}\n~~~",
        '<tool_call>{"name": "launch", "arguments": {}}</tool_call>',
        f'<tool_call>{{"name": "launch", "arguments": {{}}}}</tool_call>\n{CALL}',
        '<function_calls>\n<invoke name="launch">\n</invoke>\n'
        '<invoke name="bash">\n</invoke>\n</function_calls>',
        "<tool_call>",
        "<tool_call>\nis how it begins, they say",
        '<tool_call>{"arguments": {}}</tool_call>',
        "<tool_call>[]</tool_call>",
        "<tool_call>12</tool_call>",
        "`<|python_tag|>` is a mark, and `<|tool_calls_section_begin|>` too.",
        'A mark of "name": <|python_tag|> is followed by code',
        '{"name": "hames", "version": "1"}',
        '{"name": "bash", "arguments": {}, "note": "an example"}',
        '{"name": "bash", "arguments": "ls"}',
        '{"name": "bash"',
        '["name"]',
        '```json\n{"name": "launch", "arguments": {}}\n```',
        '```json\n{"name": "bash", "arguments": {}}\n```\nThat is the form.',
        '```\nx\n```json\n{"name": "bash", "arguments": {}}\n```',
        '```python\n{"name": "bash", "arguments": {}}\n```',
    ],
)
def test_what_may_be_a_quotation_stays_text(text: str) -> None:
    assert salvaged(reply(text), NAMES) == reply(text)


def test_a_reply_with_calls_or_stopped_by_a_filter_is_left_alone() -> None:
    call = Call(CallId(""), "call_1", "bash", "{}")
    for given_reply in (reply(CALL, "calls", (call,)), reply(CALL, "filter")):
        assert salvaged(given_reply, NAMES) == given_reply


def test_a_reply_that_reached_its_limit_after_its_calls_still_says_so() -> None:
    assert salvaged(reply(CALL, "length"), NAMES).finish == "length"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('<tool_call>{"name": "bash", "arguments": {"command": "rm', "ends inside it"),
        ('<tool_call>{"name": "bash", "arguments": {"command": "rm"}}', "ends inside it"),
        (f'{CALL}\n<tool_call>{{"name": "ba', "ends inside it"),
        ("<function=bash>\n<parameter=command>\nrm -rf x", "ends inside it"),
        ("<function=bash>\n<parameter=command>\nrm x\n</parameter>", "ends inside it"),
        ('<function_calls>\n<invoke name="bash">\n</invoke>\n', "ends inside it"),
        ("I look.<｜DSML｜tool_calls>", "ends inside it"),  # noqa: RUF001
        ("<|tool_calls_section_begin|><|tool_call_begin|>functions.ba", "ends inside it"),
        ("[TOOL_CALLS]bash[ARGS]", "ends inside it"),
        ("<|tool_call>", "ends inside it"),
        ('<tool_call>{"name": "bash", "arguments": {"command": x}}</tool_call>', "cannot be read"),
        ("<|tool_call>call:bash{command:ls}<tool_call|>", "cannot be read"),
        (
            '<invoke name="bash">\n<parameter name="a">1</parameter>\n<parameter name="a">2</parameter>\n'
            "</invoke>",
            "cannot be read",
        ),
    ],
)
def test_calls_that_are_not_whole_are_a_failure_and_never_run(text: str, words: str) -> None:
    with pytest.raises(ModelError) as caught:
        salvaged(reply(text), NAMES)
    assert (caught.value.kind, caught.value.raw) == ("malformed", text.encode())
    assert f"and the reply {words}" in str(caught.value)
    with pytest.raises(ModelError) as caught:
        salvaged(reply(text, "length"), NAMES)
    assert caught.value.kind == "cut"


@pytest.mark.parametrize("form", ALL)
def test_no_start_of_a_leak_gives_a_call_that_was_not_whole(form: str) -> None:
    text = ALL[form](TWO)
    _, whole = taken(text)
    for at in range(len(text)):
        try:
            _, calls = taken(text[:at])
        except ModelError:
            continue
        assert calls == whole[: len(calls)], text[:at]
        assert len(calls) != 1 or form not in CLOSED, text[:at]


@pytest.mark.parametrize(
    "piece",
    [
        '<tool_call>\n{"name": "x", "a": [\n',
        '<invoke name="x">\n<parameter name="y">\n',
        '```\n<tool_call>{"name": "bash"}\n',
        '```json\n{"name"\n',
    ],
)
def test_a_text_of_nothing_but_beginnings_is_given_up_on(piece: str) -> None:
    text = piece * 20_000
    assert salvaged(reply(text), NAMES) == reply(text)


VALUES = st.text() | st.integers(-(2**40), 2**40) | st.booleans() | st.lists(st.text(), max_size=2)
KEYS = st.sampled_from(["command", "file_path", "limit", "x-y"])
CALLS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.dictionaries(KEYS, VALUES, max_size=3)), min_size=1, max_size=3
)
EXACT = (
    "hermes",
    "kimi",
    "deepseek v3.1",
    "deepseek v3",
    "mistral",
    "mistral list",
    "tagged",
    "python tag",
    "granite",
)


@given(CALLS, st.sampled_from(EXACT))
def test_any_arguments_come_through_where_they_are_written_as_json(asked: list[Asked], form: str) -> None:
    assert taken(ALL[form](asked))[1] == [(name, dict(arguments)) for name, arguments in asked]


@given(
    st.text(alphabet="<>|/[]{}\"': \n`=bash,name_toolcalinvkeprmu", max_size=80),
    st.sampled_from(list(ALL.values())),
)
def test_any_text_around_a_leak_is_read_or_refused(noise: str, write: object) -> None:
    assert callable(write)
    leak = str(write(TWO))
    for text in (noise + leak, leak + noise, leak[: len(noise)] + noise):
        try:
            found = salvaged(reply(text), NAMES)
        except ModelError:
            continue
        assert found.message.text in text
        assert {call.name for call in found.message.calls} <= set(NAMES)
