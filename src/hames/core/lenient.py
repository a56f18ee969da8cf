"""Reads a JSON object that a model has almost written right. Never one that was cut."""

import re
from collections import Counter
from typing import cast

import msgspec

from hames.core.text import one_line

_DEEPEST = 64
_NAMED_CHARS = 60

# Patterns are compiled when they are first used: starting costs nothing.
_MARK = r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]:]'
_WORD = r"[^\s,:{}\[\]\"'`]+"
_KEY = r"[^\W\d][\w$-]*"
_BLANK = r"\s+|//[^\n]*|#[^\n]*|/\*.*?\*/"
_CONTROL = r"[\x00-\x1f]"
_FENCE = r"```[ \t]*\w*\s*\Z"
_FENCE_END = r"\s*```"
_APOSTROPHE = r"(?<=\w)['\u2019](?=\w)"
_UNSURE = r"[\"'`{}\[\]]"

_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_CONSTANTS: dict[str, object] = {"true": True, "false": False, "null": None}
_FOREIGN: dict[str, object] = {"True": True, "False": False, "None": None, "undefined": None}
_NO_NUMBERS = frozenset(("NaN", "Infinity", "-Infinity"))


class Found(msgspec.Struct, frozen=True):
    """An object, the strict JSON it was read from, and what had to be mended to get there."""

    value: dict[str, object]
    text: str
    repairs: tuple[str, ...] = ()


class Refused(msgspec.Struct, frozen=True):
    """Why no object can be read for certain. `cut`: the text ends before all is closed."""

    why: str
    cut: bool = False


def read_object(text: str) -> Found | Refused:
    """The one object in `text`. Valid JSON is taken as it is.

    Mended is only what is closed to its end and has one meaning: a cut text is refused, however it could
    be completed, and so is a key that is given twice.
    """
    value: object = None
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return _mended(text)
    except RecursionError:
        return Refused("the text is nested too deeply")
    if isinstance(value, str):
        return _mended(text)
    if not isinstance(value, dict):
        return Refused("the text must be one JSON object")
    found = cast("dict[str, object]", value)
    twice = None if _plainly_single(text, found) else _repeated_key(text)
    return Found(found, text) if twice is None else Refused(_twice(twice))


def _mended(text: str) -> Found | Refused:
    reader = _Reader(text)
    try:
        value = reader.only_object()
        return Found(value, msgspec.json.encode(value).decode(), tuple(reader.repairs))
    except _CutError as error:
        return Refused(str(error), cut=True)
    except _UnsureError as error:
        return Refused(str(error))
    except UnicodeError:
        return Refused("the text has half a character in it")


def _plainly_single(text: str, value: object) -> bool:
    """Whether it takes no closer look to see that no key stands twice: the usual case, and a quick one."""
    if "\\u" in text:
        return False
    keys: Counter[str] = Counter()
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            members = cast("dict[str, object]", each)
            keys.update(members.keys())
            left += members.values()
        elif isinstance(each, list):
            left += cast("list[object]", each)
    # Letters that are not escaped can be written in one way only.
    return all(key.isidentifier() and text.count(f'"{key}"') == times for key, times in keys.items())


def _repeated_key(text: str) -> str | None:
    """A key that some object of a valid JSON text has twice."""
    keys: list[set[str]] = []
    last = ""
    for match in re.finditer(_MARK, text):
        mark = match[0]
        if mark == ":":
            name = msgspec.json.decode(last, type=str) if "\\" in last else last[1:-1]
            if name in keys[-1]:
                return name
            keys[-1].add(name)
        elif mark[0] == '"':
            last = mark
        elif mark in "{[":
            keys.append(set())
        else:
            keys.pop()
    return None


def _twice(key: str) -> str:
    return f'"{one_line(key, _NAMED_CHARS)}" is given twice, and it is not clear which is meant'


class _CutError(Exception):
    """The text ends too early."""


class _UnsureError(Exception):
    """There is no one meaning."""


