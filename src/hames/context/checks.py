"""Which commands look like checks: they tell whether what was changed is right, and change nothing else."""

import re
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import msgspec

from hames.context.command_line import LOOKS, Simple, program, read_line

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

_MENDS = frozenset(
    (
        *("--fix", "--fix-only", "--unsafe-fixes", "--write", "--apply", "--apply-unsafe", "-w", "-u"),
        *("-a", "-A", "--autocorrect", "--auto-correct", "--autocorrect-all", "--updateSnapshot"),
        *("--snapshot-update", "--update-snapshots", "--update", "--bless", "--accept", "clean", "install"),
    )
)
"""With one of these a check changes what it looks at."""

_BESIDE = LOOKS | frozenset(
    (
        *("cd", "pushd", "popd", "echo", "printf", "true", ":", "set", "export", "unset", "source", "."),
        *("sleep", "exit", "false"),
    )
)
"""Programs that stand beside checks in a line, and change nothing that is checked."""

_GIT_LOOKS = frozenset(("status", "diff", "log", "show", "rev-parse", "branch", "ls-files", "grep"))


class Looks(msgspec.Struct, frozen=True):
    """What a command line looks like. `checks`: something in it is a check. `only`: nothing else in it can
    have changed files. `tells`: its exit code is that of the check."""

    checks: bool = False
    only: bool = False
    tells: bool = False


def looks(line: str) -> Looks:
    """What a command line does, as far as its words tell."""
    found = read_line(line)
    if not found:
        return Looks()
    kinds = [_kind(each.words) for each in found]
    checks = [at for at, kind in enumerate(kinds) if kind == "check"]
    return Looks(
        checks=bool(checks),
        only="other" not in kinds and not any(_writes(each.words) for each in found),
        tells=all(_tells(found[at:], piped="pipefail" in line) for at in checks),
    )


def _tells(found: Sequence[Simple], *, piped: bool) -> bool:
    """Whether a line that goes on like this ends well only if the first of these commands does."""
    goes_on = ("&&", "|") if piped else ("&&",)
    return (
        found[0].before in ("", "&&", ";", "|", "&")
        and all(each.after in goes_on for each in found[:-1])
        and found[-1].after in ("", ";")
    )


def _kind(words: Sequence[str]) -> str:
    """`check`, `beside` (it changes nothing) or `other`."""
    words = program(words)
    if not words:
        return "beside"
    name, rest = words[0].rsplit("/", 1)[-1], list(words[1:])
    if words[0] in _BESIDE or (words[0] == "git" and _GIT_LOOKS.intersection(rest[:1])):
        return "beside"
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


def _writes(words: Sequence[str]) -> bool:
    """Whether output goes to a file."""
    targets = [after for word, after in pairwise(words) if word.startswith(">")]
    return any(target != "/dev/null" and not target.isdecimal() and target != "-" for target in targets)
