import os
from collections.abc import Callable
from pathlib import Path

import anyio
import msgspec
import pytest

from hames.core.errors import ArgumentProblem, FileProblem, Problem
from hames.core.events import FileFact, FileIntent
from hames.core.ids import blob_id
from hames.core.messages import plain
from hames.core.ports import RemoveOrder, ToolResult, WriteOrder
from hames.testing.local import LocalFiles
from hames.testing.tool_suite import check_tool
from hames.tools.patch import ApplyPatch, PatchAction
from tests.tools.bench import Bench

pytestmark = pytest.mark.anyio

SOURCE = "def one():\n    return 1\n\n\ndef two():\n    return 1\n"
EVERYTHING = (
    "*** Update File: a.py",
    "@@ def two():",
    "-    return 1",
    "+    return 2",
    "+    # never",
    "*** Add File: sub/new.txt",
    "+one",
    "+two",
    "*** Delete File: old.txt",
    "*** Update File: run.sh",
    "*** Move to: bin/run.sh",
    "-echo 1",
    "+echo 2",
    "*** Update File: here.txt",
    "*** Move to: there.txt",
)


def patch(*lines: str) -> str:
    return "\n".join(("*** Begin Patch", *lines, "*** End Patch"))


def arguments(*lines: str) -> str:
    return msgspec.json.encode({"input": patch(*lines)}).decode()


def action(bench: Bench, *lines: str, files: LocalFiles | None = None) -> PatchAction:
    return ApplyPatch(files or bench.files).prepare(arguments(*lines))


async def run(bench: Bench, *lines: str) -> ToolResult:
    return await bench.run("apply_patch", input=patch(*lines))


async def say(bench: Bench, *lines: str) -> str:
    return await bench.say("apply_patch", input=patch(*lines))


def lay_out(bench: Bench) -> None:
    bench.make("a.py", SOURCE)
    bench.make("old.txt", "old\n")
    bench.make("run.sh", "#!/bin/sh\necho 1\n").chmod(0o750)
    bench.make("here.txt", "here\n")


def contents(bench: Bench) -> dict[str, str]:
    """All files below the workspace, with their contents."""
    files = (path for path in bench.place.rglob("*") if path.is_file())
    return {str(path.relative_to(bench.place)): path.read_bytes().decode() for path in files}


AFTER = {
    "a.py": "def one():\n    return 1\n\n\ndef two():\n    return 2\n    # never\n",
    "sub/new.txt": "one\ntwo\n",
    "bin/run.sh": "#!/bin/sh\necho 2\n",
    "there.txt": "here\n",
}


async def test_apply_patch_keeps_the_rules_of_all_tools(bench: Bench) -> None:
    lay_out(bench)
    await check_tool(ApplyPatch(bench.files), arguments(*EVERYTHING), bench.context())
    assert contents(bench) == AFTER


async def test_files_are_changed_made_removed_and_moved_with_their_mode(bench: Bench) -> None:
    lay_out(bench)
    result = await run(bench, *EVERYTHING)
    assert contents(bench) == AFTER
    assert (bench.place / "bin" / "run.sh").stat().st_mode & 0o777 == 0o750
    facts = {os.path.relpath(fact.path, bench.place): (fact.sha256, fact.did) for fact in result.files}
    gone = dict.fromkeys(("old.txt", "run.sh", "here.txt"), ("", "removed"))
    assert facts == {path: (blob_id(text.encode()), "wrote") for path, text in AFTER.items()} | gone


async def test_what_it_is_about_names_every_file_and_where_links_lead(bench: Bench) -> None:
    bench.make("real/a", "x\n")
    (bench.place / "linked").symlink_to("real")
    subject = action(bench, "*** Update File: linked/a", "*** Move to: b", "*** Delete File: c").subject(
        bench.cwd
    )
    names = [os.path.relpath(path, bench.place) for path in subject.writes]
    assert (subject.tool, names) == ("apply_patch", ["linked/a", "real/a", "b", "c"])


