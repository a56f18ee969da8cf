import h11
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.models.http1 import HEAD_BYTES, BadHttp, ResponseReader, request_head

SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nx-a:  2 \r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\nA;name=value\r\n0123456789\r\n1\r\n\n\r\n0\r\nTrailer: x\r\n\r\n"
)
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + SIZED
NO_BODY = b"HTTP/1.1 204 No Content\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it"
REFUSED = {
    "no number as status": b"HTTP/1.1 abc OK\r\n\r\n",
    "not HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n\r\n",
    "a header without a colon": b"HTTP/1.1 200 OK\r\nbroken\r\n\r\n",
    "a header name with a blank": b"HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "another coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "a chunk size that is no number": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a chunk that is too long": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
}


class Read(msgspec.Struct, frozen=True):
    """What a reader made of a response."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool


def read(parts: list[bytes], *, closed: bool = False) -> Read:
    reader = ResponseReader()
    body = b"".join(reader.feed(part) for part in parts if part)
    if closed:
        reader.end()
    assert reader.head is not None
    return Read(reader.head.status, dict(reader.head.headers), body, reader.complete)


def read_with_h11(parts: list[bytes], *, closed: bool = False) -> Read:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="POST", target="/", headers=[("Host", "x"), ("Content-Length", "0")]))
    connection.send(h11.EndOfMessage())
    status, body, complete = 0, b"", False
    headers: dict[str, str] = {}
    for part in [part for part in parts if part] + ([b""] if closed else []):
        connection.receive_data(part)
        while not complete:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                break
            if isinstance(event, h11.Response):
                status = event.status_code
                for name, value in event.headers:
                    key, text = name.decode(), value.decode()
                    headers[key] = f"{headers[key]}, {text}" if key in headers else text
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                complete = True
    return Read(status, headers, body, complete)


@pytest.mark.parametrize("response", [SIZED, CHUNKED, INTERIM, NO_BODY])
def test_a_response_reads_as_h11_reads_it_wherever_it_is_cut(response: bytes) -> None:
    whole = read_with_h11([response])
    assert whole.complete
    for at in range(len(response) + 1):
        assert read([response[:at], response[at:]]) == whole
    assert read([response[at : at + 1] for at in range(len(response))]) == whole


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.integers(1, 30))
def test_any_chunked_body_reads_as_h11_reads_it(chunks: list[bytes], step: int) -> None:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"
    parts = [response[at : at + step] for at in range(0, len(response), step)]
    assert read(parts) == read_with_h11(parts)
    assert read(parts).body == b"".join(chunks)


def test_a_body_without_a_length_goes_on_until_the_connection_is_closed() -> None:
    assert not read([UNTIL_CLOSE]).complete
    assert read([UNTIL_CLOSE], closed=True) == read_with_h11([UNTIL_CLOSE], closed=True)
    assert read([UNTIL_CLOSE], closed=True).body == b"all of it"


@pytest.mark.parametrize("response", REFUSED.values(), ids=REFUSED.keys())
def test_what_h11_refuses_is_refused(response: bytes) -> None:
    with pytest.raises(h11.RemoteProtocolError):
        read_with_h11([response])
    with pytest.raises(BadHttp):
        read([response])


@given(st.binary(max_size=200), st.integers(1, 50))
def test_noise_is_refused_or_waited_for_and_never_a_crash(noise: bytes, step: int) -> None:
    reader = ResponseReader()
    try:
        for at in range(0, len(noise), step):
            reader.feed(noise[at : at + step])
    except BadHttp:
        return
    assert not reader.complete


@pytest.mark.parametrize("response", [SIZED, CHUNKED])
def test_a_connection_that_closes_early_is_an_error(response: bytes) -> None:
    for at in range(len(response)):
        reader = ResponseReader()
        reader.feed(response[:at])
        with pytest.raises(BadHttp):
            reader.end()


def test_only_a_whole_response_with_nothing_left_over_leaves_the_connection_reusable() -> None:
    def reusable(response: bytes) -> bool:
        reader = ResponseReader()
        reader.feed(response)
        return reader.reusable

    assert reusable(SIZED)
    assert reusable(CHUNKED)
    assert not reusable(SIZED[:-1])
    assert not reusable(SIZED + b"x")
    assert not reusable(CHUNKED + b"HTTP/1.1")
    assert not reusable(SIZED.replace(b"X-A: 1", b"Connection: Keep-Alive, Close"))
    assert not reusable(SIZED.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert reusable(SIZED.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"X-A: 1", b"Connection: keep-alive"))


def test_a_head_and_a_chunk_line_have_a_limit() -> None:
    with pytest.raises(BadHttp, match="too long"):
        ResponseReader().feed(b"HTTP/1.1 200 OK\r\nA: " + b"x" * HEAD_BYTES)
    reader = ResponseReader()
    reader.feed(CHUNKED[: CHUNKED.index(b"3\r\n")])
    with pytest.raises(BadHttp, match="too long"):
        reader.feed(b"1;" + b"x" * 5000)


def test_another_protocol_is_refused() -> None:
    with pytest.raises(BadHttp, match="another protocol"):
        read([b"HTTP/1.1 101 Switching Protocols\r\n\r\n"])


def test_a_request_head_is_what_h11_would_send() -> None:
    headers = {"Host": "example.org", "Content-Length": "2"}
    connection = h11.Connection(h11.CLIENT)
    wanted = connection.send(h11.Request(method="POST", target="/v1?a=b", headers=list(headers.items())))
    assert wanted is not None
    assert request_head("POST", "/v1?a=b", headers).lower() == wanted.lower()


@pytest.mark.parametrize(
    ("target", "name", "value"),
    [
        ("/", "A", "x\r\nB: y"),
        ("/", "A", "x\ny"),
        ("/", "A b", "x"),
        ("/", "", "x"),
        ("/", "A", "\N{SNOWMAN}"),
        ("/ x", "A", "x"),
        ("/\r\n", "A", "x"),
    ],
)
def test_nothing_can_be_smuggled_into_a_request_head(target: str, name: str, value: str) -> None:
    with pytest.raises(BadHttp) as caught:
        request_head("POST", target, {name: value})
    assert value.strip() == "x" or value not in str(caught.value)
