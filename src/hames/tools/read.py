"""The `read` tool: files, pictures, directories, and the kept outputs of earlier calls."""

import msgspec

from hames.core.errors import FileProblem, Problem
from hames.core.events import Effect, FileFact
from hames.core.ids import blob_id
from hames.core.limits import (
    ENVELOPE_BYTES,
    LINE_CHARS,
    PICTURE_BYTES,
    READ_LINES,
    READ_SHOWN_BYTES,
    SEARCH_LINES,
)
from hames.core.messages import Image, Text
from hames.core.ports import Blobs, CallContext, Files, ReadQuery, ReadResult, Subject, ToolResult, ToolSpec
from hames.core.text import decode, kind_of, media_type
from hames.tools.arguments import read_arguments, spec_of
from hames.tools.kept import cut_line, find_kept, read_kept
from hames.tools.paths import absolute, output_of, shown, touched
from hames.tools.results import said, within
from hames.tools.search import files_below, lines_of

_FETCH_BYTES = 256 * 1024
_NOTE_BYTES = 400
_FOLDED_LINES = 20_000


class ReadArguments(msgspec.Struct, frozen=True):
    """What `read` is told. `offset` is a line, 1 the first."""

    file_path: str
    offset: int = 1
    limit: int | None = None


_SPEC = spec_of(
    "read",
    "Read a file, as `N<tab>line`; also pictures, directories, and output://CALL, the whole output of an "
    "earlier call.",
    ReadArguments,
)


class Read:
    """Shows files to the model."""

    def __init__(self, files: Files, blobs: Blobs) -> None:
        self._files = files
        self._blobs = blobs

    @property
    def spec(self) -> ToolSpec:
        return _SPEC

    def prepare(self, arguments: str) -> "ReadAction":
        return ReadAction(read_arguments("read", ReadArguments, arguments), self._files, self._blobs)


class ReadAction:
    """One `read`."""

    effect: Effect = "pure"

    def __init__(self, arguments: ReadArguments, files: Files, blobs: Blobs) -> None:
        self._arguments = arguments
        self._offset = max(arguments.offset, 1)
        self._files = files
        self._blobs = blobs

    def subject(self, cwd: str) -> Subject:
        path = self._arguments.file_path
        return Subject("read", reads=() if output_of(path) is not None else touched(absolute(path, cwd)))

    async def run(self, context: CallContext) -> ToolResult:
        call = output_of(self._arguments.file_path)
        if call is not None:
            output = find_kept(context.outputs, call)
            return said(await read_kept(self._blobs, output, self._offset, self._arguments.limit))
        path = absolute(self._arguments.file_path, context.cwd)
        lines = min(max(self._arguments.limit or READ_LINES, 1), READ_LINES)
        try:
            result = await self._files.read(ReadQuery(path, self._offset, lines, _FETCH_BYTES))
        except FileProblem as problem:
            if problem.trouble != "directory":
                raise
            return await self._listing(path)
        fact = FileFact(path, result.sha256, "read")
        if result.binary:
            return await self._binary(shown(path, context.cwd), result, fact)
        return ToolResult("ok", (Text(_numbered(result, self._offset)),), files=(fact,))

    async def _binary(self, name: str, result: ReadResult, fact: FileFact) -> ToolResult:
        kind = kind_of(result.data) or "binary data"
        what = f"{name}: {kind}, {result.size:,} bytes"
        media = media_type(result.data)
        if not media:
            return ToolResult("ok", (Text(f"[{what}; not shown as text]"),), files=(fact,))
        if result.size > PICTURE_BYTES:
            raise Problem(
                f"{what}: too big to be shown, at most {PICTURE_BYTES:,} bytes are; make it smaller"
            )
        whole = await self._files.read(ReadQuery(fact.path, max_bytes=PICTURE_BYTES))
        if whole.sha256 != result.sha256 or len(whole.data) != whole.size:
            raise Problem(f"{name} could not be read whole: it may be changing; read it again")
        parts = (Text(f"[{what}]"), Image(media, blob_id(whole.data)))
        return ToolResult("ok", parts, files=(fact,), blobs=(whole.data,))

    async def _listing(self, path: str) -> ToolResult:
        found = await files_below(self._files, path, _FOLDED_LINES)
        entries: dict[str, int] = {}
        for line in lines_of(found):
            name, slash, _ = line.removeprefix("./").partition("/")
            entries[name + slash] = entries.get(name + slash, 0) + 1
        if not entries:
            return said(f"{path} is a directory with no files, or only ignored ones (`ls -A` shows those)")
        lines = [f"{name} ({count:,} files)" if name[-1] == "/" else name for name, count in entries.items()]
        text, count = within(lines[:SEARCH_LINES])
        more = " first" if count < len(lines) or found.cut else ""
        return said(f"{path} is a directory; its{more} {count:,} entries, ignored files left out:\n{text}")


def _numbered(result: ReadResult, offset: int) -> str:
    """The lines with their numbers, and a note when they are not all."""
    if not result.size:
        return "[the file is empty]"
    if offset > result.total_lines:
        raise Problem(f"the file has only {result.total_lines:,} lines")
    lines = decode(result.data).removesuffix("\n").split("\n")
    crlf = lines[0].endswith("\r")
    numbered = [
        f"{number}\t{cut_line(line.removesuffix(chr(13)))}" for number, line in enumerate(lines, offset)
    ]
    text, count = within(numbered, READ_SHOWN_BYTES - ENVELOPE_BYTES - _NOTE_BYTES)
    notes: list[str] = []
    last = offset + count - 1
    if offset > 1 or last < result.total_lines:
        notes.append(f"lines {offset:,}-{last:,} of {result.total_lines:,}")
    if last < result.total_lines:
        notes.append(f"go on with offset={last + 1}")
    if any(len(line) > LINE_CHARS for line in lines[:count]):
        notes.append("`cut -c` in bash shows the rest of a long line")
    if crlf:
        notes.append("lines end in CRLF")
    return f"{text}\n[{'; '.join(notes)}]" if notes else text
