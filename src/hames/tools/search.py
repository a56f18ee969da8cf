"""Asking ripgrep: the same rules for `grep`, `glob` and listings."""

from hames.core.errors import Problem
from hames.core.limits import SEARCH_BYTES
from hames.core.ports import Files, SearchQuery, SearchResult
from hames.core.text import clip, decode

_RULES = (
    "--no-config",
    "--color=never",
    "--no-require-git",
    "--hidden",
    "--glob=!.git",
    "--sort=path",
)
"""Ignore files count, also outside of git. Hidden files are searched: `.github` is part of a project.
Sorted, so that the same tree gives the same answer."""

_ERROR_BYTES = 1000


async def search(files: Files, args: tuple[str, ...], cwd: str, max_lines: int) -> SearchResult:
    """Run ripgrep below `cwd`. No match is a result; a pattern it cannot read is a `Problem`."""
    result = await files.search(SearchQuery((*_RULES, *args), cwd, SEARCH_BYTES, max_lines))
    if result.exit_code > 1 and not result.data:
        raise Problem(clip(result.error.strip() or "the search failed", _ERROR_BYTES))
    return result


async def files_below(files: Files, cwd: str, max_lines: int) -> SearchResult:
    """The files below `cwd`, one a line, relative to it, with `./` before each."""
    return await search(files, ("--files", "--", "./"), cwd, max_lines)


def lines_of(result: SearchResult) -> list[str]:
    """The lines that were printed."""
    text = decode(result.data)
    return text.removesuffix("\n").split("\n") if text else []


def by_name(name: str) -> tuple[str, ...]:
    """Options that leave only files whose names fit a pattern, ignore files still counting."""
    return (f"--type-add=hames:{name}", "--type=hames") if name else ()
