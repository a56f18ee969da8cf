import os
from collections.abc import Callable
from hashlib import sha256

import anyio
import pytest

from hames.core.events import OutputFact
from hames.core.ids import BlobId, CallId, JobId
from hames.testing.tool_suite import check_tool
from hames.tools.job import Job
from tests.tools.bench import Bench

pytestmark = pytest.mark.anyio


async def test_job_keeps_the_rules_of_all_tools(bench: Bench) -> None:
    await check_tool(Job(bench.launcher), '{"action": "list"}', bench.context())


@pytest.mark.parametrize(("action", "effect"), [("list", "pure"), ("wait", "pure"), ("stop", "idempotent")])
async def test_only_a_stop_changes_anything(bench: Bench, action: str, effect: str) -> None:
    assert bench.toolbox.prepare("job", f'{{"action": "{action}"}}').action.effect == effect


async def test_what_the_model_is_told_of_jobs(bench: Bench, pinned: Callable[[str, str], None]) -> None:
    os.mkfifo(bench.place / "fifo")
    said = [await bench.say("job", action="list")]
    await bench.run("bash", command="echo ready; read < fifo", run_in_background=True)
    await bench.run("bash", command="echo quick; exit 3", run_in_background=True)
    said.append(await bench.say("job", action="wait", job_id="3.0", timeout=20000))
    said.append(await bench.say("job", action="list"))
    while "ready" not in (text := await bench.say("job", action="output", job_id="2.0")):
        await anyio.lowlevel.checkpoint()
    said.append(text)
    said.append(await bench.say("job", action="wait", job_id="2.0", timeout=10))
    said.append(await bench.say("job", action="stop", job_id="2.0"))
    said.append(await bench.say("job", action="stop", job_id="2.0"))
    pinned("job", "\n---\n".join(said))


async def test_a_job_that_is_not_known_is_told_with_those_that_are(
    bench: Bench, pinned: Callable[[str, str], None]
) -> None:
    said = [await bench.say("job", action="stop", job_id="9.0"), await bench.say("job", action="wait")]
    await bench.run("bash", command="sleep 1000", run_in_background=True)
    said.append(await bench.say("job", action="output", job_id="9.0"))
    bench.outputs[CallId("9.0")] = OutputFact(BlobId(sha256().hexdigest()), 1, 1)
    said.append(await bench.say("job", action="output", job_id="9.0"))
    await bench.launcher.commands[JobId("3.0")].stop()
    bench.launcher.release(JobId("3.0"))
    said.append(await bench.say("job", action="output", job_id="3.0"))
    said.append(await bench.say("job", action="list"))
    pinned("job_unknown", "\n---\n".join(said))


async def test_a_look_at_a_job_takes_nothing_away(bench: Bench) -> None:
    await bench.run("bash", command="echo all of it; cd /", run_in_background=True)
    first = await bench.run("job", action="wait", job_id="1.0")
    again = await bench.run("job", action="output", job_id="1.0")
    assert first.parts == again.parts
    assert first.command is None
    assert "1.0" in bench.launcher.commands
