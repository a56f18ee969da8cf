"""What was done and what came of it, told by the log: files, commands, and what has failed."""

from collections.abc import Sequence

import msgspec

from hames.context.arguments import text_in
from hames.context.errors_named import NamedError, read_error
from hames.context.families import family, is_look, says_all, says_one
from hames.core.events import (
    AnyEvent,
    CallFinished,
    CallIntended,
    FileFact,
    FilesRestored,
    Labelled,
    ModelReplied,
    RestoreStarted,
    UserSpoke,
)
from hames.core.ids import BlobId, CallId
from hames.core.limits import (
    LEDGER_COMMANDS,
    LEDGER_FAILURES,
    LEDGER_FILES,
    REPEATED_FAILURES,
)
from hames.core.messages import Call, plain
from hames.core.text import one_line

FAILING = "repeated_failure"
"""The label of a step after which going back was offered, or done."""

_SHOWN_CHARS = 100
_TRIED = 6
"""So many changes are named for one try; more are counted."""


class FileLine(msgspec.Struct, frozen=True):
    """A file as the session knows it. `sha256` is empty where it was removed."""

    did: str
    sha256: str
    step: int


class Command(msgspec.Struct, frozen=True):
    """A command that ended, and the files after it."""

    command: str
    exit_code: int | None
    step: int
    tree: BlobId | None = None


class Failure(msgspec.Struct, frozen=True):
    """A command or an edit that failed: what was run, and what was `tried` since it was last run.

    `kind` is the family of the command, or the tool and its files. `text` is the result, `seq` the place of
    its end on the log; `put_back`: what was tried is not in the files any more.
    """

    kind: str
    ran: str
    tried: tuple[str, ...]
    text: str
    step: int
    seq: int
    put_back: bool = False

    @property
    def error(self) -> NamedError:
        """What the result says went wrong. Read each time: nobody asks often."""
        return read_error(self.text)


class Repeated(msgspec.Struct, frozen=True):
    """Failures of one kind, the oldest first, and the state to go back to: after step `good`. `passed` is the
    command that went well then; empty where none has, and it is the state of the first failure."""

    failures: tuple[Failure, ...]
    good: int
    passed: str = ""


class _Changes(msgspec.Struct):
    """What was changed, for each kind of command since it was last run."""

    _named: list[str] = []
    _count: int = 0
    _taken: dict[str, int] = {}

    def add(self, change: str) -> None:
        self._named.append(change)
        del self._named[:-_TRIED]
        self._count += 1

    def take(self, kind: str) -> tuple[str, ...]:
        """The last ones since this kind took them, and how many there were before those."""
        new = self._count - self._taken.pop(kind, 0)
        self._taken[kind] = self._count
        if len(self._taken) > LEDGER_COMMANDS:
            del self._taken[next(iter(self._taken))]
        named = self._named[-new:] if new else []
        return (*named, *((f"and {new - _TRIED} before",) if new > _TRIED else ()))


