"""Undo, redo, rewind and fork from the command line: an agent that does harm, and what comes back."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import anyio
import msgspec
import pytest

from hames.session.taking_back import TookBack
from tests.apps.outside import Ended, Outside, bash, calls
from tests.snapshots.desk import Seen, differing, picture

pytestmark = [pytest.mark.anyio, pytest.mark.needs_bwrap]

HARM = (
    "rm -rf .git src/lib.py empty; echo harm > src/app.py; chmod 600 run.sh; mkdir made; echo x > made/new;"
    " ln -sfn /nowhere link; mv notes.txt 'moved notes.txt'"
)


def project(root: Path) -> dict[str, Seen]:
    """A small repository with all kinds of entries, and a picture of it."""
    (root / "src").mkdir()
    (root / "src" / "app.py").write_text("print('hello')\n")
    (root / "src" / "lib.py").write_text("def f(): ...\n")
    (root / "notes.txt").write_text("remember\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o751)
    (root / "empty").mkdir(mode=0o700)
    (root / "link").symlink_to("src/app.py")
    for words in ("init -q", "add .", "-c user.name=a -c user.email=a@b commit -qm first"):
        git(root, *words.split())
    return picture(root)


def git(root: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(root), *words], check=True)


def tool(name: str, **arguments: object) -> dict[str, object]:
    return {"name": name, "arguments": arguments}


async def ran(outside: Outside, *replies: object, flags: tuple[str, ...] = (), check: int = 0) -> str:
    """A turn that plays these replies; the session's id."""
    async with outside.scripted(*replies, {"text": "all done"}) as model:
        words = ["-p", "tidy up", "--output-format", "json", *flags, *outside.to(model)]
        return str((await outside.hames(*words, check=check)).result["session_id"])


async def shown(outside: Outside, session: str) -> str:
    return (await outside.hames("sessions", "show", session)).out


def command_in(text: str, start: str) -> list[str]:
    """The words of the command that a line offers."""
    found = re.search(rf"hames ({start}.*?)\)?$", text, re.MULTILINE)
    assert found is not None, text
    return found[1].split()


@pytest.mark.parametrize("sandbox", ["bubblewrap", "none"])
async def test_what_the_agent_did_is_undone_and_redone_to_the_byte_and_the_mode(
    outside: Outside, sandbox: str
) -> None:
    before = project(outside.workspace)
    read = tool("read", file_path="notes.txt")
    edit = tool("edit", file_path="notes.txt", old_string="remember", new_string="no")
    flags = ("--sandbox", sandbox, "--permission-mode", "auto")
    harm = [calls(read), calls(edit), calls(bash(HARM)), calls(bash("rm made/new"))]
    session = await ran(outside, *harm, flags=flags)
    after = picture(outside.workspace)
    assert not (outside.workspace / ".git" / "HEAD").exists()

    undone = await outside.hames("undo")
    assert differing(before, picture(outside.workspace)) == {}
    git(outside.workspace, "fsck", "--strict")
    lines = undone.out.splitlines()
    assert lines[0].startswith(f"undone: session {session} is as after entry ")
    assert lines[1] == "  your words: tidy up"
    assert {"  made again  src/lib.py", "  restored    src/app.py", "  removed     made"} <= set(lines)
    assert "  mode        run.sh" in lines
    assert f"hames --resume {session}" in undone.out

    redone = await outside.hames(*command_in(undone.out, "redo"))
    assert redone.out.startswith(f"redone: session {session}")
    assert differing(after, picture(outside.workspace)) == {}
    await outside.hames("undo", session[:12], "--both")
    assert differing(before, picture(outside.workspace)) == {}


class Event(msgspec.Struct):
    type: str
    sha256: str = ""
    extends: int | None = None


class Row(msgspec.Struct):
    """A line of an export."""

    seq: int
    event: Event


