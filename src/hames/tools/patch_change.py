"""What the sections of a patch make of the files that there are."""

from collections.abc import Collection, Sequence
from os.path import dirname, realpath

import msgspec

from hames.core.errors import FileProblem, Problem
from hames.core.events import FileFact, FileIntent
from hames.core.ids import blob_id
from hames.core.limits import EDIT_BYTES
from hames.core.ports import CallContext, Files, ReadResult
from hames.core.text import listed
from hames.tools.current import read_now, read_text, stale
from hames.tools.near import diff
from hames.tools.patch_text import Added, Deleted, Section, Updated
from hames.tools.patching import Fitted, fit
from hames.tools.paths import absolute, shown
from hames.tools.write import refuse_output


class Change(msgspec.Struct, frozen=True):
    """What is to become of one file, and what the model is told of that.

    `before` is the hash of its content now, empty when there is no file; `data` its content then, None when
    it is to go. `was` is its content now, if it can be put back. A file that is made, also again, gets the
    mode of `mode_of`, where one is named.
    """

    path: str
    before: str
    data: bytes | None
    said: str = ""
    was: bytes | None = None
    mode_of: str = ""

    @property
    def after(self) -> str:
        """The hash of the content then; empty when the file is to go."""
        return "" if self.data is None else blob_id(self.data)

    @property
    def intent(self) -> FileIntent:
        """What is put on the log before it is done."""
        return FileIntent(self.path, self.before, self.after)

    @property
    def fact(self) -> FileFact:
        """What is put on the log when it was done."""
        return FileFact(self.path, self.after, "removed" if self.data is None else "wrote")


def paths_of(section: Section, cwd: str) -> tuple[str, ...]:
    """The files that a section changes."""
    path = absolute(section.path, cwd)
    if isinstance(section, Updated) and section.to:
        return path, absolute(section.to, cwd)
    return (path,)


def check_paths(sections: Sequence[Section], cwd: str) -> None:
    """Raises `Problem` unless each file is named once, and could be there beside the others."""
    for section in sections:
        refuse_output(section.path)
        refuse_output(section.to if isinstance(section, Updated) else "")
    known: dict[str, str] = {}
    for path in (path for section in sections for path in paths_of(section, cwd)):
        real = realpath(path)
        if real in known:
            names = listed(dict.fromkeys(shown(each, cwd) for each in (known[real], path)))
            raise Problem(f"nothing was changed: {names} is there twice; one section says all of a file")
        known[real] = path
    for real, path in known.items():
        above = real
        while (above := dirname(above)) != "/":
            if above in known:
                names = f"{shown(known[above], cwd)} and {shown(path, cwd)}"
                raise Problem(f"nothing was changed: {names} cannot both be files")


async def changes_of(
    files: Files, section: Section, context: CallContext, done: Collection[str]
) -> list[Change]:
    """What a section makes of its files, without those that are `done`. Raises `Problem`."""
    if all(path in done for path in paths_of(section, context.cwd)):
        return []
    work = _Work(files, context)
    match section:
        case Added():
            return [await work.added(section)]
        case Deleted():
            return [await work.deleted(section)]
        case Updated(to=""):
            return [await work.updated(section)]
        case Updated():
            return [change for change in await work.moved(section, done) if change.path not in done]


class _Work:
    """Looks at the files of a section."""

    def __init__(self, files: Files, context: CallContext) -> None:
        self._files = files
        self._context = context

    async def added(self, section: Added) -> Change:
        path, data = absolute(section.path, self._context.cwd), section.content.encode()
        found = await self._gone(path) if section.replaces else await self._place(path)
        lines = section.content.count("\n")
        did = "replaced" if found else "created"
        said = f"{did} {self._name(path)} ({lines:,} {'line' if lines == 1 else 'lines'})"
        return _made(path, found, data, said)

    async def deleted(self, section: Deleted) -> Change:
        path = absolute(section.path, self._context.cwd)
        found = await self._gone(path)
        return Change(path, found.sha256, None, f"deleted {self._name(path)}")

    async def updated(self, section: Updated) -> Change:
        path = absolute(section.path, self._context.cwd)
        found = await self._text(path)
        fitted = self._fitted(path, found, section)
        said = f"edited {self._name(path)}{_told(section, fitted)}"
        return _made(path, found, _encoded(fitted.after), said)

    async def moved(self, section: Updated, done: Collection[str]) -> list[Change]:
        path, to = paths_of(section, self._context.cwd)
        found = await self._text(path)
        gone = Change(path, found.sha256, None, was=found.data, mode_of=to)
        if to in done:
            return [msgspec.structs.replace(gone, said=f"moved {self._name(path)} to {self._name(to)}")]
        fitted = self._fitted(path, found, section)
        there = await self._place(to)
        said = f"moved {self._name(path)} to {self._name(to)}{_told(section, fitted)}"
        made = _made(to, there, _encoded(fitted.after), said)
        return [msgspec.structs.replace(made, mode_of=path), gone]

    def _name(self, path: str) -> str:
        return shown(path, self._context.cwd)

    async def _text(self, path: str) -> ReadResult:
        return await read_text(self._files, path, self._context.seen.get(path), "apply_patch")

    async def _gone(self, path: str) -> ReadResult:
        """A file that is to be deleted."""
        found = await read_now(self._files, path)
        if found is None:
            raise FileProblem("missing", path, f"{self._name(path)} does not exist: it cannot be deleted")
        self._check_seen(path, found)
        return found

    async def _place(self, path: str) -> ReadResult | None:
        """What is where a file is to be made. Only a file that was read is replaced."""
        found = await read_now(self._files, path)
        if found is not None:
            if path not in self._context.seen:
                words = "exists and was not read in this session: read it first, then update or replace it"
                raise FileProblem("exists", path, f"{self._name(path)} {words}")
            self._check_seen(path, found)
        return found

    def _check_seen(self, path: str, found: ReadResult) -> None:
        if self._context.seen.get(path, found.sha256) != found.sha256:
            raise stale(path)

    def _fitted(self, path: str, found: ReadResult, section: Updated) -> Fitted:
        try:
            return fit(found.data.decode("utf-8", "surrogateescape"), section.chunks)
        except Problem as problem:
            raise Problem(f"{self._name(path)}: {problem}") from None


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _made(path: str, found: ReadResult | None, data: bytes, said: str) -> Change:
    if len(data) > EDIT_BYTES:
        raise Problem(f"{path} would have {len(data):,} bytes; at most {EDIT_BYTES:,} can be written")
    if found is None:
        return Change(path, "", data, said)
    is_whole = len(found.data) == found.size
    return Change(path, found.sha256, data, said, was=found.data if is_whole else None)


def _told(section: Updated, fitted: Fitted) -> str:
    """How many lines came and went, and where; what was found by overlooking something is shown."""
    if fitted.after == fitted.before:
        return "" if section.to else ": it is so already"
    signs = [line.sign for chunk in section.chunks for line in chunk.lines]
    lines = [str(spot.line) for spot in fitted.spots]
    counts = (
        f": +{signs.count('+')} -{signs.count('-')} at line{'s' if len(lines) > 1 else ''} {listed(lines)}"
    )
    loose = [
        f"\n(found by overlooking {spot.how})\n{diff(fitted.before, spot.place)}"
        for spot in fitted.spots
        if spot.how
    ]
    return counts + "".join(loose)
