"""A run's harness, from start to start: its processes, what it prints, and what it is killed with."""

import signal
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from subprocess import PIPE
from typing import NamedTuple, Protocol
from uuid import uuid4

import anyio
import msgspec
from anyio.abc import ByteReceiveStream, Process

from hames.core.ids import session_id
from tests.torture.laws import Evidence
from tests.torture.model import Model, Request
from tests.torture.plan import STEPS, Kind, Plan
from tests.torture.processes import belonging, kill
from tests.torture.project import template
from tests.torture.pulse import Pulse
from tests.torture.striker import Strike, Striker
from tests.torture.target import Event, Target, is_supervisor, read_events
from tests.torture.world import Post, World

Line = dict[str, object]


class Life:
    """One process of the harness. `lines` are those that it printed whole: it has answered for them.

    `requests` were served before it. `crashed`: the whole machine stopped with it.
    """

    def __init__(self, process: Process, requests: int) -> None:
        self.process = process
        self.requests = requests
        self.crashed = False
        self.lines: list[Line] = []
        self.errors = b""
        self.ended = False

    def signal(self, number: signal.Signals) -> bool:
        """Send it a signal, if it still lives."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)
                return True
        return False


class Crash(Protocol):
    """What a crash of the machine does to the state directory."""

    def begin(self) -> None:
        """A life of the harness is about to begin."""
        ...

    async def strike(self, life: Life) -> None:
        """The machine has stopped."""
        ...


class Cast(NamedTuple):
    """What a run is made of: the kind of command that each step has, the steps of a turn, and whether there
    is a project in the workspace."""

    command: Kind = "append"
    steps: int = STEPS
    project: bool = False


class Run:
    """One seed of one mode: model, world, harness, and a record of what was done to them."""

    def __init__(self, shared: Path, random: Random, cast: Cast, source: Path | None = None) -> None:
        self.token = f"tort{uuid4().hex[:12]}"
        self.root = shared / self.token
        self.random = random
        self.pulse = Pulse()
        self.world = World(self.root / "workspace", template(shared) if cast.project else None)
        self.plan = Plan(random, self.token, self.world, cast.command, cast.steps)
        self.model = Model(self.plan, self.pulse)
        self.target = Target(self.root, session_id(1, random.getrandbits(80)), source)
        self.lives: list[Life] = []
        self.exports: list[list[Event]] = []
        self.story: list[str] = []
        self.faults: list[str] = []
        self.kills = 0
        self.may_lose = False
        self.replaced = False
        self.known_ends: set[str] = set()
        self.crash: Crash | None = None
        self.older: set[str] = set()
        self._striker = Striker(shared)
        self._opened: set[str] = set()

    @property
    def events(self) -> list[Event]:
        """The log as it was last exported; empty before there is a session."""
        return self.exports[-1] if self.exports else []

    @property
    def done(self) -> bool:
        """Whether the log says that the turn was done."""
        ends = [event.event for event in self.events if event.type == "TurnEnded"]
        return bool(ends) and ends[-1]["ending"] == "done"

    def tell(self, words: str) -> None:
        """Note what was done, for whoever reads of a failure."""
        self.story.append(words)

    @asynccontextmanager
    async def life(
        self, *, take_over: bool = False, says: bool = False, strike: Strike | None = None
    ) -> AsyncGenerator[Life]:
        """The harness, started or gone on with, perhaps with further words. Left when it has ended; then its
        log is exported."""
        words = self.target.resume if self.events else self.target.start
        if take_over or says:
            words = self.target.take_over if take_over else self.target.say
        if self.crash is not None:
            self.crash.begin()
        process = await anyio.open_process(
            words(self.model.base_url),
            stdin=None,
            stdout=PIPE,
            stderr=PIPE,
            env=self._env(strike),
            cwd=self.target.workspace,
        )
        life = Life(process, len(self.model.requests))
        self.lives.append(life)
        try:
            async with process, anyio.create_task_group() as tasks:
                tasks.start_soon(self._read, life)
                tasks.start_soon(self._collect, life)
                tasks.start_soon(self._await_end, life)
                yield life
                await self.pulse.until(lambda: life.ended)
        except anyio.get_cancelled_exc_class():
            for found in belonging(self.token):
                self.tell(f"  there was {found.pid}: {found.line.decode(errors='replace')[-200:]}")
            raise
        finally:
            life.signal(signal.SIGKILL)
        self._note_strike(strike, process.returncode)
        self.tell(f"  it ended with {process.returncode} after {len(life.lines)} lines")
        if life.crashed and self.crash is not None:
            await self.crash.strike(life)
        await self.export()

    async def until(self, life: Life, is_so: Callable[[], bool]) -> None:
        """Return when it is so, or the harness has ended."""
        await self.pulse.until(lambda: life.ended or is_so())

    async def meet(self, life: Life, file: int) -> None:
        """Return when a command has said something at this end of a pipe, or the harness has ended."""
        async with anyio.create_task_group() as tasks:

            async def watch_end() -> None:
                await self.pulse.until(lambda: life.ended)
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch_end)
            await anyio.wait_readable(file)
            tasks.cancel_scope.cancel()

    async def posted(self, life: Life) -> Post | None:
        """The post of a command that is asked for from now on; None when the harness ends before."""
        before = set(self.world.posts)
        self.plan.post_at = self.random.randrange(min(3, self.plan.steps))
        await self.until(life, lambda: len(self.world.posts) > len(before))
        self.plan.post_at = None
        new = [post for nonce, post in self.world.posts.items() if nonce not in before]
        return new[0] if new else None

    def open_gates(self, nonces: Iterable[str] | None = None) -> None:
        """Let these commands go on, or all, that wait or will."""
        for nonce in set(self.world.posts if nonces is None else nonces) - self._opened:
            self._opened.add(nonce)
            self.world.posts[nonce].open_gate()

    def kill_harness(self, life: Life, where: str) -> None:
        """SIGKILL to the harness alone."""
        if life.signal(signal.SIGKILL):
            self.kills += 1
            self.tell(f"killed the harness {where}")

    def kill_supervisor(self, where: str) -> None:
        """SIGKILL to the process that owns the commands."""
        found = [found.pid for found in belonging(self.token) if is_supervisor(found.line)]
        if sent := kill(found):
            self.kills += 1
            self.may_lose = True
            self.known_ends |= self.target.known_ends()
            self.tell(f"killed {sent} supervisor {where}")

    def next_session(self) -> None:
        """Go on with a session of its own in the same workspace. Nobody asks for the one before any more."""
        self.older |= self.plan.asked.keys()
        self.exports, self.lives = [], []
        self.model.requests.clear()
        self.model.last = b""
        self.target.session = session_id(1, self.random.getrandbits(80))

    async def export(self) -> None:
        """Read the log, as the harness exports it."""
        is_there = bool(self.lives[-1].lines or self.events or self.model.requests)
        ran = await self.command(self.target.export())
        if ran.returncode == 0:
            self.exports.append(read_events(ran.stdout))
        elif is_there:
            self.exports.append([])
            self.faults.append(f"the export failed: {ran.stderr.decode(errors='replace').strip()[-500:]}")

    async def command(
        self, words: list[str], state: Path | None = None, strike: Strike | None = None
    ) -> "Ran":
        """A command of the harness that ends by itself, perhaps on another state directory."""
        env = self._env(strike) if state is None else {**self.target.env, "XDG_STATE_HOME": str(state)}
        ran = await anyio.run_process(words, check=False, env=env, cwd=self.target.workspace)
        self._note_strike(strike, ran.returncode)
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    def _env(self, strike: Strike | None) -> dict[str, str]:
        return self.target.env if strike is None else {**self.target.env, **self._striker.armed(strike)}

    def _note_strike(self, strike: Strike | None, code: int | None) -> None:
        if strike is not None and code == -signal.SIGKILL:
            self.kills += 1
            self.tell(f"struck {strike}")

    def evidence(
        self,
        exports: list[list[Event]],
        lines: list[Line] | None = None,
        requests: list[Request] | None = None,
    ) -> Evidence:
        """What is known outside, by now, for the laws to judge these exports by."""
        world = self.world
        asked = {nonce: asked for nonce, asked in self.plan.asked.items() if nonce not in self.older}
        return Evidence(
            asked=asked,
            ledger=[line for line in world.ledger() if line.split()[0] not in self.older],
            notes=[nonce for nonce in world.notes() if nonce not in self.older],
            written={nonce: text for nonce, text in world.written().items() if nonce not in self.older},
            requests=self.model.requests if requests is None else requests,
            lines=[line for life in self.lives for line in life.lines] if lines is None else lines,
            exports=exports,
            may_lose=self.may_lose,
            replaced=self.replaced,
            known_ends=self.known_ends,
        )

    async def _read(self, life: Life) -> None:
        data = b""
        async for chunk in _out(life):
            lines = lines_of(data + chunk)
            data = (data + chunk).rpartition(b"\n")[2]
            for line in lines:
                life.lines.append(line)
                self.pulse.beat()

    async def _collect(self, life: Life) -> None:
        assert life.process.stderr is not None
        async for chunk in life.process.stderr:
            life.errors += chunk

    async def _await_end(self, life: Life) -> None:
        await life.process.wait()
        life.ended = True
        self.pulse.beat()


class Ran(msgspec.Struct, frozen=True):
    """How a command ended, and what it said."""

    returncode: int
    stdout: bytes
    stderr: bytes


def lines_of(data: bytes) -> list[Line]:
    """What was printed in whole lines."""
    whole = data.rpartition(b"\n")[0].splitlines()
    return [msgspec.json.decode(line, type=Line) for line in whole]


def _out(life: Life) -> ByteReceiveStream:
    assert life.process.stdout is not None
    return life.process.stdout
