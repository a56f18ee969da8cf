"""What a failed command's output says went wrong, and in which files: read by a table of forms."""

import re
from functools import cache

import msgspec

from hames.context.sameness import essence
from hames.core.text import one_line

_FORMS = (
    r"^(?:FAILED|ERROR) (?P<what>\S+::\S+|\S+\.py)\b",  # pytest's summary
    r"^(?:FAIL|ERROR): (?P<what>\w+ \([\w.]+\))",  # unittest
    r"^\s*--- FAIL: (?P<what>\S+)",  # go test
    r"^test (?P<what>\S+) \.\.\. FAILED",  # cargo test
    r"^not ok \d+ -? ?(?P<what>.+)",  # TAP
    r"^\s*\u25cf (?P<what>.+ \u203a .+)",  # jest
    r"^ *(?:FAIL|\u00d7|\u2717) +(?P<what>\S.+)",  # vitest
    r"^error(?:\[E\d+\])?: (?P<what>.+)",  # rustc
    r"^(?P<what>[^\s:(][^:(\n]*(?::\d+(?::\d+)?|\(\d+,\d+\)): (?:fatal )?error\b.*)",  # gcc, clang, tsc, mypy
    r"^(?P<what>\./?[^\s:]+\.go:\d+:\d+: .+)",  # go build
    r"^(?P<what>[\w./-]+:\d+:\d+: [A-Z]+\d+ .+)",  # ruff, flake8
)
"""Each match names one thing that failed. The first form with a match decides, and takes all of its own."""

_LAST = (
    r"^(?:Uncaught )?(?P<what>(?:[A-Za-z_][\w.]*)?(?:Error|Exception|Exit|Interrupt)(?: \[\w+\])?: .+)",
    r"^(?P<what>(?:[A-Za-z_][\w.]*)?(?:Error|Exception|Exit|Interrupt))$",
    r"(?<!\S)(?P<what>\S+: (?:command not found|No such file or directory|Permission denied))",
    r"^make(?:\[\d+\])?: \*\*\* (?P<what>.+)",
    r"^(?P<what>.*\b(?i:error|fatal|failed|cannot|could not|not found|no such|denied|refused|undefined)\b.*)",
    r"^(?P<what>[^\[\s].*)",
)
"""As `_FORMS`, but only the last match counts: what comes before it are causes or noise."""

_PLACES = (
    r"(?<![\w./@+-])(?P<path>[\w./@+-]+\.[A-Za-z]\w{0,5})[:(](?P<line>\d+)",
    r'File "(?P<path>[^"]+)", line (?P<line>\d+)',
)

_WHATS = 20
_KEY_CHARS = 300
_LINE_CHARS = 160


class NamedError(msgspec.Struct, frozen=True):
    """`key` is the same for two failures of one kind, also after lines have moved. `line` is for the eye.
    `places` are the files that the output names with a line: the path as it is written there, and the line
    that was named last."""

    key: str
    line: str
    places: dict[str, int]


def read_error(text: str) -> NamedError:
    """What failed, by the first form that fits; empty when there is nothing to read."""
    for form in _FORMS:
        if found := [match["what"] for match in _compiled(form).finditer(text)]:
            return _named(list(dict.fromkeys(found)), text)
    for form in _LAST:
        if found := [match["what"] for match in _compiled(form).finditer(text)]:
            return _named(found[-1:], text)
    return _named([], text)


def _named(whats: list[str], text: str) -> NamedError:
    keys = sorted(_without_lines(essence(what, failed=True)) for what in whats[:_WHATS])
    more = f" and {len(whats) - 1} more" if len(whats) > 1 else ""
    line = one_line(whats[0], _LINE_CHARS) + more if whats else ""
    return NamedError("\n".join(keys)[:_KEY_CHARS], line, _places(text))


def _without_lines(what: str) -> str:
    """Changes move lines: which one it is now makes no other failure."""
    return _compiled(r"(?::\d+(?::\d+)?|\(\d+,\d+\)|\bline \d+)").sub("", what)


def _places(text: str) -> dict[str, int]:
    return {match["path"]: int(match["line"]) for form in _PLACES for match in _compiled(form).finditer(text)}


@cache
def _compiled(form: str) -> re.Pattern[str]:
    return re.compile(form, re.MULTILINE)
