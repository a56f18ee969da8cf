"""What a session has used and heard, and what lives beside it: no rewind takes any of it back."""

import msgspec

from hames.context.pursuit import Pursuit
from hames.context.verified import Verified
from hames.core.events import (
    CallFinished,
    ChildReported,
    ContextShrunk,
    Cost,
    Entry,
    FilesRestored,
    GoalChecked,
    JobDetached,
    JobFinished,
    JobStarted,
    ModeChanged,
    ModelFailed,
    ModelReplied,
    OutputFact,
    Repaired,
    RequestSent,
    RestoreStarted,
    SettingsPinned,
    SnapshotTaken,
    TurnEnded,
    TurnStarted,
    Usage,
    UserSpoke,
    WaitEnded,
    WaitStarted,
)
from hames.core.ids import BlobId, CallId, JobId, SessionId


class Totals(msgspec.Struct, frozen=True):
    """What the session and its children have used so far. `nano_usd` is None as soon as one price was not
    known; `estimated_nano_usd` of it are the most that could be, where nobody has said what it was.
    `requests` and `replies` are the session's own.
    """

    requests: int = 0
    replies: int = 0
    input: int = 0
    cached: int = 0
    output: int = 0
    reasoning: int = 0
    nano_usd: int | None = 0
    estimated_nano_usd: int = 0

    @property
    def tokens(self) -> int:
        """All tokens, in and out."""
        return self.input + self.output

    def plus(self, cost: Cost, *, estimated: bool = False) -> "Totals":
        """These totals and so much more."""
        usage, nano_usd = cost.usage, cost.nano_usd
        known = self.nano_usd is not None and nano_usd is not None
        return msgspec.structs.replace(
            self,
            input=self.input + usage.input,
            cached=self.cached + usage.cached,
            output=self.output + usage.output,
            reasoning=self.reasoning + usage.reasoning,
            nano_usd=(self.nano_usd or 0) + (nano_usd or 0) if known else None,
            estimated_nano_usd=self.estimated_nano_usd + ((nano_usd or 0) if estimated else 0),
        )

    @property
    def cost(self) -> Cost:
        """The tokens and the money of it."""
        return Cost(Usage(self.input, self.cached, self.output, self.reasoning), self.nano_usd)


class Reserved(msgspec.Struct, frozen=True):
    """What is set aside for an attempt whose end is not known (yet), and whom it asks."""

    model: str
    cost: Cost


class Wait(msgspec.Struct, frozen=True):
    """A wait that was begun and not ended, by the wall clock in milliseconds."""

    begun_ms: int
    until_ms: int
    reason: str


class Trouble(msgspec.Struct):
    """The failed attempts since the last reply: how many of each class, and the time that went into them,
    with the waits."""

    kinds: dict[str, int] = {}
    spent_ms: int = 0

    @property
    def failures(self) -> int:
        """All of them."""
        return sum(self.kinds.values())


