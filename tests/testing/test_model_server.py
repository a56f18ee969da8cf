import asyncio
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from hames.testing.model_server import ModelServer, Seen, running
from hames.testing.script import Script, Served

pytestmark = pytest.mark.anyio

USER = {"role": "user", "content": "hi"}


def body(*messages: object, **more: object) -> bytes:
    return msgspec.json.encode({"model": "m", "messages": messages, "stream": True, **more})


async def post(base_url: str, *bodies: bytes, path: str = "/chat/completions", method: str = "POST") -> bytes:
    """All that comes back for these requests, sent at once on one connection."""
    _, _, authority, root = base_url.split("/", 3)
    host, port = authority.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for data in bodies:
            head = (
                f"{method} /{root}{path} HTTP/1.1\r\nHost: {authority}\r\nContent-Length: {len(data)}\r\n\r\n"
            )
            writer.write(head.encode() + data)
        answer = b""
        while answer.count(b"HTTP/1.1 ") < len(bodies) or not answer.endswith((b"0\r\n\r\n", b"}")):
            data = await reader.read(65536)
            if not data:
                break
            answer += data
        return answer
    finally:
        writer.transport.abort()


async def test_requests_are_answered_in_turn_also_on_one_connection() -> None:
    async with running(ModelServer(Script([Served(text="one"), Served(text="two")]))) as server:
        answer = await post(server.base_url, body(USER), body(USER))
        assert answer.index(b'"one"') < answer.index(b'"two"')
        assert b"hames-scripted" in answer
        assert b"The script has ended." in await post(server.base_url, b"not even JSON")
        assert server.served == 3


async def test_a_status_comes_with_its_headers_and_words() -> None:
    reply = Served(status=429, message="slow down", headers={"Retry-After": "2"})
    async with running(ModelServer(Script([reply]))) as server:
        answer = await post(server.base_url, body(USER))
    assert answer.startswith(b"HTTP/1.1 429 ")
    assert b"\r\nRetry-After: 2\r\n" in answer
    assert b'"slow down"' in answer


async def test_other_addresses_are_not_found_and_models_are_listed() -> None:
    async with running(ModelServer(Script([]))) as server:
        assert (await post(server.base_url, b"{}", path="/nonsense")).startswith(b"HTTP/1.1 404")
        assert b'"hames-scripted"' in await post(server.base_url, b"", path="/models", method="GET")
        assert server.served == 0


async def test_a_request_that_breaks_a_rule_is_refused_and_not_counted() -> None:
    server = ModelServer(Script([Served(text="one")]), rules="chat", watch=True)
    async with running(server):
        answer = await post(server.base_url, body({"role": "tool", "tool_call_id": "x", "content": ""}))
        assert answer.startswith(b"HTTP/1.1 400")
        assert b'"one"' in await post(server.base_url, body(USER))
    assert [bool(seen.problem) for seen in server.seen] == [True, False]


async def test_it_sees_whether_each_request_extends_the_one_before() -> None:
    server = ModelServer(Script([]), watch=True)
    other = {"role": "user", "content": "other"}
    async with running(server):
        for sent in (
            body(USER),
            body(USER, other),
            body(USER, other, top_p=1),
            body(other, USER),
            body(other, USER, USER),
        ):
            await post(server.base_url, sent)
    assert [seen.extends for seen in server.seen] == [None, True, True, False, True]


async def test_what_it_saw_is_written_down(tmp_path: Path) -> None:
    server = ModelServer(Script([]), record=tmp_path, bodies=True)
    before = time.monotonic()
    async with running(server):
        for sent in (body(USER), body(USER, USER)):
            await post(server.base_url, sent)
    lines = (tmp_path / "requests.jsonl").read_bytes().splitlines()
    seen = [msgspec.json.decode(line, type=Seen) for line in lines]
    assert seen == server.seen
    assert seen[1].sha256 == sha256(body(USER, USER)).hexdigest()
    assert before <= seen[0].monotonic <= seen[1].monotonic <= time.monotonic()
    assert (tmp_path / "000002.json").read_bytes() == body(USER, USER)


async def test_without_being_asked_to_it_keeps_nothing() -> None:
    async with running(ModelServer(Script([]))) as server:
        await post(server.base_url, body(USER))
    assert server.seen == []


def test_as_a_process_it_prints_its_url_and_ends_with_its_input(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text('[{"text": "from a file"}]')
    command = [sys.executable, "-m", "hames.testing.model_server", "--script", str(script)]
    command += ["--record", str(tmp_path / "seen"), "--bodies", "--rules", "deepseek"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().decode().strip()
        answer = asyncio.run(post(url, body(USER)))
        process.stdin.close()
        assert process.wait(10) == 0
        banner = process.stderr.read()
    assert b"from a file" in answer
    assert b"a script answers here" in banner
    assert (tmp_path / "seen" / "000001.json").read_bytes() == body(USER)


def test_as_a_process_it_ends_at_once_without_an_input(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text("[]")
    command = [sys.executable, "-m", "hames.testing.model_server", "--script", str(script)]
    with script.open() as file:
        for stdin in (subprocess.DEVNULL, file):
            done = subprocess.run(command, stdin=stdin, capture_output=True, timeout=20, check=True)
            assert done.stdout.startswith(b"http://127.0.0.1:")


class Echo:
    """Says how long a request is, and keeps which ones it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def reply(self, number: int, body: bytes) -> Served:
        self.asked.append(number)
        return Served(text=f"{len(body)} bytes")


async def test_what_is_said_may_depend_on_what_is_asked() -> None:
    short, long = body(USER), body(USER, USER)
    echo = Echo()
    async with running(ModelServer(echo)) as server:
        answers = [await post(server.base_url, each) for each in (short, long)]
    assert f"{len(short)} bytes".encode() in answers[0]
    assert f"{len(long)} bytes".encode() in answers[1]
    assert echo.asked == [1, 2]
