"""What outlives the processes of a long day: the clock, the log, the files and the commands.

A killed process is a `Died` that nothing catches; from then on nothing that it still does has an effect.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256

import msgspec

from hames.core.errors import ArgumentProblem
from hames.core.events import (
    AnyEvent,
    CommandFact,
    Effect,
    Entry,
    Event,
    FileFact,
    FileIntent,
    JobFinished,
    JobStarted,
)
from hames.core.ids import BlobId, JobId, SessionId
from hames.core.ports import (
    CallContext,
    Checkpoint,
    Claim,
    Departure,
    Prepared,
    Settled,
    Subject,
    ToolResult,
    ToolSpec,
)
from hames.testing.clock import VirtualClock
from tests.rig import BenchJobs, CountingStore, ok

LID_AT_S, LID_S = 18_000.0, 2400.0

KINDS: Mapping[str, Effect] = {
    "command": "effectful",
    "build": "effectful",
    "send": "effectful",
    "edit": "reconcilable",
    "read": "pure",
    "look": "pure",
}
"""The tools. A command is found again after a kill, a build goes on in the background, an edit can be looked
up in its file, and what became of a `send` only the model can find out."""


class Died(BaseException):
    """The process was killed."""


class Fate:
    """Where a process is killed, and at which time that it comes there."""

    def __init__(self, place: str = "", nth: int = 0) -> None:
        self.place = place
        self.dead = False
        self._left = nth

    def at(self, place: str) -> None:
        """The process comes to a place; one that is dead comes nowhere."""
        if place == self.place:
            self._left -= 1
            self.dead = self.dead or self._left == 0
        if self.dead:
            raise Died(self.place)


class DayClock(VirtualClock):
    """Jumps. Once, somebody closes the lid of the machine: the wall clock goes on, and no timer does."""

    def __init__(self, world: "World") -> None:
        super().__init__(jump=True)
        self._world = world
        self.slept_s = 0.0

    def now(self) -> float:
        return super().now() + self.slept_s

    async def sleep(self, seconds: float) -> None:
        """What hames waits for: it may be killed in the midst."""
        await self.pass_by(seconds / 2)
        self._world.fate.at("wait")
        await self.pass_by(seconds / 2)

    async def pass_by(self, seconds: float) -> None:
        """Time passes for everybody."""
        await super().sleep(seconds)
        if self.elapsed() >= LID_AT_S:
            self.slept_s = LID_S
        await self._world.on_time()


class DayStore(CountingStore):
    """A log that processes come to, and are killed at."""

    def __init__(self, world: "World") -> None:
        super().__init__(world.clock)
        self._world = world

    async def claim(self, session: SessionId, *, take_over: bool = False) -> Claim:
        self._world.fate.at("log")
        return await super().claim(session, take_over=take_over)

    async def get(self, blob: BlobId, start: int = 0, limit: int | None = None) -> bytes:
        self._world.fate.at("log")
        return await super().get(blob, start, limit)

    async def checkpoint(self, session: SessionId, maker: str) -> Checkpoint | None:
        self._world.fate.at("log")
        return None if self._world.forgotten else await super().checkpoint(session, maker)

    async def keep_checkpoint(self, claim: Claim, maker: str, data: bytes) -> None:
        self._world.fate.at("log")
        await super().keep_checkpoint(claim, maker, data)
        self._world.fate.at("log")

    async def read(self, session: SessionId, after: int = 0) -> Sequence[Entry]:
        entries, forgotten = await super().read(session, after), self._world.forgotten
        return [
            msgspec.structs.replace(entry, event=None) if isinstance(entry.event, forgotten) else entry
            for entry in entries
        ]

    async def append(
        self,
        claim: Claim,
        events: Sequence[AnyEvent],
        blobs: Sequence[bytes] = (),
        outward: Sequence[Departure] = (),
    ) -> tuple[Claim, tuple[Entry, ...]]:
        self._world.fate.at("log")
        self._world.fate.at("commit")
        done = await super().append(claim, events, blobs, outward)
        self._world.fate.at("committed")
        return done


async def _nothing() -> None:
    """Nobody waits for the time."""


class World:
    """`effects` counts what each task has done to the world, `fate` is that of the process that lives now,
    and `running` are the commands, with their ends. `kinds` is what hames is told of the tools, `forgotten`
    are events that the log does not give back."""

    def __init__(self, kinds: Mapping[str, Effect] = KINDS, forgotten: tuple[type[Event], ...] = ()) -> None:
        self.kinds = kinds
        self.forgotten = forgotten
        self.fate = Fate()
        self.on_time: Callable[[], Awaitable[None]] = _nothing
        self.clock = DayClock(self)
        self.store = DayStore(self)
        self.effects: Counter[int] = Counter()
        self.files: dict[str, str] = {}
        self.running: dict[JobId, float] = {}
        self._begun = self.clock.now()

    @property
    def passed_s(self) -> float:
        """The time of the day, with a closed lid or without."""
        return self.clock.now() - self._begun


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of every tool: the tasks that it is for, how long it takes, and how much it says."""

    tasks: tuple[int, ...]
    lasts_s: float = 1.0
    lines: int = 1


