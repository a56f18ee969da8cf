"""The seams: Protocols of one to four methods, and the values that cross them.

Whoever implements one of these is found in the floor of its name, checked by the suite of the same
name in `hames.testing`, and named only in `assembly/build.py`.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

import msgspec

from hames.core.errors import FileTrouble
from hames.core.events import (
    AnyEvent,
    CommandFact,
    Effect,
    Entry,
    FileFact,
    FileIntent,
    JobDetached,
    JobFinished,
    JobStarted,
    Outcome,
    OutputFact,
    Todo,
    Usage,
    Verdict,
)
from hames.core.ids import BlobId, CallId, JobId, SessionId
from hames.core.messages import AssistantMessage, Finish, Message, Part

# Time and chance come from arguments


class Clock(Protocol):
    """Time. `now` is the wall clock and `elapsed` a monotonic one, both in seconds."""

    def now(self) -> float: ...

    def elapsed(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class Chance(Protocol):
    """Randomness."""

    def fraction(self) -> float:
        """From 0 up to, not including, 1."""
        ...

    def bits(self, count: int) -> int: ...


# Stores


class Claim(msgspec.Struct, frozen=True):
    """The right to append to a session: valid until somebody claims a higher `epoch`."""

    session: SessionId
    epoch: int
    head: int


class SessionRow(msgspec.Struct, frozen=True):
    """A session in a list. Times in milliseconds of the wall clock, `bytes` of events and small blobs.

    `ending` is that of the last turn, or `open` before its end.
    """

    session: SessionId
    workspace: str
    opened_ms: int
    changed_ms: int
    events: int
    bytes: int
    title: str
    ending: str


class Arrival(msgspec.Struct, frozen=True):
    """Something for a session that no event has recorded yet. `dedup` makes a second delivery harmless.

    It is recorded by the event that carries its key: for words the `dedup` of `UserSpoke`, for the answer
    of a person `approval/CALL`, for a child's result `child/SESSION`.
    """

    kind: str
    data: bytes
    dedup: str


class Departure(msgspec.Struct, frozen=True):
    """Something that is to leave. After a crash it may be sent again, with the same `key`."""

    key: str
    kind: str
    data: bytes


class Unsent(msgspec.Struct, frozen=True):
    """A departure that nobody has said was sent, and the entry that it was decided with."""

    session: SessionId
    seq: int
    departure: Departure


class Arrivals(Protocol):
    """What comes from outside while no process has the session, or another one has."""

    async def put(self, session: SessionId, arrival: Arrival) -> bool:
        """Keep it until an event records it; False when one with its key came before.

        Durable on return. Raises `SessionMissing`.
        """
        ...

    async def waiting(self, session: SessionId) -> Sequence[Arrival]:
        """What no event has recorded, in the order of its coming."""
        ...


class Departures(Protocol):
    """What is to be sent, each with its key."""

    async def unsent(self, session: SessionId | None = None) -> Sequence[Unsent]:
        """What is still to be sent, the oldest first; of all sessions for None."""
        ...

    async def sent(self, session: SessionId, key: str) -> None:
        """It has been sent; it may be sent again if this did not come to the disk."""
        ...


class Store(Protocol):
    """Sessions as append-only lists of events.

    `append` is one transaction: blobs, events and head together, durable when it returns. It raises
    `Fenced` (and writes nothing) unless `claim.epoch` is the session's epoch and `claim.head` its
    head; it returns the new claim and the entries. `StoreFull` leaves everything as it was; some room
    is kept for an append with the end of a turn, which may then still succeed.
    """

    async def claim(self, session: SessionId, *, take_over: bool = False) -> Claim:
        """Own the session from now on; a session that does not exist starts with head 0.

        Raises `SessionBusy` when a living process owns it. With `take_over` that one is replaced: its
        next append is refused, and nothing of it is written.
        """
        ...

    async def release(self, claim: Claim) -> None:
        """Let others own the session. The claim is void; one that is not the newest changes nothing."""
        ...

    async def append(
        self,
        claim: Claim,
        events: Sequence[AnyEvent],
        blobs: Sequence[bytes] = (),
        outward: Sequence[Departure] = (),
    ) -> tuple[Claim, tuple[Entry, ...]]:
        """Also takes from the `Arrivals` what `events` record, and adds `outward` to the `Departures`."""
        ...

    async def read(self, session: SessionId, after: int = 0) -> Sequence[Entry]:
        """The entries with a higher sequence number than `after`, in order.

        Raises `SessionMissing`, `NewerLog` (a type that is not known and not ignorable), and
        `DamagedLog` (a row that does not fit the hash chain).
        """
        ...


class SessionList(Protocol):
    """What is on the log."""

    async def sessions(self) -> Sequence[SessionRow]:
        """All sessions, the most recently changed first."""
        ...


class Damage(msgspec.Struct, frozen=True):
    """Something that is not as it was written. No `session`: the whole store. `seq` 0: all of the session."""

    session: SessionId | None
    seq: int
    what: str


class Checked(msgspec.Struct, frozen=True):
    """What a check found. `known` are losses that an earlier repair has put on the log."""

    sessions: int
    damages: tuple[Damage, ...]
    known: tuple[Damage, ...]
    notes: tuple[str, ...]


class Mended(msgspec.Struct, frozen=True):
    """What a repair did. `set_aside` is where the damaged file is kept when a new one was made."""

    damages: tuple[Damage, ...]
    set_aside: str = ""


class Deleted(msgspec.Struct, frozen=True):
    """A session that is gone, and the bytes that were freed with it."""

    session: SessionId
    title: str
    events: int
    freed_bytes: int


class Swept(msgspec.Struct, frozen=True):
    """What was not needed and is gone: blobs, leftovers of dead processes, and bytes of all. `waiting` blobs
    may still be wanted by a process that runs."""

    blobs: int
    leftovers: int
    freed_bytes: int
    waiting: int


class Upkeep(Protocol):
    """Maintenance of a store, safe beside running sessions."""

    async def check(self, session: SessionId | None = None) -> Checked:
        """Look at every byte of one session, or of all. Changes nothing."""
        ...

    async def repair(self, session: SessionId | None = None) -> Mended:
        """Keep what can be read, put a `Repaired` in the place of what cannot: then the chain holds.

        Raises `SessionBusy` when the session, or for a damaged file any, is in use.
        """
        ...

    async def delete(self, session: SessionId) -> Deleted:
        """Remove a session, and the blobs that no other names. Raises `SessionBusy`, `SessionMissing`."""
        ...

    async def sweep(self) -> Swept:
        """Remove what nothing names any more, and what dead processes left behind."""
        ...


class Blobs(Protocol):
    """Content-addressed bytes."""

    async def get(self, blob: BlobId, start: int = 0, limit: int | None = None) -> bytes:
        """The bytes from `start`, at most `limit`. Raises `DamagedLog` if they are missing."""
        ...

    async def size(self, blob: BlobId) -> int: ...

    async def keep_file(self, path: str) -> BlobId:
        """Take a file into the store; it is consumed, and a big one is never held in memory.

        It can be had at once, and is durable before any event that is appended later.
        """
        ...


class Journal(Protocol):
    """One session's log, for whoever adds to it.

    `stage` folds events into the view; they become durable with the next `record`, all in one commit.
    Nothing is shown, sent or started on the strength of an event that is only staged.
    """

    def stage(self, *events: AnyEvent, blobs: Sequence[bytes] = ()) -> None: ...

    async def record(self, *events: AnyEvent, blobs: Sequence[bytes] = ()) -> None:
        """Make these, and all that is staged, durable; then tell the listeners."""
        ...


# Models


class Pinned(msgspec.Struct, frozen=True):
    """What all requests of a segment share. `tools` are the encoded JSON schemas of `ToolSpec`s."""

    model: str
    system: str
    tools: msgspec.Raw


class AskOptions(msgspec.Struct, frozen=True):
    """The parameters that may change from request to request; they follow the messages."""

    max_tokens: int | None = None
    effort: str | None = None


class Body(msgspec.Struct, frozen=True):
    """The bytes of one request, in the order they are sent. `chunks` are joined without separators."""

    chunks: tuple[bytes | bytearray | memoryview, ...]
    size: int
    sha256: str


class TextDelta(msgspec.Struct, frozen=True):
    """Some text, not yet final."""

    text: str


class ReasoningDelta(msgspec.Struct, frozen=True):
    """Some reasoning, not yet final."""

    text: str


class CallDelta(msgspec.Struct, frozen=True):
    """A call is being written; `name` is of its tool."""

    index: int
    name: str


class Alive(msgspec.Struct, frozen=True):
    """The server is there but has nothing to say yet. `queued` when it says so itself."""

    queued: bool


Delta = TextDelta | ReasoningDelta | CallDelta | Alive


class Reply(msgspec.Struct, frozen=True):
    """A whole reply. `raw` is what came over the wire; calls in `message` carry no ids of ours yet
    (`Call.id` is empty), the loop gives them."""

    message: AssistantMessage
    finish: Finish
    model: str
    usage: Usage
    raw: bytes
    first_byte_s: float
    repairs: tuple[str, ...] = ()


class ReplyReader(Protocol):
    """Reads one streamed reply. Fed with bytes as they come, cut anywhere."""

    def feed(self, data: bytes) -> list[Delta]:
        """What these bytes complete. Events that are not JSON are skipped and counted as repairs."""
        ...

    def finish(self, first_byte_s: float) -> Reply:
        """The reply. Raises `ModelError` `cut`, `empty`, `malformed`, `refused` or what an error
        event in the stream says."""
        ...


class BodyWire(Protocol):
    """The half of a wire that makes bodies.

    A body is `head + piece(m1) + b"," + piece(m2) + ... + tail`, with one message at least. The comma
    between two pieces is the assembler's; whatever must stand before the first piece ends the head
    (after a system message that is an element of the same list: a comma). Same input, same bytes, for
    ever. `images` must hold the bytes of each picture, unless the model cannot see.
    """

    def head(self, pinned: Pinned) -> bytes: ...

    def piece(self, message: Message, images: Mapping[BlobId, bytes]) -> bytes: ...

    def tail(self, options: AskOptions) -> bytes: ...


class Wire(BodyWire, Protocol):
    """One provider protocol as pure translation: bodies one way, streamed replies the other."""

    def reader(self) -> ReplyReader: ...


class Model(Protocol):
    """Something that answers. One call is one attempt, and one attempt is one HTTP request."""

    def ask(self, body: Body) -> AsyncGenerator[Delta | Reply]:
        """Deltas, and last the `Reply`. Raises `ModelError`. Consume it under `aclosing`."""
        ...


# Sandbox and launcher


class SandboxPolicy(msgspec.Struct, frozen=True):
    """What a command may touch. Paths are absolute and resolved.

    `workspace` and `writable` can be written; `protected` below them are read-only; `masked` cannot be
    read at all; `visible` must be readable even where a mask or a private `/tmp` would hide it.
    """

    workspace: str
    writable: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    visible: tuple[str, ...] = ()
    read_only: bool = False
    network: bool = False


class CommandSpec(msgspec.Struct, frozen=True):
    """One command to run. `env` is all of its environment. File descriptor 3 is the control pipe: a
    line with an absolute path written to it becomes `CommandEnd.cwd`. After `timeout_s` it is ended.
    `scratch` is a directory that holds what the commands of a session share of temporary files; without
    one, such files vanish with the command."""

    job: JobId
    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    timeout_s: float | None = None
    scratch: str = ""


class LaunchPlan(msgspec.Struct, frozen=True):
    """A command as the kernel is given it. `reports_start`: the sandbox says on file descriptor 4, its
    own, whether it really started the command, so that its failure cannot pass for the command's.
    `own_network` is the argument that gives it a network of its own: whoever starts it inside a network of
    the session's leaves it out."""

    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    reports_start: bool
    own_network: str = ""


