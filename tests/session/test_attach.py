"""Calls that went on, or ended, while nobody watched: real commands, found again by the next owner."""

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec
import pytest

from hames.core.events import (
    AnyEvent,
    CallFinished,
    CallLost,
    CallStarted,
    JobFinished,
    JobStarted,
    SessionOpened,
    TurnEnded,
)
from hames.core.ids import JobId, SessionId
from hames.core.messages import Text, plain
from hames.core.ports import CallContext, Claim, CommandSpec, Look, Past, ToolResult, Words
from hames.sandboxes.launch import CommandLauncher
from hames.sandboxes.process import SupervisorProcess
from hames.sandboxes.unconfined import Unconfined
from hames.session.jobs import LaunchedJobs
from hames.session.keeping import NoTrees, Shelf
from hames.session.session import Session
from hames.snapshots.budget import Budget
from hames.snapshots.capture import Workspace
from hames.testing.scripted import Scripted
from hames.tools.bash import Bash, Shell
from hames.tools.toolbox import Toolbox
from tests.rig import BenchTools, Rig, asks, ok
from tests.session.ground import Calm

pytestmark = pytest.mark.anyio
GO = [Words((Text("go"),))]
UNSEEN = Look()
ENV = {"PATH": "/usr/bin:/bin"}

SESSION = SessionId(f"session-{os.getpid()}")


class World:
    """A workspace, and the supervisor of its one session."""

    def __init__(self, root: Path) -> None:
        self.place = root / "work"
        self.place.mkdir()
        os.mkfifo(self.place / "go")
        os.mkfifo(self.place / "ready")
        self.run = root / "run"
        self.epoch = 0
        self.process = SupervisorProcess(str(self.run))
        self.scratch = root / "scratch"
        self.scratch.mkdir()
        self.before = UNSEEN

    def leave(self) -> None:
        """The present owner dies."""
        if self.process.running is not None:
            self.process.running.abandon()

    async def launcher(self) -> CommandLauncher:
        """The next owner's."""
        self.leave()
        self.epoch += 1
        self.process = SupervisorProcess(str(self.run), orphan_s=600)
        await self.process.enter(Claim(SESSION, self.epoch, 0))
        return CommandLauncher(self.process, Unconfined(), grace_s=0.2)

    async def killed_in(self, command: str) -> None:
        """An owner that died right after it had started the command of call 1.0."""
        spec = CommandSpec(JobId("1.0"), ("/bin/bash", "-c", command), str(self.place), ENV)
        await (await self.launcher()).start(spec)
        await anyio.to_thread.run_sync((self.place / "ready").read_text)
        self.leave()

    def keeper(self, rig: Rig, past: Past | None = None) -> Calm:
        """Whoever takes real snapshots of the workspace, for the sessions of a rig."""
        shelf = Shelf(rig.store, rig.store, rig.clock, lambda _: None)
        workspace = Workspace(str(self.place), lambda: str(self.scratch), (), Budget(1000, 10**9))
        return Calm(workspace, shelf, past)

    async def look(self) -> None:
        """The look right before the command of call 1.0."""
        self.before = await self.keeper(Rig()).look()

    async def resumed(self, command: str, **more: object) -> tuple[Rig, Session]:
        """The session as its next owner finds it: call 1.0 was started and has no end."""
        arguments = msgspec.json.encode({"command": command, **more}).decode()
        rig = Rig(asks(("bash", arguments)))
        rig.tools = BenchTools({"bash": ("effectful", _never)})
        rig.trees = lambda _: Remembered(self.before)
        session = await rig.open()
        await session.say(GO)
        events = [entry.event for entry in await rig.store.read(session.id)]
        last = next(index for index, event in enumerate(events) if isinstance(event, CallStarted))
        cut = Rig(Scripted(text="went on"), Scripted(text="and on"), Scripted(text="and on"))
        cut.clock = rig.clock
        launcher = await self.launcher()
        shell = Shell("/bin/bash", ENV, str(self.place))
        cut.tools = Toolbox([Bash(launcher, cut.store, shell)])
        if self.before.tree is not None:
            packs = tuple(pack for event in self.before.events for pack in event.packs)
            past = Past(self.before.tree, packs)
            cut.trees = lambda _: self.keeper(cut, past)
        cut.real_jobs = LaunchedJobs(launcher, cut.store)
        claim = await cut.store.claim(session.id)
        kept: list[AnyEvent] = [event for event in events[1 : last + 1] if event is not None]
        opened = SessionOpened(session.id, 1, "0", str(self.place))
        await cut.store.append(claim, [opened, *kept], rig.store.brought)
        return cut, await cut.host.resume(session.id)

    async def let_go(self) -> None:
        """Let the command that reads from `go` end."""
        await anyio.to_thread.run_sync((self.place / "go").write_text, "on\n")


