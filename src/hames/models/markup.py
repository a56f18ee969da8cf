"""Reads calls that a model has written into its text, in the formats that models are trained on. Pure."""

import re
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from hames.core.lenient import Refused, read_object

# Patterns are compiled when they are first used: most replies hold none of this.
_DSML = r"[|｜‖]{1,2} ?DSML ?[|｜‖]{1,2} ?"  # noqa: RUF001 - these bars are in the model's own format
_FAMILY = rf"(?:{_DSML}|antml:|minimax:|seed:)?"
_WRAPPER = rf"<{_FAMILY}(?:tool_calls?|function_calls?|calls)>"
_WRAPPER_END = rf"</{_FAMILY}(?:tool_calls?|function_calls?|calls)>"
_INVOKE = rf"<{_FAMILY}invoke name=(?P<quote>[\"'])(?P<name>[^\"'<>\n]+)(?P=quote)>"
_INVOKE_END = rf"</{_FAMILY}invoke>"
_PARAMETER_AHEAD = rf"<{_FAMILY}parameter "
_PARAMETER = (
    rf"<{_FAMILY}parameter name=(?P<quote>[\"'])(?P<key>[^\"'<>\n]+)(?P=quote)"
    r"(?: string=[\"'](?P<string>true|false)[\"'])?>"
)
_PARAMETER_END = rf"</{_FAMILY}parameter>"
_FUNCTION = r"<function=(?P<name>[^<>\n]+)>"
_FUNCTION_END = r"</function>"
_FUNCTION_PARAMETER = r"<parameter=(?P<key>[^<>\n]+)>\n?"
_FUNCTION_PARAMETER_END = r"\n?</parameter>"
_ARGUMENT = r"<arg_key>(?P<key>[^<>]+)</arg_key>\s*<arg_value>"
_ARGUMENT_END = r"</arg_value>"
_NAME = r"(?P<name>[\w.-]+)"

_KIMI = r"<\|tool_calls_section_begin\|>"
_KIMI_CALL = r"<\|tool_call_begin\|>\s*(?P<name>[\w.:-]+)\s*<\|tool_call_argument_begin\|>"
_KIMI_CALL_END = r"<\|tool_call_end\|>"
_KIMI_END = r"<\|tool_calls_section_end\|>"
_DEEPSEEK = r"<｜tool▁calls▁begin｜>"  # noqa: RUF001 - as above
_DEEPSEEK_CALL = (
    r"<｜tool▁call▁begin｜>(?:function<｜tool▁sep｜>)?(?P<name>[\w.-]+)(?:<｜tool▁sep｜>|\s*```json)"  # noqa: RUF001 - as above
)
_DEEPSEEK_CALL_END = r"(?:```\s*)?<｜tool▁call▁end｜>"  # noqa: RUF001 - as above
_DEEPSEEK_END = r"<｜tool▁calls▁end｜>"  # noqa: RUF001 - as above
_MISTRAL = r"\[TOOL_CALLS\]"
_MISTRAL_CALL = r"(?P<name>[\w.-]+)(?:\[CALL_ID\]\w+)?(?:\[ARGS\])?(?=\s*\{)"
_GEMMA = r"<\|tool_call>call:(?P<name>[\w.-]+)(?=\{)"
_GEMMA_END = r"<tool_call\|>"
_GEMMA_TEXT = r"<\|\"\|>(.*?)<\|\"\|>"
_TAGGED = r"<\|(?:tool_call|python_tag)\|>"
_TAGGED_END = r"<\|/tool_call\|>"

BEGIN = (
    rf"<{_FAMILY}(?:tool_calls?|function_calls?|calls)>|<{_FAMILY}invoke |<function="
    rf"|{_KIMI}|{_DEEPSEEK}|{_MISTRAL}|<\|tool_call>|{_TAGGED}"
)
"""Where calls may begin, in any of the formats."""

CLOSED = rf"(?:{_WRAPPER_END}|{_INVOKE_END}|{_FUNCTION_END}|{_KIMI_END}|{_DEEPSEEK_END}|{_GEMMA_END})\Z"
"""How a text ends that was meant as calls."""

_MARK = r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]'
_CUT = r"\s*(?:<[^>]{0,80}|[\w<\[][^\s`]{0,80})?"
_NAME_BEGUN = r"[\"'](?:name|tool)[\"']\s*:\s*[\"']([^\"'<>\n]+)[\"']"
_NAMED = ("name", "tool", "tool_name", "function")
_GIVEN = ("arguments", "parameters", "args", "input", "tool_input")

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Asked(NamedTuple):
    """A call as it was written: the name, and its arguments as JSON."""

    name: str
    arguments: str


