import asyncio
from contextlib import aclosing

import msgspec
import pytest

from hames.core.errors import FailureKind, ModelError
from hames.core.events import Usage
from hames.core.messages import Message, Text, UserMessage
from hames.core.ports import Alive, AskOptions, Body, Clock, Delta, Pinned, Reply, TextDelta
from hames.core.profiles import ModelProfile
from hames.models.chat import ChatWire
from hames.models.client import HttpClient
from hames.models.endpoint import HttpModel
from hames.models.messages import MessagesWire
from hames.models.profiles import resolve
from hames.models.responses import ResponsesWire
from hames.testing.clock import VirtualClock
from hames.testing.model_server import ModelServer, running
from hames.testing.model_suite import body_of
from hames.testing.script import Fault, Script, Served, ServedCall, ServedUsage
from tests.models.rig import RealClock, read_request, response, talking

pytestmark = pytest.mark.anyio

KEY = "sk-very-secret-key"
HELLO: list[Message] = [UserMessage((Text("hi"),))]


class Heard(msgspec.Struct, frozen=True):
    """What one attempt gave."""

    deltas: list[Delta]
    reply: Reply


def profile(base_url: str, **changes: object) -> ModelProfile:
    known = resolve("deepseek")
    provider = msgspec.structs.replace(known.provider, base_url=base_url, **changes)
    return ModelProfile(provider, known.model, known.facts)


async def ask(
    where: ModelProfile,
    *,
    key: str | None = KEY,
    headers: dict[str, str] | None = None,
    clock: Clock | None = None,
) -> Heard:
    wire = ChatWire(where.provider)
    joined = body_of(wire, Pinned(where.model, "Be brief.", msgspec.Raw(b"[]")), HELLO, AskOptions())
    http = HttpClient(clock or RealClock())
    model = HttpModel(where, wire, http, clock or RealClock(), key, headers)
    deltas: list[Delta] = []
    reply = None
    try:
        async with aclosing(model.ask(Body((joined[:9], joined[9:]), len(joined), ""))) as stream:
            async for item in stream:
                if isinstance(item, Reply):
                    reply = item
                else:
                    deltas.append(item)
    finally:
        await http.close()
    assert reply is not None
    return Heard(deltas, reply)


async def failure(where: ModelProfile, *, clock: Clock | None = None) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await ask(where, clock=clock)
    return caught.value


async def served(*replies: Served, **changes: object) -> Heard:
    async with running(ModelServer(Script(list(replies)), rules="deepseek")) as server:
        return await ask(profile(server.base_url, **changes))


async def test_a_reply_comes_as_deltas_and_whole_at_last() -> None:
    heard = await served(
        Served(
            text="Hello, world",
            reasoning="They greet.",
            calls=(ServedCall("read", msgspec.Raw(b'{"file_path": "a"}')),),
            usage=ServedUsage(100, 20, cached=64, reasoning=5),
            chunk=4,
            queued=2,
        )
    )
    assert heard.deltas[:3] == [Alive(queued=False), Alive(queued=True), Alive(queued=True)]
    assert "".join(d.text for d in heard.deltas if isinstance(d, TextDelta)) == "Hello, world"
    reply = heard.reply
    assert reply.message.text == "Hello, world"
    assert reply.message.reasoning is not None
    assert reply.message.reasoning.text == "They greet."
    assert [(call.name, call.arguments) for call in reply.message.calls] == [("read", '{"file_path": "a"}')]
    assert reply.usage == Usage(input=100, cached=64, output=20, reasoning=5)
    assert (reply.finish, reply.model, reply.repairs) == ("calls", "hames-scripted", ())
    assert reply.first_byte_s > 0


async def test_the_request_carries_the_key_and_the_given_headers() -> None:
    seen: list[bytes] = []

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.extend(await read_request(reader))
        writer.write(response(b'{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}'))
        await reader.read()

    async with talking(once) as port:
        where = profile(f"http://127.0.0.1:{port}/v1/")
        heard = await ask(where, key=f" {KEY}\n", headers={"X-Team": "blue"})
    assert heard.reply.message.text == "x"
    lines = seen[0].split(b"\r\n")
    assert lines[0] == b"POST /v1/chat/completions HTTP/1.1"
    assert f"Authorization: Bearer {KEY}".encode() in lines
    assert b"X-Team: blue" in lines
    assert b"Accept: text/event-stream" in lines
    assert msgspec.json.decode(seen[1])["model"] == "deepseek-flash"


async def test_without_a_key_no_authorization_is_sent() -> None:
    seen: list[bytes] = []

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.extend(await read_request(reader))
        writer.write(response(b'{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}'))
        await reader.read()

    async with talking(once) as port:
        await ask(profile(f"http://127.0.0.1:{port}"), key=None)
    assert b"authorization" not in seen[0].lower()


