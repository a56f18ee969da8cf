"""A turn on the bench: a scripted model, a store in memory, and tools made by the test."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from hames.context.view import View, fold, fold_on
from hames.core.backoff import backoff_s
from hames.core.errors import ArgumentProblem, StoreError, StoreFull
from hames.core.events import (
    AnyEvent,
    CommandFact,
    Effect,
    Entry,
    JobFinished,
    JobStarted,
    SnapshotTaken,
    Usage,
)
from hames.core.ids import BlobId, CallId, JobId, blob_id
from hames.core.messages import Text
from hames.core.ports import (
    ApprovalAnswer,
    ApprovalRequest,
    Approver,
    AskOptions,
    CallContext,
    Chance,
    Checker,
    CheckOrder,
    Claim,
    Closed,
    Departure,
    Jobs,
    Judgement,
    Listener,
    Look,
    Model,
    Pass,
    Passing,
    Policy,
    Prepared,
    Subject,
    ToolResult,
    Tools,
    ToolSpec,
)
from hames.core.profiles import ModelFacts, ModelProfile, Provider
from hames.loop.asking import Answerer
from hames.loop.kit import Guards, TurnLimits
from hames.session.checkpoints import encoded, goes_back
from hames.session.host import Host, HostParts, Place
from hames.session.keeping import Keeping, NoTrees
from hames.session.session import Session
from hames.stores.memory import MemoryStore
from hames.testing.chance import FixedChance
from hames.testing.clock import VirtualClock
from hames.testing.plain_wire import PlainWire
from hames.testing.scripted import Answer, Scripted, ScriptedCall, ScriptedModel
from hames.testing.sent import body_blobs, requests_in

Body = Callable[[str, CallContext], Awaitable[ToolResult]]

PROFILE = ModelProfile(
    Provider(name="test", base_url="", wire="chat", key_env="", default_model="m"),
    "m",
    ModelFacts(window=100_000, max_output=1000),
)


def ok(text: str) -> ToolResult:
    return ToolResult("ok", (Text(text),))


def asks(*calls: tuple[str, str], text: str = "", usage: Usage | None = None) -> Scripted:
    """A scripted reply that asks for these calls: (tool, argument string)."""
    made = tuple(ScriptedCall(name, arguments) for name, arguments in calls)
    return Scripted(text=text, calls=made, usage=usage or Usage(input=100, output=10))


class BenchAction:
    """A call of a tool made by a test."""

    def __init__(self, name: str, effect: Effect, body: Body, arguments: str) -> None:
        self.effect: Effect = effect
        self._name = name
        self._body = body
        self._arguments = arguments

    def subject(self, cwd: str) -> Subject:
        return Subject(self._name, command=self._arguments if self.effect == "effectful" else "")

    async def run(self, context: CallContext) -> ToolResult:
        return await self._body(self._arguments, context)


class BenchTools:
    """Tools made by a test: a name, an effect, and what is done."""

    def __init__(self, tools: Mapping[str, tuple[Effect, Body]]) -> None:
        self._tools = tools

    def specs(self) -> Sequence[ToolSpec]:
        return [ToolSpec(name, "made by a test", msgspec.Raw(b"{}")) for name in self._tools]

    def prepare(self, name: str, arguments: str) -> Prepared:
        if name not in self._tools:
            raise ArgumentProblem(f"there is no tool {name}")
        effect, body = self._tools[name]
        return Prepared(name, arguments, BenchAction(name, effect, body, arguments))


class BenchPolicy:
    """Allows everything but the tools it is told of."""

    def __init__(self, verdicts: Mapping[str, Judgement]) -> None:
        self._verdicts = verdicts

    def judge(self, subject: Subject, effect: Effect) -> Judgement:
        return self._verdicts.get(subject.tool, Judgement("allow_in_sandbox", "test"))


class BenchPerson:
    """Answers from a list, and keeps what was asked."""

    def __init__(self, *answers: ApprovalAnswer) -> None:
        self._answers = list(answers)
        self.asked: list[ApprovalRequest] = []

    async def ask(self, request: ApprovalRequest) -> ApprovalAnswer:
        self.asked.append(request)
        return self._answers.pop(0)


class BenchJobs:
    """Jobs that end when the test says so."""

    def __init__(self) -> None:
        self.over: dict[JobId, JobFinished] = {}
        self.on_wait: Callable[[], None] = lambda: None
        self.stopped: list[JobId] = []

    async def ended(self, live: Mapping[JobId, JobStarted]) -> Sequence[JobFinished]:
        return [self.over[job] for job in live if job in self.over]

    async def wait(self, live: Mapping[JobId, JobStarted], timeout_s: float) -> None:
        self.on_wait()

    async def stop(self, live: Mapping[JobId, JobStarted]) -> Sequence[JobFinished]:
        self.stopped.extend(live)
        return [job_over(job) for job in live]


class BenchChecker:
    """Checks a goal as the test says: each check comes to the next of `results`, then it passes."""

    def __init__(self) -> None:
        self.results: list[ToolResult | Exception] = []
        self.orders: list[CheckOrder] = []
        self.stopped: list[CallId] = []

    async def run(self, order: CheckOrder) -> ToolResult:
        self.orders.append(order)
        result = self.results.pop(0) if self.results else checked(0)
        if isinstance(result, Exception):
            raise result
        return result

    async def stop(self, check: CallId) -> None:
        self.stopped.append(check)


def checked(exit_code: int, text: str = "output") -> ToolResult:
    """What a check comes to."""
    fact = CommandFact(exit_code=exit_code, elapsed_s=0.5)
    return ToolResult("failed" if exit_code else "ok", (Text(text),), command=fact)


def job_over(job: JobId, told: str = "[job over]") -> JobFinished:
    return JobFinished(job=job, command=CommandFact(exit_code=0), output=None, told=told)


class BenchRuntime:
    """Remembers which sessions were worked for."""

    def __init__(self) -> None:
        self.entered: list[Claim] = []

    async def enter(self, claim: Claim) -> None:
        self.entered.append(claim)


class Watcher:
    """Keeps what a listener is told."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.deltas: list[tuple[int, Passing]] = []

    def entry(self, entry: Entry) -> None:
        self.entries.append(entry)

    def delta(self, step: int, delta: Passing) -> None:
        self.deltas.append((step, delta))


