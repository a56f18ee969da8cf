"""The `glob` tool: files by their paths."""

from os.path import join

import msgspec

from hames.core.events import Effect
from hames.core.limits import SEARCH_LINES
from hames.core.ports import CallContext, Files, Subject, ToolResult, ToolSpec
from hames.tools.arguments import read_arguments, spec_of
from hames.tools.globs import read_glob
from hames.tools.paths import absolute, shown, touched
from hames.tools.results import ROOM_BYTES, said, within
from hames.tools.search import by_name, lines_of, search

_NOTE_BYTES = 200
_LISTED_LINES = 100_000


class GlobArguments(msgspec.Struct, frozen=True):
    """What `glob` is told."""

    pattern: str
    path: str = "."


_SPEC = spec_of("glob", "Find files by path, such as src/**/*.py. Ignored files are left out.", GlobArguments)


class FindFiles:
    """Finds files by path."""

    def __init__(self, files: Files) -> None:
        self._files = files

    @property
    def spec(self) -> ToolSpec:
        return _SPEC

    def prepare(self, arguments: str) -> "FindFilesAction":
        return FindFilesAction(read_arguments("glob", GlobArguments, arguments), self._files)


class FindFilesAction:
    """One search for files."""

    effect: Effect = "pure"

    def __init__(self, arguments: GlobArguments, files: Files) -> None:
        self._glob = read_glob(arguments.pattern)
        self._below = join(arguments.path, self._glob.root)
        self._files = files

    def subject(self, cwd: str) -> Subject:
        return Subject("glob", reads=touched(absolute(self._below, cwd)))

    async def run(self, context: CallContext) -> ToolResult:
        below = absolute(self._below, context.cwd)
        args = (*by_name(self._glob.name), "--files", "--", "./")
        found = await search(self._files, args, below, _LISTED_LINES)
        paths = [path for line in lines_of(found) if self._glob.fits(path := line.removeprefix("./"))]
        if not paths:
            return said("no file fits")
        text, count = within(
            [shown(join(below, path), context.cwd) for path in paths[:SEARCH_LINES]], ROOM_BYTES - _NOTE_BYTES
        )
        if count == len(paths) and not found.cut:
            return said(text)
        of = f"at least {len(paths):,}" if found.cut else f"{len(paths):,}"
        return said(f"{text}\n[the first {count:,} of {of} files: narrow it with path or a closer pattern]")
