"""Cuts a stream of bytes into server-sent events. Pure."""

import re
from collections.abc import Sequence

# A pair of surrogates, or half of one; an escaped backslash first, so that it hides what follows it.
_SURROGATES = rb"\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u[dD][89a-fA-F].."
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventCutter:
    """Fed with bytes cut anywhere, gives the data of whole events, and None for each comment.

    A byte order mark may come first, and lines may end in CR LF, LF or CR. Data of several lines is joined
    with LF; other fields are passed over.
    """

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._data: list[bytes] = []
        self._after_cr = False
        self._begun = False

    def feed(self, data: bytes) -> list[bytes | None]:
        """The events that these bytes complete."""
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = data.split(b"\n")
        if len(lines) == 1:
            self._line.append(data)
            return []
        if self._line:
            self._line.append(lines[0])
            lines[0] = b"".join(self._line)
            self._line.clear()
        rest = lines.pop()
        if rest:
            self._line.append(rest)
        return self._events(lines)

    def end(self) -> list[bytes | None]:
        """The stream is over: an event whose last line end is missing counts, if it can be read."""
        lines = [b"".join(self._line), b""]
        self._line.clear()
        return self._events(lines)

    def _events(self, lines: list[bytes]) -> list[bytes | None]:
        events: list[bytes | None] = []
        if not self._begun:
            self._begun = True
            lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif not line:
                if self._data:
                    events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                    self._data.clear()
            elif line.startswith(b":"):
                events.append(None)
        return events


def begins_json(pieces: Sequence[bytes]) -> bool | None:
    """Whether a body is one JSON value, and no stream of events; None until that is known."""
    for piece in pieces:
        begin = piece.lstrip()[:1]
        if begin:
            return begin == b"{"
    return None


def without_halves(data: bytes) -> bytes:
    """JSON in which each half of a surrogate pair is replaced: some servers cut where an emoji is."""
    return re.sub(_SURROGATES, _whole, data)


def _whole(match: re.Match[bytes]) -> bytes:
    found = match.group()
    return rb"\ufffd" if len(found) == 6 else found
