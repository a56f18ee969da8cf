"""The log's vocabulary: a closed union of small, frozen, past-tense events.

A session is an append-only list of these. Messages, screens, costs, exports and resumes are folds of
it. What goes into a request can be rebuilt from here, byte for byte.

An event that an older reader may skip is declared with `ignorable = True`; the store keeps the flag
beside each row, so that a reader that does not know the type can still decide.
"""

from typing import ClassVar, Literal

import msgspec

from hames.core.ids import BlobId, CallId, JobId, SessionId
from hames.core.messages import AssistantMessage, Finish, Part

Effect = Literal["pure", "idempotent", "reconcilable", "effectful"]
"""What a call may do to the world, and so what happens to it on resume (`docs/log.md`)."""

Verdict = Literal["deny", "ask", "allow_in_sandbox", "allow"]
"""Ordered from the strictest to the loosest."""

Outcome = Literal["ok", "failed", "denied", "invalid", "cancelled", "not_run"]
"""How a call ended. `failed`: it ran and reports a failure. `invalid`: the arguments did not fit.
`not_run`: nothing was started, and nothing happened."""

EndingKind = Literal[
    "done",
    "blocked",
    "step_limit",
    "time_limit",
    "budget",
    "failed",
    "refused",
    "cancelled",
    "unfinished_background",
]
"""How a turn ended."""


class Event(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, forbid_unknown_fields=True):
    """The base of all events. `version` is raised when the fields of one change."""

    version: ClassVar[int] = 1
    ignorable: ClassVar[bool] = False


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tokens of one model reply, as the provider counted them. `cached` is part of `input`."""

    input: int = 0
    cached: int = 0
    output: int = 0
    reasoning: int = 0


class Cost(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tokens, and what they cost in 1e-9 US dollars: None when no price is known."""

    usage: Usage
    nano_usd: int | None = None


