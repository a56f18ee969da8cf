from collections.abc import Callable

import msgspec
import pytest

from hames.core.limits import SHOWN_BYTES
from hames.testing.tool_suite import check_tool
from tests.tools.bench import Bench

pytestmark = pytest.mark.anyio


@pytest.fixture
def tree(bench: Bench) -> Bench:
    bench.make(".gitignore", "build/\n*.log\n/src/skipped/\n")
    bench.make("src/a.py", "import os\n\n\ndef needle():\n    return 1\n\n\ndef other():\n    pass\n")
    bench.make("src/b.ts", "const needle = 'NEEDLE';\n")
    bench.make("src/deep/c.py", "# a needle\n# another Needle\n")
    bench.make("src/skipped/d.py", "needle\n")
    bench.make(".github/ci.yml", "run: needle\n")
    bench.make("build/e.py", "needle\n")
    bench.make("f.log", "needle\n")
    bench.make(".git/config", "needle\n")
    bench.make("-n", "needle\n")
    return bench


async def test_grep_keeps_the_rules_of_all_tools(tree: Bench) -> None:
    await check_tool(tree.tools["grep"], '{"pattern": "needle"}', tree.context())


async def test_what_the_model_is_told_of_searches(tree: Bench, pinned: Callable[[str, str], None]) -> None:
    calls: tuple[dict[str, object], ...] = (
        {"pattern": "needle"},
        {"pattern": "needle", "output_mode": "content"},
        {"pattern": "needle", "output_mode": "count", "-i": True},
        {"pattern": "needle", "output_mode": "content", "-A": 1, "-B": 1, "path": "src"},
        {"pattern": "needle", "output_mode": "content", "-C": "1", "-n": False, "path": "src/deep/c.py"},
        {"pattern": "needle", "glob": "*.py"},
        {"pattern": "needle", "glob": "**/*.log"},
        {"pattern": "needle", "glob": "src/**"},
        {"pattern": "needle", "glob": "src/*.py"},
        {"pattern": "needle", "path": "src", "glob": "deep/*.py", "type": "py"},
        {"pattern": "needle", "type": "ts"},
        {"pattern": r"needle\(\):\n    return", "multiline": True},
        {"pattern": "-n", "path": "src"},
        {"pattern": "needle", "output_mode": "content", "head_limit": 2},
        {"pattern": "needle", "output_mode": "content", "head_limit": 1, "glob": "*.py"},
        {"pattern": "no such thing"},
        {"pattern": "broken("},
        {"pattern": "x", "type": "nonsense"},
        {"pattern": "x", "path": "missing"},
    )
    said = [f"{msgspec.json.encode(call).decode()}\n{await tree.say('grep', **call)}" for call in calls]
    pinned("grep", "\n---\n".join(said))


async def test_a_search_below_a_directory_still_obeys_the_ignore_files_above(tree: Bench) -> None:
    tree.cwd = str(tree.place / "src")
    assert await tree.say("grep", pattern="needle") == "a.py\nb.ts\ndeep/c.py"
    assert await tree.say("grep", pattern="needle", path="..", glob="*.yml") == "/work/.github/ci.yml"


async def test_many_long_lines_stay_within_the_bound(tree: Bench) -> None:
    tree.make("big.txt", ('"needle" ' * 200 + "\n") * 2000)
    text = await tree.say("grep", pattern="needle", output_mode="content", path="big.txt")
    assert len(msgspec.json.encode(text)) <= SHOWN_BYTES
    assert "narrow it with" in text


async def test_the_searched_place_is_what_is_judged(tree: Bench) -> None:
    prepared = tree.toolbox.prepare("grep", '{"pattern": "x", "path": "src", "glob": "../../etc/*"}')
    assert prepared.action.subject("/w").reads == ("/etc",)
    kept = tree.toolbox.prepare("grep", '{"pattern": "x", "path": "output://1.0"}')
    assert kept.action.subject("/w").reads == ()


async def test_a_kept_output_is_searched(bench: Bench, pinned: Callable[[str, str], None]) -> None:
    await bench.run(
        "bash", command="seq 1 200000; echo; head -c 100000 /dev/zero | tr '\\0' x; echo ' Error here'"
    )
    calls: tuple[dict[str, object], ...] = (
        {"pattern": "^7777$", "-C": 1},
        {"pattern": "error", "-i": True},
        {"pattern": "99999", "output_mode": "count"},
        {"pattern": "9", "output_mode": "count"},
        {"pattern": "1", "head_limit": 3},
        {"pattern": "no such thing"},
        {"pattern": "broken("},
        {"pattern": "(a+)+$"},
    )
    said = [await bench.say("grep", path="output://1.0", **call) for call in calls]
    pinned("grep_output", "\n---\n".join(said))
