"""Reading the text of a patch: an envelope around sections that add, delete, update and move files."""

import re
from typing import Literal, NamedTuple

import msgspec

from hames.core.errors import ArgumentProblem

_BEGIN, _END = "*** Begin Patch", "*** End Patch"
_ADD, _DELETE, _UPDATE = "*** Add File:", "*** Delete File:", "*** Update File:"
_MOVE, _FILE_END = "*** Move to:", "*** End of File"
_SHELL = r"(?:apply_?patch)?\s*<<-?\s*(['\"]?)(\w+)\1\s*"
_NUMBERS = r"-\d+(?:,\d+)? \+\d+(?:,\d+)? @@ ?"
_SHOWN_CHARS = 80

Sign = Literal[" ", "-", "+"]


class Line(NamedTuple):
    """A line of a chunk: to be found, to be found and taken out, or to be put in."""

    sign: Sign
    text: str


class Chunk(msgspec.Struct, frozen=True):
    """Neighbouring lines of a file and what is to become of them.

    They stand after the lines that `anchors` name, one after the other, and at the end of the file with
    `at_end`. `number` is where the chunk begins in the patch.
    """

    number: int
    anchors: tuple[str, ...]
    lines: tuple[Line, ...]
    at_end: bool = False


class Added(msgspec.Struct, frozen=True):
    """A new file; with `replaces` instead of one that is deleted."""

    path: str
    content: str
    replaces: bool = False


class Deleted(msgspec.Struct, frozen=True):
    """A file that is to go."""

    path: str


class Updated(msgspec.Struct, frozen=True):
    """A file that is changed, and moved to `to` where that is not empty."""

    path: str
    chunks: tuple[Chunk, ...]
    to: str = ""


Section = Added | Deleted | Updated


def read_patch(text: str) -> tuple[Section, ...]:
    """The sections of a patch, in its order. Raises `ArgumentProblem`, naming the line.

    A patch without its last line was cut off, and is refused whatever it says. Neighbouring updates of one
    file are one, and so are a deletion and an addition.
    """
    sections: list[Section] = []
    reader = _Reader(_envelope(text))
    while reader.line is not None:
        section = reader.section()
        joined = _joined(sections[-1], section) if sections else None
        sections[-1 if joined else len(sections) :] = [joined or section]
    if not sections:
        raise _wrong("the patch names no file")
    return tuple(sections)


def _joined(before: Section, section: Section) -> Section | None:
    """Both as one, where they are about one file."""
    if before.path == section.path:
        match before, section:
            case Updated(to=""), Updated():
                return msgspec.structs.replace(section, chunks=before.chunks + section.chunks)
            case Deleted(), Added():
                return msgspec.structs.replace(section, replaces=True)
            case _:
                pass
    return None


def _wrong(what: str) -> ArgumentProblem:
    return ArgumentProblem(f"{what}. Nothing was changed")


class _Numbered(NamedTuple):
    """Lines of a patch without its envelope, and the number that the first has in the patch."""

    lines: list[str]
    first: int


def _envelope(text: str) -> _Numbered:
    """What stands between the first and the last line, a shell's here-document or a fence around it taken
    off."""
    lines = text.replace("\r\n", "\n").split("\n")
    start, end = 0, len(lines)
    while start < end and not lines[start].strip():
        start += 1
    while end > start and not lines[end - 1].strip():
        end -= 1
    if start == end:
        raise _wrong("the patch is empty")
    shell = re.fullmatch(_SHELL, lines[start])
    fence = lines[start].startswith("```")
    last = shell[2] if shell else "```" if fence else None
    if last is not None:
        start += 1
        end -= lines[end - 1].strip() == last
    if start >= end or lines[start].strip() != _BEGIN:
        raise _wrong(f'the patch does not begin with the line "{_BEGIN}"')
    if lines[end - 1].strip() != _END or end - 1 == start:
        raise _wrong(f'the patch does not end with the line "{_END}": it was cut off, or more comes after it')
    return _Numbered(lines[start + 1 : end - 1], start + 2)


