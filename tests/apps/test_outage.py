"""A provider that is away, for real: waits of seconds over HTTP, and a hames that is killed in them."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio
import anyio.abc
import msgspec
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from hames.testing.faults import EFFECTS, append, call
from hames.testing.model_server import ModelServer, running
from hames.testing.script import Script, Served
from tests.apps.outside import Outside

pytestmark = pytest.mark.anyio

BARE = ["--sandbox", "none", "--permission-mode", "auto", "--output-format", "stream-json"]
ENOUGH_S = 60
A, B = (Served(calls=(call(append(word)),)) for word in "ab")
DONE = Served(text="done")
WAIT_S = 6


class Line(msgspec.Struct):
    """What a line of a run tells of a wait."""

    subtype: str = ""
    session_id: str = ""
    until_ms: int = 0


async def waits(process: anyio.abc.Process) -> AsyncGenerator[Line]:
    """The waits of a run, as it tells of them."""
    assert process.stdout is not None
    stream = BufferedByteReceiveStream(process.stdout)
    with anyio.fail_after(ENOUGH_S):
        while True:
            line = msgspec.json.decode(await stream.receive_until(b"\n", 1_000_000), type=Line)
            if line.subtype == "api_retry":
                yield line


async def killed_in_its_wait(outside: Outside, server: ModelServer, number: int, *words: str) -> Line:
    """Run hames, and kill it with SIGKILL as soon as it tells of a wait for the so-manieth time."""
    line = Line()
    async with (
        outside.started("-p", *words, *BARE, *outside.to(server)) as process,
        aclosing(waits(process)) as found,
    ):
        for _ in range(number):
            line = await anext(found)
        process.kill()
        await process.wait()
    return line


def effects(outside: Outside) -> list[str]:
    return (outside.workspace / EFFECTS).read_text().split()


async def test_a_run_that_is_killed_in_its_wait_goes_on_waiting_and_finishes(outside: Outside) -> None:
    busy = Served(status=503, message="busy", headers={"Retry-After": str(WAIT_S)})
    server = ModelServer(Script([A, busy, B, DONE]), rules="chat", watch=True)
    async with running(server):
        line = await killed_in_its_wait(outside, server, 1, "go")
        assert time.time() < line.until_ms / 1000
        resumed = ("-p", "--resume", line.session_id, *BARE, *outside.to(server))
        # Killed again, in the rest of the same wait.
        async with outside.started(*resumed) as process:
            assert process.stderr is not None
            with anyio.fail_after(ENOUGH_S):
                await BufferedByteReceiveStream(process.stderr).receive_until(b"waiting until", 100_000)
            process.kill()
            await process.wait()
        assert len(server.seen) == 2
        ended = await outside.hames(*resumed)
        assert ended.result["result"] == "done"
    assert effects(outside) == ["a", "b"]
    assert len(server.seen) == 4
    assert server.seen[2].wall >= line.until_ms / 1000
    assert server.seen[2].sha256 == server.seen[1].sha256


async def test_a_server_that_was_away_is_asked_as_soon_as_it_is_back(outside: Outside) -> None:
    server = ModelServer(Script([A, Served(fault="away"), B, DONE]), rules="chat", watch=True)
    async with running(server):
        line = await killed_in_its_wait(outside, server, 2, "go")
        line = await killed_in_its_wait(outside, server, 1, "--resume", line.session_id)
        async with outside.started("-p", "--resume", line.session_id, *BARE, *outside.to(server)) as process:
            async with aclosing(waits(process)) as found:
                await anext(found)
            await server.come_back()
            assert process.stdout is not None
            with anyio.fail_after(ENOUGH_S):
                async for _ in process.stdout:
                    pass
            assert await process.wait() == 0
        assert [seen.problem for seen in server.seen] == [""] * 4
    assert effects(outside) == ["a", "b"]


async def test_patience_that_ends_is_told_with_its_own_code_and_the_way_to_go_on(outside: Outside) -> None:
    away = Served(status=503, repeat=100)
    server = ModelServer(Script([A, away]), rules="chat", watch=True)
    async with running(server):
        words = ("-p", "go", "--patience", "1", *BARE, *outside.to(server))
        ended = await outside.hames(*words, check=75)
        session = str(ended.result["session_id"])
        assert "go on later with --resume" in str(ended.result["reason"])
    server = ModelServer(Script([B, DONE]), rules="chat", watch=True)
    async with running(server):
        ended = await outside.hames("-p", "go on", "--resume", session, *BARE, *outside.to(server))
        assert ended.result["result"] == "done"
    assert effects(outside) == ["a", "b"]


class Limited:
    """Sends everybody off until `until`, by the monotonic clock; it begins with the first request."""

    def __init__(self, away_s: float) -> None:
        self._away_s = away_s
        self.until = 0.0
        self.begun = anyio.Event()

    def reply(self, number: int, body: bytes) -> Served:
        """See `Play`."""
        del number, body
        now = time.monotonic()
        self.until = self.until or now + self._away_s
        self.begun.set()
        if now < self.until:
            return Served(status=429, headers={"retry-after-ms": str(int((self.until - now) * 1000) + 1)})
        return Served(text="done")


async def test_processes_with_one_key_are_sent_off_once_for_all_of_them(outside: Outside) -> None:
    script = Limited(5.0)
    server = ModelServer(script, watch=True)
    others = 3
    async with running(server):
        flags = ("-p", "go", *BARE, *outside.to(server))

        async def run() -> None:
            assert (await outside.hames(*flags)).result["result"] == "done"

        async with anyio.create_task_group() as group:
            group.start_soon(run)
            await script.begun.wait()
            for _ in range(others):
                group.start_soon(run)
    assert [seen.status for seen in server.seen] == [429] + [200] * (others + 1)
