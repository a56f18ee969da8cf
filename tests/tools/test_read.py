import os
from collections.abc import Callable
from hashlib import sha256

import msgspec
import pytest

from hames.core.errors import Problem
from hames.core.events import FileFact, OutputFact
from hames.core.ids import CallId, blob_id
from hames.core.limits import READ_SHOWN_BYTES
from hames.core.messages import Image, Text
from hames.core.ports import ReadQuery, ReadResult
from hames.testing.local import LocalFiles
from hames.testing.tool_suite import check_tool
from hames.tools.read import Read
from tests.tools.bench import Bench

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01"


async def test_read_keeps_the_rules_of_all_tools(bench: Bench) -> None:
    bench.make("a.txt", "one\n")
    await check_tool(Read(bench.files, bench.blobs), '{"file_path": "a.txt"}', bench.context())


async def test_lines_come_with_their_numbers_and_the_file_is_known_from_then_on(bench: Bench) -> None:
    path = bench.make("a.py", "def f():\n\treturn 1\n")
    result = await bench.run("read", file_path="a.py")
    assert result.parts == (Text("1\tdef f():\n2\t\treturn 1"),)
    assert result.files == (FileFact(str(path), sha256(path.read_bytes()).hexdigest(), "read"),)


async def test_a_part_of_a_file_says_how_to_go_on(bench: Bench, pinned: Callable[[str, str], None]) -> None:
    bench.make("a.txt", "".join(f"line {number}\n" for number in range(1, 5001)))
    part = await bench.say("read", file_path="a.txt", offset=11, limit=3)
    end = await bench.say("read", file_path="a.txt", offset="4999")
    past = await bench.say("read", file_path="a.txt", offset=6000)
    pinned("read_parts", f"{part}\n---\n{end}\n---\n{past}")


@pytest.mark.parametrize("line", ["plain text", 'tabs\t and "quotes"', "漢字" * 20, "x" * 2500])
async def test_a_long_file_stays_within_its_bound_on_the_wire(bench: Bench, line: str) -> None:
    bench.make("a.txt", f"{line}\n" * 9000)
    text = await bench.say("read", file_path="a.txt")
    assert len(msgspec.json.encode(text)) > READ_SHOWN_BYTES * 0.9 or text.count("\n") >= 100
    assert len(msgspec.json.encode(text)) <= READ_SHOWN_BYTES
    last = text.split("\n")[-2].split("\t")[0]
    assert f"of 9,000; go on with offset={int(last) + 1}" in text


async def test_an_endless_line_is_cut_and_says_so(bench: Bench) -> None:
    bench.make("a.js", "x" * 3_000_000)
    text = await bench.say("read", file_path="a.js")
    assert len(text) < 2200
    assert "[line cut at 2,000 characters]" in text
    assert "cut -c" in text


async def test_small_cases_are_said_in_words(bench: Bench, pinned: Callable[[str, str], None]) -> None:
    bench.make("empty", "")
    bench.make("blank", "\n")
    bench.make("crlf", "one\r\ntwo\r\n")
    bench.make("unended", "one\ntwo")
    bench.make("program", b"\x7fELF\x02\0\0\0")
    bench.make("odd", b"\0\1\2\3")
    names = ("empty", "blank", "crlf", "unended", "program", "odd", "missing")
    pinned("read_small", "\n".join([await bench.say("read", file_path=name) for name in names]))


async def test_a_picture_is_shown_as_a_picture(bench: Bench) -> None:
    bench.make("a.png", PNG)
    result = await bench.run("read", file_path="a.png")
    assert result.parts == (Text("[a.png: PNG image, 20 bytes]"), Image("image/png", blob_id(PNG)))
    assert result.blobs == (PNG,)


async def test_a_picture_larger_than_the_first_look_is_shown_whole(bench: Bench) -> None:
    data = PNG + os.urandom(300_000)
    bench.make("a.png", data)
    assert (await bench.run("read", file_path="a.png")).blobs == (data,)


async def test_a_picture_that_is_too_big_is_refused(bench: Bench) -> None:
    bench.make("a.png", PNG + bytes(5 * 1024 * 1024))
    assert "too big to be shown" in await bench.say("read", file_path="a.png")


async def test_a_directory_lists_its_entries(bench: Bench, pinned: Callable[[str, str], None]) -> None:
    for name in ("src/a.py", "src/deep/b.py", "README.md", ".github/ci.yml", "build/out.o", ".gitignore"):
        bench.make(name, "build/\n" if name == ".gitignore" else "x")
    (bench.place / "void").mkdir()
    both = [await bench.say("read", file_path="."), await bench.say("read", file_path="void")]
    pinned("read_directory", "\n".join(both))


async def test_the_judged_paths_include_where_a_link_leads(bench: Bench) -> None:
    target = bench.make("secret/key", "x")
    (bench.place / "innocent").symlink_to(target)
    action = bench.toolbox.prepare("read", '{"file_path": "innocent"}').action
    assert action.subject(bench.cwd).reads == (f"{bench.cwd}/innocent", str(target))


async def test_a_kept_output_is_read_line_by_line(bench: Bench, pinned: Callable[[str, str], None]) -> None:
    await bench.run("bash", command="seq 1 500000")
    start = await bench.say("read", file_path="output://1.0", limit=2)
    middle = await bench.say("read", file_path="output://1.0", offset=400000, limit=2)
    end = await bench.say("read", file_path="output://1.0", offset=499999)
    past = await bench.say("read", file_path="output://1.0", offset=500001)
    missing = await bench.say("read", file_path="output://9.9")
    pinned("read_output", "\n".join([start, middle, end, past, missing]))


async def test_a_kept_output_without_its_middle_says_so(bench: Bench) -> None:
    data = b"head\ntail\n"
    bench.blobs.kept[blob_id(data)] = data
    bench.outputs[CallId("7.0")] = OutputFact(blob_id(data), 1_000_000, len(data))
    text = await bench.say("read", file_path="output://7.0")
    assert (
        text == "1\thead\n2\ttail\n[lines 1-2; only 10 of 1,000,000 bytes were kept: the middle is missing]"
    )


async def test_a_kept_line_of_megabytes_is_cut(bench: Bench) -> None:
    data = b"a\n" + b"\x1b[31m" + b"x" * 3_000_000 + b"\nz\n"
    bench.blobs.kept[blob_id(data)] = data
    bench.outputs[CallId("7.0")] = OutputFact(blob_id(data), len(data), len(data))
    text = await bench.say("read", file_path="output://7.0")
    assert text.startswith("1\ta\n2\txxx")
    assert text.endswith(" [line cut at 2,000 characters]\n3\tz\n[lines 1-3]")


async def test_a_picture_that_changes_while_it_is_read_is_not_shown(bench: Bench) -> None:
    path = bench.make("a.png", PNG)

    class Changing(LocalFiles):
        async def read(self, query: ReadQuery) -> ReadResult:
            path.write_bytes(path.read_bytes() + b"\0")
            return await super().read(query)

    with pytest.raises(Problem, match="could not be read whole"):
        await Read(Changing(), bench.blobs).prepare('{"file_path": "a.png"}').run(bench.context())
