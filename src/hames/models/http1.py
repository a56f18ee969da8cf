"""One request and its response as HTTP/1.1 bytes, on h11. No I/O."""

from collections.abc import Iterable, Mapping

import h11
import msgspec

HEAD_BYTES = 64 * 1024
"""A longer response head, interim ones counted in, is refused."""

LINE_BYTES = 4096
"""More than this between two chunks is not waited for."""


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
        self.head: ResponseHead | None = None
        self.complete = False
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
        self._fed = 0
        self._old_but_kept = False

    @property
    def reusable(self) -> bool:
        """The response is whole, nothing is left over, and the server keeps the connection open."""
        kept = self._http.their_state is h11.DONE or self._old_but_kept
        return self.complete and kept and self._http.trailing_data == (b"", False)

    def request(
        self, method: str, target: str, headers: Mapping[str, str], chunks: Iterable[bytes] = ()
    ) -> list[bytes]:
        """What to send: the head, then the body. Raises `BadHttp` for what cannot be sent."""
        fields = [_field(name, value) for name, value in headers.items()]
        try:
            request = h11.Request(method=method, target=target.encode(), headers=fields)
            # `send` gives a `bytes` back as it is when the body has a length, so nothing is copied.
            pieces = [self._http.send(request), *(self._http.send(h11.Data(chunk)) for chunk in chunks)]
            return [*pieces, self._http.send(h11.EndOfMessage())]
        except h11.LocalProtocolError as error:
            raise BadHttp(str(error)) from None

    def feed(self, data: bytes) -> bytes:
        """What of the body these bytes complete; none mean that the server has closed. Raises `BadHttp`."""
        self._http.receive_data(data)
        self._fed += len(data) if self.head is None else 0
        body: list[bytes] = []
        try:
            while not self.complete:
                event = self._http.next_event()
                if event is h11.NEED_DATA or event is h11.PAUSED:
                    break
                self._take(event, body)
        except h11.RemoteProtocolError as error:
            raise BadHttp(self._explained(error)) from None
        if self.head is not None and not self.complete and self._left() > LINE_BYTES:
            raise BadHttp("a line between chunks is too long")
        return b"".join(body)

    def _take(self, event: object, body: list[bytes]) -> None:
        match event:
            case h11.Data():
                body.append(event.data)
            case h11.EndOfMessage():
                self.complete = True
            case h11.InformationalResponse() if event.status_code == 101:
                raise BadHttp("the server switched to another protocol")
            case h11.Response():
                if self._fed - self._left() > HEAD_BYTES:
                    raise BadHttp("the head of the reply is too long")
                self._read_head(event)
            case _:
                pass

    def _read_head(self, response: h11.Response) -> None:
        headers: dict[str, str] = {}
        for name, value in response.headers:
            key, text = name.decode("ascii"), value.decode("latin-1")
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
        self.head = ResponseHead(response.status_code, headers)
        # h11 alone would have every connection closed on which HTTP/1.0 is spoken.
        asked = headers.get("connection", "").lower()
        self._old_but_kept = response.http_version == b"1.0" and asked == "keep-alive"

    def _left(self) -> int:
        return len(self._http.trailing_data[0])

    def _explained(self, error: h11.RemoteProtocolError) -> str:
        """What is wrong, without what h11 repeats of the reply: that is long, or a secret sent back."""
        if self._http.trailing_data[1]:
            when = "before the reply began" if self.head is None else "in the middle of the reply"
            return f"the connection was closed {when}"
        if error.error_status_hint == 431 and self.head is None:
            return "the head of the reply is too long"
        if "_SWITCH_UPGRADE" in str(error):
            return "the server switched to another protocol"
        return f"the server did not answer with HTTP/1.1: {str(error).partition(': b')[0]}"


def _field(name: str, value: str) -> tuple[bytes, bytes]:
    # h11 would let control characters pass, and repeat the value, which may be a secret, if it refused it.
    if not value.isprintable() or not max(value, default="") <= "\xff":
        raise BadHttp(f"the value of the header {name} has a character that cannot be sent")
    return name.encode(), value.strip(" ").encode("latin-1")