STATUSES: list[tuple[Served, FailureKind, float | None]] = [
    (Served(status=401), "auth", None),
    (Served(status=402), "balance", None),
    (Served(status=404), "unknown_model", None),
    (Served(status=400, message="maximum context length is 5"), "overflow", None),
    (Served(status=429, headers={"Retry-After": "2"}), "rate", 2.0),
    (Served(status=429, headers={"Retry-After-Ms": "1500"}), "rate", 1.5),
    (Served(status=500), "overload", None),
    (Served(status=529, headers={"Retry-After": "Sun, 15 Jun 2025 15:07:20 GMT"}), "overload", 40.0),
]


@pytest.mark.parametrize(("reply", "kind", "wait_s"), STATUSES)
async def test_a_status_becomes_a_failure_with_its_wait(
    reply: Served, kind: FailureKind, wait_s: float | None
) -> None:
    async with running(ModelServer(Script([reply]))) as server:
        error = await failure(profile(server.base_url), clock=VirtualClock(1_750_000_000.0))
    assert (error.kind, error.status, error.wait_s) == (kind, reply.status, wait_s)
    assert server.base_url.removeprefix("http://").removesuffix("/v1") in str(error)


FAULTS: list[tuple[Served, FailureKind]] = [
    (Served(fault="cut_text", text="A whole sentence."), "cut"),
    (Served(fault="cut_args"), "cut"),
    (Served(fault="no_finish", text="A whole sentence."), "cut"),
    (Served(fault="empty"), "empty"),
    (Served(fault="reset"), "transport"),
    (Served(fault="error", text="x"), "overload"),
    (Served(fault="error", message="rate_limit", text="x"), "rate"),
]


@pytest.mark.parametrize(("reply", "kind"), FAULTS)
async def test_a_faulty_stream_is_a_failure_of_its_class(reply: Served, kind: FailureKind) -> None:
    async with running(ModelServer(Script([reply]))) as server:
        error = await failure(profile(server.base_url))
    assert error.kind == kind
    assert (error.raw == b"") == (reply.fault == "reset")


async def test_an_event_that_is_not_json_costs_nothing() -> None:
    heard = await served(Served(fault="garbage", text="fine"))
    assert heard.reply.message.text == "fine"
    assert len(heard.reply.repairs) == 1


@pytest.mark.parametrize("fault", ["stall", "silent"])
@pytest.mark.parametrize("keepalive", [True, False])
async def test_silence_is_a_stalled_stream(fault: Fault, keepalive: bool) -> None:
    reply = Served(fault=fault, text="A whole sentence.")
    async with running(ModelServer(Script([reply]))) as server:
        limits = {"idle_s": 0.05, "first_byte_s": 60.0 if keepalive or fault == "stall" else 0.05}
        error = await failure(profile(server.base_url, keepalive=keepalive, **limits))
    assert error.kind == "stalled"
    assert "sent nothing for 0.05 s" in str(error)


async def test_until_the_first_word_a_server_that_promises_nothing_has_its_time() -> None:
    spoken = asyncio.Event()

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await asyncio.wait({asyncio.ensure_future(spoken.wait())}, timeout=0.1)
        writer.write(response(b'{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}'))
        await reader.read()

    async with talking(late) as port:
        where = profile(f"http://127.0.0.1:{port}", keepalive=False, idle_s=0.01, first_byte_s=60.0)
        heard = await ask(where)
    assert heard.reply.message.text == "x"


async def test_signs_of_life_alone_do_not_last_for_ever() -> None:
    clock = VirtualClock(jump=True)

    async def queue(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"d\r\n: keep-alive\n\r\n")
            await writer.drain()
            await clock.sleep(60)
            await asyncio.sleep(0)

    async with talking(queue) as port:
        where = profile(f"http://127.0.0.1:{port}", first_byte_s=600.0)
        error = await failure(where, clock=clock)
    assert error.kind == "stalled"
    assert "only that it is there, for 1800 s" in str(error)


async def test_a_whole_reply_counts_although_the_connection_breaks_after_it() -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        event = b'data: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n'
        writer.write(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(event), event)
        )
        await writer.drain()
        writer.close()

    async with talking(rude) as port:
        heard = await ask(profile(f"http://127.0.0.1:{port}"))
    assert heard.reply.message.text == "x"
    assert len(heard.reply.repairs) == 1


