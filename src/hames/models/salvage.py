"""Takes calls out of a reply's text, where a model or its server has left them. Pure."""

import re
from collections.abc import Collection
from itertools import islice
from typing import NamedTuple

import msgspec

from hames.core.errors import ModelError
from hames.core.ports import Reply
from hames.core.tool_names import tool_meant
from hames.models.calls import Written, with_own_ids

_HINTS = (
    *("tool_call", "function_call", "<function=", "invoke name=", "DSML", "[TOOL_CALLS]", "python_tag"),
    *("tool▁call", '"name"', '"tool"', "'name'"),
)
"""A text with none of these is not looked at any closer."""

_MOST_TRIED = 300
_MOST_CHARS = 1_000_000
"""So many places where calls may begin are looked at in one text, and as far as this in all."""

_ENDS = ("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "</s>", "<｜end▁of▁sentence｜>")  # noqa: RUF001 - a model's own mark

# Patterns are compiled when they are first used.
_FENCE = r"^ {0,3}(?:```|~~~)"
_FENCED = r"(?:\A|(?<=\n)) {0,3}```(?:json|tool_call)?[ \t]*\n(?P<body>(?:(?! {0,3}```).*\n)+) {0,3}```\Z"
_BARS = "|｜‖"  # noqa: RUF001 - as above


class _Leak(NamedTuple):
    """Calls in a text: where they begin, as what, and each by its true name."""

    at: int
    form: str
    calls: list[Written]


def salvaged(reply: Reply, names: Collection[str]) -> Reply:
    """`reply` with the calls that stand at the end of its text as calls, if it has no others.

    They count only if all of them are whole and of tools in `names`, and nothing shows that they are
    quoted. Raises `ModelError` `cut` or `malformed` for calls that are not whole: nothing of them may run.
    """
    message = reply.message
    if message.calls or reply.finish == "filter" or not any(hint in message.text for hint in _HINTS):
        return reply
    text = _without_ends(message.text)
    leak = _marked(text, names, reply) or _as_json(text, names)
    if leak is None:
        return reply
    calls, _ = with_own_ids(leak.calls, reply.raw)
    count = f"{len(calls)} call{'s' * (len(calls) > 1)}"
    return msgspec.structs.replace(
        reply,
        message=msgspec.structs.replace(message, text=text[: leak.at].rstrip(), calls=calls),
        finish="length" if reply.finish == "length" else "calls",
        repairs=(*reply.repairs, f"{count} taken out of the text, from {leak.form}"),
    )


def _without_ends(text: str) -> str:
    """Without blanks at the end, and without the marks with which models end a reply."""
    text = text.rstrip()
    while end := next((mark for mark in _ENDS if text.endswith(mark)), ""):
        text = text.removesuffix(end).rstrip()
    return text


def _marked(text: str, names: Collection[str], reply: Reply) -> _Leak | None:
    """Calls in one of the formats that models are trained on."""
    from hames.models.markup import BEGIN, CLOSED, Cursor, CutShortError, OddError, read_calls  # noqa: PLC0415 - most runs never see any

    left = _MOST_CHARS
    for begin in islice(re.finditer(BEGIN, text), _MOST_TRIED):
        if left < 0 or not _stands_free(text, begin):
            continue
        left -= len(text) - begin.start()
        cursor = Cursor(text, begin.start())
        try:
            asked = read_calls(cursor)
        except CutShortError:
            if _is_mark(begin) or _any_of(cursor.names, names):
                raise _broken(reply, "ends inside it") from None
        except OddError:
            if _any_of(cursor.names, names) and re.search(CLOSED, text):
                raise _broken(reply, "cannot be read") from None
        else:
            return _leak(begin.start(), begin[0].strip(), asked, names)
    return None


def _as_json(text: str, names: Collection[str]) -> _Leak | None:
    """Calls that are the whole text as JSON, or a fenced block of it at its end."""
    from hames.models.markup import OddError, named_calls  # noqa: PLC0415 - as above

    fenced = re.search(_FENCED, text)
    if fenced is not None and _fences(text[: fenced.start()]) % 2 == 0:
        at, body, form = fenced.start(), fenced["body"], "a fenced block"
    elif text.strip()[:1] in ("{", "["):
        at, body, form = 0, text, "JSON"
    else:
        return None
    try:
        return _leak(at, form, named_calls(body, whole=True), names)
    except OddError:
        return None


def _leak(at: int, form: str, asked: Collection[tuple[str, str]], names: Collection[str]) -> _Leak | None:
    """The calls, if all their tools were offered."""
    calls: list[Written] = []
    for name, arguments in asked:
        tool = tool_meant(name, names)
        if tool is None:
            return None
        calls.append(Written("", tool, arguments))
    return _Leak(at, form, calls)


def _stands_free(text: str, begin: "re.Match[str]") -> bool:
    """Whether this is no quotation: not in a fence, and where tags begin a line, as they do when they are
    meant. The marks that no person writes may stand anywhere but after a backtick."""
    before = text[: begin.start()]
    if _fences(before) % 2:
        return False
    if _is_mark(begin):
        return not before.endswith("`")
    return not before.rpartition("\n")[2].strip()


def _fences(text: str) -> int:
    return len(re.findall(_FENCE, text, re.MULTILINE))


def _is_mark(begin: "re.Match[str]") -> bool:
    return any(bar in begin[0] for bar in _BARS) or begin[0] == "[TOOL_CALLS]"


def _any_of(found: Collection[str], names: Collection[str]) -> bool:
    return any(tool_meant(name, names) for name in found)


def _broken(reply: Reply, what: str) -> ModelError:
    kind = "cut" if reply.finish == "length" else "malformed"
    words = f"a call stands in the text of the reply instead of beside it, and the reply {what}"
    return ModelError(kind, words, raw=reply.raw)