async def test_the_model_does_not_hear_of_what_was_undone_and_its_prefix_stays(outside: Outside) -> None:
    replies = [{"text": "first answer"}, calls(bash("echo two > two")), {"text": "second answer"}]
    async with outside.scripted(*replies, {"text": "third answer"}) as model:
        to = outside.to(model)
        await outside.hames("-p", "the first", *to)
        await outside.hames("--continue", "-p", "the second", *to)
        assert "the second" in (await outside.hames("undo")).out
        await outside.hames("--continue", "-p", "the third", *to)
        hashes = [seen.sha256 for seen in model.seen]
    session = (await shown(outside, "0")).partition("rewind ")[2].partition("@")[0]
    log = [
        msgspec.json.decode(line, type=Row)
        for line in (await outside.hames("export", session)).out.splitlines()
    ]
    first, _, _, last = [row for row in log if row.event.type == "RequestSent"]
    assert [row.event.sha256 for row in log if row.event.sha256] == hashes
    assert last.event.extends == first.seq
    assert not (outside.workspace / "two").exists()
    told = await shown(outside, "0")
    assert "- user: the second" in told
    assert "  user: the third" in told


async def test_undo_goes_back_turn_by_turn_until_nothing_is_left(outside: Outside) -> None:
    await ran(outside, calls(bash("echo 1 > file")))
    await ran(outside, calls(bash("echo 2 > file")), flags=("--continue",))
    await outside.hames("undo")
    assert (outside.workspace / "file").read_text() == "1\n"
    await outside.hames("undo")
    assert not (outside.workspace / "file").exists()
    refused = await outside.hames("undo", check=None)
    assert refused.code in (1, 2)
    assert "nothing" in refused.err
    await outside.hames("redo")
    await outside.hames("redo")
    assert (outside.workspace / "file").read_text() == "2\n"
    refused = await outside.hames("redo", check=None)
    assert "nothing" in refused.err


async def test_what_the_user_has_changed_since_is_kept_shown_and_put_back_when_forced(
    outside: Outside,
) -> None:
    (outside.workspace / "mine.txt").write_text("one\ntwo\n")
    (outside.workspace / "other.txt").write_text("other\n")
    session = await ran(outside, calls(bash("echo harm >> mine.txt; echo harm > other.txt")))
    (outside.workspace / "mine.txt").write_text("one\ntwo\nharm\nand mine\n")
    undone = await outside.hames("undo", check=3)
    assert (outside.workspace / "mine.txt").read_text() == "one\ntwo\nharm\nand mine\n"
    assert (outside.workspace / "other.txt").read_text() == "other\n"
    assert "  restored  other.txt" in undone.out
    assert "  mine.txt: changed by somebody since" in undone.out
    assert "+and mine" in undone.out
    forced = await outside.hames(*command_in(undone.out, "rewind"))
    assert "  restored  mine.txt" in forced.out
    assert (outside.workspace / "mine.txt").read_text() == "one\ntwo\n"
    assert session in forced.out


async def test_a_path_is_forced_at_once_and_what_the_user_made_in_between_stays(outside: Outside) -> None:
    (outside.workspace / "mine.txt").write_text("one\n")
    await ran(outside, calls(bash("echo harm > mine.txt")))
    (outside.workspace / "new.txt").write_text("by the user\n")
    (outside.workspace / "mine.txt").write_text("mine\n")
    refused = await outside.hames("undo", "--force", "../elsewhere", check=2)
    assert "is not in the workspace" in refused.err
    await outside.hames("undo", "--force", str(outside.workspace / "mine.txt"))
    assert (outside.workspace / "mine.txt").read_text() == "one\n"
    assert (outside.workspace / "new.txt").read_text() == "by the user\n"