async def test_what_the_model_is_told_of_a_patch(bench: Bench, pinned: Callable[[str, str], None]) -> None:
    lay_out(bench)
    bench.make("loose.py", "if a:\n    b()\n    c()\n")
    bench.make("same.py", "x\n")
    said = [
        await say(bench, *EVERYTHING, "*** Update File: same.py", " x"),
        await say(bench, "*** Update File: loose.py", " b()", "-c()", "+d()"),
        await say(bench, "*** Update File: a.py", "-    return 2", "@@", "-def one():", "+def uno():"),
        await say(bench, "*** Add File: sub/new.txt", "+all new", "*** Add File: empty"),
    ]
    pinned("patch_told", "\n===\n".join(said))


async def test_what_the_model_is_told_of_a_refused_patch(
    bench: Bench, pinned: Callable[[str, str], None]
) -> None:
    lay_out(bench)
    bench.make("bin", b"\0\1\2")
    bench.make("big.txt", "x" * (10 * 1024 * 1024 + 1))
    bench.make("large.txt", "x" * (10 * 1024 * 1024))
    bench.make("stale.txt", "x\n")
    (bench.place / "link").symlink_to("a.py")
    await bench.run("read", file_path="stale.txt")
    before = contents(bench) | {"stale.txt": "saved\n"}
    (bench.place / "stale.txt").write_text("saved\n")
    add, change = "*** Add File: new", ("*** Update File: a.py", "-    return 1", "+    return 2")
    refused = (
        (add, *change),
        (add, "*** Update File: a.py", "-    return 7", "+    return 2"),
        (add, "*** Delete File: no", "*** Update File: none", "-x", "*** Delete File: stale.txt"),
        (add, "*** Add File: old.txt", "+x"),
        (add, "*** Update File: here.txt", "*** Move to: old.txt"),
        (add, "*** Update File: stale.txt", "-x", "+y"),
        (add, "*** Add File: stale.txt", "+y"),
        (add, "*** Update File: bin", "-x", "+y"),
        (add, "*** Update File: big.txt", "-x", "+y"),
        (add, "*** Update File: large.txt", "+y"),
        (add, "*** Delete File: ."),
        (add, "*** Add File: ."),
        (add, "*** Delete File: a.py", "*** Add File: ./a.py"),
        (add, "*** Delete File: no", "*** Add File: no"),
        (add, "*** Update File: a.py", "*** Move to: a.py"),
        (add, "*** Delete File: link", "*** Delete File: a.py"),
        (add, "*** Add File: new/below/it", "+x"),
        (add, "*** Delete File: output://1.0"),
        (add, "*** Update File: a.py", "*** Move to: output://1.0"),
        ("*** Update File: here.txt", " here"),
    )
    said = [await say(bench, *lines) for lines in refused]
    pinned("patch_refused", "\n===\n".join(said))
    assert contents(bench) == before


async def test_a_patch_that_was_cut_off_is_refused_before_it_is_judged(bench: Bench) -> None:
    whole = patch("*** Add File: a", "+x")
    with pytest.raises(ArgumentProblem, match="cut off"):
        bench.toolbox.prepare("apply_patch", msgspec.json.encode({"input": whole[:-3]}).decode())


async def test_other_names_for_the_argument_are_taken(bench: Bench) -> None:
    for number, name in enumerate(("input", "patch", "patch_text")):
        await bench.run("apply_patch", **{name: patch(f"*** Add File: {number}")})
    assert set(contents(bench)) == {"0", "1", "2"}


async def test_patches_follow_each_other_without_reading_again(bench: Bench) -> None:
    await run(bench, "*** Add File: a", "+one")
    await run(bench, "*** Update File: a", "*** Move to: b", "-one", "+two")
    await run(bench, "*** Add File: b", "+three")
    await run(bench, "*** Delete File: b", "*** Add File: a", "+four")
    assert contents(bench) == {"a": "four\n"}