class BenchTrees(NoTrees):
    """Looks at a workspace that is a few words, and fails when the test says so."""

    def __init__(self) -> None:
        self.workspace = b"as it was"
        self.begun = 0
        self.looked: list[Sequence[str] | None] = []
        self.full_from: int | None = None
        self.compared: list[tuple[BlobId, BlobId]] = []
        self.differ: Sequence[str] | StoreError = ()
        self._last = b""

    def begin(self) -> None:
        self.begun += 1

    async def look(self, paths: Sequence[str] | None = None) -> Look:
        self.looked.append(paths)
        if self.full_from is not None and len(self.looked) >= self.full_from:
            raise StoreFull("no room for a snapshot")
        tree = blob_id(self.workspace)
        if self.workspace == self._last:
            return Look(tree)
        self._last = self.workspace
        return Look(tree, (SnapshotTaken(tree),), (self.workspace,))

    async def changed(self, before: BlobId, after: BlobId) -> Sequence[str]:
        self.compared.append((before, after))
        if isinstance(self.differ, StoreError):
            raise self.differ
        return self.differ


class BenchPass:
    """Leave to send, from a `BenchGate`."""

    def __init__(self, gate: "BenchGate") -> None:
        self._gate = gate

    def answered(self) -> None:
        self._gate.refusals = 0

    def refused(self, wait_s: float | None, why: str) -> float:
        gate = self._gate
        gate.refusals += 1
        delay_s = backoff_s(gate.refusals, gate.chance.fraction()) if wait_s is None else wait_s
        return gate.clock.now() + delay_s

    def close(self) -> None:
        self._gate.open_passes -= 1


class BenchGate:
    """Lets everybody through, unless the test has closed it: `closed` is given back first, one after the
    other."""

    def __init__(self, clock: VirtualClock, chance: Chance) -> None:
        self.clock = clock
        self.chance = chance
        self.refusals = 0
        self.open_passes = 0
        self.closed: list[Closed] = []

    def enter(self) -> Pass | Closed:
        if self.closed:
            return self.closed.pop(0)
        self.open_passes += 1
        return BenchPass(self)


