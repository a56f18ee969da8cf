"""One request and its response as HTTP/1.1 bytes; responses are read by httptools (llhttp). No I/O."""

import re
from collections.abc import Iterable, Mapping

import msgspec
from httptools import HttpParserError, HttpResponseParser

HEAD_BYTES = 64 * 1024
"""A longer response head, interim ones counted in, is refused; so are longer trailers."""

LINE_BYTES = 4096
"""More than this between two chunks is not waited for."""

Piece = bytes | bytearray | memoryview
"""A part of a body: joined and sent as it is."""

_TARGET = re.compile(r"[!-~]+")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class BadHttp(Exception):
    """What came is not HTTP/1.1 that we understand, or what is to be sent is not."""


class ResponseHead(msgspec.Struct, frozen=True):
    """Status and headers. Names are in lower case; values of a repeated name are joined by commas."""

    status: int
    headers: Mapping[str, str]


class RoundTrip:
    """Writes one request, then reads its response, fed with bytes cut anywhere.

    `head` is None until it is whole (interim 1xx responses are passed over). After `complete` nothing
    more belongs to the response; `reusable` then says if the connection can serve another request.
    """

    def __init__(self) -> None:
        self._response = _Response()
        self._parser = HttpResponseParser(self._response)
        self._response.parser = self._parser
        self._fed = 0
        self._left_over = False

    @property
    def head(self) -> ResponseHead | None:
        """Status and headers, once they have come."""
        return self._response.head

    @property
    def complete(self) -> bool:
        """The whole response has come."""
        return self._response.complete

    @property
    def reusable(self) -> bool:
        """The response is whole, nothing is left over, and the server keeps the connection open."""
        return self.complete and self._response.kept and not self._left_over

    def request(
        self, method: str, target: str, headers: Mapping[str, str], chunks: Iterable[Piece] = ()
    ) -> list[Piece]:
        """What to send: the head, then the body. Raises `BadHttp` for what cannot be sent."""
        if not _TARGET.fullmatch(target):
            raise BadHttp("the target has a character that cannot be sent")
        fields = {name.lower(): _field(name, value) for name, value in headers.items()}
        if len(fields) < len(headers):
            raise BadHttp("a header is given twice")
        body = list(chunks)
        size, declared = sum(map(len, body)), headers.get("Content-Length", "0")
        if str(size) != declared:
            raise BadHttp(f"{size} bytes are to be sent for declared Content-Length {declared}")
        self._response.tunnels = method == "CONNECT"
        self._response.kept = headers.get("Connection", "").lower() != "close"
        lines = [fields.pop("host", ""), *fields.values()]
        head = f"{method} {target} HTTP/1.1\r\n{''.join(lines)}\r\n".encode("latin-1")
        return [head, *body]

    def feed(self, data: bytes) -> bytes:
        """What of the body these bytes complete; none mean that the server has closed. Raises `BadHttp`."""
        response = self._response
        if not data:
            response.close()
        elif self.complete:
            self._left_over = True
        elif self.head is None:
            # All of the head must be within the limit, however it is cut.
            room = HEAD_BYTES - self._fed
            self._fed += len(data[:room])
            self._parse(data[:room])
            if self.head is None and len(data) > room:
                raise BadHttp("the head of the reply is too long")
            self._parse(data[room:])
        else:
            self._parse(data)
        return response.take()

    def _parse(self, data: bytes) -> None:
        response = self._response
        response.still += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            if response.problem:
                raise BadHttp(response.problem) from None
            if not self.complete and not response.tunneled:
                raise BadHttp(f"the server did not answer with HTTP/1.1: {error}") from None
        if self.complete:
            self._left_over = self._left_over or response.goes_on
        elif self.head is not None and not response.tunneled and response.still > LINE_BYTES:
            raise BadHttp("a line between chunks is too long")


class _Response:
    """What the parser calls, and what came of it. `still` counts bytes since anything was understood."""

    parser: HttpResponseParser

    def __init__(self) -> None:
        self.head: ResponseHead | None = None
        self.complete = False
        self.kept = True
        self.goes_on = False
        self.tunnels = False
        self.tunneled = False
        self.problem = ""
        self.still = 0
        self._interim = False
        self._until_close = False
        self._headers: dict[str, str] = {}
        self._trailer_bytes = 0
        self._body: list[bytes] = []

    def take(self) -> bytes:
        """The body that has come since the last time."""
        body, self._body = self._body, []
        return b"".join(body)

    def close(self) -> None:
        """The server has closed the connection. Raises `BadHttp` when more was to come."""
        self.kept = False
        if self.head is None:
            raise BadHttp("the connection was closed before the reply began")
        if not self.complete and not self._until_close:
            raise BadHttp("the connection was closed in the middle of the reply")
        self.complete = True

    # Called by the parser

    def on_message_begin(self) -> None:
        self.goes_on = self.complete

    def on_header(self, name: bytes, value: bytes) -> None:
        self.still = 0
        if self.head is not None:
            self._trailer_bytes += len(name) + len(value)
            if self._trailer_bytes > HEAD_BYTES:
                raise self._bad("the end of the reply is too long")
            return
        key, text = name.decode("ascii").lower(), value.decode("latin-1").strip(" \t")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        self.still = 0
        status, headers, self._headers = self.parser.get_status_code(), self._headers, {}
        if status == 101:
            raise self._bad("the server switched to another protocol")
        if status < 100:
            raise self._bad(f"the server did not answer with HTTP/1.1: its status is {status}")
        self._interim = status < 200
        if self._interim:
            return
        coding = headers.get("transfer-encoding", "chunked")
        if coding.lower() != "chunked":
            raise self._bad("the server did not answer with HTTP/1.1: it uses an unknown coding")
        self.head = ResponseHead(status, headers)
        self.kept = self.kept and self.parser.should_keep_alive()
        self._until_close = not ({"content-length", "transfer-encoding"} & headers.keys())
        self.tunneled = self.tunnels and status < 300

    def on_chunk_header(self) -> None:
        self.still = 0

    def on_body(self, body: bytes) -> None:
        self.still = 0
        if not self.tunneled:
            self._body.append(body)

    def on_message_complete(self) -> None:
        self.complete = not self._interim and not self.tunneled

    def _bad(self, problem: str) -> BadHttp:
        # What a callback raises comes back as an error of the parser.
        self.problem = problem
        return BadHttp(problem)


def _field(name: str, value: str) -> str:
    """One line of a head. The value may be a secret: what is said of a bad one does not repeat it."""
    if not _NAME.fullmatch(name):
        raise BadHttp("the name of a header has a character that cannot be sent")
    if not value.isprintable() or not max(value, default="") <= "\xff":
        raise BadHttp(f"the value of the header {name} has a character that cannot be sent")
    return f"{name}: {value.strip(' ')}\r\n"