async def test_a_file_that_is_deleted_and_added_is_replaced_without_reading_it(bench: Bench) -> None:
    bench.make("a", "old\n")
    assert await say(bench, "*** Delete File: a", "*** Add File: a", "+new") == "replaced a (1 line)"
    assert contents(bench) == {"a": "new\n"}


async def test_bytes_that_are_no_text_survive_a_patch(bench: Bench) -> None:
    bench.make("a.txt", b"\xef\xbb\xbfcaf\xe9\r\none\r\n\xff two")
    await run(bench, "*** Update File: a.txt", "-one", "+1")
    assert (bench.place / "a.txt").read_bytes() == b"\xef\xbb\xbfcaf\xe9\r\n1\r\n\xff two"


async def test_of_a_link_only_the_link_is_removed(bench: Bench) -> None:
    real = bench.make("real", "x\n")
    (bench.place / "link").symlink_to(real)
    await run(bench, "*** Delete File: link")
    assert (os.listdir(bench.place), real.read_text()) == (["real"], "x\n")


async def test_many_files_are_told_within_the_bound(bench: Bench) -> None:
    lines = [f"*** Add File: {'name' * 20}{number}" for number in range(500)]
    text = await say(bench, *lines)
    assert len(msgspec.json.encode(text)) <= 8000
    assert text.splitlines()[-1].endswith("more lines]")


# All or nothing


class Refusing(LocalFiles):
    """Files of which one cannot be written, or not put back either."""

    def __init__(self, *names: str) -> None:
        self.names = names

    async def write(self, order: WriteOrder) -> FileFact:
        self._check(order.path, order.expect)
        return await super().write(order)

    async def remove(self, order: RemoveOrder) -> FileFact:
        self._check(order.path, order.expect)
        return await super().remove(order)

    def _check(self, path: str, expect: str) -> None:
        if Path(path).name in self.names:
            raise FileProblem("denied", path, f"{path}: read-only")


@pytest.mark.parametrize("name", ["old.txt", "run.sh", "there.txt", "here.txt", "new.txt"])
async def test_when_one_file_cannot_be_changed_those_before_it_are_put_back(bench: Bench, name: str) -> None:
    lay_out(bench)
    before = contents(bench)
    lines = [line for line in EVERYTHING if line != "*** Delete File: old.txt" or name == "old.txt"]
    seen = bench.make("seen.txt", "seen\n")
    await bench.run("read", file_path="seen.txt")
    refused = action(bench, *lines, "*** Add File: seen.txt", "+other", files=Refusing(name))
    with pytest.raises(Problem, match=f"nothing of the patch was done:\n.*{name}: read-only"):
        await refused.run(bench.context())
    assert contents(bench) == before | {"seen.txt": "seen\n"}
    assert (bench.place / "run.sh").stat().st_mode & 0o777 == 0o750
    assert seen.read_text() == "seen\n"


async def test_what_cannot_be_put_back_is_told(bench: Bench) -> None:
    lay_out(bench)
    lines = ("*** Add File: new", "+x", "*** Delete File: old.txt", "*** Delete File: here.txt")
    result = await action(bench, *lines, files=Refusing("here.txt")).run(bench.context())
    assert result.outcome == "failed"
    text = plain(result.parts).replace(str(bench.place), "/work")
    assert text == (
        "/work/here.txt: read-only. The rest of the patch was not done.\nThis stays done: deleted old.txt"
    )
    assert result.files == (FileFact(str(bench.place / "old.txt"), "", "removed"),)
    assert set(contents(bench)) == {"a.py", "run.sh", "here.txt"}


