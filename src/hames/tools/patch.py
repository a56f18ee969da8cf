"""The `apply_patch` tool: changes of several files in one text, done all or not at all."""

from collections.abc import Sequence

import msgspec
from anyio import CancelScope

from hames.core.errors import FileProblem, Problem
from hames.core.events import Effect, FileIntent
from hames.core.messages import Text
from hames.core.ports import (
    CallContext,
    Files,
    RemoveOrder,
    Settled,
    Subject,
    ToolResult,
    ToolSpec,
    WriteOrder,
)
from hames.tools.arguments import read_arguments, spec_of
from hames.tools.current import hash_now
from hames.tools.patch_change import Change, changes_of, check_paths, paths_of
from hames.tools.patch_text import Section, read_patch
from hames.tools.paths import touched
from hames.tools.results import within
from hames.tools.settle import settle_files


class PatchArguments(msgspec.Struct, frozen=True):
    """What `apply_patch` is told."""

    input: str


_SPEC = spec_of(
    "apply_patch",
    'Change files by a patch: "*** Begin Patch", sections, "*** End Patch". A section is "*** Add File: '
    'PATH" with "+" lines; "*** Delete File: PATH"; or "*** Update File: PATH", perhaps "*** Move to: '
    'PATH", with chunks: "@@" or "@@ LINE BEFORE IT", then 3 lines around the change (" " first), "-" and '
    '"+" ones.',
    PatchArguments,
)


class ApplyPatch:
    """Changes, adds, removes and moves files."""

    def __init__(self, files: Files) -> None:
        self._files = files

    @property
    def spec(self) -> ToolSpec:
        return _SPEC

    def prepare(self, arguments: str) -> "PatchAction":
        read = read_arguments("apply_patch", PatchArguments, arguments)
        return PatchAction(read_patch(read.input), self._files)


class PatchAction:
    """One patch."""

    effect: Effect = "reconcilable"

    def __init__(self, sections: Sequence[Section], files: Files) -> None:
        self._sections = sections
        self._files = files
        self._changes: list[Change] | None = None

    def subject(self, cwd: str) -> Subject:
        paths = [path for section in self._sections for path in paths_of(section, cwd)]
        every = dict.fromkeys(each for path in paths for each in touched(path))
        return Subject("apply_patch", writes=tuple(every))

    async def plan(self, context: CallContext) -> tuple[FileIntent, ...]:
        self._changes = await self._find(context)
        return context.intents or tuple(change.intent for change in _needed(self._changes))

    async def reconcile(self, context: CallContext, intents: tuple[FileIntent, ...]) -> Settled:
        return await settle_files(self._files, intents, context.cwd)

    async def run(self, context: CallContext) -> ToolResult:
        changes = self._changes if self._changes is not None else await self._find(context)
        # Files first, then removals: what is moved is never nowhere.
        ordered = sorted(_needed(changes), key=lambda change: change.data is None)
        done: list[Change] = []
        with CancelScope(shield=True):
            for change in ordered:
                problem = await self._make(change)
                if problem is not None:
                    return await self._take_back(done, problem)
                done.append(change)
        said = [line for change in changes if change.said for line in change.said.split("\n")]
        text, count = within(said)
        more = f"\n[{len(said) - count} more lines]" if count < len(said) else ""
        return ToolResult("ok", (Text(text + more),), files=tuple(change.fact for change in done))

    async def _find(self, context: CallContext) -> list[Change]:
        """What is to be done, found out for all files before any is changed. What an attempt that was cut
        short has done is left out."""
        check_paths(self._sections, context.cwd)
        done = {
            intent.path
            for intent in context.intents
            if await hash_now(self._files, intent.path) == intent.after
        }
        changes: list[Change] = []
        problems: list[str] = []
        for section in self._sections:
            try:
                changes += await changes_of(self._files, section, context, done)
            except Problem as problem:
                problems.append(str(problem))
        if not problems and not _needed(changes) and not done:
            problems.append("the files are already as the patch makes them")
        if problems:
            raise Problem(_refusal(problems))
        return changes

    async def _make(self, change: Change) -> FileProblem | None:
        try:
            if change.data is None:
                await self._files.remove(RemoveOrder(change.path, change.before))
            else:
                order = WriteOrder(change.path, change.data, change.before, change.mode_of)
                await self._files.write(order)
        except FileProblem as problem:
            return problem
        return None

    async def _take_back(self, done: list[Change], problem: FileProblem) -> ToolResult:
        """Put back what was done before a file turned out not to be writable. Raises `Problem` when nothing
        is left of it."""
        left = [change for change in reversed(done) if not await self._undone(change)]
        if not left:
            raise Problem(_refusal([str(problem)]))
        words = "".join(f"\nThis stays done: {change.said or change.path}" for change in left)
        text, _ = within(f"{problem}. The rest of the patch was not done.{words}".split("\n"))
        return ToolResult("failed", (Text(text),), files=tuple(change.fact for change in left))

    async def _undone(self, change: Change) -> bool:
        if change.data is not None and not change.before:
            back = Change(change.path, change.after, None)
        elif change.was is not None:
            back = Change(change.path, change.after, change.was, mode_of=change.mode_of)
        else:
            return False
        return await self._make(back) is None


def _needed(changes: Sequence[Change]) -> list[Change]:
    return [change for change in changes if change.before != change.after]


def _refusal(problems: list[str]) -> str:
    """Why nothing was changed: the first problem of each section."""
    lines = [line for problem in problems for line in problem.split("\n")]
    return within(["nothing of the patch was done:", *lines])[0]