class SandboxReport(msgspec.Struct, frozen=True):
    """What a functional probe found. `problem` is empty when all is well, else names the fix."""

    name: str
    version: str
    confines_writes: bool
    confines_reads: bool
    confines_network: bool
    problem: str = ""


class Sandbox(Protocol):
    """A boundary that the kernel enforces."""

    @property
    def name(self) -> str: ...

    def wrap(self, spec: CommandSpec) -> LaunchPlan:
        """How to run `spec` inside. No side effect on the host."""
        ...

    async def probe(self) -> SandboxReport:
        """Really try it. Raises nothing: a failure is in the report."""
        ...


class CommandEnd(msgspec.Struct, frozen=True):
    """How a command ended. `not_started` says why, when the sandbox failed before the command; `lost` what
    is known, when nobody knows how it ended. `unattended`: it was stopped because nobody came back."""

    fact: CommandFact
    output_bytes: int
    kept_bytes: int
    spool: str
    not_started: str = ""
    lost: str = ""
    unattended: bool = False


class OutputSlice(msgspec.Struct, frozen=True):
    """Some output. `start` counts from the first byte ever written; `total` is what was written."""

    data: bytes
    start: int
    total: int


class Running(Protocol):
    """A command in the launcher's hands."""

    @property
    def job(self) -> JobId: ...

    async def output(self, start: int, limit: int) -> OutputSlice:
        """At most `limit` bytes from `start`; a negative `start` counts from the end."""
        ...

    async def wait(self, timeout_s: float | None = None, *, from_start: bool = False) -> CommandEnd | None:
        """The end, or None when it has not come within `timeout_s`, counted from now or from its start."""
        ...

    async def stop(self) -> CommandEnd:
        """End the whole tree of the command; returns when it is gone."""
        ...

    def take_output(self) -> str:
        """A file with what was kept of the output of an ended command; whoever asks may take it away."""
        ...


