"""The `grep` tool: text in files, and in the kept outputs of earlier calls."""

from os.path import join
from typing import Literal

import msgspec

from hames.core.events import Effect
from hames.core.ids import CallId
from hames.core.limits import SEARCH_LINES
from hames.core.ports import Blobs, CallContext, Clock, Files, SearchResult, Subject, ToolResult, ToolSpec
from hames.core.text import clean
from hames.tools.arguments import read_arguments, spec_of
from hames.tools.globs import Glob, read_glob
from hames.tools.kept import find_kept
from hames.tools.kept_search import Wanted, search_kept
from hames.tools.paths import absolute, output_of, shown, touched
from hames.tools.results import ROOM_BYTES, said, within
from hames.tools.search import by_name, lines_of, search

_NOTE_BYTES = 300
_LINE_BYTES = 500
_FILTERED_LINES = 50_000
_MOST_AROUND = 50


class GrepArguments(msgspec.Struct, frozen=True):
    """What `grep` is told."""

    pattern: str
    path: str = "."
    glob: str = ""
    type: str = ""
    output_mode: Literal["content", "files_with_matches", "count"] = "files_with_matches"
    ignore_case: bool = msgspec.field(name="-i", default=False)
    numbers: bool = msgspec.field(name="-n", default=True)
    after: int = msgspec.field(name="-A", default=0)
    before: int = msgspec.field(name="-B", default=0)
    around: int = msgspec.field(name="-C", default=0)
    multiline: bool = False
    head_limit: int = 0


_SPEC = spec_of(
    "grep",
    "Search files with ripgrep. Hidden files are searched, ignored ones are not. output_mode is "
    "files_with_matches unless you say content. path may be output://CALL.",
    GrepArguments,
)


class Grep:
    """Searches text."""

    def __init__(self, files: Files, blobs: Blobs, clock: Clock) -> None:
        self._files = files
        self._blobs = blobs
        self._clock = clock

    @property
    def spec(self) -> ToolSpec:
        return _SPEC

    def prepare(self, arguments: str) -> "GrepAction":
        return GrepAction(
            read_arguments("grep", GrepArguments, arguments), self._files, self._blobs, self._clock
        )


class GrepAction:
    """One search."""

    effect: Effect = "pure"

    def __init__(self, arguments: GrepArguments, files: Files, blobs: Blobs, clock: Clock) -> None:
        self._arguments = arguments
        self._glob = read_glob(arguments.glob) if arguments.glob else None
        self._most = arguments.head_limit if arguments.head_limit > 0 else SEARCH_LINES
        self._files = files
        self._blobs = blobs
        self._clock = clock

    def subject(self, cwd: str) -> Subject:
        if output_of(self._arguments.path) is not None:
            return Subject("grep")
        return Subject("grep", reads=touched(self._below(cwd)))

    async def run(self, context: CallContext) -> ToolResult:
        call = output_of(self._arguments.path)
        if call is not None:
            return await self._in_output(call, context)
        below = self._below(context.cwd)
        most = _FILTERED_LINES if self._glob else self._most + 1
        found = await search(self._files, (*self._options(), "--", self._arguments.pattern, below), "/", most)
        return self._shown(_Lines(found, self._glob, below, context.cwd).all(), found)

    def _below(self, cwd: str) -> str:
        return absolute(join(self._arguments.path or ".", self._glob.root if self._glob else ""), cwd)

    def _options(self) -> list[str]:
        asked = self._arguments
        options = list(by_name(self._glob.name) if self._glob and not asked.type else ())
        if asked.type:
            options.append(f"--type={asked.type}")
        if asked.ignore_case:
            options.append("--ignore-case")
        if asked.multiline:
            options += "--multiline", "--multiline-dotall"
        match asked.output_mode:
            case "files_with_matches":
                options.append("--files-with-matches")
            case "count":
                options += "--count", "--with-filename", "--null"
            case "content":
                options += "--with-filename", "--no-heading", "--null", f"--max-columns={_LINE_BYTES}"
                options += "--max-columns-preview", "--line-number" if asked.numbers else "--no-line-number"
                options += f"--before-context={self._before}", f"--after-context={self._after}"
        return options

    @property
    def _before(self) -> int:
        return min(max(self._arguments.before, self._arguments.around, 0), _MOST_AROUND)

    @property
    def _after(self) -> int:
        return min(max(self._arguments.after, self._arguments.around, 0), _MOST_AROUND)

    def _shown(self, lines: list[str], found: SearchResult) -> ToolResult:
        if not lines:
            return said("no match")
        text, count = within(lines[: self._most], ROOM_BYTES - _NOTE_BYTES)
        if count == len(lines) and not found.cut:
            return said(text)
        of = "more" if found.cut or not self._glob else f"{len(lines):,}"
        return said(
            f"{text}\n[the first {count:,} of {of} lines: narrow it with path, glob, type or pattern]"
        )

    async def _in_output(self, call: CallId, context: CallContext) -> ToolResult:
        asked = self._arguments
        counting = asked.output_mode == "count"
        wanted = Wanted(
            pattern=asked.pattern,
            ignore_case=asked.ignore_case,
            before=self._before,
            after=self._after,
            most=0 if counting else self._most,
        )
        found = await search_kept(self._blobs, find_kept(context.outputs, call), wanted, self._clock)
        if counting or not found.count:
            least = "at least " if found.more else ""
            return said(f"{least}{found.count:,} lines match" if found.count or found.more else "no match")
        text, count = within(found.lines, ROOM_BYTES - _NOTE_BYTES)
        if count == len(found.lines) and not found.more:
            return said(text)
        return said(f"{text}\n[only the first {count:,} lines are shown: use a closer pattern]")


class _Lines:
    """What ripgrep printed, with the paths as the model knows them."""

    def __init__(self, found: SearchResult, glob: Glob | None, below: str, cwd: str) -> None:
        self._found = found
        self._glob = glob
        self._below = below
        self._cwd = cwd

    def all(self) -> list[str]:
        lines: list[str] = []
        for line in lines_of(self._found):
            path, nul, rest = line.partition("\0")
            if line == "--":
                if lines and lines[-1] != "--":
                    lines.append(line)
            elif self._wanted(path):
                lines.append(clean(f"{shown(path, self._cwd)}{':' if nul else ''}{rest}"))
        return lines[:-1] if lines[-1:] == ["--"] else lines

    def _wanted(self, path: str) -> bool:
        return (
            self._glob is None or path == self._below or self._glob.fits(path[len(self._below) :].lstrip("/"))
        )
