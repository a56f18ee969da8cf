"""The `edit` tool: one text for another inside a file."""

import msgspec

from hames.core.errors import ArgumentProblem, FileProblem, Problem
from hames.core.events import Effect, FileFact, FileIntent
from hames.core.ids import blob_id
from hames.core.messages import Text
from hames.core.ports import (
    CallContext,
    Files,
    Settled,
    Subject,
    ToolResult,
    ToolSpec,
    WriteOrder,
)
from hames.core.text import listed
from hames.tools.arguments import read_arguments, spec_of
from hames.tools.current import read_text, stale
from hames.tools.matching import Match, Place, find, replaced
from hames.tools.near import diff, near_misses
from hames.tools.paths import absolute, shown, touched
from hames.tools.settle import settle_files
from hames.tools.write import refuse_output


class EditArguments(msgspec.Struct, frozen=True):
    """What `edit` is told."""

    file_path: str
    old_string: str
    new_string: str
    replace_all: bool = False


_SPEC = spec_of(
    "edit",
    "Replace old_string by new_string in a file. old_string must be in it exactly once, unless replace_all.",
    EditArguments,
)


class Edit:
    """Changes parts of files."""

    def __init__(self, files: Files) -> None:
        self._files = files

    @property
    def spec(self) -> ToolSpec:
        return _SPEC

    def prepare(self, arguments: str) -> "EditAction":
        read = read_arguments("edit", EditArguments, arguments)
        if not read.old_string:
            raise ArgumentProblem("old_string is empty. To make a file or to replace a whole one use write")
        if read.old_string == read.new_string:
            raise ArgumentProblem("old_string and new_string are the same: there is nothing to change")
        return EditAction(read, self._files)


class _Change(msgspec.Struct, frozen=True):
    """A change that was found: the hash of the content before, the content after, and what is told."""

    path: str
    before: str
    data: bytes
    said: str


class EditAction:
    """One `edit`."""

    effect: Effect = "reconcilable"

    def __init__(self, arguments: EditArguments, files: Files) -> None:
        self._arguments = arguments
        self._files = files
        self._change: _Change | None = None

    def subject(self, cwd: str) -> Subject:
        return Subject("edit", writes=touched(absolute(self._arguments.file_path, cwd)))

    async def plan(self, context: CallContext) -> tuple[FileIntent, ...]:
        change = self._change = await self._find(context)
        return (FileIntent(change.path, change.before, blob_id(change.data)),)

    async def reconcile(self, context: CallContext, intents: tuple[FileIntent, ...]) -> Settled:
        return await settle_files(self._files, intents, context.cwd)

    async def run(self, context: CallContext) -> ToolResult:
        change = self._change or await self._find(context)
        try:
            fact = await self._files.write(WriteOrder(change.path, change.data, change.before))
        except FileProblem as problem:
            raise (stale(change.path) if problem.trouble == "changed" else problem) from None
        return ToolResult("ok", (Text(change.said),), files=(FileFact(change.path, fact.sha256, "wrote"),))

    async def _find(self, context: CallContext) -> _Change:
        refuse_output(self._arguments.file_path)
        path = absolute(self._arguments.file_path, context.cwd)
        result = await read_text(self._files, path, context.seen.get(path), "edit")
        text = result.data.decode("utf-8", "surrogateescape")
        match = find(text, self._arguments.old_string, self._arguments.new_string)
        self._refuse_unclear(text, match)
        changed = replaced(text, match.places)
        if changed == text:
            raise Problem("the file has new_string at that place already: nothing was changed")
        data = changed.encode("utf-8", "surrogateescape")
        return _Change(path, result.sha256, data, _said(shown(path, context.cwd), text, match))

    def _refuse_unclear(self, text: str, match: Match) -> None:
        places, old = match.places, self._arguments.old_string
        if not places:
            new = self._arguments.new_string
            at = text.find(new) if new.strip() else -1
            done = (
                f"new_string is already at line {_line(text, at)}: was this done before? " if at >= 0 else ""
            )
            near = near_misses(text, old)
            raise Problem(f"old_string is not in the file: nothing was changed. {done}{near}")
        if len(places) > 1 and not (self._arguments.replace_all and match.certain):
            how = f", overlooking {match.how}" if match.how else ""
            lines = _lines(text, places)
            advice = " or set replace_all" if match.certain else ""
            raise Problem(
                f"old_string is in the file {len(places)} times{how}, at lines {lines}: nothing was changed. "
                f"Give more lines around it{advice}"
            )


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _said(name: str, text: str, match: Match) -> str:
    how = f" (found by overlooking {match.how})" if match.how else ""
    if len(match.places) == 1:
        return f"edited {name}{how}\n{diff(text, match.places[0])}"
    return f"edited {name} at {len(match.places)} places{how}: lines {_lines(text, match.places)}"


def _lines(text: str, places: tuple[Place, ...]) -> str:
    return listed(str(_line(text, place.start)) for place in places)
