"""Reads a command line as far as its words tell: the simple commands in it, and their programs."""

import re
import shlex
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

_OPERATORS = ";&|()"
_HEREDOC = r"(?<!<)<<(?!<)-?\s*(['\"]?)(\w+)\1([^\n]*)(?:\n.*?)?(?:\n\s*\2(?!\S)|\Z)"

_PLAIN = re.compile(r"[\w@%+=:,./~*? -]+")
"""A line of nothing but words: no quote, no variable, no operator, nothing that a lexer is needed for."""

LOOKS = frozenset(
    (
        *("grep", "egrep", "rg", "ag", "find", "ls", "cat", "head", "tail", "which", "type", "test", "["),
        *("[[", "diff", "cmp", "stat", "file", "pgrep", "ps", "wc", "sort", "uniq", "cut", "tr", "nl"),
        *("pwd", "date"),
    )
)
"""Programs that only look: they change nothing, and their failure is an answer."""

_WRAPPERS = frozenset(
    (
        *("time", "env", "nice", "nohup", "command", "exec", "stdbuf", "xvfb-run", "timeout", "sudo"),
        *("npx", "pnpx", "bunx", "uvx"),
    )
)
"""Programs that run another: the next word that is neither an option nor a number."""

_RUNNERS = {
    **dict.fromkeys(("uv", "poetry", "pipenv", "hatch", "pdm", "rye", "coverage"), "run"),
    "bundle": "exec",
}
"""Programs that run another after this word."""


class Simple(NamedTuple):
    """A simple command: its words, and the operators before and after it. A new line counts as `;`."""

    words: tuple[str, ...]
    before: str
    after: str


@lru_cache(maxsize=64)
def read_line(line: str) -> tuple[Simple, ...]:
    """The simple commands of a line, without what is fed to them; none where it cannot be read."""
    try:
        return tuple(_simple(line))
    except ValueError:
        return ()


def program(words: Sequence[str]) -> Sequence[str]:
    """The program that these words run, and its arguments: without redirections, assignments and programs
    that only run others."""
    found = _without_redirections(words)
    while len(rest := _unwrapped(found)) < len(found):
        if not rest:
            return found if found[0] in _WRAPPERS else ()
        found = rest
    return found


def _simple(line: str) -> Iterator[Simple]:
    if _PLAIN.fullmatch(line):
        yield from [Simple(tuple(line.split()), "", "")] if line.strip() else []
        return
    line = re.sub(_HEREDOC, r"\3", line, flags=re.DOTALL)
    line = re.sub(r"(?m)^\s*#.*$", "", line).replace("\\\n", " ").replace("\n", " ; ")
    lexer = shlex.shlex(line, posix=True, punctuation_chars=f"{_OPERATORS}<>")
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    before = after = ""
    for token in lexer:
        if token and set(token) <= set(_OPERATORS):
            after += token
            continue
        if after and words:
            yield Simple(tuple(words), before, _operator(after))
            words = []
        if after:
            before, after = _operator(after), ""
        words.append(token)
    if words:
        yield Simple(tuple(words), before, _operator(after))


def _operator(marks: str) -> str:
    """The operator among parentheses; what substitutes a command has none, and stays."""
    return marks.strip("()") or marks.strip(")")


def _without_redirections(words: Sequence[str]) -> list[str]:
    found: list[str] = []
    skip = False
    for word, after in zip(words, (*words[1:], ""), strict=False):
        if skip or word[:1] in ("<", ">") or word == "&>":
            skip = not skip
        elif not (word.isdecimal() and after[:1] in ("<", ">")):
            found.append(word)
    return found


def _unwrapped(words: list[str]) -> list[str]:
    """Without the first program, where it only runs another, or the first assignment."""
    name, equals, _ = words[0].partition("=") if words else ("", "", "")
    if equals and name.isidentifier():
        return words[1:]
    if name in _WRAPPERS:
        return _after_options(words[1:])
    if len(words) > 2 and words[1] == _RUNNERS.get(name):
        return _after_options(words[2:])
    return words


def _after_options(words: list[str]) -> list[str]:
    while words and (words[0][:1] == "-" or words[0][:1].isdigit()):
        words = words[1:]
    return words