class _Reader:
    """Goes through the lines of a patch once."""

    def __init__(self, numbered: _Numbered) -> None:
        self._lines = numbered.lines
        self._first = numbered.first
        self._at = 0
        self._skip_blank()

    @property
    def line(self) -> str | None:
        """The line that is to be read next."""
        return self._lines[self._at] if self._at < len(self._lines) else None

    def section(self) -> Section:
        """The next section. Raises `ArgumentProblem`."""
        line = self._lines[self._at]
        number = self._number
        self._at += 1
        if line.startswith(_ADD):
            section = Added(self._path(line, _ADD), self._content())
        elif line.startswith(_DELETE):
            section = Deleted(self._path(line, _DELETE))
        elif line.startswith(_UPDATE):
            section = self._update(self._path(line, _UPDATE), number)
        else:
            what = f'"{_ADD} PATH", "{_DELETE} PATH" or "{_UPDATE} PATH"'
            raise _wrong(f"line {number} of the patch is {_quoted(line)}, and should be {what}")
        self._skip_blank()
        return section

    @property
    def _number(self) -> int:
        return self._first + self._at

    def _skip_blank(self) -> None:
        while self.line is not None and not self.line.strip():
            self._at += 1

    def _path(self, line: str, header: str) -> str:
        path = line[len(header) :].strip()
        if not path or "\0" in path:
            raise _wrong(f"line {self._number - 1} of the patch names no file")
        return path

    def _content(self) -> str:
        """The lines of a new file. One without a sign is an empty line of it only between others."""
        content: list[str] = []
        blank = 0
        while self.line is not None and (self.line.startswith("+") or not self.line.strip()):
            if self.line.startswith("+"):
                content += [*[""] * blank, self.line[1:]]
                blank = 0
            else:
                blank += 1
            self._at += 1
        return "".join(f"{line}\n" for line in content)

    def _update(self, path: str, number: int) -> Updated:
        to = ""
        if self.line is not None and self.line.startswith(_MOVE):
            self._at += 1
            to = self._path(self._lines[self._at - 1], _MOVE)
        chunks: list[Chunk] = []
        while self.line is not None and not self._is_header(self.line):
            chunk = self._chunk()
            chunks += [chunk] if chunk.lines else []
        if not chunks and not to:
            raise _wrong(f"the section at line {number} of the patch says no change of {path}")
        return Updated(path, tuple(chunks), to)

    def _is_header(self, line: str) -> bool:
        return line.startswith("*** ") and line.rstrip() != _FILE_END

    def _chunk(self) -> Chunk:
        """The next chunk, with the anchors before it. A line without anything is one of the file only between
        others."""
        number, anchors = self._number, self._anchors()
        lines: list[Line] = []
        blank = 0
        while self.line is not None and not self.line.startswith(("@@", "*** ")):
            line = self._lines[self._at]
            if not line.strip() and not line.startswith(" "):
                blank += 1
            elif not line.startswith("\\"):
                lines += [*[Line(" ", "")] * blank, self._signed(line)]
                blank = 0
            self._at += 1
        at_end = self.line is not None and self.line.rstrip() == _FILE_END
        self._at += at_end
        return Chunk(number, anchors, tuple(lines), at_end)

    def _anchors(self) -> tuple[str, ...]:
        """The lines after which the chunk stands. Line numbers, as in a unified diff, say nothing here."""
        anchors: list[str] = []
        while self.line is not None and self.line.startswith("@@"):
            anchor = re.sub(f"^{_NUMBERS}", "", self.line[2:].removeprefix(" ")).rstrip().removesuffix(" @@")
            anchors += [anchor] if anchor.strip() else []
            self._at += 1
        return tuple(anchors)

    def _signed(self, line: str) -> Line:
        match line[0]:
            case " " | "-" | "+":
                return Line(line[0], line[1:])
            case _:
                raise _wrong(
                    f"line {self._number} of the patch is {_quoted(line)}: a line of a file begins with a "
                    "space where it stays, with - where it goes and with + where it comes"
                )


def _quoted(line: str) -> str:
    return f'"{line[:_SHOWN_CHARS]}…"' if len(line) > _SHOWN_CHARS else f'"{line}"'
