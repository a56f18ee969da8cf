"""What is known of the agent's last change of the workspace: which checks have run since, and their ends."""

from typing import NamedTuple

import msgspec

from hames.context.arguments import text_in
from hames.context.checks import looks
from hames.core.events import (
    AnyEvent,
    CallFinished,
    CallIntended,
    CallLost,
    CallStarted,
    CommandFact,
    Effect,
    FilesRestored,
    GoalChecked,
    JobFinished,
    JobStarted,
    ModelReplied,
    Ran,
)
from hames.core.ids import BlobId, CallId, JobId
from hames.core.limits import VERIFIED_CHARS, VERIFIED_COMMANDS
from hames.core.text import one_line


class _Job(NamedTuple):
    command: str
    seq: int


class Verified(msgspec.Struct):
    """Folds who changed the workspace last, and what was run since: never what the model says of it.

    `changed` is the entry with the agent's last change of files, 0 for none. What a check leaves behind by
    itself, as caches and built files, is no change. Where there are no snapshots, every command but a check
    may have changed something.
    """

    changed: int = 0
    _ran: dict[str, Ran] = {}
    _arguments: dict[CallId, str] = {}
    _effects: dict[CallId, Effect] = {}
    _before: dict[CallId, BlobId | None] = {}
    _jobs: dict[JobId, _Job] = {}
    _tree: BlobId | None = None

    @property
    def checks(self) -> tuple[Ran, ...]:
        """The checks since the last change, each as it ended last."""
        return tuple(self._ran.values())

    @property
    def has_unverified(self) -> bool:
        """Whether there are changes after which nothing was checked."""
        return self.changed > 0 and not self._ran

    def take(self, event: AnyEvent, seq: int) -> None:
        """Take in the next event."""
        match event:
            case ModelReplied(message=message):
                self._arguments = {call.id: call.arguments for call in message.calls if call.name == "bash"}
                self._effects.clear()
                self._before.clear()
            case CallIntended(call=call, effect=effect):
                self._effects[call] = effect
            case CallStarted(call=call, tree_before=tree):
                self._before[call] = self._tree = tree
            case CallFinished() | CallLost():
                self._call(event, seq)
            case JobStarted() | JobFinished():
                self._job(event, seq)
            case GoalChecked():
                self._tree = event.tree_after
                if not event.fact.stopped:
                    seems = looks(event.command)
                    self._run(event.command, event.fact, seq, told=seems.tells or not seems.checks)
            case FilesRestored(tree=tree):
                self._tree = tree
                self._change(seq)
            case _:
                pass

    def _call(self, event: CallFinished | CallLost, seq: int) -> None:
        if event.call not in self._before:
            return  # It was not run.
        changes = self._changes(event)
        self._tree = event.tree_after
        command = text_in(self._arguments.get(event.call, ""), "command")
        seems = looks(command)
        if changes and not seems.only:
            self._change(seq)
        elif isinstance(event, CallFinished) and event.command is not None and seems.checks:
            self._run(command, event.command, seq, told=seems.tells)

    def _changes(self, event: CallFinished | CallLost) -> bool:
        if isinstance(event, CallFinished) and any(fact.did != "read" for fact in event.files):
            return True
        before = self._before.pop(event.call)
        if before is None or event.tree_after is None:
            return self._effects.get(event.call, "effectful") == "effectful"
        return before != event.tree_after

    def _job(self, event: JobStarted | JobFinished, seq: int) -> None:
        if isinstance(event, JobStarted):
            self._jobs[event.job] = _Job(event.command, seq)
            return
        job = self._jobs.pop(event.job, _Job("", 0))
        seems = looks(job.command)
        known = self._tree is not None and event.tree_after is not None
        changes = not known or event.tree_after != self._tree
        self._tree = event.tree_after
        if changes and not seems.only:
            self._change(seq)
        elif seems.checks and job.seq > self.changed:
            self._run(job.command, event.command, seq, told=seems.tells)

    def _change(self, seq: int) -> None:
        self.changed = seq
        self._ran.clear()

    def _run(self, command: str, fact: CommandFact, seq: int, *, told: bool = True) -> None:
        shown = one_line(command, VERIFIED_CHARS)
        self._ran.pop(shown, None)
        if len(self._ran) == VERIFIED_COMMANDS:
            del self._ran[next(iter(self._ran))]
        self._ran[shown] = Ran(shown, fact.exit_code if told and not fact.timed_out else None, seq)
