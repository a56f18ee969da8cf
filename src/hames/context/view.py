"""The fold: from the events of a session to what its next step needs to know."""

from collections.abc import Mapping, Sequence

import msgspec

from hames.context.lasting import Lasting
from hames.context.ledger import Ledger
from hames.context.pace import Pace
from hames.context.progress import Progress
from hames.context.report import Report
from hames.context.rewinding import taken_back
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
    GoalChecked,
    GoalCheckStarted,
    GoalSet,
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
    """The request that the next one extends: its place, how many messages it held, and the blobs of these;
    None when a repair has taken away a request that it extends."""

    seq: int
    event: RequestSent
    messages: int
    pieces: tuple[BlobId, ...] | None = None


def _pieces(last: LastRequest | None, event: RequestSent) -> tuple[BlobId, ...] | None:
    if event.extends is None:
        return event.added
    if last is None or last.seq != event.extends or last.pieces is None:
        return None
    return (*last.pieces, *event.added)


class Counted(msgspec.Struct, frozen=True):
    """The last request of the segment whose tokens the provider has counted, and its size in bytes."""

    tokens: int
    size: int


class View(Lasting):
    """A session as its events have left it. Only `fold` and `pass_over` change it; everybody else reads.

    `messages` is what the model has been and will be shown. Results stand in the order in which the
    model asked, and words that arrive while calls are open stand after the results. `left_out` counts the
    steps that it is not shown any more.
    """

    opened: SessionOpened | None = None
    pinned: SettingsPinned | None = None
    segment: int = 0
    turn: int = 0
    turn_open: bool = False
    turn_steps: int = 0
    pace: Pace = msgspec.field(default_factory=Pace)
    ended: TurnEnded | None = None
    messages: list[Message] = []
    left_out: int = 0
    reply: ModelReplied | None = None
    report: Report = msgspec.field(default_factory=Report)
    last_request: LastRequest | None = None
    counted: Counted | None = None
    cwd: str = ""
    seen: dict[str, str] = {}
    todos: tuple[Todo, ...] = ()
    progress: Progress = msgspec.field(default_factory=Progress)
    ledger: Ledger = msgspec.field(default_factory=Ledger)
    open_calls: dict[CallId, OpenCall] = {}
    _order: list[Call] = []
    _results: dict[CallId, tuple[Part, ...]] = {}
    _held: list[UserMessage] = []
    _told_of: set[JobId] = set()

    def fold(self, entry: Entry) -> None:
        """Take in the next entry. A `Rewound` is none of these: whoever writes one folds the log again."""
        self.keep(entry)
        self.pace.take(entry)
        if entry.event is not None:
            was = self.progress.state
            self.progress.take(entry.event)
            self.report.take(entry.event)
            self.ledger.take(entry.event, entry.seq, changed=self.progress.state != was)
            self._take(entry.event, entry)

    @property
    def unsettled(self) -> ModelReplied | None:
        """The reply that asks for nothing more, while it is the last word: the turn may be over."""
        last = self.messages[-1] if self.messages else None
        return self.reply if isinstance(last, AssistantMessage) and not last.calls else None

    def pass_over(self, entry: Entry) -> None:
        """Take in an entry that a `Rewound` has taken back, or is: only what cannot be taken back counts.

        The end of a background command is one of that, if the model still knows of its start.
        """
        self.keep(entry)
        match entry.event:
            case JobFinished() if entry.event.job in self._told_of:
                self._news(entry.event)
            case Rewound():
                self._fill_in()
            case _:
                pass

    def _take(self, event: AnyEvent, entry: Entry) -> None:
        match event:
            case SessionOpened() | SettingsPinned():
                self._setting(event)
            case UserSpoke() | JobStarted() | JobFinished() | ChildReported() | GoalSet() | GoalChecked():
                self._news(event)
            case TurnStarted() | TurnEnded():
                self._turn(event)
            case RequestSent() | ModelReplied():
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
            case Rewound():
                raise ValueError("a view cannot go back by itself: fold the log again")
            case (
                SessionClosed()
                | ModeChanged()
                | WaitStarted()
                | WaitEnded()
                | ModelFailed()
                | JobDetached()
                | LimitReached()
                | GoalCheckStarted()
                | SnapshotTaken()
                | RestoreStarted()
                | FilesRestored()
                | ChildOpened()
                | ScheduleSet()
                | Labelled()
                | Repaired()
            ):
                pass

    # Settings and words

    def _setting(self, event: SessionOpened | SettingsPinned) -> None:
        if isinstance(event, SessionOpened):
            self.opened, self.cwd = event, event.workspace
            return
        if event.segment != self.segment:
            self.last_request = self.counted = None
        self.pinned, self.segment = event, event.segment

    def _news(
        self, event: UserSpoke | JobStarted | JobFinished | ChildReported | GoalSet | GoalChecked
    ) -> None:
        match event:
            case UserSpoke():
                self._say(UserMessage(event.parts, passing=event.source == "harness"))
            case ChildReported():
                self._say(UserMessage(event.parts, passing=True))
            case JobStarted():
                self._told_of.add(event.job)
            case JobFinished():
                self._told_of.discard(event.job)
                self._say(UserMessage((Text(event.told),), passing=True))
            case GoalSet() | GoalChecked():
                if event.told:
                    self._say(UserMessage((Text(event.told),), passing=isinstance(event, GoalChecked)))

    def _say(self, message: UserMessage) -> None:
        if self._order:
            self._held.append(message)
        else:
            self.messages.append(message)

    # Turns and requests

    def _turn(self, event: TurnStarted | TurnEnded) -> None:
        if isinstance(event, TurnStarted):
            self.turn, self.turn_open = event.turn, True
            self.turn_steps, self.ended = 0, None
        else:
            self.turn_open, self.ended = False, event

    def _model(self, event: RequestSent | ModelReplied, entry: Entry) -> None:
        self._fill_in()
        if isinstance(event, RequestSent):
            self.segment = event.segment
            pieces = _pieces(self.last_request, event)
            self.last_request = LastRequest(entry.seq, event, len(self.messages), pieces)
            return
        self.reply = event
        if self.last_request is not None and event.usage.input and not event.estimated:
            self.counted = Counted(event.usage.input, self.last_request.event.size)
        self.turn_steps += 1
        self.messages.append(event.message)
        # A turn is open as long as it has calls: also where a repair took its start away.
        self.turn_open = self.turn_open or bool(event.message.calls)
        self._order = list(event.message.calls)
        self._results = {}
        for call in event.message.calls:
            self.open_calls[call.id] = OpenCall(call, event.step)

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
            if fact.did == "removed":
                self.seen.pop(fact.path, None)
            else:
                self.seen[fact.path] = fact.sha256
        if event.todos is not None:
            self.todos = event.todos
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
        self.last_request = self.counted = None
        self.left_out += sum(isinstance(m, AssistantMessage) for m in self.messages[: event.left_out])
        stay = [m for m in self.messages[: event.left_out] if isinstance(m, UserMessage) and not m.passing]
        note = [UserMessage((Text(event.told),), passing=True)] if event.left_out else []
        gone = set(event.cleared)
        rest = [
            ToolMessage(m.call, m.wire_id, (Text(cleared_text(m, self.outputs)),))
            if isinstance(m, ToolMessage) and m.call in gone
            else m
            for m in self.messages[event.left_out :]
        ]
        self.messages = [*stay, *note, *rest]


def cleared_text(message: ToolMessage, outputs: Mapping[CallId, OutputFact]) -> str:
    """What stands in for a result that was cleared: how much it was, and how to get it."""
    size = sum(len(p.text.encode()) for p in message.parts if isinstance(p, Text))
    if message.call in outputs:
        return f"[{size} bytes cleared to save room; read file_path=output://{message.call}]"
    return f"[{size} bytes cleared to save room; make the call again if you need it]"


def fold(entries: Sequence[Entry]) -> View:
    """The view after these entries."""
    return fold_on(View(), entries)


def fold_on(view: View, entries: Sequence[Entry]) -> View:
    """`view` after these entries too. None of them goes back to before them."""
    gone = taken_back(entries)
    for entry in entries:
        if entry.seq in gone:
            view.pass_over(entry)
        else:
            view.fold(entry)
    return view