class _Reader:
    """Reads one text. `repairs` says what was mended, each once, in the order in which it was met."""

    def __init__(self, text: str) -> None:
        self.repairs: dict[str, None] = {}
        self._text = text
        self._at = 0

    def only_object(self, *, inside: bool = False) -> dict[str, object]:
        """The object that the text is, or holds. `inside`: this text was a string itself."""
        self._text = self._text.strip().removeprefix("\ufeff")
        if self._text[:1] in ('"', "'") and not inside:
            return self._unwrapped()
        self._at = self._text.find("{")
        if self._at < 0:
            raise _UnsureError("the text must be one JSON object")
        before = self._text[: self._at]
        found = self._object(0)
        self._check_around(before, self._text[self._at :])
        return found

    def _unwrapped(self) -> dict[str, object]:
        """The object in a string that is the whole text."""
        text = self._string()
        if self._at != len(self._text):
            raise _UnsureError("the text must be one JSON object, and not begin with a string")
        self._mend("the object was inside a string")
        self._text, self._at = text, 0
        return self.only_object(inside=True)

    def _check_around(self, before: str, after: str) -> None:
        """Around the object there may be a fence and words, but nothing that could be part of it."""
        fence = re.search(_FENCE, before)
        if fence:
            end = re.match(_FENCE_END, after)
            if end is None:
                raise _CutError("the fence around it is not closed")
            self._mend("a fence around the object")
            before, after = before[: fence.start()], after[end.end() :]
        words = f"{before} {after}".strip()
        if re.search(_UNSURE, re.sub(_APOSTROPHE, "", words)):
            raise _UnsureError("the text must be one JSON object, with nothing around it")
        if words:
            self._mend("words around the object")

    # Values

    def _value(self, depth: int) -> object:
        match self._next():
            case "{":
                return self._object(depth)
            case "[":
                return self._array(depth)
            case '"' | "'":
                return self._string()
            case _:
                return self._constant()

    def _object(self, depth: int) -> dict[str, object]:
        self._open(depth)
        found: dict[str, object] = {}
        while self._next() != "}":
            key = self._key()
            if key in found:
                raise _UnsureError(_twice(key))
            if self._next() != ":":
                raise self._unsure("a colon was expected")
            self._at += 1
            found[key] = self._value(depth + 1)
            self._separate("}", may_miss=True)
        self._at += 1
        return found

    def _array(self, depth: int) -> list[object]:
        self._open(depth)
        found: list[object] = []
        while self._next() != "]":
            found.append(self._value(depth + 1))
            self._separate("]", may_miss=False)
        self._at += 1
        return found

    def _open(self, depth: int) -> None:
        if depth >= _DEEPEST:
            raise _UnsureError("the text is nested too deeply")
        self._at += 1

    def _separate(self, closing: str, *, may_miss: bool) -> None:
        """Go over the comma to the next member, or up to the closing bracket."""
        letter = self._next()
        if letter == ",":
            self._at += 1
            if self._next() == closing:
                self._mend("a comma before the closing bracket")
        elif letter in "\"'" and may_miss and self._text[self._at - 1].isspace():
            self._mend("a missing comma")
        elif letter != closing:
            raise self._unsure(f"a comma or {closing} was expected")

    def _key(self) -> str:
        if self._next() in "\"'":
            return self._string()
        match = self._match(_KEY)
        if match is None:
            raise self._unsure("a key was expected")
        self._mend("keys without quotes")
        return match

    def _constant(self) -> object:
        word = self._match(_WORD)
        if word is None:
            raise self._unsure("a value was expected")
        if self._at == len(self._text):
            raise _CutError("the text ends inside a value")
        if word in _CONSTANTS:
            return _CONSTANTS[word]
        if word in _FOREIGN:
            self._mend(f"{word} is not JSON")
            return _FOREIGN[word]
        if word in _NO_NUMBERS:
            self._mend(f"{word} is not JSON: null was taken")
            return None
        try:
            return msgspec.json.decode(word, type=int | float)
        except (msgspec.DecodeError, UnicodeError):
            self._at -= len(word)
            raise self._unsure("a text needs quotes") from None

    # Texts

    def _string(self) -> str:
        quote = self._text[self._at]
        if quote == "'":
            self._mend("single quotes")
        self._at += 1
        pieces: list[str] = []
        while True:
            piece = self._match(rf"[^{quote}\\]*") or ""
            if re.search(_CONTROL, piece):
                self._mend("line breaks or control characters in a string")
            pieces.append(piece)
            if self._at == len(self._text):
                raise _CutError("the text ends inside a string")
            if self._text[self._at] == quote:
                self._at += 1
                return "".join(pieces)
            pieces.append(self._escape(quote))

    def _escape(self, quote: str) -> str:
        """What a backslash and the letter after it stand for; themselves where JSON does not know them."""
        letter = self._text[self._at + 1 : self._at + 2]
        self._at += 2
        if not letter:
            raise _CutError("the text ends inside a string")
        if letter == "u":
            return self._code()
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        self._mend("escapes that JSON does not know")
        return letter if letter in (quote, "'") else f"\\{letter}"

    def _code(self) -> str:
        digits = self._match(r"[0-9a-fA-F]{4}")
        if digits is None:
            self._mend("escapes that JSON does not know")
            return "\\u"
        code = int(digits, 16)
        if 0xD800 <= code < 0xDC00:
            low = self._match(r"\\u[dD][c-fC-F][0-9a-fA-F]{2}")
            if low is not None:
                return chr(0x10000 + ((code - 0xD800) << 10) + int(low[2:], 16) - 0xDC00)
        if 0xD800 <= code < 0xE000:
            self._mend("half a character was replaced")
            return "\ufffd"
        return chr(code)

    # The place

    def _next(self) -> str:
        """The next letter that is neither blank nor comment."""
        while (blank := self._match(_BLANK)) is not None:
            if not blank.isspace():
                self._mend("comments")
        if self._at >= len(self._text):
            raise _CutError("the text ends before all brackets are closed")
        return self._text[self._at]

    def _match(self, pattern: str) -> str | None:
        match = re.compile(pattern, re.DOTALL).match(self._text, self._at)
        if match is None:
            return None
        self._at = match.end()
        return match[0]

    def _mend(self, what: str) -> None:
        self.repairs[what] = None

    def _unsure(self, what: str) -> _UnsureError:
        there = one_line(self._text[self._at : self._at + _NAMED_CHARS], _NAMED_CHARS)
        return _UnsureError(f"{what} at character {self._at + 1}, before {there}")
