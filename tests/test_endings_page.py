"""`docs/headless.md` has each ending that the code can give, with its exit code and its codes."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, get_args

import hames
from hames.core.errors import FailureKind, ModelError, OverLimit
from hames.core.events import EndingKind, TurnEnded
from hames.loop.endings import exit_code, failed, stopped

SOURCE = Path(hames.__file__).parent
PAGE = SOURCE.parent.parent / "docs" / "headless.md"
LIMIT = r'"(max_steps|max_time_s|max_budget_\w+|stop_at)"'
KINDS: dict[str, EndingKind] = {kind: kind for kind in get_args(EndingKind)}
FAILURES: tuple[FailureKind, ...] = get_args(FailureKind)


class Row(NamedTuple):
    """A code, the ending that it stands for, and the exit code."""

    ending: str
    exit: int
    code: str


class Given(NamedTuple):
    """An ending that the code can give."""

    kind: EndingKind
    code: str


def written() -> set[Row]:
    """What the page says."""
    rows: set[Row] = set()
    for line in PAGE.read_text().splitlines():
        if found := re.fullmatch(r"\| `(\w+)` \| (\d+) \| (.*) \|", line):
            ending, number, words = found.groups()
            codes = re.findall(r"`(\w+)`", words) + ([""] if words.startswith("empty") else [])
            rows.update(Row(ending, int(number), code) for code in codes)
    return rows


def given() -> set[Row]:
    """What the code can give: endings written out, and those of errors."""
    errors = [ModelError(kind, "") for kind in FAILURES]
    found = {Given(ending.kind, ending.code) for ending in map(failed, errors)}
    for path in sorted(path for room in ("loop", "session") for path in (SOURCE / room).glob("*.py")):
        text = path.read_text()
        limits = [OverLimit(limit, 0, "") for limit in re.findall(LIMIT, text)]
        found.update(Given(ending.kind, ending.code) for ending in map(stopped, limits))
        module = vars(import_module(f"hames.{path.parent.name}.{path.stem}"))
        found.update(_written_out(ast.parse(text), module))
    return {Row(kind, exit_code(TurnEnded(1, kind, "", code)), code) for kind, code in found}


def _written_out(tree: ast.Module, module: dict[str, object]) -> Iterator[Given]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            named = {word.arg: word.value for word in node.keywords}
            if node.func.id == "Ending":
                words = [*node.args, *([] if len(node.args) > 2 else [ast.Constant("")])]
                yield from _pair(words[0], words[2], module)
            elif node.func.id == "TurnEnded" and "code" in named:
                yield from _pair(named["ending"], named["code"], module)


def _pair(kind: ast.expr, code: ast.expr, module: dict[str, object]) -> Iterator[Given]:
    """Both as they stand there; nothing for those of an error, or of another ending."""
    match kind, code:
        case ast.Constant(value=str(one)), ast.Constant(value=str(other)):
            pass
        case ast.Constant(value=str(one)), ast.Name(id=name):
            other = module[name]
        case _:
            return
    yield Given(KINDS[one], str(other))


def test_each_ending_with_its_codes_stands_on_the_page_and_no_other() -> None:
    assert given() == written()


def test_each_kind_of_ending_has_a_code_that_can_be_given() -> None:
    assert {row.ending for row in given()} == set(KINDS)
