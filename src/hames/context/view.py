"""The fold: from the events of a session to what its next step needs to know."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from hames.core.events import (
    AnyEvent,
    ApprovalAnswered,
    ApprovalAsked,
    CallFinished,
    CallIntended,
    CallJudged,
    CallLost,
    CallStarted,
    ChildOpened,
    ChildReported,
    ContextShrunk,
    Entry,
    FilesRestored,
    JobDetached,
    JobFinished,
    JobStarted,
    Labelled,
    LimitReached,
    ModeChanged,
    ModelFailed,
    ModelReplied,
    OutputFact,
    Repaired,
    RequestSent,
    RestoreStarted,
    Rewound,
    ScheduleSet,
    SessionClosed,
    SessionOpened,
    SettingsPinned,
    SnapshotTaken,
    Todo,
    TurnEnded,
    TurnStarted,
    Usage,
    UserSpoke,
    WaitEnded,
    WaitStarted,
)
from hames.core.ids import BlobId, CallId, JobId
from hames.core.messages import AssistantMessage, Call, Message, Part, Text, ToolMessage, UserMessage

REPAIRED = "[the result of this call is not known any more: the log was damaged]"


class OpenCall(msgspec.Struct, frozen=True):
    """A call without an end: how far it came."""

    call: Call
    step: int
    intended: CallIntended | None = None
    judged: CallJudged | None = None
    asked: ApprovalAsked | None = None
    answered: ApprovalAnswered | None = None
    started: CallStarted | None = None
    started_ms: int = 0


class LastRequest(msgspec.Struct, frozen=True):
    """The request that the next one extends: its place, and how many messages it held."""

    seq: int
    event: RequestSent
    messages: int


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


class View:
    """A session as its events have left it. Only `fold` changes it; everybody else reads.

    `messages` is what the model has been and will be shown. Results stand in the order in which the
    model asked, and words that arrive while calls are open stand after the results. `tree` is the last
    snapshot, `packs` are what holds the contents of all of them.
    """

    def __init__(self) -> None:
        self.opened: SessionOpened | None = None
        self.pinned: SettingsPinned | None = None
        self.head = 0
        self.segment = 0
        self.turn = 0
        self.turn_open = False
        self.turn_first_step = 1
        self.ended: TurnEnded | None = None
        self.step = 0
        self.messages: list[Message] = []
        self.reply: ModelReplied | None = None
        self.last_request: LastRequest | None = None
        self.totals = Totals()
        self.cwd = ""
        self.mode = ""
        self.wait: WaitStarted | None = None
        self.seen: dict[str, str] = {}
        self.todos: tuple[Todo, ...] = ()
        self.jobs: dict[JobId, JobStarted] = {}
        self.detached: set[JobId] = set()
        self.outputs: dict[CallId, OutputFact] = {}
        self.tree: BlobId | None = None
        self.packs: list[BlobId] = []
        self.open_calls: dict[CallId, OpenCall] = {}
        self._order: list[Call] = []
        self._results: dict[CallId, tuple[Part, ...]] = {}
        self._held: list[UserMessage] = []
        self._dedup: set[str] = set()

    def fold(self, entry: Entry) -> None:
        """Take in the next entry."""
        self.head = entry.seq
        if entry.event is not None:
            self._take(entry.event, entry)

    @property
    def awaited(self) -> dict[JobId, JobStarted]:
        """The background commands that a turn waits for: those that were not detached."""
        return {job: started for job, started in self.jobs.items() if job not in self.detached}

    def has_heard(self, dedup: str | None) -> bool:
        """Whether words with this key are in the log already."""
        return dedup is not None and dedup in self._dedup

    def _take(self, event: AnyEvent, entry: Entry) -> None:
        match event:
            case SessionOpened() | SettingsPinned() | ModeChanged():
                self._setting(event)
            case UserSpoke() | JobStarted() | JobDetached() | JobFinished() | ChildReported():
                self._news(event)
            case TurnStarted() | TurnEnded():
                self._turn(event)
            case RequestSent() | ModelReplied() | ModelFailed() | WaitStarted() | WaitEnded():
                self._model(event, entry)
            case (
                CallIntended()
                | CallJudged()
                | ApprovalAsked()
                | ApprovalAnswered()
                | CallStarted()
                | CallFinished()
                | CallLost()
            ):
                self._call(event, entry)
            case ContextShrunk():
                self._shrink(event)
            case SnapshotTaken():
                self.tree = event.tree
                self.packs.extend(event.packs)
            case (
                SessionClosed()
                | LimitReached()
                | RestoreStarted()
                | FilesRestored()
                | Rewound()
                | ChildOpened()
                | ScheduleSet()
                | Labelled()
                | Repaired()
            ):
                pass

    # Settings and words

    def _setting(self, event: SessionOpened | SettingsPinned | ModeChanged) -> None:
        match event:
            case SessionOpened():
                self.opened, self.cwd = event, event.workspace
            case SettingsPinned():
                if event.segment != self.segment:
                    self.last_request = None
                self.pinned, self.mode, self.segment = event, event.mode, event.segment
            case ModeChanged():
                self.mode = event.mode

    def _news(self, event: UserSpoke | JobStarted | JobDetached | JobFinished | ChildReported) -> None:
        match event:
            case UserSpoke():
                if event.dedup is not None:
                    self._dedup.add(event.dedup)
                self._say(UserMessage(event.parts))
            case JobStarted():
                self.jobs[event.job] = event
            case JobDetached():
                self.detached.add(event.job)
            case JobFinished():
                self.jobs.pop(event.job, None)
                self.detached.discard(event.job)
                if event.output is not None:
                    self.outputs[CallId(event.job)] = event.output
                self._say(UserMessage((Text(event.told),)))
            case ChildReported():
                self._say(UserMessage(event.parts))

    def _say(self, message: UserMessage) -> None:
        if self._order:
            self._held.append(message)
        else:
            self.messages.append(message)

    # Turns and requests

    def _turn(self, event: TurnStarted | TurnEnded) -> None:
        if isinstance(event, TurnStarted):
            self.turn, self.turn_open = event.turn, True
            self.turn_first_step, self.ended = self.step + 1, None
        else:
            self.turn_open, self.ended = False, event

    def _model(
        self, event: RequestSent | ModelReplied | ModelFailed | WaitStarted | WaitEnded, entry: Entry
    ) -> None:
        match event:
            case RequestSent():
                self._fill_in()
                self.step = event.step
                self.segment = event.segment
                self.last_request = LastRequest(entry.seq, event, len(self.messages))
                self.totals = msgspec.structs.replace(self.totals, requests=self.totals.requests + 1)
            case ModelReplied():
                self._fill_in()
                self.reply, self.wait = event, None
                self.totals = self.totals.plus(event.usage, event.nano_usd)
                self.messages.append(event.message)
                # A turn is open as long as it has calls: also where a repair took its start away.
                self.turn_open = self.turn_open or bool(event.message.calls)
                self._order = list(event.message.calls)
                self._results = {}
                for call in event.message.calls:
                    self.open_calls[call.id] = OpenCall(call, event.step)
            case WaitStarted():
                self.wait = event
            case WaitEnded():
                self.wait = None
            case ModelFailed():
                pass

    # Calls

    def _call(
        self,
        event: CallIntended
        | CallJudged
        | ApprovalAsked
        | ApprovalAnswered
        | CallStarted
        | CallFinished
        | CallLost,
        entry: Entry,
    ) -> None:
        was = self.open_calls.get(event.call)
        if was is None:
            return  # A repair took away the reply that asked for it.
        change = msgspec.structs.replace
        match event:
            case CallIntended():
                self.open_calls[event.call] = change(was, intended=event)
            case CallJudged():
                self.open_calls[event.call] = change(was, judged=event)
            case ApprovalAsked():
                self.open_calls[event.call] = change(was, asked=event)
            case ApprovalAnswered():
                self.open_calls[event.call] = change(was, answered=event)
            case CallStarted():
                self.open_calls[event.call] = change(was, started=event, started_ms=entry.at_ms)
            case CallFinished():
                self._observe(event)
                self._close(event)
            case CallLost():
                self._close(event)

    def _observe(self, event: CallFinished) -> None:
        for fact in event.files:
            self.seen[fact.path] = fact.sha256
        if event.todos is not None:
            self.todos = event.todos
        if event.output is not None:
            self.outputs[event.call] = event.output
        if event.command is not None and event.command.cwd is not None:
            self.cwd = event.command.cwd

    def _close(self, event: CallFinished | CallLost) -> None:
        del self.open_calls[event.call]
        self._results[event.call] = event.parts
        if len(self._results) < len(self._order):
            return
        for call in self._order:
            self.messages.append(ToolMessage(call.id, call.wire_id, self._results[call.id]))
        self.messages.extend(self._held)
        self._order, self._results, self._held = [], {}, []

    def _fill_in(self) -> None:
        """A request is only sent when every call has its result: one that has none was taken away by a
        repair."""
        for call in [call.id for call in self._order if call.id not in self._results]:
            self._close(CallLost(call, (Text(REPAIRED),), "repaired"))

    # Rewriting

    def _shrink(self, event: ContextShrunk) -> None:
        self.segment = event.segment
        self.last_request = None
        gone = set(event.cleared)
        self.messages = [
            ToolMessage(m.call, m.wire_id, (Text(cleared_text(m, self.outputs)),))
            if isinstance(m, ToolMessage) and m.call in gone
            else m
            for m in self.messages
        ]


def cleared_text(message: ToolMessage, outputs: Mapping[CallId, OutputFact]) -> str:
    """What stands in for a result that was cleared: how much it was, and how to get it."""
    size = sum(len(p.text.encode()) for p in message.parts if isinstance(p, Text))
    if message.call in outputs:
        return f"[{size} bytes cleared to save room; read file_path=output://{message.call}]"
    return f"[{size} bytes cleared to save room; make the call again if you need it]"


def fold(entries: Iterable[Entry]) -> View:
    """The view after these entries."""
    view = View()
    for entry in entries:
        view.fold(entry)
    return view


def final_text(messages: Sequence[Message]) -> str:
    """What the model said last."""
    for message in reversed(messages):
        if isinstance(message, AssistantMessage):
            return message.text
    return ""
