"""What a person asks of one run, beside its settings."""

from collections.abc import Callable, Sequence

import msgspec

from hames.channels.headless import OutputFormat
from hames.core.events import GoalSet, TakenBack


class RunRequest(msgspec.Struct, frozen=True):
    """One run: the words, the session, and the shape of the answer.

    `resume` is an id or the start of one; `latest` means the newest session of the workspace. With
    `take_over` a process that has it in use is cut off. `goal` is set before the words are said.
    """

    words: str | None = None
    resume: str | None = None
    latest: bool = False
    take_over: bool = False
    session_id: str | None = None
    output: OutputFormat = "text"
    json_input: bool = False
    verbose: bool = False
    goal: GoalSet | None = None


class LocalRequest(msgspec.Struct, frozen=True):
    """A model near at hand: weights in a file, to be served at `port`, or a server at a URL.

    With neither: the weights for tests.
    """

    gguf: str = ""
    url: str = ""
    port: int = 0


class BackRequest(msgspec.Struct, frozen=True):
    """What is to go back, and how far.

    `session` is an id or the start of one, empty for the newest of the workspace; `through` the entry to go
    back to, None where the command itself says it. `force` are paths that go back although somebody has
    changed them since. A fork with a `worktree` (absolute) is laid out there.
    """

    what: TakenBack
    session: str = ""
    through: int | None = None
    files: bool = True
    context: bool = True
    force: tuple[str, ...] = ()
    stop_jobs: bool = False
    worktree: str | None = None
    as_json: bool = False


ReadTyped = Callable[[TakenBack, Sequence[str]], BackRequest]
"""Reads the words after `/undo`, `/redo` or `/rewind`. Raises `UsageError`."""
