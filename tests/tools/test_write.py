from collections.abc import Callable
from hashlib import sha256

import pytest

from hames.core.events import FileFact
from hames.testing.tool_suite import check_tool
from hames.tools.write import Write
from tests.tools.bench import Bench

pytestmark = pytest.mark.anyio


async def test_write_keeps_the_rules_of_all_tools(bench: Bench) -> None:
    arguments = '{"file_path": "a.txt", "content": "one\\n"}'
    await check_tool(Write(bench.files), arguments, bench.context())


async def test_a_new_file_is_made_with_its_directories(bench: Bench) -> None:
    result = await bench.run("write", file_path="new/deep/a.txt", content="漢\n")
    path = bench.place / "new/deep/a.txt"
    assert path.read_bytes() == "漢\n".encode()
    assert result.files == (FileFact(str(path), sha256(path.read_bytes()).hexdigest(), "wrote"),)


async def test_a_file_that_was_not_read_is_not_replaced(bench: Bench) -> None:
    path = bench.make("a.txt", "precious")
    assert "was not read in this session" in await bench.say("write", file_path="a.txt", content="x")
    assert path.read_text() == "precious"


async def test_a_file_that_changed_since_is_not_replaced(bench: Bench) -> None:
    path = bench.make("a.txt", "old")
    await bench.run("read", file_path="a.txt")
    path.write_text("saved by the user")
    assert "changed since you read it" in await bench.say("write", file_path="a.txt", content="x")
    assert path.read_text() == "saved by the user"


async def test_a_file_can_be_written_again_and_again(bench: Bench) -> None:
    path = bench.make("a.txt", "old")
    path.chmod(0o750)
    await bench.run("read", file_path="a.txt")
    await bench.run("write", file_path="a.txt", content="one")
    await bench.run("write", file_path=str(path), content="two")
    assert path.read_text() == "two"
    assert path.stat().st_mode & 0o777 == 0o750


async def test_a_file_that_was_removed_since_is_made_anew(bench: Bench) -> None:
    path = bench.make("a.txt", "old")
    await bench.run("read", file_path="a.txt")
    path.unlink()
    assert bench.seen
    assert (await bench.run("write", file_path="a.txt", content="x")).outcome == "ok"
    assert path.read_text() == "x"


async def test_what_the_model_is_told_of_a_write(bench: Bench, pinned: Callable[[str, str], None]) -> None:
    bench.make("known.txt", "old")
    bench.make("unknown.txt", "old")
    (bench.place / "directory").mkdir()
    await bench.run("read", file_path="known.txt")
    calls = (
        ("new.txt", "one\ntwo\n"),
        ("empty.txt", ""),
        ("known.txt", "one\ntwo"),
        ("unknown.txt", "x"),
        ("directory", "x"),
        ("output://1.0", "x"),
        ("big.txt", "x" * (10 * 1024 * 1024 + 1)),
    )
    pinned(
        "write", "\n".join([await bench.say("write", file_path=path, content=text) for path, text in calls])
    )
