"""Checks the shape of the code: sizes, names of modules, module docstrings. Waivers carry a reason."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
WAIVERS = ROOT / "scripts" / "shape_waivers.toml"
SAMPLE = ROOT / "src" / "hames" / "testing" / "sample"
"""A project for the demo to repair: no code of ours."""

FILE_LINES = {"src": 400, "tests": 600, "scripts": 600, "benchmarks": 600}
FUNCTION_LINES = 60
CLASS_LINES = 250
ARGUMENTS = 6
COMPLEXITY = 10
FORBIDDEN_NAMES = frozenset(("utils", "util", "helpers", "helper", "common", "manager", "misc"))

Function = ast.FunctionDef | ast.AsyncFunctionDef
BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.match_case)


class Finding(NamedTuple):
    """One thing over its bound. `name` is empty for the file itself."""

    path: str
    rule: str
    name: str
    line: int
    words: str


def main() -> int:
    """Print every finding that is not waived, and every waiver that is not used."""
    findings = [finding for path in _files() for finding in look(path)]
    waivers = _waivers()
    used: set[tuple[str, str, str]] = set()
    bad = 0
    for finding in findings:
        key = (finding.path, finding.rule, finding.name)
        if key in waivers:
            used.add(key)
        else:
            bad += 1
            print(f"{finding.path}:{finding.line}: {finding.words}")
    for path, rule, name in sorted(set(waivers) - used):
        bad += 1
        print(f"{WAIVERS.name}: the waiver for {path} {rule} {name} is not used; remove it")
    return 1 if bad else 0


def _files() -> Iterator[Path]:
    for top in FILE_LINES:
        yield from sorted(path for path in (ROOT / top).rglob("*.py") if not path.is_relative_to(SAMPLE))


def _waivers() -> dict[tuple[str, str, str], str]:
    entries = tomllib.loads(WAIVERS.read_text()).get("waiver", [])
    return {(each["path"], each["rule"], each.get("name", "")): str(each["reason"]) for each in entries}


def look(path: Path) -> Iterator[Finding]:
    """All findings of one file."""
    shown = str(path.relative_to(ROOT))
    top = shown.split("/", 1)[0]
    text = path.read_text()
    tree = ast.parse(text)
    lines = text.count("\n")
    if lines > FILE_LINES[top]:
        yield Finding(shown, "file", "", 1, f"the file has {lines} lines; at most {FILE_LINES[top]}")
    if top == "src":
        yield from _module(shown, path.stem, tree)
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield from _function(shown, top, node)
        elif isinstance(node, ast.ClassDef):
            lines = _lines(node)
            if lines > CLASS_LINES:
                words = f"class {node.name} has {lines} lines; at most {CLASS_LINES}"
                yield Finding(shown, "class", node.name, node.lineno, words)


def _module(shown: str, stem: str, tree: ast.Module) -> Iterator[Finding]:
    if stem in FORBIDDEN_NAMES:
        yield Finding(shown, "name", "", 1, f'"{stem}" says nothing; name the module for what it holds')
    docstring = ast.get_docstring(tree, clean=False) or ""
    first, _, rest = docstring.partition("\n")
    if not first.strip() or (rest and not rest.startswith("\n")):
        yield Finding(shown, "docstring", "", 1, "the module does not open with one line on what it is for")


def _function(shown: str, top: str, node: Function) -> Iterator[Finding]:
    lines = _lines(node)
    if lines > FUNCTION_LINES:
        words = f"{node.name} has {lines} lines; at most {FUNCTION_LINES}"
        yield Finding(shown, "function", node.name, node.lineno, words)
    complexity = 1 + _branches(node)
    if complexity > COMPLEXITY:
        words = f"{node.name} has a complexity of {complexity}; at most {COMPLEXITY}"
        yield Finding(shown, "complexity", node.name, node.lineno, words)
    count = _arguments(node)
    if count > ARGUMENTS and top != "tests":
        words = f"{node.name} takes {count} arguments; at most {ARGUMENTS}"
        yield Finding(shown, "arguments", node.name, node.lineno, words)


def _lines(node: Function | ast.ClassDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _branches(node: ast.AST) -> int:
    """Branches of a function, without those of functions and classes inside it."""
    count = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef):
            continue
        count += isinstance(child, BRANCHES) + _branches(child)
    return count


def _arguments(node: Function) -> int:
    """What a caller passes: `self` and `cls` do not count."""
    taken = node.args
    names = [each.arg for each in (*taken.posonlyargs, *taken.args, *taken.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"])) + bool(taken.vararg) + bool(taken.kwarg)


if __name__ == "__main__":
    sys.exit(main())