class Launcher(Protocol):
    """The process that owns commands. See `docs/processes.md`. A command is remembered until its end is on
    the session's log."""

    async def start(self, spec: CommandSpec) -> Running: ...

    async def attach(self, job: JobId) -> Running | None:
        """A command that was asked for before, also by another process; None when it was never started."""
        ...

    async def detach(self, job: JobId) -> None:
        """Let a command run on when the session is closed."""
        ...

    async def close(self) -> None:
        """Stop everything that is not detached; returns when the processes are gone."""
        ...


class Runtime(Protocol):
    """What works for a session beside this process, and may have been left by one before it."""

    async def enter(self, claim: Claim) -> None:
        """Work for this session from now on. What runs for it goes on, and is cut off from any older
        owner. Raises `Fenced` when there is a newer one."""
        ...


# Files, always through the sandbox


class ReadQuery(msgspec.Struct, frozen=True):
    """Lines of a file: from `line` (1 is the first), at most `lines` and `max_bytes`."""

    path: str
    line: int = 1
    lines: int | None = None
    max_bytes: int = 1024 * 1024


class ReadResult(msgspec.Struct, frozen=True):
    """`data` are whole lines, unless one alone exceeds `max_bytes`. `sha256`, `size` and `total_lines`
    are of the whole file. `binary`: it has NUL bytes or is no text; `data` is then its first bytes."""

    data: bytes
    sha256: str
    size: int
    total_lines: int
    binary: bool
    mtime_ns: int


