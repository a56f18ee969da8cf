from collections.abc import Callable

import msgspec
import pytest

from hames.core.limits import SHOWN_BYTES
from hames.testing.tool_suite import check_tool
from hames.tools.glob import FindFiles
from tests.tools.bench import Bench

pytestmark = pytest.mark.anyio


@pytest.fixture
def tree(bench: Bench) -> Bench:
    bench.make(".gitignore", "build/\n*.log\n")
    for name in (
        "a.py",
        "src/b.py",
        "src/deep/c.py",
        "src/d.ts",
        ".github/e.yml",
        "build/f.py",
        "g.log",
        ".git/h.py",
    ):
        bench.make(name, "")
    return bench


async def test_glob_keeps_the_rules_of_all_tools(tree: Bench) -> None:
    await check_tool(FindFiles(tree.files), '{"pattern": "*.py"}', tree.context())


async def test_what_the_model_is_told_of_files(tree: Bench, pinned: Callable[[str, str], None]) -> None:
    patterns = (
        "*.py",
        "**/*.py",
        "src/*.py",
        "src/**",
        "**/*",
        "**/*.{ts,yml}",
        "*.log",
        "no*",
        "no/*",
        "/no/x",
    )
    said = [f"{pattern}\n{await tree.say('glob', pattern=pattern)}" for pattern in patterns]
    said.append(await tree.say("glob", pattern="*.py", path="src"))
    said.append(await tree.say("glob", pattern=f"{tree.place}/src/*.ts"))
    pinned("glob", "\n---\n".join(said))


async def test_many_files_stay_within_the_bound_and_are_counted(tree: Bench) -> None:
    for number in range(1500):
        tree.make(f"many/with_a_rather_long_name_{number:04}.txt", "")
    text = await tree.say("glob", pattern="many/*")
    assert len(msgspec.json.encode(text)) <= SHOWN_BYTES
    assert " of 1,500 files: narrow it with path or a closer pattern]" in text


async def test_the_searched_place_is_what_is_judged(tree: Bench) -> None:
    action = tree.toolbox.prepare("glob", '{"pattern": "/etc/**/*.conf"}').action
    assert action.subject("/w").reads == ("/etc",)
