"""What the last steps have done, and whether any of it was new."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b

import msgspec

from hames.context.sameness import essence
from hames.core.events import (
    AnyEvent,
    CallFinished,
    CallLost,
    CallStarted,
    ChildReported,
    FileFact,
    JobFinished,
    Labelled,
    ModelReplied,
    Todo,
    UserSpoke,
)
from hames.core.ids import CallId
from hames.core.limits import SEEN_STEPS, STUCK_STEPS, STUCK_WAIT_S
from hames.core.messages import Call, Part, Text, plain
from hames.core.text import one_line

STUCK = "stuck"
"""The label of a step after which the model was told that it goes round in circles."""

HELD_STEPS = SEEN_STEPS + STUCK_STEPS[-1]
"""So many steps decide alike whether they were watched, or are read again from the log."""

_MARK_BYTES = 12
_SAID_CHARS = 90
_END_CHARS = 120

Mark = bytes
"""Stands for a text: two are equal when the texts say the same."""


class Step(msgspec.Struct, frozen=True):
    """What one step did. `acts` stands for its calls and their results, `before` and `after` for the files.

    `new`: it brought a result, a plan or a state of the files that the steps before it had not seen. `waits`:
    it went well, and took so long that it may have waited for something. `said` and `end` are for the eye:
    its calls, and how the last result ends.
    """

    step: int
    acts: Mark
    before: str
    after: str
    new: bool
    waits: bool
    said: str
    end: str


class _Came(msgspec.Struct, frozen=True):
    """What a call came to, or what was told of a background command."""

    call: Call | None
    parts: tuple[Part, ...]
    failed: bool = False
    elapsed_ms: int = 0
    todos: tuple[Todo, ...] | None = None


class _Logged(msgspec.Struct):
    """A step as it is on the log; nobody has looked at its texts yet. `touched`: somebody else had changed
    files before it."""

    step: int
    text: str
    calls: dict[CallId, Call]
    came: list[_Came]
    before: str
    after: str
    touched: bool = False


class _Files(msgspec.Struct):
    """The state of the files: the last snapshot, or where there are none a sum of what was written."""

    state: str = ""
    _written: dict[str, Mark] = {}
    _sum: Mark = bytes(_MARK_BYTES)

    def wrote(self, facts: Sequence[FileFact]) -> None:
        for fact in facts:
            if fact.did != "read":
                now = _mark(fact.path, fact.sha256)
                before = self._written.get(fact.path, bytes(_MARK_BYTES))
                self._sum = bytes(a ^ b ^ c for a, b, c in zip(self._sum, before, now, strict=True))
                self._written[fact.path] = now
                self.state = self._sum.hex()


class Progress(msgspec.Struct):
    """The last steps since the user spoke. Their texts are compared when somebody asks, and not while the log
    is read. `told` are the steps after which the model was told that it is stuck."""

    told: list[int] = []
    _logged: list[_Logged] = []
    _news: list[_Came] = []
    _files: _Files = msgspec.field(default_factory=_Files)
    _steps: list[Step] = []
    _seen: dict[Mark, int] = {}
    _marks: list[set[Mark]] = []

    def take(self, event: AnyEvent) -> None:
        """Take in the next event."""
        match event:
            case UserSpoke(source="user" | "steer"):
                self._begin_again()
            case ModelReplied():
                self._reply(event)
            case CallStarted(tree_before=str(tree)) if self._logged:
                self._look_before(self._logged[-1], tree)
            case CallFinished() | CallLost() if self._logged:
                self._end(self._logged[-1], event)
            case JobFinished(told=told):
                self._news.append(_Came(None, (Text(told),)))
            case ChildReported(parts=parts):
                self._news.append(_Came(None, parts))
            case Labelled(label="stuck"):
                self.told.append(event.step)
                del self.told[:-HELD_STEPS]
            case _:
                pass

    @property
    def state(self) -> str:
        """The files as they are; empty where nobody knows."""
        return self._files.state

    @property
    def steps(self) -> Sequence[Step]:
        """The last of them, in their order. To be asked between two steps."""
        self._steps += [self._compared(logged) for logged in self._logged]
        del self._steps[:-HELD_STEPS]
        self._logged = []
        return tuple(self._steps)

    def _begin_again(self) -> None:
        self.told.clear()
        self._logged.clear()
        self._news = []
        self._steps.clear()
        self._seen.clear()
        self._marks.clear()

    def _reply(self, event: ModelReplied) -> None:
        calls, state = {call.id: call for call in event.message.calls}, self._files.state
        self._logged.append(_Logged(event.step, event.message.text, calls, self._news, state, state))
        del self._logged[:-HELD_STEPS]
        self._news = []

    def _look_before(self, step: _Logged, tree: str) -> None:
        if tree != self._files.state:
            step.touched = step.touched or bool(self._files.state)
            self._files.state = step.after = tree
            if step.before == "":
                step.before = tree

    def _end(self, step: _Logged, event: CallFinished | CallLost) -> None:
        call = step.calls.get(event.call)
        if isinstance(event, CallLost):
            step.came.append(_Came(call, event.parts, failed=True))
        else:
            failed = event.outcome != "ok"
            step.came.append(_Came(call, event.parts, failed, event.elapsed_ms, event.todos))
            if event.tree_after is None:
                self._files.wrote(event.files)
        self._files.state = step.after = event.tree_after or self._files.state

    # From here on texts are compared.

    def _compared(self, logged: _Logged) -> Step:
        marks, acts = [_result(came) for came in logged.came], list[Mark]()
        for came, mark in zip(logged.came, marks, strict=True):
            acts.append(mark if came.call is None else _mark(came.call.name, _arguments(came.call)) + mark)
        if not logged.calls:
            acts.append(_mark(essence(logged.text, failed=True)))
        states = [_mark("files", state) for state in (logged.before, logged.after)]
        found = {*marks, *states[1:]} if logged.after != logged.before else set(marks)
        new = logged.touched or any(mark not in self._seen for mark in found - {states[0]})
        self._remember({*found, states[0]})
        return Step(
            step=logged.step,
            acts=b"".join(acts),
            before=logged.before,
            after=logged.after,
            new=new,
            waits=_waits(logged.came),
            said=one_line("; ".join(_shown(call) for call in logged.calls.values()), _SAID_CHARS)
            or "words alone",
            end=_last_line(logged.came),
        )

    def _remember(self, marks: set[Mark]) -> None:
        self._marks.append(marks)
        for mark in marks:
            self._seen[mark] = self._seen.get(mark, 0) + 1
        if len(self._marks) > SEEN_STEPS:
            for mark in self._marks.pop(0):
                self._seen[mark] -= 1
                if not self._seen[mark]:
                    del self._seen[mark]


def _mark(*texts: str) -> Mark:
    return blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=_MARK_BYTES).digest()


def _result(came: _Came) -> Mark:
    plan = "" if came.todos is None else msgspec.json.encode(came.todos).decode()
    return _mark(essence(plain(came.parts), failed=came.failed), plan)


def _arguments(call: Call) -> str:
    """The arguments, however they are spaced and in whatever order."""
    try:
        read = msgspec.json.decode(call.arguments)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return call.arguments
    return msgspec.json.encode(read, order="deterministic").decode()


def _waits(ends: Sequence[_Came]) -> bool:
    took_long = any(came.elapsed_ms >= STUCK_WAIT_S * 1000 for came in ends)
    return took_long and not any(came.failed for came in ends)


def _shown(call: Call) -> str:
    return f"{call.name} {call.arguments}"


def _last_line(ends: Sequence[_Came]) -> str:
    lines: Iterator[str] = (
        line for came in reversed(ends) for line in reversed(plain(came.parts).splitlines()) if line.strip()
    )
    return one_line(next(lines, ""), _END_CHARS)
