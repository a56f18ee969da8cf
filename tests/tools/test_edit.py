from collections.abc import Callable

import pytest

from hames.core.errors import ArgumentProblem, FileProblem
from hames.core.events import FileFact
from hames.core.ports import WriteOrder
from hames.testing.local import LocalFiles
from hames.testing.tool_suite import check_tool
from hames.tools.edit import Edit
from tests.tools.bench import Bench

pytestmark = pytest.mark.anyio

SOURCE = (
    "import os\n\n\ndef one():\n    return 1\n\n\ndef two():\n    if os:\n        return 2\n    return 1\n"
)


async def test_edit_keeps_the_rules_of_all_tools(bench: Bench) -> None:
    bench.make("a.py", SOURCE)
    arguments = '{"file_path": "a.py", "old_string": "def one", "new_string": "def uno"}'
    await check_tool(Edit(bench.files), arguments, bench.context())


async def test_a_text_that_is_there_once_is_replaced(bench: Bench) -> None:
    path = bench.make("a.py", SOURCE)
    result = await bench.run("edit", file_path="a.py", old_string="return 2", new_string="return 3")
    assert path.read_text() == SOURCE.replace("return 2", "return 3")
    assert [(fact.path, fact.did) for fact in result.files] == [(str(path), "wrote")]


async def test_all_places_are_changed_when_asked(bench: Bench) -> None:
    path = bench.make("a.py", SOURCE)
    await bench.run("edit", file_path="a.py", old_string="return 1", new_string="return 9", replace_all=True)
    assert path.read_text() == SOURCE.replace("return 1", "return 9")


async def test_bytes_that_are_no_text_survive_an_edit(bench: Bench) -> None:
    path = bench.make("a.txt", b"\xef\xbb\xbfcaf\xe9 one\r\n\xff two")
    await bench.run("edit", file_path="a.txt", old_string="one", new_string="1")
    assert path.read_bytes() == b"\xef\xbb\xbfcaf\xe9 1\r\n\xff two"


async def test_a_file_that_changed_since_it_was_read_is_left_alone(bench: Bench) -> None:
    path = bench.make("a.py", SOURCE)
    await bench.run("read", file_path="a.py")
    path.write_text(SOURCE + "# by the user\n")
    text = await bench.say("edit", file_path="a.py", old_string="def one", new_string="def uno")
    assert "changed since you read it" in text
    assert path.read_text() == SOURCE + "# by the user\n"


async def test_edits_follow_each_other_without_reading_again(bench: Bench) -> None:
    path = bench.make("a.py", SOURCE)
    await bench.run("read", file_path="a.py")
    await bench.run("edit", file_path="a.py", old_string="def one", new_string="def uno")
    await bench.run("edit", file_path="a.py", old_string="def two", new_string="def due")
    assert path.read_text() == SOURCE.replace("one", "uno").replace("two", "due")


async def test_what_the_model_is_told_of_an_edit(bench: Bench, pinned: Callable[[str, str], None]) -> None:
    bench.make("a.py", SOURCE)
    bench.make("b.py", SOURCE.replace("    ", "\t").replace("\n", "\r\n"))
    bench.make("c.txt", "return 1\n" * 9)
    said = [
        await bench.say(
            "edit", file_path="a.py", old_string="import os\n", new_string="import os\nimport re\n"
        ),
        await bench.say("edit", file_path="a.py", old_string="    return 1\n", new_string=""),
        await bench.say(
            "edit", file_path="b.py", old_string="    if os:\n        return 2", new_string="    return 2"
        ),
        await bench.say(
            "edit", file_path="c.txt", old_string="return 1", new_string="return 2", replace_all=True
        ),
    ]
    pinned("edit_told", "\n===\n".join(said))


async def test_what_the_model_is_told_of_a_refused_edit(
    bench: Bench, pinned: Callable[[str, str], None]
) -> None:
    bench.make("a.py", SOURCE)
    bench.make("bin", b"\0\1\2")
    bench.make("big.txt", "x" * (10 * 1024 * 1024 + 1))
    refused = (
        ("a.py", "def two():\n    if os:\n        return 3\n", "x"),
        ("a.py", "def won():", "def uno():"),
        ("a.py", "nothing like this anywhere", "x"),
        ("a.py", "return 7", "return 2"),
        ("a.py", "return 1", "return 2"),
        ("a.py", "\treturn 1", "\treturn 2"),
        ("missing.py", "a", "b"),
        ("bin", "a", "b"),
        ("big.txt", "a", "b"),
        ("output://1.0", "a", "b"),
    )
    said = [
        await bench.say("edit", file_path=path, old_string=old, new_string=new) for path, old, new in refused
    ]
    pinned("edit_refused", "\n===\n".join(said))
    assert (bench.place / "a.py").read_text() == SOURCE


async def test_a_loose_edit_that_changes_nothing_is_refused(bench: Bench) -> None:
    bench.make("a.py", "\tone()\n")
    text = await bench.say("edit", file_path="a.py", old_string="1\t\tone()", new_string="\tone()")
    assert text == "the file has new_string at that place already: nothing was changed"


@pytest.mark.parametrize(("old", "new", "words"), [("", "x", "use write"), ("x", "x", "nothing to change")])
async def test_an_edit_of_nothing_is_refused_before_it_is_judged(
    bench: Bench, old: str, new: str, words: str
) -> None:
    arguments = f'{{"file_path": "a", "old_string": "{old}", "new_string": "{new}"}}'
    with pytest.raises(ArgumentProblem, match=words):
        bench.toolbox.prepare("edit", arguments)


@pytest.mark.parametrize(
    ("saved", "words"), [("by the user", "changed since you read it"), (None, "Is a directory")]
)
async def test_a_file_that_changes_in_the_middle_of_an_edit_is_left_alone(
    bench: Bench, saved: str | None, words: str
) -> None:
    path = bench.make("a.py", SOURCE)

    class Hurried(LocalFiles):
        async def write(self, order: WriteOrder) -> FileFact:
            path.unlink()
            if saved is None:
                path.mkdir()
            else:
                path.write_text(saved)
            return await super().write(order)

    arguments = '{"file_path": "a.py", "old_string": "def one", "new_string": "def uno"}'
    with pytest.raises(FileProblem, match=words):
        await Edit(Hurried()).prepare(arguments).run(bench.context())
    assert saved is None or path.read_text() == saved