class Doing:
    """A call. In its midst the process may be killed, before its effect or after it."""

    def __init__(self, world: World, kind: str, order: Order) -> None:
        self.effect: Effect = world.kinds[kind]
        self.world, self.kind, self.order = world, kind, order
        self.task = order.tasks[0]

    def subject(self, cwd: str) -> Subject:
        return Subject(self.kind)

    async def run(self, context: CallContext) -> ToolResult:
        await self.half()
        if self.kind == "send":
            self.world.effects[self.task] += 1
        await self.half()
        return self.looked() if self.kind == "look" else self.done()

    async def half(self) -> None:
        """Half of the time that it takes."""
        await self.world.clock.pass_by(self.order.lasts_s / 2)
        self.world.fate.at(self.kind)

    def looked(self) -> ToolResult:
        effects = self.world.effects
        return ok(
            "\n".join(f"task {each} is {'done' if effects[each] else 'open'}" for each in self.order.tasks)
        )

    def done(self) -> ToolResult:
        lines = [f"{at}: task {self.task} has found something on its way" for at in range(self.order.lines)]
        return ok("\n".join([*lines, f"task {self.task} is done"]))


class Edit(Doing):
    """Adds a line to a file."""

    @property
    def path(self) -> str:
        return f"/w/notes/{self.task % 8}"

    def _contents(self) -> tuple[str, str]:
        was = self.world.files.get(self.path, "")
        return was, f"{was}task {self.task}\n"

    async def plan(self, context: CallContext) -> tuple[FileIntent, ...]:
        before, after = self._contents()
        return (FileIntent(self.path, _sha(before), _sha(after)),)

    async def run(self, context: CallContext) -> ToolResult:
        await self.half()
        self.world.files[self.path] = self._contents()[1]
        self.world.effects[self.task] += 1
        await self.half()
        return self._edited()

    async def reconcile(self, context: CallContext, intents: tuple[FileIntent, ...]) -> Settled:
        now = _sha(self.world.files.get(self.path, ""))
        if now == intents[0].after:
            return Settled("done", self._edited())
        assert now == intents[0].before, "somebody else has changed the file"
        return Settled("undone")

    def _edited(self) -> ToolResult:
        fact = FileFact(self.path, _sha(self.world.files[self.path]), "wrote")
        return msgspec.structs.replace(self.done(), files=(fact,))


class Command(Doing):
    """Goes on when the process that has started it is killed; a build does so in the background."""

    async def run(self, context: CallContext) -> ToolResult:
        world, job = self.world, JobId(context.call)
        world.fate.at(self.kind)
        world.running[job] = world.clock.elapsed() + self.order.lasts_s
        world.effects[self.task] += 1
        world.fate.at(self.kind)
        return await self._end_of(job, context)

    async def attach(self, context: CallContext, *, wait: bool) -> Settled:
        job = JobId(context.call)
        found = job in self.world.running
        return Settled("done", await self._end_of(job, context)) if found else Settled("undone")

    async def _end_of(self, job: JobId, context: CallContext) -> ToolResult:
        clock = self.world.clock
        if self.kind == "build":
            return msgspec.structs.replace(
                self.done(), job=JobStarted(job, context.call, f"build {self.task}")
            )
        while (left_s := self.world.running[job] - clock.elapsed()) > 0:
            await clock.pass_by(min(left_s, max(5.0, left_s / 2)))
            self.world.fate.at(self.kind)
        return msgspec.structs.replace(self.done(), command=CommandFact(exit_code=0))


def _sha(content: str) -> str:
    return sha256(content.encode()).hexdigest() if content else ""


_ACTIONS: Mapping[str, type[Doing]] = {"command": Command, "build": Command, "edit": Edit}


class DayTools:
    """The tools of the day."""

    def __init__(self, world: World) -> None:
        self._world = world

    def specs(self) -> Sequence[ToolSpec]:
        return [ToolSpec(name, "a tool of the day", msgspec.Raw(b"{}")) for name in self._world.kinds]

    def prepare(self, name: str, arguments: str) -> Prepared:
        if name not in self._world.kinds:
            raise ArgumentProblem(f"there is no tool {name}")
        try:
            order = msgspec.json.decode(arguments, type=Order)
        except msgspec.DecodeError as error:
            raise ArgumentProblem(f"the arguments cannot be read: {error}") from error
        return Prepared(name, arguments, _ACTIONS.get(name, Doing)(self._world, name, order))


class DayJobs(BenchJobs):
    """Builds that end in their own time."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    async def ended(self, live: Mapping[JobId, JobStarted]) -> Sequence[JobFinished]:
        now = self._world.clock.elapsed()
        return [
            JobFinished(job, CommandFact(exit_code=0), None, f"[background job {job} ended: exit 0]")
            for job in live
            if self._world.running[job] <= now
        ]

    async def wait(self, live: Mapping[JobId, JobStarted], timeout_s: float) -> None:
        first_s = min(self._world.running[job] for job in live) - self._world.clock.elapsed()
        # A little more: what is added up in parts may come to a little less.
        await self._world.clock.sleep(min(max(first_s, 0.0) + 0.01, timeout_s))
