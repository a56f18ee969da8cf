"""Which commands look like checks: they tell whether what was changed is right, and change nothing else."""

import re
import shlex
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import msgspec

_ANY = frozenset(
    (
        *("pytest", "py.test", "tox", "nox", "trial", "nose2", "mypy", "pyright", "basedpyright", "ty"),
        *("pyflakes", "pylint", "flake8", "pyre", "bandit", "vulture", "jest", "vitest", "mocha", "ava"),
        *("jasmine", "karma", "tsc", "eslint", "stylelint", "xo", "standard", "oxlint", "rspec", "rubocop"),
        *("phpunit", "pest", "phpstan", "psalm", "ctest", "bats", "shellcheck", "hadolint", "yamllint"),
        *("actionlint", "markdownlint", "golangci-lint", "staticcheck", "gotestsum", "ktlint", "detekt"),
        *("swiftlint", "luacheck", "make", "gmake", "ninja", "ant", "javac", "gcc", "g++", "cc", "clang"),
        "xcodebuild",
    )
)
"""Programs that check or build whatever their arguments are."""

_WITH: dict[str, frozenset[str]] = {
    "cargo": frozenset(("test", "t", "nextest", "check", "c", "clippy", "build", "b", "bench", "miri")),
    "go": frozenset(("test", "vet", "build")),
    "npm": frozenset(("test", "t", "tst")),
    "pnpm": frozenset(("test", "t")),
    "yarn": frozenset(("test",)),
    "bun": frozenset(("test",)),
    "deno": frozenset(("test", "check", "lint")),
    "node": frozenset(("--test", "--check")),
    "ruff": frozenset(("check",)),
    "biome": frozenset(("check", "lint", "ci")),
    "black": frozenset(("--check", "--diff")),
    "isort": frozenset(("--check", "--check-only", "-c", "--diff")),
    "prettier": frozenset(("--check", "-c", "--list-different", "-l")),
    "gofmt": frozenset(("-l", "-d")),
    "rustfmt": frozenset(("--check",)),
    "clang-format": frozenset(("--dry-run", "-n")),
    "playwright": frozenset(("test",)),
    "cypress": frozenset(("run",)),
    "cmake": frozenset(("--build",)),
    "meson": frozenset(("test", "compile")),
    "bazel": frozenset(("test", "build")),
    "mvn": frozenset(("test", "verify", "package", "compile", "install")),
    "gradle": frozenset(("test", "check", "build", "assemble")),
    "sbt": frozenset(("test", "compile")),
    "mix": frozenset(("test", "compile", "credo", "dialyzer")),
    "dotnet": frozenset(("test", "build")),
    "swift": frozenset(("test", "build")),
    "stack": frozenset(("test", "build")),
    "cabal": frozenset(("test", "build")),
    "dune": frozenset(("test", "build", "runtest")),
    "zig": frozenset(("test", "build")),
    "rake": frozenset(("test", "spec")),
    "pre-commit": frozenset(("run",)),
    "bash": frozenset(("-n",)),
    "perl": frozenset(("-c",)),
}
"""Programs that do so with one of these words."""

_FORMATS = {"ruff": "format", "cargo": "fmt", "dart": "format", "terraform": "fmt"}
"""These only look with `--check`."""

_MODULES = _ANY | {"unittest", "py_compile", "compileall", "doctest", "build", "ruff", "black", "isort"}
"""What `python -m` may run."""

_SCRIPT = r"(?:^|[-_./:])(?:tests?|spec|checks?|lint|typecheck|verify|build|ci)(?:$|[-_./:])"
"""A script, or one of a package, by its name."""

_WRAPPERS = {
    "time": 0,
    "env": 0,
    "nice": 0,
    "nohup": 0,
    "command": 0,
    "exec": 0,
    "stdbuf": 0,
    "xvfb-run": 0,
    "npx": 0,
    "pnpx": 0,
    "bunx": 0,
    "uvx": 0,
    "timeout": 0,
    "uv": 1,
    "poetry": 1,
    "pipenv": 1,
    "hatch": 1,
    "pdm": 1,
    "rye": 1,
    "bundle": 1,
    "coverage": 1,
}
"""Programs that run another, after so many words that are neither options nor numbers."""

_MENDS = frozenset(
    (
        *("--fix", "--fix-only", "--unsafe-fixes", "--write", "--apply", "--apply-unsafe", "-w", "-u"),
        *("-a", "-A", "--autocorrect", "--auto-correct", "--autocorrect-all", "--updateSnapshot"),
        *("--snapshot-update", "--update-snapshots", "--update", "--bless", "--accept", "clean", "install"),
    )
)
"""With one of these a check changes what it looks at."""

_BESIDE = frozenset(
    (
        *("cd", "pushd", "popd", "echo", "printf", "true", ":", "set", "export", "unset", "source", "."),
        *("tail", "head", "cat", "grep", "egrep", "rg", "wc", "sort", "uniq", "cut", "tr", "nl", "ls"),
        *("pwd", "sleep", "test", "[", "which", "type", "date", "diff", "git", "find", "exit", "false"),
    )
)
"""Programs that stand beside checks in a line, and change nothing that is checked."""