class Remembered(NoTrees):
    """Sees the workspace as somebody has seen it."""

    def __init__(self, seen: Look) -> None:
        self._seen = seen

    async def look(self, paths: Sequence[str] | None = None) -> Look:
        return self._seen


async def _never(arguments: str, context: CallContext) -> ToolResult:
    return ok("this stands behind the cut")


@asynccontextmanager
async def world(root: Path) -> AsyncGenerator[World]:
    made = World(root)
    try:
        yield made
    finally:
        with anyio.CancelScope(shield=True):
            await made.process.close()


async def ends(rig: Rig, session: Session) -> list[CallFinished | CallLost]:
    return [e for e in await rig.logged(session) if isinstance(e, CallFinished | CallLost)]


async def attempts(rig: Rig, session: Session) -> list[int]:
    return [e.attempt for e in await rig.logged(session) if isinstance(e, CallStarted)]


async def until_a_job(rig: Rig) -> None:
    """Return when the log says that a command goes on in the background."""
    with anyio.fail_after(60):
        while not any(isinstance(entry.event, JobStarted) for entry in rig.watcher.entries):
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("words", [[], GO])
async def test_a_command_that_ended_meanwhile_has_its_real_result(tmp_path: Path, words: list[Words]) -> None:
    command = "echo once >> ran; echo > ready; echo out; cd /; echo / >&3; exit 3"
    async with world(tmp_path) as made:
        await made.killed_in(command)
        rig, session = await made.resumed(command)
        end = await (await made.launcher()).attach(JobId("1.0"))
        assert end is not None
        await end.wait()
        rig, session = await made.resumed(command)
        await (session.say(words) if words else session.go_on())
        (event,) = await ends(rig, session)
        assert isinstance(event, CallFinished)
        assert (event.outcome, plain(event.parts)) == ("failed", "out\n[exit 3]\n[now in /]")
        assert event.command is not None
        assert event.elapsed_ms == int(event.command.elapsed_s * 1000)
        assert await attempts(rig, session) == [1]
        assert (made.place / "ran").read_text() == "once\n"


async def test_a_command_that_still_runs_is_waited_for(tmp_path: Path) -> None:
    command = "echo > ready; read < go; echo real; exit 0"
    async with world(tmp_path) as made:
        await made.killed_in(command)
        rig, session = await made.resumed(command)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.go_on)
            await made.let_go()
        (event,) = await ends(rig, session)
        assert isinstance(event, CallFinished)
        assert plain(event.parts) == "real"
        assert await attempts(rig, session) == [1]


async def test_with_new_words_a_command_that_still_runs_becomes_a_job(tmp_path: Path) -> None:
    command = "echo started; echo > ready; read < go; echo ended"
    async with world(tmp_path) as made:
        await made.killed_in(command)
        rig, session = await made.resumed(command)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.say, GO)
            await until_a_job(rig)
            await made.let_go()
        events = await rig.logged(session)
        (event,) = await ends(rig, session)
        assert isinstance(event, CallFinished)
        assert plain(event.parts).startswith("started\n[it still runs, now in the background as job 1.0")
        assert [type(e) for e in events if isinstance(e, JobStarted | CallFinished)] == [
            JobStarted,
            CallFinished,
        ]
        (told,) = [e for e in events if isinstance(e, JobFinished)]
        assert told.command.exit_code == 0
        assert "started\nended" in told.told


