import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from hames.core.events import CommandFact, JobStarted
from hames.core.ids import CallId, JobId, SessionId
from hames.core.ports import Claim, CommandSpec
from hames.sandboxes.launch import CommandLauncher
from hames.sandboxes.process import SupervisorProcess
from hames.sandboxes.unconfined import Unconfined
from hames.session.jobs import LaunchedJobs, how
from hames.stores.memory import MemoryStore
from hames.testing.clock import VirtualClock
from tests.sandboxes.processes import until_gone

pytestmark = pytest.mark.anyio

SESSION = SessionId(f"session-{os.getpid()}")


class Bench:
    """Real background commands, without a sandbox."""

    def __init__(self, launcher: CommandLauncher, root: Path) -> None:
        self.launcher = launcher
        self.store = MemoryStore(VirtualClock())
        self.jobs = LaunchedJobs(launcher, self.store)
        self.live: dict[JobId, JobStarted] = {}
        self._root = root

    async def start(self, name: str, command: str) -> None:
        job = JobId(name)
        argv = ("/bin/bash", "-c", command)
        await self.launcher.start(CommandSpec(job, argv, str(self._root), {"PATH": "/usr/bin:/bin"}))
        self.live[job] = JobStarted(job=job, call=CallId(name), command=command)


@asynccontextmanager
async def bench(root: Path) -> AsyncGenerator[Bench]:
    process = SupervisorProcess(str(root / "run"))
    await process.enter(Claim(SESSION, 1, 0))
    launcher = CommandLauncher(process, Unconfined())
    try:
        yield Bench(launcher, root)
    finally:
        with anyio.CancelScope(shield=True):
            await launcher.close()


async def test_a_job_that_left_something_running_is_told_to_have_ended_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await made.start("1.0", "sleep 1000 & { pwd; jobs -rp; } >&3")
        await made.jobs.wait(made.live, 60)
        (event,) = await made.jobs.ended(made.live)
        assert event.told.startswith("[background job 1.0 ended: exit 0 after ")
        assert ", and with it what it left running: sleep 1000" in event.told


async def test_a_job_that_ended_is_told_with_its_output_and_its_output_is_kept(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await made.start("1.0", "echo built; exit 3")
        await made.jobs.wait(made.live, 60)
        (event,) = await made.jobs.ended(made.live)
        assert event.command.exit_code == 3
        assert event.told.startswith("[background job 1.0 ended: exit 3 after ")
        assert event.told.endswith(": echo built; exit 3]\nbuilt\n")
        assert event.output is not None
        assert await made.store.get(event.output.blob) == b"built\n"
        made.launcher.release(JobId("1.0"))
        assert await made.launcher.attach(JobId("1.0")) is None


async def test_long_output_is_told_in_part_and_says_where_the_rest_is(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await made.start("1.0", "seq 1 100000")
        await made.jobs.wait(made.live, 60)
        (event,) = await made.jobs.ended(made.live)
        assert "read file_path=output://1.0" in event.told
        assert len(event.told) < 2500


async def test_a_job_that_runs_on_is_not_told_of_until_it_is_stopped(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await made.start("1.0", "sleep 600")
        assert list(await made.jobs.ended(made.live)) == []
        await made.jobs.wait(made.live, 0.01)
        (event,) = await made.jobs.stop(made.live)
        assert event.command.stopped
        assert event.output is None
        assert "stopped after" in event.told


async def test_waiting_ends_with_the_first_of_several(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await made.start("1.0", "sleep 600")
        await made.start("1.1", "true")
        await made.jobs.wait(made.live, 60)
        (event,) = await made.jobs.ended(made.live)
        assert event.job == "1.1"


async def test_what_is_left_of_a_job_is_told(tmp_path: Path) -> None:
    gone = {JobId("9.0"): JobStarted(job=JobId("9.0"), call=CallId("9.0"), command="make")}
    async with bench(tmp_path) as made:
        await made.jobs.wait(gone, 60)
        for event in (*await made.jobs.ended(gone), *await made.jobs.stop(gone)):
            assert event.told.startswith("[background job 9.0 is lost, and nobody knows how it ended (")
            assert event.command == CommandFact()
        await made.start("1.0", "true")
        await made.jobs.wait(gone, 60)
        for event in (*await made.jobs.ended(gone), *await made.jobs.stop(gone)):
            assert event.told == (
                "[background job 9.0 was never started: hames was stopped before it could be: make]"
            )


async def test_a_job_that_could_not_be_started_says_why(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        gone = CommandSpec(JobId("1.0"), ("/no/such/program",), str(tmp_path), {})
        await made.launcher.start(gone)
        live = {JobId("1.0"): JobStarted(job=JobId("1.0"), call=CallId("1.0"), command="program")}
        await made.jobs.wait(live, 60)
        (event,) = await made.jobs.ended(live)
        assert "was not started (No such file or directory: /no/such/program)" in event.told


async def test_a_job_that_nobody_came_back_for_says_so(tmp_path: Path) -> None:
    process = SupervisorProcess(str(tmp_path / "run"), orphan_s=0.01)
    await process.enter(Claim(SESSION, 1, 0))
    await CommandLauncher(process, Unconfined()).start(
        CommandSpec(JobId("1.0"), ("/bin/sleep", "600"), str(tmp_path), {})
    )
    pid = process.connect().pid
    process.connect().abandon()
    await until_gone(pid)
    async with bench(tmp_path) as made:
        live = {JobId("1.0"): JobStarted(job=JobId("1.0"), call=CallId("1.0"), command="sleep 600")}
        (event,) = await made.jobs.ended(live)
        assert event.command.stopped
        assert ", because hames was gone for too long" in event.told


def test_how_a_command_ended_is_told_fact_by_fact() -> None:
    assert how(CommandFact(exit_code=0, timed_out=True, elapsed_s=2)) == "exit 0, timed out after 2.0 s"
    assert how(CommandFact(signal=9, stopped=True, elapsed_s=1)) == "signal 9, stopped after 1.0 s"
    assert how(CommandFact()) == "ended after 0.0 s"
