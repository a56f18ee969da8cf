from collections.abc import Callable, Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.models.http1 import HEAD_BYTES, LINE_BYTES, BadHttp, RoundTrip

SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nx-a:  2 \r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\nA;name=value\r\n0123456789\r\n1\r\n\n\r\n0\r\nTrailer: x\r\n\r\n"
)
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + SIZED
NO_BODY = b"HTTP/1.1 204 No Content\r\nServer: \xe9\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it"
REFUSED = {
    "no number as status": b"HTTP/1.1 abc OK\r\n\r\n",
    "a status that is none": b"HTTP/1.1 099 OK\r\n\r\n",
    "not HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n\r\n",
    "a header without a colon": b"HTTP/1.1 200 OK\r\nbroken\r\n\r\n",
    "a header name with a blank": b"HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
    "a header with a zero byte": b"HTTP/1.1 200 OK\r\na: b\0c\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "another coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "a chunk size that is no number": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a chunk that is too long": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
}


class Read(msgspec.Struct, frozen=True):
    """What was made of a response."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool


IN_FULL = {
    SIZED: Read(200, {"content-length": "5", "x-a": "1, 2"}, b"hello", True),
    CHUNKED: Read(200, {"transfer-encoding": "chunked"}, b"abc0123456789\n", True),
    INTERIM: Read(200, {"content-length": "5", "x-a": "1, 2"}, b"hello", True),
    NO_BODY: Read(204, {"server": "\xe9"}, b"", True),
    UNTIL_CLOSE: Read(200, {"content-type": "text/plain"}, b"all of it", False),
}


def asked(**headers: str) -> RoundTrip:
    """A request was sent."""
    trip = RoundTrip()
    trip.request("POST", "/", {"Host": "x", "Content-Length": "0", **headers})
    return trip


def read(parts: Iterable[bytes], *, closed: bool = False) -> Read:
    trip = asked()
    body = b"".join(trip.feed(part) for part in parts if part)
    if closed:
        body += trip.feed(b"")
    assert trip.head is not None
    return Read(trip.head.status, dict(trip.head.headers), body, trip.complete)


def cut(response: bytes, step: int) -> list[bytes]:
    return [response[at : at + step] for at in range(0, len(response), step)]


@pytest.mark.parametrize("response", IN_FULL)
def test_a_response_reads_the_same_wherever_it_is_cut(response: bytes) -> None:
    for at in range(len(response) + 1):
        assert read([response[:at], response[at:]]) == IN_FULL[response]
    assert read(cut(response, 1)) == IN_FULL[response]


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.integers(1, 30))
def test_any_chunked_body_reads_as_it_was_sent(chunks: list[bytes], step: int) -> None:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"
    whole = Read(200, {"transfer-encoding": "chunked"}, b"".join(chunks), True)
    assert read(cut(response, step)) == whole


def test_each_piece_of_a_body_is_given_as_it_comes() -> None:
    trip = asked()
    assert trip.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab") == b"ab"
    assert trip.feed(b"c") == b"c"
    assert trip.feed(b"de\r\n1\r\nf\r\n2\r\n") == b"def"
    assert not trip.complete
    assert trip.feed(b"gh\r\n0\r\n\r\n") == b"gh"
    assert trip.complete


def test_a_body_without_a_length_goes_on_until_the_connection_is_closed() -> None:
    assert not read([UNTIL_CLOSE]).complete
    assert read([UNTIL_CLOSE], closed=True) == msgspec.structs.replace(IN_FULL[UNTIL_CLOSE], complete=True)


@pytest.mark.parametrize("response", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_http_is_refused_wherever_it_is_cut(response: bytes) -> None:
    for at in range(len(response) + 1):
        with pytest.raises(BadHttp, match="did not answer with HTTP"):
            read([response[:at], response[at:]])


@given(st.binary(max_size=200), st.integers(1, 50))
def test_noise_is_refused_or_waited_for_and_never_a_crash(noise: bytes, step: int) -> None:
    trip = asked()
    try:
        for part in cut(noise, step):
            trip.feed(part)
    except BadHttp:
        return
    assert not trip.complete


@pytest.mark.parametrize("response", [SIZED, CHUNKED])
def test_a_connection_that_closes_early_is_an_error(response: bytes) -> None:
    for at in range(len(response)):
        trip = asked()
        if at:
            trip.feed(response[:at])
        said = "before the reply began" if trip.head is None else "in the middle of the reply"
        with pytest.raises(BadHttp, match=said):
            trip.feed(b"")


def test_only_a_whole_response_with_nothing_left_over_leaves_the_connection_reusable() -> None:
    def reusable(response: bytes, *after: bytes, **headers: str) -> bool:
        trip = asked(**headers)
        for part in (response, *after):
            trip.feed(part)
        return trip.reusable

    assert reusable(SIZED)
    assert reusable(CHUNKED)
    assert not reusable(SIZED[:-1])
    assert not reusable(SIZED + b"x")
    assert not reusable(SIZED, b"x")
    assert not reusable(SIZED, b"")
    assert not reusable(CHUNKED + b"HTTP/1.1")
    assert not reusable(SIZED.replace(b"X-A: 1", b"Connection: close"))
    assert not reusable(SIZED.replace(b"X-A: 1", b"Connection: Keep-Alive, Close"))
    assert not reusable(SIZED, Connection="close")
    assert not reusable(SIZED.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert reusable(SIZED.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"X-A: 1", b"Connection: Keep-Alive"))
    assert not reusable(UNTIL_CLOSE, b"")
    assert not reusable(UNTIL_CLOSE.replace(b"HTTP/1.0", b"HTTP/1.1"), b"")


def whole(response: bytes) -> list[bytes]:
    return [response]


def byte_by_byte(response: bytes) -> list[bytes]:
    return cut(response, 1)


@pytest.mark.parametrize("parts", [whole, byte_by_byte])
def test_a_head_may_be_as_long_as_the_limit_and_no_longer(parts: Callable[[bytes], list[bytes]]) -> None:
    start, end = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nA: ", b"\r\n\r\n!"
    longest = start + b"x" * (HEAD_BYTES - len(start) - len(end) + 1) + end
    assert read(parts(longest)).body == b"!"
    with pytest.raises(BadHttp, match="head of the reply is too long"):
        read(parts(longest.replace(b"A: ", b"A: x")))


def test_a_head_and_a_chunk_line_have_a_limit() -> None:
    with pytest.raises(BadHttp, match="head of the reply is too long"):
        asked().feed(b"HTTP/1.1 200 OK\r\nA: " + b"x" * HEAD_BYTES)
    for size in (LINE_BYTES - 1, HEAD_BYTES):
        trip = asked()
        trip.feed(CHUNKED[: CHUNKED.index(b"3\r\n")])
        with pytest.raises(BadHttp, match="too long") as caught:
            trip.feed(b"1;" + b"x" * size)
        assert "head" not in str(caught.value)
    trip = asked()
    trip.feed(CHUNKED[: CHUNKED.index(b"3\r\n")])
    assert trip.feed(b"1;" + b"x" * (LINE_BYTES - 2)) == b""


def test_trailers_have_a_limit() -> None:
    trip = asked()
    trip.feed(CHUNKED[: CHUNKED.index(b"Trailer")])
    trailers = b"".join(b"T%d: %s\r\n" % (number, b"x" * 1000) for number in range(HEAD_BYTES // 900))
    with pytest.raises(BadHttp, match="end of the reply is too long"):
        trip.feed(trailers)


@pytest.mark.parametrize("headers", [{}, {"Upgrade": "websocket"}])
def test_another_protocol_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(BadHttp, match="another protocol"):
        asked(**headers).feed(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")


def test_what_follows_an_accepted_tunnel_is_not_read_as_http() -> None:
    trip = RoundTrip()
    sent = b"".join(trip.request("CONNECT", "far:443", {"Host": "far:443"}))
    assert sent == b"CONNECT far:443 HTTP/1.1\r\nHost: far:443\r\n\r\n"
    assert trip.feed(b"HTTP/1.1 200 Established\r\nContent-Length: 3\r\n\r\n\x16\x03\x01") == b""
    assert trip.head is not None
    assert not trip.complete
    assert not trip.reusable


def test_a_message_about_a_bad_reply_repeats_nothing_of_it() -> None:
    chunk = CHUNKED[: CHUNKED.index(b"3\r\n")]
    for response in (b"HTTP/1.1 200 OK\r\nsecret\r\n\r\n", b"secret\r\n\r\n", chunk + b"secret\r\n"):
        with pytest.raises(BadHttp, match="did not answer with HTTP") as caught:
            asked().feed(response)
        assert "secret" not in str(caught.value)


def test_a_request_is_its_head_and_then_its_body_without_a_copy() -> None:
    chunks = (b"a" * 100_000, b"b")
    headers = {"X-Test": " \xe9 yes ", "Host": "example.org", "Content-Length": "100001"}
    head, *body = RoundTrip().request("POST", "/v1?a=b", headers, chunks)
    assert head == (
        b"POST /v1?a=b HTTP/1.1\r\nHost: example.org\r\nX-Test: \xe9 yes\r\nContent-Length: 100001\r\n\r\n"
    )
    assert body[0] is chunks[0]
    assert b"".join(body) == b"".join(chunks)


@pytest.mark.parametrize("size", ["1", "3"])
def test_a_body_of_another_size_than_was_said_is_not_sent(size: str) -> None:
    with pytest.raises(BadHttp, match="for declared Content-Length"):
        RoundTrip().request("POST", "/", {"Host": "x", "Content-Length": size}, [b"ab"])


@pytest.mark.parametrize(
    ("target", "name", "value"),
    [
        ("/", "A", "x\r\nB: y"),
        ("/", "A", "x\r\n"),
        ("/", "A", "x\ny"),
        ("/", "A", "x\0y"),
        ("/", "A", "x\x1by"),
        ("/", "A b", "x"),
        ("/", "A:", "x"),
        ("/", "A\r\nB", "x"),
        ("/", "\xe9", "x"),
        ("/", "", "x"),
        ("/", "A", "\N{SNOWMAN}"),
        ("/ x", "A", "x"),
        ("/\r\n", "A", "x"),
        ("/\xe9", "A", "x"),
        ("/", "host", "x"),
    ],
)
def test_nothing_can_be_smuggled_into_a_request_head(target: str, name: str, value: str) -> None:
    with pytest.raises(BadHttp) as caught:
        RoundTrip().request("POST", target, {"Host": "x", name: value})
    assert value.strip() == "x" or value not in str(caught.value)


@given(st.text(max_size=30))
def test_a_header_is_sent_as_it_is_or_refused_without_its_value(value: str) -> None:
    headers = {"Host": "x", "A": value}
    if value.isprintable() and all(char <= "\xff" for char in value):
        (head, *_) = RoundTrip().request("POST", "/", headers)
        assert bytes(head).decode("latin-1") == f"POST / HTTP/1.1\r\nHost: x\r\nA: {value.strip()}\r\n\r\n"
    else:
        with pytest.raises(BadHttp, match="^the value of the header A has a character that cannot be sent$"):
            RoundTrip().request("POST", "/", headers)