class Lasting(msgspec.Struct):
    """The part of a view that every entry of the log counts for.

    `step`, `turns` and `segments` are the highest numbers that were given. `tree` is the last snapshot,
    `packs` are what holds the contents of all of them. `model` is who is asked, as `provider/model`;
    `nano_usd` is what each has cost, and `windows` how large the window of each is at most, where a failure
    has shown it. `reserved` is set aside for the last attempt, as long as its end is not known.
    """

    head: int = 0
    step: int = 0
    turns: int = 0
    segments: int = 0
    totals: Totals = Totals()
    mode: str = ""
    wait: Wait | None = None
    trouble: Trouble = msgspec.field(default_factory=Trouble)
    model: str = ""
    nano_usd: dict[str, int] = {}
    reserved: Reserved | None = None
    windows: dict[str, int] = {}
    jobs: dict[JobId, JobStarted] = {}
    detached: set[JobId] = set()
    outputs: dict[CallId, OutputFact] = {}
    tree: BlobId | None = None
    packs: list[BlobId] = []
    repaired: bool = False
    restoring: bool = False
    pursuit: Pursuit = msgspec.field(default_factory=Pursuit)
    verified: Verified = msgspec.field(default_factory=Verified)
    _dedup: set[str] = set()
    _children: dict[SessionId, Cost] = {}

    def keep(self, entry: Entry) -> None:
        """Take in the next entry."""
        self.head = entry.seq
        match entry.event:
            case RequestSent() | ModelReplied() as event:
                self._count(event)
            case TurnStarted() | TurnEnded() | ChildReported() as event:
                self._settle(event)
            case ModelFailed() | WaitStarted() | WaitEnded() as event:
                self._fail(event, entry.at_ms)
            case SettingsPinned() | ModeChanged() | ContextShrunk() as event:
                self._set(event)
            case JobStarted() | JobDetached() | JobFinished() as event:
                self._run(event)
            case CallFinished() | GoalChecked() as event:
                self._output(event)
            case UserSpoke(dedup=dedup) if dedup is not None:
                self._dedup.add(dedup)
            case SnapshotTaken(tree=tree, packs=packs):
                self.tree = tree
                self.packs.extend(packs)
            case _:
                pass
        self._look(entry)

    def _output(self, event: CallFinished | GoalChecked) -> None:
        if event.output is not None:
            self.outputs[event.call if isinstance(event, CallFinished) else event.check] = event.output

    def _look(self, entry: Entry) -> None:
        match entry.event:
            case Repaired():
                self.repaired = True
            case RestoreStarted() | FilesRestored() as event:
                self.restoring = isinstance(event, RestoreStarted)
            case _:
                pass
        if entry.event is not None:
            self.pursuit.take(entry.event, entry.seq)
            self.verified.take(entry.event, entry.seq)

    @property
    def awaited(self) -> dict[JobId, JobStarted]:
        """The background commands that a turn waits for: those that were not detached."""
        return {job: started for job, started in self.jobs.items() if job not in self.detached}

    def has_heard(self, dedup: str | None) -> bool:
        """Whether words with this key are in the log already."""
        return dedup is not None and dedup in self._dedup

    @property
    def spent(self) -> Totals:
        """The totals, and what is set aside for the attempt that is under way."""
        reserved = self.reserved
        return self.totals if reserved is None else self.totals.plus(reserved.cost, estimated=True)

    def _count(self, event: RequestSent | ModelReplied) -> None:
        if isinstance(event, RequestSent):
            self._lose()
            self.step, self.segments = event.step, max(self.segments, event.segment)
            self.totals = msgspec.structs.replace(self.totals, requests=self.totals.requests + 1)
            if event.most is not None:
                self.reserved = Reserved(self.model, event.most)
            return
        self.reserved = None
        self.totals = msgspec.structs.replace(self.totals, replies=self.totals.replies + 1)
        self._pay(self.model, Cost(event.usage, event.nano_usd), estimated=event.estimated)
        self.wait = None
        self.trouble = Trouble()

    def _lose(self) -> None:
        """The end of the last attempt will never be known: all that was set aside for it counts."""
        reserved, self.reserved = self.reserved, None
        if reserved is not None:
            self._pay(reserved.model, reserved.cost, estimated=True)

    def _pay(self, model: str, cost: Cost, *, estimated: bool) -> None:
        self.totals = self.totals.plus(cost, estimated=estimated)
        self.nano_usd[model] = self.nano_usd.get(model, 0) + (cost.nano_usd or 0)

    def _settle(self, event: TurnStarted | TurnEnded | ChildReported) -> None:
        match event:
            case TurnStarted(turn=turn):
                self._lose()
                self.turns, self.trouble, self.wait = turn, Trouble(), None
            case TurnEnded():
                self._lose()
            case ChildReported(child=child, cost=cost):
                if cost is not None:
                    self._report(child, cost)

    def _report(self, child: SessionId, cost: Cost) -> None:
        """A child says what it has cost in all: what it said before is part of that."""
        known = self._children.get(child, Cost(Usage(), 0))
        self._children[child] = cost
        more = Usage(*(new - old for new, old in zip(_numbers(cost), _numbers(known), strict=True)))
        nano_usd = None if cost.nano_usd is None else cost.nano_usd - (known.nano_usd or 0)
        self.totals = self.totals.plus(Cost(more, nano_usd))

    def _fail(self, event: ModelFailed | WaitStarted | WaitEnded, at_ms: int) -> None:
        match event:
            case ModelFailed(kind=kind, window=window):
                self.trouble.kinds[kind] = self.trouble.kinds.get(kind, 0) + 1
                self.trouble.spent_ms += event.elapsed_ms
                self.reserved = None
                if event.cost is not None:
                    self._pay(self.model, event.cost, estimated=True)
                if window is not None:
                    self.windows[self.model] = min(window, self.windows.get(self.model, window))
            case WaitStarted():
                self.wait = Wait(at_ms, event.until_ms, event.reason)
                self.trouble.spent_ms += max(0, event.until_ms - at_ms)
            case WaitEnded():
                self.wait = None

    def _set(self, event: SettingsPinned | ModeChanged | ContextShrunk) -> None:
        if not isinstance(event, ContextShrunk):
            self.mode = event.mode
        if isinstance(event, SettingsPinned):
            self.model = f"{event.provider}/{event.model}"
        if not isinstance(event, ModeChanged):
            self.segments = max(self.segments, event.segment)

    def _run(self, event: JobStarted | JobDetached | JobFinished) -> None:
        match event:
            case JobStarted():
                self.jobs[event.job] = event
            case JobDetached():
                self.detached.add(event.job)
            case JobFinished():
                self.jobs.pop(event.job, None)
                self.detached.discard(event.job)
                if event.output is not None:
                    self.outputs[CallId(event.job)] = event.output


def _numbers(cost: Cost) -> tuple[int, int, int, int]:
    usage = cost.usage
    return usage.input, usage.cached, usage.output, usage.reasoning