@pytest.mark.parametrize("status", [400, 200])
async def test_the_window_that_a_server_names_is_known(status: int) -> None:
    async def too_long(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        said = b'{"error":{"message":"the maximum context length is 65536 tokens"}}'
        writer.write(response(said, status))
        await reader.read()

    async with talking(too_long) as port:
        error = await failure(profile(f"http://127.0.0.1:{port}"))
    assert (error.kind, error.window) == ("overflow", 65_536)


async def test_no_secret_is_in_a_failure_even_if_the_server_repeats_it() -> None:
    async def tells(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _ = await read_request(reader)
        if b"stream-it" in head:
            said = b'data: {"error":{"message":"bad key ' + KEY.encode() + b'"}}\n\n'
            writer.write(response(said))
        elif b"cut-it" in head:
            writer.write(
                response(b'data: {"choices":[{"delta":{"content":"' + KEY.encode() + b'"}}]}\n\n')[:-1]
            )
            writer.close()
        else:
            writer.write(response(b"bad key " + KEY.encode() + b" and token-of-mine", 401))
        await reader.read()

    async with talking(tells) as port:
        for header in ("token-of-mine", "stream-it", "cut-it"):
            with pytest.raises(ModelError) as caught:
                await ask(profile(f"http://127.0.0.1:{port}"), headers={"X-Token": header})
            assert b"[secret]" in caught.value.raw
            assert ("[secret]" in str(caught.value)) == (header != "cut-it")
            for secret in (KEY, "token-of-mine"):
                assert secret not in str(caught.value)
                assert secret.encode() not in caught.value.raw


async def test_the_status_counts_although_its_body_is_cut() -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(response(b"too busy to", 503, "Retry-After: 3")[:-4])
        await writer.drain()
        writer.close()

    async with talking(cut) as port:
        error = await failure(profile(f"http://127.0.0.1:{port}"))
    assert (error.kind, error.wait_s, error.raw) == ("overload", 3.0, b"too bus")


async def test_a_coding_that_was_not_asked_for_is_refused() -> None:
    async def zipped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(response(b"\x1f\x8b", 200, "Content-Encoding: gzip"))
        await reader.read()

    async with talking(zipped) as port:
        error = await failure(profile(f"http://127.0.0.1:{port}"))
    assert error.kind == "malformed"
    assert "'gzip'" in str(error)


async def test_a_key_that_cannot_be_sent_is_not_shown() -> None:
    with pytest.raises(ModelError, match="the header Authorization") as caught:
        await ask(profile("http://127.0.0.1:9"), key="sk-secret\x07key")
    assert caught.value.kind == "rejected"
    assert "secret" not in str(caught.value)


async def test_a_consumer_that_leaves_closes_the_connection() -> None:
    ended = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n: keep-alive\n\n")
        await reader.read()
        ended.set()

    async with talking(endless) as port:
        where = profile(f"http://127.0.0.1:{port}")
        model = HttpModel(where, ChatWire(where.provider), HttpClient(RealClock()), RealClock(), None)
        async with aclosing(model.ask(Body((b"{}",), 2, ""))) as stream:
            async for _ in stream:
                break
        await asyncio.wait_for(ended.wait(), 5)


MESSAGE = b"""{"type":"message","content":[{"type":"text","text":"x"}],"stop_reason":"end_turn"}"""


async def asked_on_messages(base: str, **changes: object) -> tuple[list[bytes], list[Delta | Reply]]:
    """The lines of the request's head, and what came, from a server of the Messages wire."""
    seen: list[bytes] = []

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.extend(await read_request(reader))
        writer.write(response(MESSAGE))
        await reader.read()

    async with talking(once) as port:
        where = resolve("anthropic")
        provider = msgspec.structs.replace(where.provider, base_url=f"http://127.0.0.1:{port}{base}")
        provider = msgspec.structs.replace(provider, **changes)
        where = msgspec.structs.replace(where, provider=provider)
        client = HttpClient(RealClock())
        model = HttpModel(where, MessagesWire(where), client, RealClock(), KEY)
        async with aclosing(model.ask(Body((b"{}",), 2, ""))) as stream:
            items = [item async for item in stream]
        await client.close()
    return seen[0].split(b"\r\n"), items


@pytest.mark.parametrize("base", ["", "/", "/v1", "/v1/"])
async def test_a_request_of_the_messages_wire_has_its_address_and_headers(base: str) -> None:
    lines, items = await asked_on_messages(base)
    assert lines[0] == b"POST /v1/messages HTTP/1.1"
    assert f"X-Api-Key: {KEY}".encode() in lines
    assert b"anthropic-version: 2023-06-01" in lines
    assert b"anthropic-beta: thinking-binding-controls-2026-08-01" in lines
    assert not any(line.startswith(b"Authorization") for line in lines)
    reply = items[-1]
    assert isinstance(reply, Reply)
    assert reply.message.text == "x"


async def test_another_server_of_the_messages_wire_gets_the_key_in_both_headers() -> None:
    lines, _ = await asked_on_messages("/anthropic", key_headers=())
    assert lines[0] == b"POST /anthropic/v1/messages HTTP/1.1"
    assert f"X-Api-Key: {KEY}".encode() in lines
    assert f"Authorization: Bearer {KEY}".encode() in lines


async def test_a_server_of_the_responses_wire_is_asked_and_heard() -> None:
    server = ModelServer(Script([Served(text="x", reasoning="hm")]), rules="chat", watch=True)
    async with running(server):
        where = profile(server.base_url, wire="responses")
        wire, client = ResponsesWire(where), HttpClient(RealClock())
        pinned = Pinned("m", "", msgspec.Raw(b"[]"))
        sent = body_of(wire, pinned, HELLO, AskOptions())
        model = HttpModel(where, wire, client, RealClock(), KEY)
        async with aclosing(model.ask(Body((sent,), len(sent), ""))) as stream:
            items = [item async for item in stream]
        await client.close()
    reply = items[-1]
    assert isinstance(reply, Reply)
    assert reply.message.text == "x"
    assert [seen.problem for seen in server.seen] == [""]
