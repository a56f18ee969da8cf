"""The `write` tool: a whole file at once."""

import msgspec

from hames.core.errors import FileProblem, Problem
from hames.core.events import Effect, FileFact, FileIntent
from hames.core.ids import blob_id
from hames.core.limits import EDIT_BYTES
from hames.core.messages import Text
from hames.core.ports import (
    CallContext,
    Files,
    ReadQuery,
    Settled,
    Subject,
    ToolResult,
    ToolSpec,
    WriteOrder,
)
from hames.tools.arguments import read_arguments, spec_of
from hames.tools.paths import absolute, output_of, shown, touched
from hames.tools.settle import settle_files


class WriteArguments(msgspec.Struct, frozen=True):
    """What `write` is told."""

    file_path: str
    content: str


_SPEC = spec_of(
    "write",
    "Create a file, or replace one that you have read. To change part of a file, edit it.",
    WriteArguments,
)


class Write:
    """Writes whole files."""

    def __init__(self, files: Files) -> None:
        self._files = files

    @property
    def spec(self) -> ToolSpec:
        return _SPEC

    def prepare(self, arguments: str) -> "WriteAction":
        return WriteAction(read_arguments("write", WriteArguments, arguments), self._files)


class WriteAction:
    """One `write`."""

    effect: Effect = "reconcilable"

    def __init__(self, arguments: WriteArguments, files: Files) -> None:
        self._arguments = arguments
        self._files = files

    def subject(self, cwd: str) -> Subject:
        return Subject("write", writes=touched(absolute(self._arguments.file_path, cwd)))

    async def plan(self, context: CallContext) -> tuple[FileIntent, ...]:
        path, data = self._intended(context)
        return (FileIntent(path, context.seen.get(path, ""), blob_id(data)),)

    async def reconcile(self, context: CallContext, intents: tuple[FileIntent, ...]) -> Settled:
        return await settle_files(self._files, intents, context.cwd)

    def _intended(self, context: CallContext) -> tuple[str, bytes]:
        refuse_output(self._arguments.file_path)
        path = absolute(self._arguments.file_path, context.cwd)
        data = self._arguments.content.encode()
        if len(data) > EDIT_BYTES:
            raise Problem(f"the content is {len(data):,} bytes; at most {EDIT_BYTES:,} can be written")
        return path, data

    async def run(self, context: CallContext) -> ToolResult:
        path, data = self._intended(context)
        expect = context.seen.get(path, "")
        try:
            fact = await self._files.write(WriteOrder(path, data, expect))
        except FileProblem as problem:
            if not expect or not await self._is_gone(path):
                raise _explained(problem, path) from None
            expect = ""
            fact = await self._files.write(WriteOrder(path, data, expect))
        lines = self._arguments.content.count("\n") + (
            not self._arguments.content.endswith("\n") and bool(data)
        )
        did = "replaced" if expect else "created"
        text = f"{did} {shown(path, context.cwd)} ({lines:,} lines, {len(data):,} bytes)"
        return ToolResult("ok", (Text(text),), files=(FileFact(path, fact.sha256, "wrote"),))

    async def _is_gone(self, path: str) -> bool:
        """Whether a file that was seen is not there any more: then there is nothing to lose."""
        try:
            await self._files.read(ReadQuery(path, lines=1, max_bytes=1))
        except FileProblem as problem:
            return problem.trouble == "missing"
        return False


def refuse_output(path: str) -> None:
    """Kept outputs are not written to."""
    if output_of(path) is not None:
        raise Problem("kept outputs cannot be changed")


def _explained(problem: FileProblem, path: str) -> FileProblem:
    match problem.trouble:
        case "exists":
            what = "exists and was not read in this session: read it first, then write or edit it"
        case "changed":
            what = "changed since you read it: read it again, then decide"
        case _:
            return problem
    return FileProblem(problem.trouble, path, f"{path} {what}. Nothing was written")
