"""Commands that outlive hames, and what a later hames makes of them: from outside, with real processes."""

import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec
import pytest

from hames.assembly.system import SystemClock
from hames.core.events import CallFinished, CallLost
from hames.core.messages import plain
from hames.stores.sqlite import open_sqlite
from hames.testing.launcher_suite import alive
from tests.apps.outside import Ended, Outside, bash, calls
from tests.sandboxes.processes import supervisors, until_gone, until_none

pytestmark = [pytest.mark.anyio, pytest.mark.needs_bwrap]

ENOUGH_S = 60


class Pipe:
    """A named pipe in a workspace, between the test and a command."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)

    async def read(self) -> str:
        """What a command has written; waits for it."""
        with anyio.fail_after(ENOUGH_S):
            return await anyio.to_thread.run_sync(self.path.read_text, abandon_on_cancel=True)

    async def write(self) -> None:
        """Let a command go on that reads from it; waits for it."""
        with anyio.fail_after(ENOUGH_S):
            await anyio.to_thread.run_sync(self.path.write_text, "on\n", abandon_on_cancel=True)


async def both(
    beside: Callable[[], Coroutine[None, None, object]], main: Callable[[], Coroutine[None, None, Ended]]
) -> Ended:
    """Do two things at the same time."""
    ended: list[Ended] = []

    async def run() -> None:
        ended.append(await main())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(beside)
        tasks.start_soon(run)
    return ended[0]


async def killed(
    outside: Outside, words: list[str], when: Callable[[], Coroutine[None, None, object]]
) -> None:
    """Run hames, and kill it with SIGKILL as soon as `when` returns."""
    async with outside.started(*words) as process:
        await when()
        process.kill()
        await process.wait()


async def only_session(outside: Outside) -> str:
    return str((await outside.hames("sessions", "list", "--json")).result["session"])


async def ends(outside: Outside) -> list[CallFinished | CallLost]:
    """The ends of all calls of the only session, read without starting a hames."""
    async with await open_sqlite(str(outside.state), SystemClock()) as store:
        (row,) = await store.sessions()
        found = [entry.event for entry in await store.read(row.session)]
    return [event for event in found if isinstance(event, CallFinished | CallLost)]


async def events(outside: Outside, session: str, kind: str) -> list[dict[str, object]]:
    ended = await outside.hames("export", session, "--format", "events")
    found = [msgspec.convert(line["event"], dict[str, object]) for line in ended.lines]
    return [event for event in found if event["type"] == kind]


def shown(event: dict[str, object]) -> str:
    parts = msgspec.convert(event["parts"], list[dict[str, str]])
    return "\n".join(part["text"] for part in parts)


def run_directory(outside: Outside) -> list[str]:
    """What is left of runtime directories."""
    place = outside.state / "run"
    return sorted(os.listdir(place)) if place.exists() else []


async def test_twenty_of_twenty_commands_survive_a_kill_and_their_outcome_is_known(tmp_path: Path) -> None:
    known: list[tuple[str, str]] = []
    slots = anyio.CapacityLimiter(4)

    async def one(number: int) -> None:
        root = tmp_path / str(number)
        root.mkdir()
        outside = Outside(root)
        ready, go = Pipe(outside.workspace / "ready"), Pipe(outside.workspace / "go")
        command = f"echo once >> ran; echo on > ready; read < go; echo real {number}; exit {number}"
        async with slots, outside.scripted(calls(bash(command)), {"text": "so it was"}) as model:
            words = ["-p", "go", "--output-format", "json", *outside.to(model)]
            await killed(outside, words, ready.read)
            resumed = ["--continue", "-p", "--output-format", "json", *outside.to(model)]
            if number % 2:
                # It ends while there is no hames; else while the next one waits for it.
                await go.write()
                await outside.hames(*resumed)
            else:
                await both(go.write, lambda: outside.hames(*resumed))
        (end,) = await ends(outside)
        assert isinstance(end, CallFinished)
        assert end.command is not None
        assert end.command.exit_code == number
        known.append((plain(end.parts), (outside.workspace / "ran").read_text()))
        assert run_directory(outside) == []

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(one, number)
    assert sorted(text.split("\n")[0] for text, _ in known) == sorted(f"real {n}" for n in range(20))
    assert {ran for _, ran in known} == {"once\n"}


async def test_what_a_command_has_done_that_nobody_saw_the_end_of_is_told(outside: Outside) -> None:
    ready = Pipe(outside.workspace / "ready")
    (outside.workspace / "sub").mkdir()
    for name in ("before", "removed", "sub/kept"):
        (outside.workspace / name).write_text("old\n")
    command = "echo new > made; rm removed; echo new > sub/$'\\e[2Jodd'; echo on > ready; read < ready"
    async with outside.scripted(calls(bash(command)), {"text": "I see"}) as model:
        async with outside.started("-p", "go", *outside.to(model)) as process:
            await ready.read()
            process.kill()
            await process.wait()
        for pid in supervisors(outside.state):
            os.kill(pid, signal.SIGKILL)
        ended = await outside.hames("--continue", "-p", "--output-format", "json", *outside.to(model))
    assert ended.code == 0
    (end,) = await ends(outside)
    assert isinstance(end, CallLost)
    text = plain(end.parts)
    assert "[changed in the workspace since it was started: made, removed, sub/odd]" in text
    assert "none of its processes is alive" in text
    assert command in text.replace("\\\\", "\\")
    assert run_directory(outside) == []


@pytest.mark.parametrize("undo", [True, False])
async def test_what_a_command_has_done_that_lost_its_supervisor_is_told(outside: Outside, undo: bool) -> None:
    ready = Pipe(outside.workspace / "ready")
    outside.settings("" if undo else "undo = false\n")
    command = "mkdir -p new/deep; echo on > ready; read < ready"
    async with (
        outside.scripted(calls(bash(command)), {"text": "I see"}) as model,
        outside.started("-p", "go", *outside.to(model)) as process,
    ):
        await ready.read()
        for pid in supervisors(outside.state):
            os.kill(pid, signal.SIGKILL)
        assert await process.wait() == 0
    (end,) = await ends(outside)
    assert isinstance(end, CallFinished)
    assert end.outcome == "failed"
    text = plain(end.parts)
    assert text.startswith("[outcome not known]")
    assert text.endswith("\n[changed in the workspace since it was started: new/]") == undo
    assert ("changed" in text) == undo
    assert run_directory(outside) == []


async def test_a_background_job_lives_on_and_is_told_once(outside: Outside) -> None:
    ready, go = Pipe(outside.workspace / "ready"), Pipe(outside.workspace / "go")
    build = bash("echo on > ready; read < go; echo built; exit 5", run_in_background=True)
    wait: dict[str, object] = {"name": "job", "arguments": {"action": "wait", "job_id": "1.0"}}
    replies = [calls(build, wait), calls(wait), {"text": "built"}, {"text": "yes"}]
    async with outside.scripted(*replies) as model:
        await killed(outside, ["-p", "go", *outside.to(model)], ready.read)
        await both(go.write, lambda: outside.hames("--continue", "-p", "and now?", *outside.to(model)))
    session = await only_session(outside)
    (told,) = await events(outside, session, "JobFinished")
    assert "exit 5" in str(told["told"])
    assert "built" in str(told["told"])


async def test_a_server_in_the_background_can_be_reached_by_the_next_command(outside: Outside) -> None:
    (outside.workspace / "page").write_text("hello from the server")
    os.mkfifo(outside.workspace / "ready")
    (outside.workspace / "serve.py").write_text(
        "import http.server\n"
        "server = http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)\n"
        "open('/tmp/port', 'w').write(str(server.server_port))\n"
        "open('ready', 'w').write('on')\n"
        "server.serve_forever()\n"
    )
    (outside.workspace / "get.py").write_text(
        "import urllib.request\n"
        "port = open('/tmp/port').read()\n"
        "print(urllib.request.urlopen(f'http://127.0.0.1:{port}/page').read())\n"
    )
    replies = [
        calls(
            bash(f"exec {sys.executable} serve.py", run_in_background=True),
            bash(f"cat ready && {sys.executable} get.py"),
        ),
        calls({"name": "job", "arguments": {"action": "stop", "job_id": "1.0"}}),
        {"text": "it answers"},
        {"text": "it is stopped"},
    ]
    async with outside.scripted(*replies) as model:
        ended = await outside.hames("-p", "go", "--output-format", "json", *outside.to(model))
    found = await events(outside, str(ended.result["session_id"]), "CallFinished")
    assert any("hello from the server" in shown(event) for event in found), [shown(e) for e in found]


async def test_nobody_coming_back_ends_the_tree_and_that_is_told(outside: Outside) -> None:
    token = f"30{os.getpid()}1.5"
    ready = Pipe(outside.workspace / "ready")
    outside.settings("orphan_s = 0.2\n")
    command = f"echo this far; (setsid sleep {token} &) ; sleep {token} & echo on > ready; wait"
    async with outside.scripted(calls(bash(command)), {"text": "I see"}) as model:
        await killed(outside, ["-p", "go", *outside.to(model)], ready.read)
        await until_none(token)
        for pid in supervisors(outside.state):
            await until_gone(pid)
        session = await only_session(outside)
        assert run_directory(outside) == [session]
        await outside.hames("--continue", "-p", "--output-format", "json", *outside.to(model))
    (end,) = await events(outside, session, "CallFinished")
    assert shown(end).startswith("this far\n[stopped]")
    assert "hames was gone for too long" in shown(end)
    assert run_directory(outside) == []


@pytest.mark.parametrize("how", ["done", "SIGINT", "SIGTERM"])
async def test_nothing_is_left_after_an_end(outside: Outside, how: str) -> None:
    token = f"30{os.getpid()}2.5"
    ready = Pipe(outside.workspace / "ready")
    leave = f"(setsid sleep {token} &) ; sleep {token} & echo on > ready; "
    command = leave + ("exit 0" if how == "done" else "wait")
    async with (
        outside.scripted(calls(bash(command)), {"text": "done"}) as model,
        outside.started("-p", "go", *outside.to(model)) as process,
    ):
        await ready.read()
        if how != "done":
            process.send_signal(signal.Signals[how])
        assert await process.wait() == (0 if how == "done" else 130)
    assert not alive(token)
    assert supervisors(outside.state) == []
    assert run_directory(outside) == []


async def test_a_detached_job_stays_and_a_resumed_session_can_stop_it(outside: Outside) -> None:
    token = f"30{os.getpid()}3.5"
    ready = Pipe(outside.workspace / "ready")
    replies = [
        calls(
            bash(f"echo on > ready; exec sleep {token}", run_in_background=True),
            bash("echo of no interest"),
            {"name": "job", "arguments": {"action": "detach", "job_id": "1.0"}},
        ),
        {"text": "it stays"},
        calls({"name": "job", "arguments": {"action": "stop", "job_id": "1.0"}}),
        {"text": "it is stopped"},
    ]
    async with outside.scripted(*replies) as model:
        words = ["-p", "go", "--output-format", "json", *outside.to(model)]
        ended = await both(ready.read, lambda: outside.hames(*words, check=4))
        assert ended.result["jobs"] == [
            {"job_id": "1.0", "command": f"echo on > ready; exec sleep {token}", "detached": True}
        ]
        assert "detached jobs run on" in str(ended.result["reason"])
        assert alive(token)
        stopped = await outside.hames(
            "--continue", "-p", "stop it", "--output-format", "json", *outside.to(model)
        )
        assert stopped.result["jobs"] == []
    assert not alive(token)
    assert run_directory(outside) == []


async def test_a_command_over_its_time_goes_on_as_a_job(outside: Outside) -> None:
    go = Pipe(outside.workspace / "go")
    replies = [calls(bash("read < go; echo late", timeout=200)), {"text": "it runs"}, {"text": "it ended"}]
    async with outside.scripted(*replies) as model:

        async def let_go() -> None:
            with anyio.fail_after(ENOUGH_S):
                while len(model.seen) < 2:
                    await anyio.lowlevel.checkpoint()
            await go.write()

        words = ["-p", "go", "--output-format", "json", *outside.to(model)]
        ended = await both(let_go, lambda: outside.hames(*words))
    session = str(ended.result["session_id"])
    (end,) = await events(outside, session, "CallFinished")
    assert "now in the background as job 1.0" in shown(end)
    (told,) = await events(outside, session, "JobFinished")
    assert "late" in str(told["told"])


# Take-over


async def test_a_session_in_use_can_be_taken_over_with_its_command(outside: Outside) -> None:
    ready, go = Pipe(outside.workspace / "ready"), Pipe(outside.workspace / "go")
    command = "echo once >> ran; echo on > ready; read < go; echo real"
    async with (
        outside.scripted(calls(bash(command)), {"text": "mine now"}, {"text": "x"}) as model,
        outside.started("-p", "go", *outside.to(model)) as process,
    ):
        await ready.read()
        refused = await outside.hames("--continue", "-p", "me too", *outside.to(model), check=1)
        assert "--take-over" in refused.err
        process.send_signal(signal.SIGSTOP)
        words = ["--continue", "--take-over", "-p", *outside.to(model)]
        ended = await both(go.write, lambda: outside.hames(*words))
        assert ended.out == "mine now\n"
        process.send_signal(signal.SIGCONT)
        assert await process.wait() == 1
        assert process.stderr is not None
        said = b"".join([chunk async for chunk in process.stderr]).decode()
        assert "Traceback" not in said
        assert said
    session = await only_session(outside)
    (end,) = await events(outside, session, "CallFinished")
    assert shown(end) == "real"
    assert (outside.workspace / "ran").read_text() == "once\n"
    assert run_directory(outside) == []


async def test_take_over_needs_a_session(outside: Outside) -> None:
    ended = await outside.hames("--take-over", "-p", "go", check=2)
    assert "--resume or --continue" in ended.err
