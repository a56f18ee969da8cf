"""The model of a run: it answers over HTTP from a plan, keeps every request, and can stop in mid-reply."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import NamedTuple

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import SocketAttribute, SocketStream

from hames.testing.chat_events import ChatSpeech
from hames.testing.request_rules import broken_rule, messages_end
from hames.testing.script import Served, ServedUsage, stream
from tests.torture.plan import FINAL, Plan
from tests.torture.pulse import Pulse

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_REFUSED = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


class _Message(msgspec.Struct, frozen=True):
    role: str
    content: object = None
    tool_call_id: str = ""


class _Part(msgspec.Struct, frozen=True):
    text: str = ""


class _Body(msgspec.Struct, frozen=True):
    messages: list[_Message]


class Request(NamedTuple):
    """A request as it came. `extends`: it repeats the one before it up to the end of its last message.
    `late`: it does not, but is an earlier one again, byte for byte.

    `at` is what the run's `mark` was by then, `before` the request that it should extend.
    """

    body: bytes
    problem: str
    extends: bool
    at: int = 0
    late: bool = False
    before: bytes = b""

    @property
    def sha256(self) -> str:
        """The hash of the body."""
        return sha256(self.body).hexdigest()

    @property
    def results(self) -> dict[str, list[str]]:
        """What the model is told of each call, by the nonce that is the call's id."""
        told: dict[str, list[str]] = {}
        for message in msgspec.json.decode(self.body, type=_Body).messages:
            if message.role == "tool":
                told.setdefault(message.tool_call_id, []).append(_text(message.content))
        return told

    @property
    def said(self) -> str:
        """All that is told beside the results of calls."""
        messages = msgspec.json.decode(self.body, type=_Body).messages
        return "\n".join(_text(message.content) for message in messages if message.role == "user")


class Stall:
    """Stop in the middle of the next reply from step `step` on, after `share` of its events."""

    def __init__(self, step: int, share: float) -> None:
        self.step = step
        self.share = share
        self.reached = False


class Model:
    """Answers requests. The pulse tells of each one that came whole, and of a stall that was reached.

    `last` is what the next request is to extend: the one before, unless somebody went back. `look` is called
    with each request, in a thread, before it is answered: nothing is at work then.
    """

    def __init__(self, plan: Plan, pulse: Pulse) -> None:
        self._plan = plan
        self._pulse = pulse
        self.requests: list[Request] = []
        self.stall: Stall | None = None
        self.base_url = ""
        self.mark: Callable[[], int] = lambda: 0
        self.look: Callable[[bytes], None] | None = None
        self.last = b""

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[None]:
        """Listen on a free port of the loopback address."""
        async with (
            await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
            anyio.create_task_group() as tasks,
        ):
            port = listener.extra(SocketAttribute.local_port)
            self.base_url = f"http://127.0.0.1:{port}/v1"
            tasks.start_soon(listener.serve, self._serve)
            yield
            tasks.cancel_scope.cancel()

    async def _serve(self, client: SocketStream) -> None:
        async with client:
            data = b""
            try:
                while True:
                    while (body := _whole(data)) is None:
                        data += await client.receive()
                    data = b""  # A client that waits for its answer has sent nothing more.
                    await self._answer(client, body)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return  # The client is gone: closed, or killed.

    async def _answer(self, client: SocketStream, body: bytes) -> None:
        problem = broken_rule(body, "chat")
        earlier = [request.body for request in self.requests if not request.late]
        last = self.last
        extends = body.startswith(last[: messages_end(last)])
        late = not extends and body in earlier
        self.requests.append(Request(body, problem, extends, self.mark(), late, last))
        self.last = last if late else body
        if self.look is not None:
            await anyio.to_thread.run_sync(self.look, body)
        self._pulse.beat()
        if problem:
            complaint = msgspec.json.encode({"error": {"message": problem}})
            await client.send(_REFUSED % (len(complaint), complaint))
            return
        step = sum(message.role == "assistant" for message in _messages(body))
        turn, in_turn = divmod(step, self._plan.steps + 1)  # The last reply of a turn has no calls.
        reply = Served(text=FINAL)
        if in_turn < self._plan.steps:
            asked = self._plan.reply(turn * self._plan.steps + in_turn)
            reply = Served(text=f"Step {step}.", calls=tuple(each.call for each in asked))
        events = stream(
            msgspec.structs.replace(reply, chunk=24), step + 1, ServedUsage(len(body) // 4, 10), ChatSpeech()
        ).events
        stall = self.stall
        if stall is not None and step >= stall.step:
            await client.send(_HEAD + _chunked(events[: int(len(events) * stall.share)]))
            self.stall, stall.reached = None, True
            self._pulse.beat()
            await client.receive()  # It says nothing: this ends when it is gone.
            return
        await client.send(_HEAD + _chunked(events) + b"0\r\n\r\n")


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.text for part in msgspec.convert(content, list[_Part]))


def _messages(body: bytes) -> list[_Message]:
    return msgspec.json.decode(body, type=_Body).messages


def _whole(data: bytes) -> bytes | None:
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        return None
    _, _, rest = head.lower().partition(b"\r\ncontent-length:")
    size = int(rest.partition(b"\r\n")[0])
    return body if len(body) >= size else None


def _chunked(events: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events)
