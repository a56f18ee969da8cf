"""What a session has used and heard, and what lives beside it: no rewind takes any of it back."""

import msgspec

from hames.core.events import (
    CallFinished,
    ContextShrunk,
    Entry,
    JobDetached,
    JobFinished,
    JobStarted,
    ModeChanged,
    ModelFailed,
    ModelReplied,
    OutputFact,
    RequestSent,
    SettingsPinned,
    SnapshotTaken,
    TurnStarted,
    Usage,
    UserSpoke,
    WaitEnded,
    WaitStarted,
)
from hames.core.ids import BlobId, CallId, JobId


class Totals(msgspec.Struct, frozen=True):
    """What the session has used so far. `nano_usd` is None as soon as one price was not known."""

    requests: int = 0
    replies: int = 0
    input: int = 0
    cached: int = 0
    output: int = 0
    reasoning: int = 0
    nano_usd: int | None = 0

    def plus(self, usage: Usage, nano_usd: int | None) -> "Totals":
        """These totals and one reply more."""
        known = self.nano_usd is not None and nano_usd is not None
        return msgspec.structs.replace(
            self,
            replies=self.replies + 1,
            input=self.input + usage.input,
            cached=self.cached + usage.cached,
            output=self.output + usage.output,
            reasoning=self.reasoning + usage.reasoning,
            nano_usd=(self.nano_usd or 0) + (nano_usd or 0) if known else None,
        )


class Wait(msgspec.Struct, frozen=True):
    """A wait that was begun and not ended, by the wall clock in milliseconds."""

    begun_ms: int
    until_ms: int
    reason: str


class Trouble:
    """The failed attempts since the last reply: how many of each class, and the time that went into them,
    with the waits."""

    def __init__(self) -> None:
        self.kinds: dict[str, int] = {}
        self.spent_ms = 0

    @property
    def failures(self) -> int:
        """All of them."""
        return sum(self.kinds.values())


class Lasting:
    """The part of a view that every entry of the log counts for.

    `step`, `turns` and `segments` are the highest numbers that were given. `tree` is the last snapshot,
    `packs` are what holds the contents of all of them. `model` is who is asked, as `provider/model`;
    `nano_usd` is what each has cost, and `windows` how large the window of each is at most, where a failure
    has shown it.
    """

    def __init__(self) -> None:
        self.head = 0
        self.step = 0
        self.turns = 0
        self.segments = 0
        self.totals = Totals()
        self.mode = ""
        self.wait: Wait | None = None
        self.trouble = Trouble()
        self.model = ""
        self.nano_usd: dict[str, int] = {}
        self.windows: dict[str, int] = {}
        self.jobs: dict[JobId, JobStarted] = {}
        self.detached: set[JobId] = set()
        self.outputs: dict[CallId, OutputFact] = {}
        self.tree: BlobId | None = None
        self.packs: list[BlobId] = []
        self._dedup: set[str] = set()

    def keep(self, entry: Entry) -> None:
        """Take in the next entry."""
        self.head = entry.seq
        match entry.event:
            case RequestSent() | ModelReplied() as event:
                self._count(event)
            case ModelFailed() | WaitStarted() | WaitEnded() as event:
                self._fail(event, entry.at_ms)
            case SettingsPinned() | ModeChanged() | ContextShrunk() as event:
                self._set(event)
            case JobStarted() | JobDetached() | JobFinished() as event:
                self._run(event)
            case CallFinished(call=call, output=output) if output is not None:
                self.outputs[call] = output
            case TurnStarted(turn=turn):
                self.turns, self.trouble, self.wait = turn, Trouble(), None
            case UserSpoke(dedup=dedup) if dedup is not None:
                self._dedup.add(dedup)
            case SnapshotTaken(tree=tree, packs=packs):
                self.tree = tree
                self.packs.extend(packs)
            case _:
                pass

    @property
    def awaited(self) -> dict[JobId, JobStarted]:
        """The background commands that a turn waits for: those that were not detached."""
        return {job: started for job, started in self.jobs.items() if job not in self.detached}

    def has_heard(self, dedup: str | None) -> bool:
        """Whether words with this key are in the log already."""
        return dedup is not None and dedup in self._dedup

    def _count(self, event: RequestSent | ModelReplied) -> None:
        if isinstance(event, RequestSent):
            self.step, self.segments = event.step, max(self.segments, event.segment)
            self.totals = msgspec.structs.replace(self.totals, requests=self.totals.requests + 1)
            return
        self.totals, self.wait = self.totals.plus(event.usage, event.nano_usd), None
        self.nano_usd[self.model] = self.nano_usd.get(self.model, 0) + (event.nano_usd or 0)
        self.trouble = Trouble()

    def _fail(self, event: ModelFailed | WaitStarted | WaitEnded, at_ms: int) -> None:
        match event:
            case ModelFailed(kind=kind, window=window):
                self.trouble.kinds[kind] = self.trouble.kinds.get(kind, 0) + 1
                self.trouble.spent_ms += event.elapsed_ms
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
