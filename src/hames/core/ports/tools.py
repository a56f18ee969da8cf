"""Tools, the calls of them, and the background commands that calls leave behind."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

import msgspec

from hames.core.events import (
    CommandFact,
    Effect,
    FileFact,
    FileIntent,
    JobDetached,
    JobFinished,
    JobStarted,
    Outcome,
    OutputFact,
    TakenBackBy,
    Todo,
)
from hames.core.ids import CallId, JobId
from hames.core.messages import Part


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


class WentBack(msgspec.Struct, frozen=True):
    """Files that were put back. `kept` were changed by the user since, and stayed; `failed` could not be
    changed. Paths are relative to the workspace, or absolute if they are beside it."""

    changed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


class GoBack(Protocol):
    """Puts the files of the workspace back in the midst of a turn. What the user has changed stays."""

    async def to(self, step: int, by: TakenBackBy) -> WentBack:
        """As they were after `step`. Durable before the first byte changes; not to be interrupted. Raises
        `Problem` where it cannot be done: then nothing was changed."""
        ...

    async def since(self, call: CallId) -> WentBack | None:
        """What was put back since `call` was started, also where hames was stopped in its midst."""
        ...


class CallContext(msgspec.Struct, frozen=True):
    """What a running call may know of the session. `seen` maps a path to the SHA-256 it had when it
    was last read or written here; `jobs` are the background commands that have not ended. `intents` are what
    this call has said it would make of files, now or in an attempt that was cut short. `back` puts files
    back, where that can be done."""

    call: CallId
    cwd: str
    seen: Mapping[str, str]
    jobs: Mapping[JobId, JobStarted]
    outputs: Mapping[CallId, OutputFact]
    intents: tuple[FileIntent, ...] = ()
    back: GoBack | None = None


class ToolResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a call came to. `parts` goes to the model as it is; the tool has already condensed it.

    `blobs` are the bytes of the pictures in `parts`, to be stored with the event. `lost`: it was started, and
    nobody knows how it ended.
    """

    outcome: Outcome
    parts: tuple[Part, ...]
    output: OutputFact | None = None
    command: CommandFact | None = None
    files: tuple[FileFact, ...] = ()
    todos: tuple[Todo, ...] | None = None
    job: JobStarted | JobDetached | None = None
    blobs: tuple[bytes, ...] = ()
    lost: bool = False


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
    it was before. `partly`: some of it is done, and running it again does the rest and nothing else.
    `unknown`: neither of these. `words` say what was found.
    """

    state: Literal["done", "undone", "partly", "unknown"]
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
    """A call that can be run: the tool that is judged and recorded, and the wrapper it came in. `repairs`
    say how it was read where the model did not write it as it should."""

    tool: str
    arguments: str
    action: Action
    via: str | None = None
    repairs: tuple[str, ...] = ()


class Tools(Protocol):
    """The tools of a session."""

    def specs(self) -> Sequence[ToolSpec]:
        """The fixed set that every request carries, in its fixed order."""
        ...

    def prepare(self, name: str, arguments: str) -> Prepared:
        """Find the tool and read its arguments. Raises `ArgumentProblem`, also for an unknown name."""
        ...


class CheckOrder(msgspec.Struct, frozen=True):
    """A command whose exit code says whether a goal is reached."""

    check: CallId
    command: str
    cwd: str
    timeout_s: float


class Checker(Protocol):
    """Runs the command of a goal, in the boundary of all commands."""

    async def run(self, order: CheckOrder) -> ToolResult:
        """Wait for its end; it is stopped at its time-out. Raises as `Action.run` does."""
        ...

    async def stop(self, check: CallId) -> None:
        """End what a stopped process has left running; returns when it is gone."""
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