class CutShortError(Exception):
    """The text ends inside a call."""


class OddError(Exception):
    """This is no call in any known format, or one with a mistake in it."""


class Cursor:
    """A place in a text. `names` are those of the calls that have been met, whole or not."""

    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.at = at
        self.names: list[str] = []

    @property
    def is_done(self) -> bool:
        return not self.text[self.at :].strip()

    def take(self, pattern: str) -> "re.Match[str] | None":
        """Go over `pattern`, and blanks before it, if it is here."""
        match = re.compile(rf"\s*{pattern}").match(self.text, self.at)
        if match is not None:
            self.at = match.end()
            if "name" in match.groupdict():
                self.names.append(match["name"])
        return match

    def need(self, pattern: str) -> "re.Match[str]":
        """The same, where nothing else may be."""
        match = self.take(pattern)
        if match is None:
            raise self.odd()
        return match

    def odd(self) -> Exception:
        """What it means that nothing fits here."""
        is_cut = re.compile(_CUT).fullmatch(self.text, self.at) is not None
        return CutShortError() if is_cut else OddError()

    def value(self, end: str, after: str) -> str:
        """The text up to the first `end` that is followed by `after`: a value may hold `end` itself."""
        match = re.compile(rf"{end}(?=\s*(?:{after}))").search(self.text, self.at)
        if match is None:
            raise CutShortError
        found = self.text[self.at : match.start()]
        self.at = match.end()
        return found

    def json(self) -> str:
        """The JSON object or array that is here, to its closing bracket."""
        start = len(self.text) - len(self.text[self.at :].lstrip())
        if self.text[start : start + 1] not in ("{", "["):
            raise self.odd()
        depth = 0
        for mark in re.compile(_MARK, re.DOTALL).finditer(self.text, start):
            depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(mark[0], 0)
            if not depth:
                self.at = mark.end()
                break
        part = self.text[start : self.at] if not depth else self.text[start:]
        self.names += re.findall(_NAME_BEGUN, part)
        if depth:
            raise CutShortError
        return part


# Whole calls


def named_calls(part: str, *, whole: bool = False) -> list[Asked]:
    """The calls that a JSON text names. `whole`: it says a name and arguments, and nothing else. Raises
    `OddError`."""
    # An object around it takes a list, too, and closes nothing that is open.
    read = read_object(f'{{"calls":{part}}}')
    if isinstance(read, Refused):
        raise OddError
    calls = _fields.decode(read.text)["calls"]
    raws = msgspec.json.decode(calls, type=list[msgspec.Raw]) if bytes(calls)[:1] == b"[" else [calls]
    if not raws:
        raise OddError
    return [_named(bytes(raw), whole=whole) for raw in raws]


def _named(raw: bytes, *, whole: bool) -> Asked:
    try:
        fields = _fields.decode(raw)
        name = bytes(next((fields[key] for key in _NAMED if key in fields), b""))
        if name[:1] == b"{" and not whole:
            return _named(name, whole=False)
        given = bytes(next((fields[key] for key in _GIVEN if key in fields), b""))
        if whole and (len(fields) != 2 or given[:1] != b"{"):
            raise OddError
        arguments = msgspec.json.decode(given, type=str) if given[:1] == b'"' else given.decode()
        return Asked(
            msgspec.json.decode(name, type=str), arguments if arguments not in ("", "null") else "{}"
        )
    except msgspec.DecodeError:
        raise OddError from None


def _given(pairs: list[tuple[str, str, bool]]) -> str:
    """Arguments that came one by one: a key, a value, and whether the value is JSON and no text."""
    taken: dict[str, object] = {}
    for key, value, is_json in pairs:
        if key in taken:
            raise OddError
        taken[key] = _value(value) if is_json else value
    return msgspec.json.encode(taken).decode()