class Ledger(msgspec.Struct):
    """The last files, commands and failures of a session. Bounded; texts are read when somebody asks.

    `passed` is the last time that each command went well, and its exit code says so of all of it.
    """

    files: dict[str, FileLine] = {}
    commands: list[Command] = []
    failures: list[Failure] = []
    passed: dict[str, Command] = {}
    _calls: dict[CallId, Call] = {}
    _intended: dict[CallId, CallIntended] = {}
    _step: int = 0
    _changes: _Changes = msgspec.field(default_factory=_Changes)
    _counts_from: int = 0
    _going_to: RestoreStarted | None = None

    def take(self, event: AnyEvent, seq: int, *, changed: bool) -> None:
        """Take in the event at `seq`. `changed`: the files are not what they were before it."""
        match event:
            case ModelReplied():
                self._step = event.step
                self._calls = {call.id: call for call in event.message.calls}
                self._intended = {}
            case CallIntended():
                self._intended[event.call] = event
            case CallFinished() if event.call in self._calls:
                self._end(event, seq, changed=changed)
            case UserSpoke(source="user" | "steer") | Labelled(label="repeated_failure"):
                self._counts_from = seq
            case RestoreStarted():
                self._going_to = event
            case FilesRestored() if self._going_to is not None:
                self._put_back(self._going_to.through, seq)
            case _:
                pass

    def _end(self, event: CallFinished, seq: int, *, changed: bool) -> None:
        call = self._calls[event.call]
        intended = self._intended.get(event.call)
        tool = call.name if intended is None else intended.tool
        for fact in event.files:
            self._see(fact)
        failed = event.outcome == "failed"
        ran = "" if event.command is None else _command_in(call.arguments)
        # What a failing command leaves is its own affair, unless it changes something first and then tries.
        if (changed or _wrote(event)) and not (failed and ran and says_one(ran)):
            self._changes.add(_change(tool, call.arguments, event))
        if event.command is not None:
            self._ran(event, Command(ran, event.command.exit_code, self._step, event.tree_after), seq)
        elif failed and tool in _CHANGERS:
            shown = f"{tool} {text_in(call.arguments, 'file_path')}".strip()
            self._fail(shown, shown, event, seq)

    def _see(self, fact: FileFact) -> None:
        self.files.pop(fact.path, None)
        self.files[fact.path] = FileLine(fact.did, fact.sha256, self._step)
        if len(self.files) > LEDGER_FILES:
            del self.files[next(iter(self.files))]

    def _ran(self, event: CallFinished, ran: Command, seq: int) -> None:
        self.commands.append(ran)
        del self.commands[:-LEDGER_COMMANDS]
        if event.outcome == "failed" and not is_look(ran.command):
            self._fail(family(ran.command), ran.command, event, seq)
        elif event.outcome == "ok" and ran.exit_code == 0 and says_all(ran.command):
            self._changes.take(family(ran.command))
            self.passed.pop(ran.command, None)
            self.passed[ran.command] = ran
            if len(self.passed) > LEDGER_COMMANDS:
                del self.passed[next(iter(self.passed))]

    def _fail(self, kind: str, ran: str, event: CallFinished, seq: int) -> None:
        tried = self._changes.take(kind)
        self.failures.append(Failure(kind, ran, tried, plain(event.parts), self._step, seq))
        del self.failures[:-LEDGER_FAILURES]

    def _put_back(self, through: int, seq: int) -> None:
        self._going_to, self._counts_from = None, seq
        self._changes = _Changes()
        self.failures = [
            msgspec.structs.replace(failure, put_back=failure.put_back or failure.seq > through)
            for failure in self.failures
        ]

    @property
    def standing(self) -> tuple[Failure, ...]:
        """What has failed and not gone well since: of each command its last failure, the newest last."""
        last = {each.ran: each for each in self.failures}
        return tuple(
            each
            for each in self.failures
            if each is last[each.ran]
            and (each.ran not in self.passed or self.passed[each.ran].step < each.step)
        )

    def repeated(self) -> Repeated | None:
        """The failures of the kind of the last one, when that came in the last step and there are enough of
        them since the user spoke and the command last went well, each after other changes; None else."""
        last = self.failures[-1] if self.failures else None
        if last is None or last.step != self._step or not last.tried:
            return None
        good = self._last_pass(last)
        first = 0 if good is None else good.step
        near = [
            each
            for each in self.failures
            if each.kind == last.kind and each.seq > self._counts_from and each.step > first
        ]
        if len(near) < REPEATED_FAILURES:
            return None
        key = last.error.key
        same = [each for each in near if each.error.key == key]
        same = [each for at, each in enumerate(same) if each.tried or not at]
        if len(same) < REPEATED_FAILURES:
            return None
        if good is None:
            return Repeated(tuple(same), same[0].step)
        return Repeated(tuple(same), good.step, good.command)

    def _last_pass(self, last: Failure) -> Command | None:
        """When the command that fails, or else one of its family, last went well."""
        exact = self.passed.get(last.ran)
        alike = [ran for ran in self.passed.values() if family(ran.command) == last.kind]
        return exact or max(alike, key=lambda ran: ran.step, default=None)


_CHANGERS = ("edit", "write", "apply_patch")


def _wrote(event: CallFinished) -> bool:
    return any(fact.did != "read" for fact in event.files)


def _change(tool: str, arguments: str, event: CallFinished) -> str:
    """A change in short."""
    if event.command is not None:
        return one_line(f"{tool} {_command_in(arguments)}", _SHOWN_CHARS)
    names = ", ".join(fact.path.rpartition("/")[2] for fact in event.files if fact.did != "read")
    return one_line(f"{tool} {names or arguments}", _SHOWN_CHARS)


def _command_in(arguments: str) -> str:
    return text_in(arguments, "command") or one_line(arguments, _SHOWN_CHARS)


def tried_in_words(failures: Sequence[Failure]) -> str:
    """What was tried, step by step."""
    return "; ".join(f"step {each.step}: {_words(each)}" for each in failures)


def _words(failure: Failure) -> str:
    tried = ", ".join(failure.tried) or "as it was"
    return f"{tried} (put back since)" if failure.put_back else tried