class WriteOrder(msgspec.Struct, frozen=True):
    """Replace a file's content, atomically, keeping its mode. `expect`: the SHA-256 the present
    content must have; empty when the file must not exist. Missing directories are made."""

    path: str
    data: bytes
    expect: str


class SearchQuery(msgspec.Struct, frozen=True):
    """Arguments for ripgrep, without the program: never a shell string. At most `max_bytes` come back."""

    args: tuple[str, ...]
    cwd: str
    max_bytes: int
    max_lines: int


class SearchResult(msgspec.Struct, frozen=True):
    """`data` is what ripgrep printed, cut at whole lines. `exit_code` 1 means no match."""

    data: bytes
    lines: int
    cut: bool
    exit_code: int
    error: str


class ChangedQuery(msgspec.Struct, frozen=True):
    """What has changed below `root` since a time (Unix, in ms)? At most `most` paths come back."""

    root: str
    since_ms: int
    most: int


class ChangedResult(msgspec.Struct, frozen=True):
    """Paths relative to the root, a directory with `/` at its end; `total` may be more. Not `whole`: the look
    was ended before it had seen everything."""

    paths: tuple[str, ...]
    total: int
    whole: bool


class Files(Protocol):
    """File work, done by a worker inside the sandbox. Raises `FileProblem`."""

    async def read(self, query: ReadQuery) -> ReadResult: ...

    async def write(self, order: WriteOrder) -> FileFact: ...

    async def search(self, query: SearchQuery) -> SearchResult: ...

    async def changed(self, query: ChangedQuery) -> ChangedResult: ...

    async def close(self) -> None: ...


class FileAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the file worker says of a failed request."""

    trouble: FileTrouble
    path: str
    message: str


# Tools


class ToolSpec(msgspec.Struct, frozen=True):
    """A tool as the model is told of it. `parameters` is its JSON schema, encoded."""

    name: str
    description: str
    parameters: msgspec.Raw


class Subject(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a call is about, for the policy and the person: never free text alone.

    `reads` and `writes` are absolute paths, `command` a shell command, `hosts` names on the network.
    """

    tool: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    command: str = ""
    hosts: tuple[str, ...] = ()


class CallContext(msgspec.Struct, frozen=True):
    """What a running call may know of the session. `seen` maps a path to the SHA-256 it had when it
    was last read or written here; `jobs` are the background commands that have not ended. `started_ms`
    (Unix time) is when its start became durable, 0 where it has none."""

    call: CallId
    cwd: str
    seen: Mapping[str, str]
    jobs: Mapping[JobId, JobStarted]
    outputs: Mapping[CallId, OutputFact]
    started_ms: int = 0


class ToolResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a call came to. `parts` goes to the model as it is; the tool has already condensed it.

    `blobs` are the bytes of the pictures in `parts`, to be stored with the event.
    """

    outcome: Outcome
    parts: tuple[Part, ...]
    output: OutputFact | None = None
    command: CommandFact | None = None
    files: tuple[FileFact, ...] = ()
    todos: tuple[Todo, ...] | None = None
    job: JobStarted | JobDetached | None = None
    blobs: tuple[bytes, ...] = ()


class Action(Protocol):
    """A call whose arguments have been read: it can be judged, and run once."""

    @property
    def effect(self) -> Effect: ...

    def subject(self, cwd: str) -> Subject: ...

    async def run(self, context: CallContext) -> ToolResult:
        """Do it. An expected failure is a result or a `Problem`; cancellation must leave nothing
        running."""
        ...


class Settled(msgspec.Struct, frozen=True):
    """What the world says of a call that was started and has no end on the log.

    `done`: it has had its whole effect, and `result` is what the model is told. `undone`: the world is as
    it was before. `unknown`: neither; `words` say what was found.
    """

    state: Literal["done", "undone", "unknown"]
    result: ToolResult | None = None
    words: str = ""


@runtime_checkable
class Reconcilable(Action, Protocol):
    """An action whose effect can be looked up in the world afterwards."""

    async def plan(self, context: CallContext) -> tuple[FileIntent, ...]:
        """What it is about to do, on the log before it is done. Changes nothing. Raises `Problem`."""
        ...

    async def reconcile(self, context: CallContext, intents: tuple[FileIntent, ...]) -> Settled:
        """Read the world. Changes nothing."""
        ...


@runtime_checkable
class Attachable(Action, Protocol):
    """An action that may go on, or have ended, while nobody watched."""

    async def attach(self, context: CallContext, *, wait: bool) -> Settled:
        """Find it again, and see it through to its end. Without `wait` one that still runs is left to the
        background: its result says so."""
        ...


class Tool(Protocol):
    """Something that a model may call."""

    @property
    def spec(self) -> ToolSpec: ...

    def prepare(self, arguments: str) -> Action:
        """Read the raw argument string. Raises `ArgumentProblem`."""
        ...


class Prepared(msgspec.Struct, frozen=True):
    """A call that can be run: the tool that is judged and recorded, and the wrapper it came in."""

    tool: str
    arguments: str
    action: Action
    via: str | None = None


class Tools(Protocol):
    """The tools of a session."""

    def specs(self) -> Sequence[ToolSpec]:
        """The fixed set that every request carries, in its fixed order."""
        ...

    def prepare(self, name: str, arguments: str) -> Prepared:
        """Find the tool and read its arguments. Raises `ArgumentProblem`, also for an unknown name."""
        ...


class Jobs(Protocol):
    """Background commands, for the loop."""

    async def ended(self, live: Mapping[JobId, JobStarted]) -> Sequence[JobFinished]:
        """Those of `live` that are over, with what the model is told of each."""
        ...

    async def wait(self, live: Mapping[JobId, JobStarted], timeout_s: float) -> None:
        """Return when one of `live` is over, or after `timeout_s`."""
        ...

    async def stop(self, live: Mapping[JobId, JobStarted]) -> Sequence[JobFinished]:
        """Stop all of `live`; returns when they are gone."""
        ...


# Policy and people


class Judgement(msgspec.Struct, frozen=True):
    """A verdict, the rule it came from, and why."""

    verdict: Verdict
    rule: str
    why: str = ""


class Policy(Protocol):
    """Decides what may be done."""

    def judge(self, subject: Subject, effect: Effect) -> Judgement: ...


class ApprovalRequest(msgspec.Struct, frozen=True):
    """The exact thing a person is asked about."""

    call: CallId
    subject: Subject
    arguments: str
    why: str


class ApprovalAnswer(msgspec.Struct, frozen=True):
    """What the person said, and where."""

    allowed: bool
    by: str
    words: str = ""


class Approver(Protocol):
    """Asks a person, on a channel that the model cannot write to."""

    async def ask(self, request: ApprovalRequest) -> ApprovalAnswer: ...


class Words(msgspec.Struct, frozen=True):
    """Something said to the agent. `dedup` is the same for a second delivery of the same words."""

    parts: tuple[Part, ...]
    dedup: str | None = None


class Inbox(Protocol):
    """Where words wait that arrive while a turn is running."""

    def take(self) -> Sequence[Words]:
        """All that has come since the last time, oldest first."""
        ...


class Listener(Protocol):
    """Somebody who watches. A listener that fails never harms the session."""

    def entry(self, entry: Entry) -> None:
        """A durable event: final."""
        ...

    def delta(self, step: int, delta: Delta) -> None:
        """Something volatile, superseded by the durable event that follows."""
        ...
