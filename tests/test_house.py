"""The house keeps its own rules: what is imported at the start, and from where."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src" / "hames"

HEAVY = frozenset(
    (
        *("aiohttp", "concurrent.futures.process", "curses", "email", "http.client", "http.server", "httpx"),
        *("hypothesis", "importlib.metadata", "multiprocessing", "prompt_toolkit", "pydantic", "pytest"),
        *("readline", "rich", "tree_sitter", "trio", "unittest", "urllib.request", "xml"),
        *("hames.testing", "hames.apps.demo"),
    )
)
"""What must not be loaded before the first request leaves."""


@pytest.mark.parametrize("module", ["hames.apps.cli", "hames.assembly.build"])
def test_the_start_loads_no_heavy_module(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = {name for name in done.stdout.split() if any(_is_in(name, heavy) for heavy in HEAVY)}
    assert loaded == set()


def test_importing_the_package_loads_nothing() -> None:
    code = "import sys; before = set(sys.modules); import hames; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["hames"]


def _is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_the_core_needs_the_standard_library_and_msgspec_only() -> None:
    names = {name for path in (SRC / "core").rglob("*.py") for name in _imports(path)}
    allowed = {*sys.stdlib_module_names, "msgspec"}
    assert {name for name in names if name.split(".")[0] not in allowed} == {
        name for name in names if _is_in(name, "hames.core")
    }


def test_only_the_settings_read_the_environment() -> None:
    readers = {
        str(path.relative_to(SRC))
        for path in SRC.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "environb", "getenv")
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    }
    assert readers == {"assembly/settings.py"}


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("core/wrong.py", "from hames.stores import rows"),
        ("stores/wrong.py", "from hames.models import profiles"),
        ("snapshots/wrong.py", "from hames.stores import rows"),
        ("loop/wrong.py", "def late() -> None:\n    from hames.session import session"),
        (
            "context/wrong.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from hames.loop import kit",
        ),
        ("session/wrong.py", "from hames.testing import clock"),
        ("testing/wrong.py", "from hames.session import log"),
        ("channels/wrong.py", "from hames.channels import headless"),
        ("tools/wrong.py", "import httpx"),
    ],
)
def test_an_import_against_the_floors_is_found(tmp_path: Path, path: str, line: str) -> None:
    shutil.copytree(SRC, tmp_path / "hames", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    lint = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    environment = {"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"}
    (tmp_path / "hames" / path).write_text(f'"""Wrong."""\n\n{line}\n')
    done = subprocess.run(lint, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout
    assert "wrong" in done.stdout