async def test_what_was_done_in_a_further_directory_goes_back_too(outside: Outside) -> None:
    before = project(outside.workspace)
    data = outside.home / "data"
    (data / "deep").mkdir(parents=True)
    (data / "deep" / "table").write_text("1,2\n")
    (data / "mine.txt").write_text("one\n")
    (data / "key").write_text("key\n")
    (data / "key").chmod(0o640)
    was = picture(data)
    harm = f"cd {data} && rm -r deep && echo harm > mine.txt && chmod 666 key && mkdir made && touch made/x"
    edit = tool("edit", file_path=str(data / "key"), old_string="key", new_string="none")
    replies = (calls(tool("read", file_path=str(data / "key"))), calls(edit), calls(bash(f"{HARM}; {harm}")))
    flags = ("--add-dir", str(data), "--permission-mode", "auto")
    session = await ran(outside, *replies, flags=flags)
    assert not (data / "deep").exists()
    (data / "mine.txt").write_text("harm\nand mine\n")

    undone = await outside.hames("undo", check=3)
    assert differing(before, picture(outside.workspace)) == {}
    assert (data / "mine.txt").read_text() == "harm\nand mine\n"
    assert f"  {data}/mine.txt: changed by somebody since" in undone.out
    assert f"made again  {data}/deep (and 1 below it)" in undone.out
    assert f"removed     {data}/made (and 1 below it)" in undone.out
    assert "+and mine" in undone.out
    forced = await outside.hames(*command_in(undone.out, "rewind"))
    assert f"restored  {data}/mine.txt" in forced.out
    assert session in forced.out
    assert differing(was, picture(data)) == {}


async def test_a_name_of_any_bytes_goes_back_and_is_told(outside: Outside) -> None:
    name = os.path.join(os.fsencode(outside.workspace), b"odd\xff\x1b[2Jname")
    Path(os.fsdecode(name)).write_text("one")
    await ran(outside, calls(bash("rm odd*")))
    undone = await outside.hames("undo")
    assert os.path.exists(name)
    assert "\x1b" not in undone.out
    await ran(outside, calls(bash("echo harm > odd*")), flags=("--continue",))
    Path(os.fsdecode(name)).write_text("mine")
    kept = await outside.hames("undo", "--output-format", "json", check=3)
    assert Path(os.fsdecode(name)).read_text() == "mine"
    assert msgspec.json.decode(kept.out, type=TookBack).kept[0].why == "changed"


async def test_a_person_finds_the_entry_and_goes_back_to_it(outside: Outside) -> None:
    session = await ran(outside, calls(bash("echo 1 > file")))
    for number in (2, 3):
        await ran(outside, calls(bash(f"echo {number} > file")), flags=("--continue",))
    lines = [line for line in (await shown(outside, session)).splitlines() if "turn 2   (" in line]
    await outside.hames(*command_in(lines[0], "rewind"))
    assert (outside.workspace / "file").read_text() == "1\n"
    await outside.hames("redo")
    assert (outside.workspace / "file").read_text() == "3\n"


async def test_files_and_words_go_back_apart(outside: Outside) -> None:
    session = await ran(outside, calls(bash("echo 1 > file")))
    undone = await outside.hames("undo", "--context")
    assert undone.out.startswith(f"undone: the words of session {session}")
    assert (outside.workspace / "file").exists()
    await outside.hames("redo")
    undone = await outside.hames("undo", "--files")
    assert undone.out.startswith(f"undone: the files of session {session}")
    assert not (outside.workspace / "file").exists()
    assert "- user: tidy up" not in await shown(outside, session)


async def test_a_fork_is_laid_out_elsewhere_and_gone_on_with_there(outside: Outside, tmp_path: Path) -> None:
    before = project(outside.workspace)
    session = await ran(outside, calls(bash(HARM)))
    after = picture(outside.workspace)
    line = next(line for line in (await shown(outside, session)).splitlines() if "turn 1   (" in line)
    place = tmp_path / "elsewhere"
    forked = await outside.hames("fork", command_in(line, "rewind")[1], "--worktree", str(place))
    assert differing(before, picture(place)) == {}
    assert differing(after, picture(outside.workspace)) == {}
    assert f"--cwd {place}" in forked.out
    async with outside.scripted(calls(bash("pwd; touch here")), {"text": "all done"}) as model:
        words = command_in(forked.out, "--resume")
        await outside.hames("-p", "go on", *words, *outside.to(model))
    assert (place / "here").exists()
    await outside.hames("sessions", "delete", session)
    await outside.hames("undo", "--cwd", str(place))
    assert differing(before, picture(place)) == {}
    full = await outside.hames("fork", "--worktree", str(place), "--cwd", str(place), check=None)
    assert full.code in (1, 2)
    assert "empty" in full.err