def _value(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


# Formats


def _invoke(cursor: Cursor, opened: "re.Match[str]") -> list[Asked]:
    pairs: list[tuple[str, str, bool]] = []
    while (parameter := cursor.take(_PARAMETER)) is not None:
        value = cursor.value(_PARAMETER_END, f"{_PARAMETER_AHEAD}|{_INVOKE_END}")
        pairs.append((parameter["key"], value, parameter["string"] == "false"))
    cursor.need(_INVOKE_END)
    return [Asked(opened["name"], _given(pairs))]


def _function(cursor: Cursor, opened: "re.Match[str]") -> list[Asked]:
    pairs: list[tuple[str, str, bool]] = []
    while (parameter := cursor.take(_FUNCTION_PARAMETER)) is not None:
        value = cursor.value(_FUNCTION_PARAMETER_END, f"<parameter=|{_FUNCTION_END}")
        pairs.append((parameter["key"].strip(), value, False))
    cursor.need(_FUNCTION_END)
    return [Asked(opened["name"].strip(), _given(pairs))]


def _wrapper(cursor: Cursor, opened: "re.Match[str]") -> list[Asked]:
    """What stands between tags: calls of the kinds above, JSON, or a name with keys and values."""
    calls: list[Asked] = []
    while not calls or cursor.take(_WRAPPER_END) is None:
        if (inner := cursor.take(_INVOKE)) is not None:
            calls += _invoke(cursor, inner)
        elif (inner := cursor.take(_FUNCTION)) is not None:
            calls += _function(cursor, inner)
        elif not calls and (inner := cursor.take(_NAME)) is not None:
            calls += _keys_and_values(cursor, inner)
        else:
            part = cursor.json()
            calls += named_calls(part)
            # A list needs no tag to show that it is whole, and one model sends none.
            if part[0] == "[" and cursor.is_done:
                break
    return calls


def _keys_and_values(cursor: Cursor, named: "re.Match[str]") -> list[Asked]:
    pairs: list[tuple[str, str, bool]] = []
    while (argument := cursor.take(_ARGUMENT)) is not None:
        value = cursor.value(_ARGUMENT_END, f"<arg_key>|{_WRAPPER_END}")
        pairs.append((argument["key"].strip(), value, False))
    if cursor.take(rf"(?={_WRAPPER_END})") is None:
        raise cursor.odd()
    return [Asked(named["name"], _given(pairs))]


def _kimi(cursor: Cursor, opened: "re.Match[str]") -> list[Asked]:
    return _section(cursor, (_KIMI_CALL, _KIMI_CALL_END, _KIMI_END))


def _deepseek(cursor: Cursor, opened: "re.Match[str]") -> list[Asked]:
    return _section(cursor, (_DEEPSEEK_CALL, _DEEPSEEK_CALL_END, _DEEPSEEK_END))


def _section(cursor: Cursor, marks: tuple[str, str, str]) -> list[Asked]:
    begin, end, all_end = marks
    calls: list[Asked] = []
    while not calls or cursor.take(all_end) is None:
        name = cursor.need(begin)["name"]
        calls.append(Asked(name, cursor.json()))
        cursor.need(end)
    return calls


def _mistral(cursor: Cursor, opened: "re.Match[str]") -> list[Asked]:
    named = cursor.take(_MISTRAL_CALL)
    part = cursor.json()
    return named_calls(part) if named is None else [Asked(named["name"], part)]


def _gemma(cursor: Cursor, opened: "re.Match[str]") -> list[Asked]:
    part = cursor.value(_GEMMA_END, r"\Z|<\|tool_call>")
    plain = re.sub(_GEMMA_TEXT, lambda text: msgspec.json.encode(text[1]).decode(), part, flags=re.DOTALL)
    read = read_object(plain)
    if isinstance(read, Refused):
        raise OddError
    return [Asked(opened["name"], read.text)]


def _tagged(cursor: Cursor, opened: "re.Match[str]") -> list[Asked]:
    calls = named_calls(cursor.json())
    while cursor.take(";") is not None:
        calls += named_calls(cursor.json())
    cursor.take(_TAGGED_END)
    return calls


Reader = Callable[[Cursor, "re.Match[str]"], list[Asked]]

FORMATS: tuple[tuple[str, Reader], ...] = (
    (_WRAPPER, _wrapper),
    (_INVOKE, _invoke),
    (_FUNCTION, _function),
    (_KIMI, _kimi),
    (_DEEPSEEK, _deepseek),
    (_MISTRAL, _mistral),
    (_GEMMA, _gemma),
    (_TAGGED, _tagged),
)
"""How each format begins, and what reads the rest of it."""


def read_calls(cursor: Cursor) -> list[Asked]:
    """The calls from here to the end of the text. Raises `CutShortError` and `OddError`."""
    calls: list[Asked] = []
    while not (calls and cursor.is_done):
        for pattern, reader in FORMATS:
            opened = cursor.take(pattern)
            if opened is not None:
                calls += reader(cursor, opened)
                cursor.take(_WRAPPER_END)  # Some models close a tag that they have not opened.
                break
        else:
            raise cursor.odd()
    return calls