_OPERATORS = ";&|()"
_GIT_LOOKS = frozenset(("status", "diff", "log", "show", "rev-parse", "branch", "ls-files", "grep"))


class Looks(msgspec.Struct, frozen=True):
    """What a command line looks like. `checks`: something in it is a check. `only`: nothing else in it can
    have changed files. `tells`: its exit code is that of the check."""

    checks: bool = False
    only: bool = False
    tells: bool = False


def looks(line: str) -> Looks:
    """What a command line does, as far as its words tell."""
    try:
        parts = list(_parts(line))
    except ValueError:
        return Looks()
    if not parts:
        return Looks()
    kinds = [_kind(part.words) for part in parts]
    checks = [at for at, kind in enumerate(kinds) if kind == "check"]
    return Looks(
        checks=bool(checks),
        only="other" not in kinds and not any(_writes(part.words) for part in parts),
        tells=all(_tells(parts[at:], piped="pipefail" in line) for at in checks),
    )


class _Part(NamedTuple):
    """A simple command, and the operators before and after it."""

    words: list[str]
    before: str
    after: str


def _tells(parts: Sequence[_Part], *, piped: bool) -> bool:
    """Whether a line that goes on like this ends well only if the first of these parts does."""
    goes_on = ("&&", "|") if piped else ("&&",)
    return (
        parts[0].before in ("", "&&", ";", "|", "&")
        and all(part.after in goes_on for part in parts[:-1])
        and parts[-1].after in ("", ";")
    )


def _parts(line: str) -> Iterator[_Part]:
    """The simple commands of a line. Raises `ValueError` for open quotes."""
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
            yield _Part(words, before, _operator(after))
            words = []
        if after:
            before, after = _operator(after), ""
        words.append(token)
    if words:
        yield _Part(words, before, _operator(after))


def _operator(marks: str) -> str:
    """The operator among parentheses; what substitutes a command has none, and stays."""
    return marks.strip("()") or marks.strip(")")


def _kind(words: Sequence[str]) -> str:
    """`check`, `beside` (it changes nothing) or `other`."""
    words = _bare(words)
    if not words:
        return "beside"
    name, rest = words[0].rsplit("/", 1)[-1], words[1:]
    if name in _BESIDE and words[0] == name:
        return "beside" if name != "git" or _GIT_LOOKS.intersection(rest[:1]) else "other"
    if _MENDS.intersection(rest):
        return "other"
    return "check" if _is_check(words[0], name, rest) else "other"


def _is_check(path: str, name: str, rest: Sequence[str]) -> bool:
    if name.removesuffix("w") in ("mvn", "gradle"):
        name = name.removesuffix("w")
    if name in _ANY or _WITH.get(name, frozenset()).intersection(rest):
        return True
    if rest[:1] == [_FORMATS.get(name)]:
        return "--check" in rest
    if re.fullmatch(r"python[\d.]*|pypy3?", name):
        return _is_python_check(rest)
    if name in ("npm", "pnpm", "yarn", "bun"):
        script = next((word for word in rest if word not in ("run", "run-script") and word[0] != "-"), "")
        return _named_so(script)
    if name in ("bash", "sh", "node", "ruby"):
        return bool(rest) and _named_so(rest[0])
    return "/" in path and _named_so(path)


def _is_python_check(rest: Sequence[str]) -> bool:
    if rest[:1] == ["-m"] and len(rest) > 1:
        if rest[1] in _WITH or rest[1] in _FORMATS:
            return _is_check(rest[1], rest[1], rest[2:])
        return rest[1] in _MODULES or (rest[1] == "coverage" and _is_python_check(rest[3:]))
    return bool(rest) and _named_so(rest[0])


@cache
def _named_so(script: str) -> bool:
    return re.search(_SCRIPT, script) is not None


def _bare(words: Sequence[str]) -> list[str]:
    """The words without redirections, assignments and programs that only run others."""
    found: list[str] = []
    skip = False
    for word in words:
        if skip or word[:1] in ("<", ">"):
            skip = not skip and word[:1] in ("<", ">")
        else:
            found.append(word)
    return _unwrapped(found)


def _unwrapped(words: list[str]) -> list[str]:
    while words:
        name, equals, _ = words[0].partition("=")
        if equals and name.isidentifier():
            words = words[1:]
        elif words[0] in _WRAPPERS:
            words = _after_options(words[1:], _WRAPPERS[words[0]])
        else:
            break
    return words


def _after_options(words: list[str], skipped: int) -> list[str]:
    while words and (skipped or words[0][:1] == "-" or words[0][:1].isdigit()):
        skipped = max(0, skipped - (words[0][:1] != "-"))
        words = words[1:]
    return words


def _writes(words: Sequence[str]) -> bool:
    """Whether output goes to a file."""
    targets = [after for word, after in pairwise(words) if word.startswith(">")]
    return any(target != "/dev/null" and not target.isdecimal() and target != "-" for target in targets)