async def test_json_has_all_that_a_program_needs(outside: Outside) -> None:
    session = await ran(outside, calls(bash("for i in $(seq 30); do echo x > made$i; done")))
    ended = await outside.hames("undo", "--output-format", "json")
    took = msgspec.json.decode(ended.out, type=TookBack)
    assert (took.session, took.what, took.said, took.kept, took.failed) == (
        session,
        "undo",
        ("tidy up",),
        (),
        (),
    )
    assert sorted(took.changed) == sorted((f"made{i}", "removed") for i in range(1, 31))


async def test_what_no_snapshot_has_is_named(outside: Outside) -> None:
    os.mkfifo(outside.workspace / "pipe")
    await ran(outside, calls(bash("echo 1 > file")))
    undone = await outside.hames("undo")
    assert "not covered, and so left alone:\n  pipe: a socket, a pipe or a device\n" in undone.out
    assert undone.err == ""


@pytest.mark.parametrize("shape", ["text", "json", "stream-json"])
async def test_what_no_snapshot_has_is_told_at_the_start(outside: Outside, shape: str) -> None:
    os.mkfifo(outside.workspace / "pipe")
    async with outside.scripted(calls(bash("true")), {"text": "all done"}) as model:
        ended = await outside.hames("-p", "x", "--output-format", shape, *outside.to(model))
    told = "undo does not cover: pipe (special)"
    assert f"hames: {told}\n" in ended.err
    notices = [line for line in ended.out.splitlines() if '"notice"' in line]
    assert len(notices) == (shape == "stream-json")
    assert all(msgspec.json.decode(line)["content"] == told for line in notices)


async def refused(outside: Outside, *words: str) -> str:
    """What a command says that must not work, on one line."""
    ended = await outside.hames(*words, check=None)
    assert ended.code in (1, 2), ended.err
    assert ended.out == ""
    (line,) = ended.err.splitlines()
    assert line.startswith("hames: ")
    return line


async def test_what_cannot_be_done_is_said_on_one_line_with_the_fix(outside: Outside) -> None:
    assert "`hames sessions list`" in await refused(outside, "undo")
    session = await ran(outside, calls(bash("echo 1 > file")))
    assert "there is no session zz" in await refused(outside, "undo", "zz")
    assert "`hames sessions show" in await refused(outside, "rewind", f"{session}@9999")
    assert "ID@SEQ" in await refused(outside, "rewind", session)
    assert "nothing" in await refused(outside, "redo")
    assert (outside.workspace / "file").exists()


async def test_without_snapshots_the_words_alone_go_back_and_that_is_said(outside: Outside) -> None:
    outside.settings("undo = false\n")
    await ran(outside, calls(bash("echo 1 > file")))
    assert "--context" in await refused(outside, "undo")
    assert "your words: tidy up" in (await outside.hames("undo", "--context")).out
    assert (outside.workspace / "file").exists()


async def test_of_a_workspace_that_is_gone_a_fork_has_the_files(outside: Outside, tmp_path: Path) -> None:
    (outside.workspace / "file").write_text("one\n")
    session = await ran(outside, calls(bash("echo 2 > file")))
    before = picture(outside.workspace)
    shutil.rmtree(outside.workspace)
    outside.workspace = outside.home
    line = await refused(outside, "undo", session)
    assert "is gone" in line
    words = command_in(line, "fork")
    await outside.hames(*words[:-1], str(tmp_path / "again"))
    assert differing(before, picture(tmp_path / "again")) == {}


