"""HTTP/1.1 as bytes: writes the head of a request, reads a response that comes in pieces. No I/O."""

from collections.abc import Mapping

import msgspec

HEAD_BYTES = 64 * 1024
"""A longer response head is refused."""

CHUNK_LINE_BYTES = 4096
"""A longer line before a chunk is refused."""

_TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_HEX = frozenset(b"0123456789abcdefABCDEF")


class BadHttp(Exception):
    """What came is not HTTP/1.1 that we understand, or what is to be sent is not."""


class ResponseHead(msgspec.Struct, frozen=True):
    """Status and headers. Names are in lower case; values of a repeated name are joined by commas."""

    status: int
    headers: Mapping[str, str]


def request_head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """The bytes before the body. Raises `BadHttp` for a name or value that cannot be sent."""
    lines = [f"{method} {target} HTTP/1.1"]
    for name, value in headers.items():
        if not name or not _TOKEN.issuperset(name.encode()):
            raise BadHttp(f"the header name {name!r} is not valid")
        if not value.isprintable():
            raise BadHttp(f"the value of the header {name} has a character that cannot be sent")
        lines.append(f"{name}: {value}")
    if not target.isascii() or not target.isprintable() or " " in target:
        raise BadHttp(f"the address {target!r} has a character that cannot be sent")
    lines.append("\r\n")
    try:
        return "\r\n".join(lines).encode("latin-1")
    except UnicodeEncodeError:
        raise BadHttp("a header has a character that cannot be sent") from None


class ResponseReader:
    """Reads one response, fed with bytes cut anywhere.

    `head` is None until it is whole (interim 1xx responses are passed over). After `complete` nothing
    more belongs to the response; `reusable` then says if the connection can serve another request.
    """

    def __init__(self) -> None:
        self.head: ResponseHead | None = None
        self.complete = False
        self._rest = bytearray()
        self._body = _Body()
        self._keep = False

    @property
    def reusable(self) -> bool:
        """The response is whole, nothing is left over, and the server keeps the connection open."""
        return self.complete and self._keep and not self._rest

    def feed(self, data: bytes) -> bytes:
        """What of the body these bytes complete. Raises `BadHttp`."""
        if self.head is None:
            self._rest += data
            if not self._read_heads():
                return b""
            data, self._rest = bytes(self._rest), bytearray()
        if self.complete:
            self._rest += data
            return b""
        out, left = self._body.feed(data)
        if self._body.complete:
            self.complete = True
            self._rest += left
        return out

    def end(self) -> None:
        """The connection was closed by the server. Raises `BadHttp` if something is missing."""
        self._keep = False
        if self.head is None:
            raise BadHttp("the connection was closed before the reply began")
        if not self.complete and not self._body.until_close:
            raise BadHttp("the connection was closed in the middle of the reply")
        self.complete = True

    def _read_heads(self) -> bool:
        while True:
            end = self._rest.find(b"\r\n\r\n")
            if end < 0 or end > HEAD_BYTES:
                if len(self._rest) > HEAD_BYTES:
                    raise BadHttp("the head of the reply is too long")
                return False
            raw = bytes(self._rest[:end])
            del self._rest[: end + 4]
            head, version = _parse_head(raw)
            if head.status == 101:
                raise BadHttp("the server switched to another protocol")
            if head.status >= 200:
                break
        self.head = head
        self._keep = _keeps_open(version, head.headers)
        self._body = _body_of(head)
        if self._body.until_close:
            self._keep = False
        return True


def _parse_head(raw: bytes) -> tuple[ResponseHead, bytes]:
    lines = raw.split(b"\r\n")
    status_line = lines[0].split(b" ", 2)
    version = status_line[0]
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or len(status_line) < 2:
        raise BadHttp("the server did not answer with HTTP/1.1")
    code = status_line[1]
    if len(code) != 3 or not code.isdigit() or code[:1] == b"0":
        raise BadHttp("the status of the reply is not a number of three digits")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not name or not _TOKEN.issuperset(name) or b"\n" in value or b"\0" in value:
            raise BadHttp("the reply has a header that cannot be read")
        key = name.decode("ascii").lower()
        text = value.strip(b" \t").decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return ResponseHead(int(code), headers), version


def _keeps_open(version: bytes, headers: Mapping[str, str]) -> bool:
    options = [option.strip() for option in headers.get("connection", "").lower().split(",")]
    if version == b"HTTP/1.0":
        return "keep-alive" in options
    return "close" not in options


def _body_of(head: ResponseHead) -> "_Body":
    if head.status in (204, 304):
        return _Sized(0)
    coding = head.headers.get("transfer-encoding")
    if coding is not None:
        if coding.strip().lower() != "chunked":
            raise BadHttp(f"the transfer encoding {coding!r} is not known")
        return _Chunked()
    length = head.headers.get("content-length")
    if length is None:
        return _UntilClose()
    sizes = {size.strip() for size in length.split(",")}
    size = sizes.pop()
    if sizes or not (size.isascii() and size.isdigit()) or len(size) > 15:
        raise BadHttp("the reply has a length that is not a number")
    return _Sized(int(size))


class _Body:
    """How the end of a body is known. `feed` gives what is body, and what came after its end."""

    complete = False
    until_close = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        return data, b""


class _UntilClose(_Body):
    until_close = True


class _Sized(_Body):
    def __init__(self, size: int) -> None:
        self._left = size
        self.complete = size == 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        out, left = data[: self._left], data[self._left :]
        self._left -= len(out)
        self.complete = self._left == 0
        return out, left


class _Chunked(_Body):
    """The chunked coding. Extensions and trailers are passed over."""

    def __init__(self) -> None:
        self._line = b""
        # What is missing of the chunk, its line end counted in: 2 means that only the line end is.
        self._left = 0
        self._trailers = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        out: list[bytes] = []
        at = 0
        while at < len(data):
            if self._left:
                at = self._take(data, at, out)
                continue
            end = data.find(b"\n", at)
            if end < 0:
                self._line += data[at:]
                if len(self._line) > CHUNK_LINE_BYTES:
                    raise BadHttp("a line between chunks is too long")
                break
            line = self._line + data[at:end]
            self._line = b""
            at = end + 1
            if self._read_line(line):
                self.complete = True
                break
        return (out[0] if len(out) == 1 else b"".join(out)), data[at:]

    def _take(self, data: bytes, at: int, out: list[bytes]) -> int:
        """Body bytes up to the end of the chunk, then its line end; where to go on in `data`."""
        body = self._left - 2
        if body > 0:
            piece = data[at : at + body]
            out.append(piece)
            self._left -= len(piece)
            return at + len(piece)
        want = b"\r\n"[2 - self._left :]
        got = data[at : at + len(want)]
        if got != want[: len(got)]:
            raise BadHttp("a chunk is longer than it said")
        self._left -= len(got)
        return at + len(got)

    def _read_line(self, line: bytes) -> bool:
        """One line between chunks; true when it was the last of the body."""
        if len(line) > CHUNK_LINE_BYTES or line[-1:] != b"\r":
            raise BadHttp("a line between chunks cannot be read")
        if self._trailers:
            return line == b"\r"
        size = line[:-1].partition(b";")[0].strip(b" \t")
        if not size or len(size) > 15 or not _HEX.issuperset(size):
            raise BadHttp("a chunk has a size that is not a number")
        length = int(size, 16)
        if length:
            self._left = length + 2
        else:
            self._trailers = True
        return False