class FileFact(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a call learnt of, or did to, one file. `sha256` is of the whole content after it; empty when the
    file was removed."""

    path: str
    sha256: str
    did: Literal["read", "wrote", "removed"]


class FileIntent(msgspec.Struct, frozen=True):
    """What a call is about to make of one file: the SHA-256 of its content before and after. Empty: there is
    no file."""

    path: str
    before: str
    after: str


class OutputFact(msgspec.Struct, frozen=True, omit_defaults=True):
    """The whole output of a call: its size, and where its bytes are kept.

    `kept` is smaller than `bytes` when the spool's bound cut the middle out.
    """

    blob: BlobId
    bytes: int
    kept: int


class CommandFact(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a command ended: independent facts, kept apart. Times in seconds, memory in kilobytes."""

    exit_code: int | None = None
    signal: int | None = None
    timed_out: bool = False
    stopped: bool = False
    elapsed_s: float = 0.0
    cpu_s: float = 0.0
    memory_kb: int = 0
    cwd: str | None = None


class Ran(msgspec.Struct, frozen=True, omit_defaults=True):
    """A command that looks like a check, and the entry of its end. `exit_code` is None when it ended without
    one, or with that of another command."""

    command: str
    exit_code: int | None
    seq: int


class Todo(msgspec.Struct, frozen=True):
    """One line of the plan."""

    content: str
    status: Literal["pending", "in_progress", "completed"]


# The session


class SessionOpened(Event, frozen=True):
    """The first event of every session."""

    session: SessionId
    format: int
    hames: str
    workspace: str
    parent: SessionId | None = None


class SettingsPinned(Event, frozen=True):
    """What the requests from here on are made with. A resumed session keeps the last of these.

    `system` and `tools` are the blobs of the prompt text and of the tool schemas (JSON); `wire` is the form
    of the requests. `mends` are what the provider's answers have taught of its rules. A model that stands in
    for the first one does so until `instead_until_ms` (wall clock); 0 for the first one itself.
    """

    segment: int
    model: str
    provider: str
    wire: str
    system: BlobId
    tools: BlobId
    sandbox: str
    mode: str
    mends: tuple[str, ...] = ()
    instead_until_ms: int = 0


class ModeChanged(Event, frozen=True):
    """The permission mode was changed by a person."""

    mode: str
    by: str


class SessionClosed(Event, frozen=True):
    """Nothing follows this but a new opening."""

    reason: str


# Words and turns


class UserSpoke(Event, frozen=True):
    """Words from outside. `source`: `user`, `steer` (said in mid-turn), `context` (files of the
    workspace), `harness` (a labelled note). `dedup` makes a second delivery harmless."""

    parts: tuple[Part, ...]
    source: Literal["user", "steer", "context", "harness"] = "user"
    dedup: str | None = None


class TurnStarted(Event, frozen=True):
    """One input is being answered."""

    turn: int


class TurnEnded(Event, frozen=True):
    """The turn is over, and how. `reason` is for a person, `code` for a machine.

    `verified` are the checks that have run since the agent has changed files for the last time, and
    `unverified_changes` says that it has, and that none has run since.
    """

    version: ClassVar[int] = 2

    turn: int
    ending: EndingKind
    reason: str
    code: str = ""
    steps: int = 0
    verified: tuple[Ran, ...] = ()
    unverified_changes: bool = False


class LimitReached(Event, frozen=True):
    """A limit ended the turn, or is about to: it is `warned` of when most of it, `used`, is used."""

    ignorable: ClassVar[bool] = True

    limit: str
    value: float
    used: float = 0.0
    warned: bool = False


# Goals


class GoalSet(Event, frozen=True):
    """From here on no turn is done before `command` passes; an empty one lifts the goal. `told` is what the
    model is told of it."""

    command: str
    by: str
    timeout_s: float = 0.0
    told: str = ""


class GoalCheckStarted(Event, frozen=True):
    """The command of the goal runs. Durable before it does; one that a stopped process has left is run anew,
    under another id."""

    check: CallId
    tree_before: BlobId | None = None


class GoalChecked(Event, frozen=True):
    """The command of the goal is over. `told` is what the model is told: nothing when it has `passed`.

    `likeness` is the same for failures that look the same, `changed`: the agent has changed files since the
    check before.
    """

    check: CallId
    command: str
    passed: bool
    fact: CommandFact
    told: str = ""
    output: OutputFact | None = None
    likeness: str = ""
    changed: bool = False
    tree_after: BlobId | None = None


# The model


class RequestSent(Event, frozen=True):
    """One attempt at one step. Durable before the first byte leaves.

    The body is `head`, the pieces of the chain of `extends` (sequence numbers of earlier
    `RequestSent`) and then of `added`, and `tail`, joined without anything between them.
    `sha256` and `size` are of the body as sent. A rewrite of history starts a new `segment`, in which
    the first request extends nothing. `most` is what the attempt can cost: it is set aside until its end,
    and counts if that is never known.
    """

    step: int
    attempt: int
    segment: int
    head: BlobId
    added: tuple[BlobId, ...]
    tail: BlobId
    sha256: str
    size: int
    extends: int | None = None
    purpose: str = "act"
    most: Cost | None = None


class ModelReplied(Event, frozen=True):
    """A whole reply. `raw` is the reply as it came, `repairs` what was mended in reading it.

    `nano_usd` is the cost in 1e-9 US dollars, None when no price is known. The provider has not said all of
    `usage` when it is `estimated`.
    """

    step: int
    attempt: int
    message: AssistantMessage
    finish: Finish
    model: str
    raw: BlobId
    usage: Usage
    nano_usd: int | None = None
    first_byte_ms: int = 0
    total_ms: int = 0
    repairs: tuple[str, ...] = ()
    estimated: bool = False


class ModelFailed(Event, frozen=True):
    """One attempt failed. `kind` is the failure class of `core.errors`. `window` is how large the context
    window is at most, in tokens, as far as this failure shows it. `cost` is what the attempt is taken to have
    cost, None for nothing."""

    step: int
    attempt: int
    kind: str
    message: str
    status: int | None = None
    wait_s: float | None = None
    raw: BlobId | None = None
    elapsed_ms: int = 0
    window: int | None = None
    cost: Cost | None = None


class WaitStarted(Event, frozen=True):
    """Nothing is sent before `until_ms` (wall clock). The wait survives a restart."""

    until_ms: int
    reason: str


class WaitEnded(Event, frozen=True):
    """The wait is over."""

    ignorable: ClassVar[bool] = True

    reason: str


# Calls


class CallIntended(Event, frozen=True):
    """The model asked for this. `tool` is the one that is judged and run: `via` names a wrapper. `repairs`
    say how it was read where it was not written as it should be."""

    version: ClassVar[int] = 2

    call: CallId
    step: int
    tool: str
    args_hash: str
    effect: Effect
    via: str | None = None
    repairs: tuple[str, ...] = ()


class CallJudged(Event, frozen=True):
    """The policy's verdict, the rule it came from, and why."""

    call: CallId
    verdict: Verdict
    rule: str
    why: str = ""


NOBODY = "nobody"
"""Who answers where no person can: always no."""


class ApprovalAsked(Event, frozen=True):
    """A person is asked, about exactly `subject`."""

    call: CallId
    subject: str


class ApprovalAnswered(Event, frozen=True):
    """The answer, and through which channel it came."""

    call: CallId
    allowed: bool
    by: str
    words: str = ""


class CallStarted(Event, frozen=True):
    """Durable before the world is touched. `intents` are what a reconcilable call is about to make of
    files, `tree_before` is a manifest of the workspace."""

    call: CallId
    attempt: int = 1
    key: str | None = None
    intents: tuple[FileIntent, ...] = ()
    tree_before: BlobId | None = None


class CallFinished(Event, frozen=True):
    """The call is over. `parts` is what the model sees, `output` the whole of it. `lost`: what ran it is
    gone, and nobody knows how it ended."""

    version: ClassVar[int] = 2

    call: CallId
    outcome: Outcome
    parts: tuple[Part, ...]
    elapsed_ms: int = 0
    output: OutputFact | None = None
    command: CommandFact | None = None
    files: tuple[FileFact, ...] = ()
    todos: tuple[Todo, ...] | None = None
    tree_after: BlobId | None = None
    lost: bool = False


class CallLost(Event, frozen=True):
    """The call was started and its outcome is not known. `parts` says what is."""

    call: CallId
    parts: tuple[Part, ...]
    why: str
    tree_after: BlobId | None = None


# Jobs: commands that run on beside the turn


class JobStarted(Event, frozen=True):
    """A command goes on in the background."""

    job: JobId
    call: CallId
    command: str
    name: str = ""


class JobDetached(Event, frozen=True):
    """A background command is meant to stay: nobody waits for it, and the end of the session spares it."""

    job: JobId


class JobFinished(Event, frozen=True):
    """A background command is over, or was stopped. The model is told once."""

    job: JobId
    command: CommandFact
    output: OutputFact | None
    told: str
    tree_after: BlobId | None = None


# Context and files


class ContextShrunk(Event, frozen=True):
    """The view of history was rewritten; the log was not. `cleared` results become a reference.

    `told` stands in for the oldest `left_out` messages, all but the user's own words among them.
    """

    segment: int
    reason: str
    cleared: tuple[CallId, ...] = ()
    left_out: int = 0
    told: str = ""


class SnapshotTaken(Event, frozen=True):
    """The workspace as it was, by the content address of its manifest. `packs` hold what no pack of an
    earlier one has."""

    ignorable: ClassVar[bool] = True

    tree: BlobId
    packs: tuple[BlobId, ...] = ()


TakenBack = Literal["undo", "redo", "rewind", "fork"]
"""What a person asked for when files or context went back."""


TakenBackBy = Literal["user", "model", "rule"]
"""Who had files put back. The model, and the rule that acts for it, do so in the midst of a turn: that is a
part of the turn, and is undone with it."""


class RestoreStarted(Event, frozen=True):
    """Files are about to be put back: from `now` to `to`, where the agent had left `was`. Cut short, it is
    done again from these. `through` is the entry that they go back to, the view too with `context`; `force`
    is what is put back although it was changed by somebody since."""

    now: BlobId
    was: BlobId
    to: BlobId
    through: int
    what: TakenBack
    force: tuple[str, ...] = ()
    context: bool = True
    by: TakenBackBy = "user"


class FilesRestored(Event, frozen=True):
    """Files were put back: the workspace is `tree` now. `kept` had been changed by somebody since, and
    stayed; `failed` could not be changed."""

    tree: BlobId
    kept: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


class Rewound(Event, frozen=True):
    """The view goes back to what it was after the entry `through`. The log does not."""

    through: int
    what: TakenBack


# Children, schedules, labels


class ChildOpened(Event, frozen=True):
    """Another session works for this one."""

    child: SessionId
    call: CallId
    task: str


class ChildReported(Event, frozen=True):
    """A child's result. `cost` is all that it, with its own children, has cost up to now."""

    child: SessionId
    ending: EndingKind
    parts: tuple[Part, ...]
    cost: Cost | None = None


class ScheduleSet(Event, frozen=True):
    """The session is to be woken. `cron` is empty for a single time."""

    at_ms: int
    cron: str = ""
    words: str = ""


class Labelled(Event, frozen=True):
    """A label on a step, by a rule or a person, with its evidence."""

    ignorable: ClassVar[bool] = True

    step: int
    label: str
    source: str
    evidence: str = ""
    recovered_step: int | None = None


# Repair


class Repaired(Event, frozen=True):
    """Written by a repair of the log: entries `first` to `last` were damaged or missing.

    One stands in the place of each entry that is gone; the last, at the end of the log, says what was done
    in all, and names the `blobs` that are lost. `was` is the hash that was stored there before, `kept` the
    bytes that were found in that place.
    """

    ignorable: ClassVar[bool] = True

    first: int
    last: int
    reason: str
    was: str = ""
    kept: BlobId | None = None
    blobs: tuple[BlobId, ...] = ()


AnyEvent = (
    SessionOpened
    | SettingsPinned
    | ModeChanged
    | SessionClosed
    | UserSpoke
    | TurnStarted
    | TurnEnded
    | LimitReached
    | GoalSet
    | GoalCheckStarted
    | GoalChecked
    | RequestSent
    | ModelReplied
    | ModelFailed
    | WaitStarted
    | WaitEnded
    | CallIntended
    | CallJudged
    | ApprovalAsked
    | ApprovalAnswered
    | CallStarted
    | CallFinished
    | CallLost
    | JobStarted
    | JobDetached
    | JobFinished
    | ContextShrunk
    | SnapshotTaken
    | RestoreStarted
    | FilesRestored
    | Rewound
    | ChildOpened
    | ChildReported
    | ScheduleSet
    | Labelled
    | Repaired
)
"""Every event there is. `match` on it is checked to be complete."""


class Entry(msgspec.Struct, frozen=True):
    """An event in its place in the log. `at_ms` is the wall clock, `hash` chains to the one before.

    `event` is None for a type that this version does not know and may skip.
    """

    session: SessionId
    seq: int
    epoch: int
    at_ms: int
    event: AnyEvent | None
    hash: str