async def test_a_session_in_use_is_refused(outside: Outside) -> None:
    signpost = outside.workspace / "signpost"
    os.mkfifo(signpost)
    async with (
        outside.scripted(calls(bash("echo on > signpost; sleep 600"))) as model,
        outside.started("-p", "x", *outside.to(model)) as process,
    ):
        await anyio.to_thread.run_sync(signpost.read_text, abandon_on_cancel=True)
        assert f"process {process.pid}" in await refused(outside, "undo")
        process.terminate()
        await process.wait()


@pytest.mark.parametrize("sandbox", ["bubblewrap", "none"])
async def test_a_live_job_is_named_and_stopped_when_that_is_said(outside: Outside, sandbox: str) -> None:
    signpost = outside.workspace / "signpost"
    os.mkfifo(signpost)
    replies = [
        calls(
            bash("echo on > signpost; while :; do date > live; sleep 0.1; done", run_in_background=True),
            bash("cat signpost"),
            tool("job", action="detach", job_id="1.0"),
        )
    ]
    flags = ("--sandbox", sandbox, "--permission-mode", "auto")
    session = await ran(outside, *replies, flags=flags, check=4)
    line = await refused(outside, "undo")
    assert "--stop-jobs" in line
    assert "1.0" in line
    await outside.hames("undo", "--stop-jobs")
    assert not (outside.workspace / "live").exists()
    assert "job 1.0:" in await shown(outside, session)


async def test_an_undo_that_is_stopped_says_so_and_can_be_done_again(outside: Outside) -> None:
    ready, ending = outside.workspace / "ready", outside.workspace / "ending"
    os.mkfifo(ready)
    os.mkfifo(ending)
    stubborn = "trap 'echo on > ending' TERM; echo on > ready; while :; do sleep 0.1; done"
    detach = tool("job", action="detach", job_id="1.0")
    harm = calls(bash(stubborn, run_in_background=True), bash("cat ready; echo x > made"), detach)
    session = await ran(outside, harm, check=4)
    async with outside.started("undo", "--stop-jobs") as process:
        await anyio.to_thread.run_sync(ending.read_text, abandon_on_cancel=True)
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
        assert process.stderr is not None
        said = b"".join([part async for part in process.stderr]).decode()
    assert said.startswith("hames: stopped.")
    assert (outside.workspace / "made").exists()
    await outside.hames("undo", session, "--stop-jobs")
    assert not (outside.workspace / "made").exists()


async def talk(outside: Outside, *lines: str, model: list[str]) -> Ended:
    """A conversation in which these lines are typed, each when hames waits for one."""
    out = b""
    async with outside.started(*model) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number, line in enumerate((*lines, "/exit"), 1):
            with anyio.fail_after(60):
                while out.count(b"\n> ") < number:
                    out += await process.stdout.receive()
            await process.stdin.send(f"{line}\n".encode())
        code = await process.wait()
        err = b"" if process.stderr is None else b"".join([part async for part in process.stderr])
    return Ended(code, out, err)


async def test_a_conversation_can_go_back_and_on(outside: Outside) -> None:
    replies = [calls(bash("echo 1 > file")), {"text": "one"}, calls(bash("echo 2 > file")), {"text": "two"}]
    async with outside.scripted(*replies, {"text": "three"}) as model:
        lines = ("/undo", "the first", "/undo", "/redo", "the second", "/undo", "/rewind x", "the third")
        ended = await talk(outside, *lines, model=outside.to(model))
        assert (ended.code, len(model.seen)) == (0, 5)
    assert "[nothing has been done yet]" in ended.out
    assert "your words: the first" in ended.out
    assert "your words: the second" in ended.out
    assert "see /help" in ended.out
    assert "to take this back: /redo" in ended.out
    assert (outside.workspace / "file").read_text() == "1\n"