class CountingStore(MemoryStore):
    """Remembers what each append brought: how many events, which blobs."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.appended: list[int] = []
        self.brought: list[bytes] = []

    async def append(
        self,
        claim: Claim,
        events: Sequence[AnyEvent],
        blobs: Sequence[bytes] = (),
        outward: Sequence[Departure] = (),
    ) -> tuple[Claim, tuple[Entry, ...]]:
        self.appended.append(len(events))
        self.brought.extend(blobs)
        return await super().append(claim, events, blobs, outward)


class Rig:
    """Everything that a session needs, on the bench. Fields may be replaced before `open`."""

    def __init__(
        self,
        *answers: Answer,
        script: Callable[[int, bytes], Answer] | None = None,
        tools: Mapping[str, tuple[Effect, Body]] | None = None,
        verdicts: Mapping[str, Judgement] | None = None,
        limits: TurnLimits | None = None,
    ) -> None:
        self.clock = VirtualClock(jump=True)
        self.store = CountingStore(self.clock)
        self.model = ScriptedModel(script or answers)
        self.asked: Model = self.model
        self.tools: Tools = BenchTools(tools or {})
        self.policy: Policy = BenchPolicy(verdicts or {})
        self.person: Approver = BenchPerson()
        self.jobs = BenchJobs()
        self.real_jobs: Jobs | None = None
        self.checker = BenchChecker()
        self.real_checker: Checker | None = None
        self.trees: Callable[[View], Keeping] = lambda _: NoTrees()
        self.runtime = BenchRuntime()
        self.watcher = Watcher()
        self.listener: Listener = self.watcher
        self.limits = limits or TurnLimits()
        self.guards = Guards()
        self.profile = PROFILE
        self.chance = FixedChance(1)
        self.nano_usd: int | None = 1000
        self.price: Callable[[Usage, float], int | None] = lambda usage, at: self.nano_usd
        self.gate = BenchGate(self.clock, self.chance)
        self.answerers: list[Answerer] = []
        self.options = AskOptions()
        self.rules: dict[str, str] = {}
        self.made: list[tuple[str, ...]] = []
        self.mode = "auto"
        self.workspace = "/w"
        self.checkpoint_entries = 3

    def answerer(self, model: Model, profile: ModelProfile, mends: tuple[str, ...] = ()) -> Answerer:
        """Somebody to ask, behind the gate of the bench. `rules` are what its words say about a request that
        it rejects, and `made` the rules by which it was made each time."""
        self.made.append(mends)
        return Answerer(
            model=model,
            wire=PlainWire(),
            profile=profile,
            price=lambda usage, at: self.price(usage, at),
            gate=self.gate,
            options=self.options,
            mends=mends,
            mend=lambda error: self.rules.get(str(error), ""),
            remade=lambda again: self.answerer(model, profile, again),
        )

    @property
    def host(self) -> Host:
        return Host(self.parts)

    @property
    def parts(self) -> HostParts:
        return HostParts(
            store=self.store,
            checkpoints=self.store,
            blobs=self.store,
            arrivals=self.store,
            answerers=self.answerers or (self.answerer(self.asked, self.profile),),
            tools=self.tools,
            policy=self.policy,
            approver=self.person,
            jobs=self.real_jobs or self.jobs,
            checker=self.real_checker or self.checker,
            trees=self.trees,
            runtime=self.runtime,
            listener=self.listener,
            clock=self.clock,
            chance=self.chance,
            limits=self.limits,
            guards=self.guards,
            place=Place(self.workspace, "[the workspace]", "none", self.mode, "0"),
            checkpoint_entries=self.checkpoint_entries,
        )

    async def open(self) -> Session:
        return await self.host.open()

    async def logged(self, session: Session) -> list[object]:
        """The events on the log, without their places."""
        return [entry.event for entry in await self.store.read(session.id)]


async def check_the_log(rig: Rig, session: Session) -> None:
    """The laws of every log: it folds to the session's own view, also from a view that was put away on the
    way, and each request can be rebuilt."""
    entries = await rig.store.read(session.id)
    again, own = fold(entries), session.view
    for at in range(0, len(entries), 1 + len(entries) // 20):
        if not goes_back(entries[at:], at):
            put_away = msgspec.msgpack.decode(encoded(fold(entries[:at])), type=View)
            assert fold_on(put_away, entries[at:]) == again
    assert again.messages == own.messages
    assert again.totals == own.totals
    assert again.open_calls == own.open_calls
    requests = requests_in(entries)
    bodies = [b"".join([await rig.store.get(blob) for blob in body_blobs(requests, seq)]) for seq in requests]
    assert bodies == rig.model.bodies
