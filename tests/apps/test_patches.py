"""Patches by a model that prefers them, from outside: real files, real processes, over real HTTP."""

import os

import anyio
import anyio.lowlevel
import msgspec
import pytest

from tests.apps.outside import KEY, Outside, calls
from tests.snapshots.desk import differing, picture

pytestmark = [pytest.mark.anyio, pytest.mark.needs_bwrap]

ENOUGH_S = 60
FILES = 300


def patch(*lines: str) -> dict[str, object]:
    """A scripted call of `apply_patch`."""
    text = "\n".join(("*** Begin Patch", *lines, "*** End Patch"))
    return {"name": "apply_patch", "arguments": {"input": text}}


def lay_out(outside: Outside) -> None:
    (outside.workspace / "src").mkdir()
    for name, text in (("src/app.py", "one\ntwo\nthree\n"), ("notes.txt", "n\n"), ("run.sh", "echo 1\n")):
        (outside.workspace / name).write_text(text)
    (outside.workspace / "run.sh").chmod(0o751)


EVERYTHING = (
    "*** Update File: src/app.py",
    " one",
    "-two",
    "+2",
    "*** Add File: made/new.txt",
    "+new",
    "*** Delete File: notes.txt",
    "*** Update File: run.sh",
    "*** Move to: bin/run.sh",
    "-echo 1",
    "+echo 2",
)


@pytest.mark.parametrize("sandbox", ["bubblewrap", "none"])
async def test_what_a_patch_added_deleted_and_moved_is_undone_and_redone(
    outside: Outside, sandbox: str
) -> None:
    lay_out(outside)
    before = picture(outside.workspace)
    words = ["-p", "go", "--sandbox", sandbox, "--permission-mode", "auto", "--output-format", "json"]
    async with outside.scripted(calls(patch(*EVERYTHING)), {"text": "done"}) as model:
        await outside.hames(*words, *outside.to(model))
    after = picture(outside.workspace)
    assert (outside.workspace / "src" / "app.py").read_text() == "one\n2\nthree\n"
    assert not (outside.workspace / "notes.txt").exists()
    moved = outside.workspace / "bin" / "run.sh"
    assert (moved.read_text(), moved.stat().st_mode & 0o777) == ("echo 2\n", 0o751)
    await outside.hames("undo")
    assert differing(before, picture(outside.workspace)) == {}
    await outside.hames("redo")
    assert differing(after, picture(outside.workspace)) == {}


async def test_a_model_that_prefers_patches_is_told_of_them_in_few_bytes(outside: Outside) -> None:
    lay_out(outside)
    async with outside.scripted(calls(patch(*EVERYTHING)), {"text": "done"}) as model:
        outside.env |= {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": model.base_url}
        await outside.hames("-p", "go", "--model", "openai", "--permission-mode", "auto")
        assert [seen.problem for seen in model.seen] == ["", ""]
        assert model.seen[0].size <= 6000
    assert (outside.workspace / "src" / "app.py").read_text() == "one\n2\nthree\n"


async def test_a_patch_that_was_killed_between_two_files_is_finished_exactly_once(outside: Outside) -> None:
    for number in range(FILES):
        (outside.workspace / f"{number:03}").write_text("old\n")
    before = picture(outside.workspace)
    lines = [line for number in range(FILES) for line in (f"*** Update File: {number:03}", "-old", "+new")]
    async with outside.scripted(calls(patch(*lines)), {"text": "done"}) as model:
        words = ["--output-format", "json", "--permission-mode", "auto", *outside.to(model)]
        async with outside.started("-p", "go", *words) as process:
            with anyio.fail_after(ENOUGH_S):
                while not inodes(outside):
                    await anyio.lowlevel.checkpoint()
            process.kill()
            await process.wait()
        done = inodes(outside)
        assert 0 < len(done) < FILES
        ended = await outside.hames("--continue", *words)
        assert (ended.result["result"], len(model.seen)) == ("done", 2)
        assert model.seen[1].extends
    now = inodes(outside)
    assert len(now) == FILES
    assert {name: now[name] for name in done} == done
    session = str(ended.result["session_id"])
    exported = (await outside.hames("export", session, "--format", "events")).lines
    found = [msgspec.convert(line["event"], dict[str, object]) for line in exported]
    assert [event.get("attempt", 1) for event in found if event["type"] == "CallStarted"] == [1, 2]
    assert [event["outcome"] for event in found if event["type"] == "CallFinished"] == ["ok"]
    await outside.hames("undo")
    assert differing(before, picture(outside.workspace)) == {}


def inodes(outside: Outside) -> dict[str, int]:
    """The files that have been changed: each change makes another inode of them."""
    with os.scandir(outside.workspace) as entries:
        paths = [entry for entry in entries if entry.name.isdigit()]
    found: dict[str, int] = {}
    for entry in paths:
        with open(entry.path) as file:
            if file.read() == "new\n":
                found[entry.name] = os.fstat(file.fileno()).st_ino
    return found