async def test_a_command_past_its_time_out_is_left_to_the_background(tmp_path: Path) -> None:
    command = "echo > ready; read < go"
    async with world(tmp_path) as made:
        await made.killed_in(command)
        rig, session = await made.resumed(command, timeout=1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.go_on)
            await until_a_job(rig)
            await made.let_go()
        (event,) = await ends(rig, session)
        assert isinstance(event, CallFinished)
        assert "now in the background as job 1.0" in plain(event.parts)


async def test_a_background_command_is_a_job_again(tmp_path: Path) -> None:
    command = "echo > ready; read < go; exit 4"
    async with world(tmp_path) as made:
        await made.killed_in(command)
        rig, session = await made.resumed(command, run_in_background=True)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.go_on)
            await made.let_go()
        events = await rig.logged(session)
        (event,) = [e for e in events if isinstance(e, CallFinished)]
        assert plain(event.parts).startswith("running in the background as job 1.0")
        (told,) = [e for e in events if isinstance(e, JobFinished)]
        assert told.command.exit_code == 4


@pytest.mark.parametrize("words", [[], GO])
async def test_what_is_known_of_a_lost_command_is_told(tmp_path: Path, words: list[Words]) -> None:
    command = "echo this far; echo made > made; rm old; echo > ready; read < go"
    async with world(tmp_path) as made:
        (made.place / "old").write_text("old\n")
        await made.look()
        await made.killed_in(command)
        await made.launcher()
        os.kill(made.process.connect().pid, 9)
        made.leave()
        rig, session = await made.resumed(command)
        await (session.say(words) if words else session.go_on())
        (event,) = await ends(rig, session)
        assert isinstance(event, CallLost)
        text = plain(event.parts)
        assert "The call: bash" in text
        assert "this far" in text
        assert "[changed in the workspace since it was started: made, old]" in text
        assert "of its processes these are alive: " in text
        alive = text.partition("these are alive: ")[2].partition("]")[0]
        for pid in alive.split(", "):
            os.kill(int(pid), 9)


async def test_a_command_that_was_never_started_is_run_now(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        await made.killed_in("echo > ready; read < go")
        rig, session = await _with_another_call(made)
        await session.go_on()
        (event,) = await ends(rig, session)
        assert isinstance(event, CallFinished)
        assert plain(event.parts) == "now"
        assert await attempts(rig, session) == [1, 2]


async def test_with_new_words_a_command_that_was_never_started_is_not_run(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        await made.killed_in("echo > ready; read < go")
        rig, session = await _with_another_call(made)
        await session.say(GO)
        (event,) = await ends(rig, session)
        assert isinstance(event, CallFinished)
        assert event.outcome == "not_run"
        first = next(e for e in await rig.logged(session) if isinstance(e, TurnEnded))
        assert first.code == "interrupted"


async def _with_another_call(made: World) -> tuple[Rig, Session]:
    """The supervisor lives and knows call 1.0 by another name only."""
    await (await made.launcher()).start(CommandSpec(JobId("0.0"), ("/bin/true",), str(made.place), ENV))
    running = await (await made.launcher()).attach(JobId("1.0"))
    assert running is not None
    await running.stop()
    launcher = await made.launcher()
    assert await launcher.attach(JobId("1.0")) is not None
    launcher.release(JobId("1.0"))
    assert await launcher.attach(JobId("1.0")) is None
    return await made.resumed("echo now")


@pytest.mark.parametrize("patience", [0, 5, 50])
async def test_a_cancelled_wait_stops_the_command_and_is_recorded(tmp_path: Path, patience: int) -> None:
    command = "echo > ready; read < go"
    async with world(tmp_path) as made:
        await made.killed_in(command)
        rig, session = await made.resumed(command)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(session.go_on)
                for _ in range(patience):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()
        (event,) = await ends(rig, session)
        assert isinstance(event, CallFinished)
        assert event.outcome == "cancelled"
        (ended,) = [e for e in await rig.logged(session) if isinstance(e, TurnEnded)]
        assert ended.ending == "cancelled"
        again = await (await made.launcher()).attach(JobId("1.0"))
        assert again is not None
        end = await again.wait()
        assert end is not None
        assert end.fact.stopped