async def test_a_cancellation_in_the_middle_lets_the_patch_be_done(bench: Bench) -> None:
    lay_out(bench)
    scope = anyio.CancelScope()

    class Cancelled(LocalFiles):
        async def write(self, order: WriteOrder) -> FileFact:
            scope.cancel()
            await anyio.lowlevel.checkpoint()
            return await super().write(order)

    with scope:
        result = await action(bench, *EVERYTHING, files=Cancelled()).run(bench.context())
        assert len(result.files) == 7
    assert contents(bench) == AFTER


# Settling


async def planned(bench: Bench, *lines: str) -> tuple[FileIntent, ...]:
    return await action(bench, *lines).plan(bench.context())


async def test_a_plan_says_what_becomes_of_each_file_and_changes_nothing(bench: Bench) -> None:
    lay_out(bench)
    before = contents(bench)
    intents = await planned(bench, *EVERYTHING)
    found = {os.path.relpath(each.path, bench.place): (each.before, each.after) for each in intents}
    hashes = {name: blob_id(text.encode()) for name, text in before.items()}
    after = {name: blob_id(text.encode()) for name, text in AFTER.items()}
    assert found == {name: (hashes.get(name, ""), after.get(name, "")) for name in {*before, *AFTER}}
    assert contents(bench) == before


class Killed(LocalFiles):
    """The process is killed after so many changes."""

    def __init__(self, after: int) -> None:
        self.left = after
        self.changed: list[str] = []

    async def write(self, order: WriteOrder) -> FileFact:
        self._count(order.path)
        return await super().write(order)

    async def remove(self, order: RemoveOrder) -> FileFact:
        self._count(order.path)
        return await super().remove(order)

    def _count(self, path: str) -> None:
        if not self.left:
            raise RuntimeError("killed")
        self.left -= 1
        self.changed.append(path)


@pytest.mark.parametrize("first", range(8))
@pytest.mark.parametrize("second", [0, 1, 7])
async def test_a_patch_that_was_cut_short_is_finished_and_each_file_changed_once(
    bench: Bench, first: int, second: int
) -> None:
    lay_out(bench)
    changed: list[str] = []
    intents: tuple[FileIntent, ...] = ()
    for after in (first, second, 7):
        files = Killed(after)
        context = msgspec.structs.replace(bench.context(), intents=intents)
        state = (await action(bench, *EVERYTHING).reconcile(context, intents)).state if intents else "undone"
        done = len(changed)
        assert state == ("done" if done == 7 else "partly" if done else "undone")
        if state != "done":
            again = action(bench, *EVERYTHING, files=files)
            planned = await again.plan(context)
            assert intents in ((), planned)
            intents = planned
            try:
                await again.run(msgspec.structs.replace(context, intents=intents))
            except RuntimeError:
                assert not files.left
            changed += files.changed
    assert len(changed) == len(set(changed)) == 7
    assert contents(bench) == AFTER
    assert (bench.place / "bin" / "run.sh").stat().st_mode & 0o777 == 0o750


async def test_a_half_done_patch_is_told_with_its_files(
    bench: Bench, pinned: Callable[[str, str], None]
) -> None:
    lay_out(bench)
    intents = await planned(bench, *EVERYTHING)
    (bench.place / "a.py").write_text(AFTER["a.py"])
    (bench.place / "old.txt").unlink()
    partly = await action(bench, *EVERYTHING).reconcile(bench.context(), intents)
    (bench.place / "here.txt").write_text("saved by the user\n")
    unknown = await action(bench, *EVERYTHING).reconcile(bench.context(), intents)
    await run(
        bench,
        "*** Delete File: here.txt",
        *EVERYTHING[5:8],
        *EVERYTHING[9:13],
        "*** Add File: there.txt",
        "+here",
    )
    done = await action(bench, *EVERYTHING).reconcile(bench.context(), intents)
    assert (partly.state, unknown.state, done.state) == ("partly", "unknown", "done")
    assert done.result is not None
    assert len(done.result.files) == 7
    pinned("patch_settled", "\n===\n".join((partly.words, unknown.words, plain(done.result.parts))))
