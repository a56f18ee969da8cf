"""Streams long replies to whoever asks, on three wires and in several framings, until its input is closed.

python benchmarks/chunk_server.py

Prints its port, and one for TLS. What is told, how, and in how many tokens, one an event, is in the path of
the request: /CONTENT/FRAMING/TOKENS/v1/... Each piece of a reply is an HTTP chunk of its own and written by
itself, and after it comes a pause in which a reader falls asleep, as with a model that speaks word by word.
"""

import re
import socket
import ssl
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import msgspec

from hames.core.profiles import WireName
from hames.testing.answering import SPEECHES
from hames.testing.script import Served, ServedCall, ServedUsage, stream

Content = Literal["text", "reasoning", "details", "call"]
"""What the tokens are of. `details` are reasoning as OpenRouter tells it, on Chat Completions only."""

Framing = Literal["single", "rush", "tls", "many", "halves", "scraps", "crlf", "comments"]
"""The pieces that go out. `single`: an event. `rush`: an event, without a pause. `tls`: an event, over TLS.
`many`: 40 events. `halves`: those of an event, cut at each of its bytes by turns. `scraps`: 16 bytes. `crlf`:
an event with other line ends. `comments`: an event or a keep-alive comment by turns."""

CONTENTS: tuple[Content, ...] = get_args(Content)
FRAMINGS: tuple[Framing, ...] = get_args(Framing)
TLS = Path(__file__).parent.parent / "tests" / "models" / "tls"
"""A certificate for `localhost` that signs itself, and its key."""

PAUSE_S = 0.0001
TOKEN = "word "
OPENING, ENDING = '{"command": "', '"}'
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_PATHS: dict[str, WireName] = {"completions": "chat", "messages": "messages", "responses": "responses"}


@cache
def pieces(wire: WireName, content: Content, framing: Framing, tokens: int) -> list[bytes]:
    """A reply as it is written, piece by piece."""
    events = _events(wire, content, tokens)
    match framing:
        case "single" | "rush" | "tls":
            return events
        case "many":
            return [b"".join(events[at : at + 40]) for at in range(0, len(events), 40)]
        case "halves":
            cuts = [1 + at % (len(event) - 1) for at, event in enumerate(events)]
            return [
                half for event, cut in zip(events, cuts, strict=True) for half in (event[:cut], event[cut:])
            ]
        case "scraps":
            whole = b"".join(events)
            return [whole[at : at + 16] for at in range(0, len(whole), 16)]
        case "crlf":
            return [event.replace(b"\n", b"\r\n") for event in events]
        case "comments":
            return [piece for event in events for piece in (event, b": keep-alive\n\n")]


def _events(wire: WireName, content: Content, tokens: int) -> list[bytes]:
    words = TOKEN * tokens
    usage = ServedUsage(10, tokens)
    reply = Served(text=words)
    match content:
        case "text":
            pass
        case "reasoning" | "details":
            reply = Served(text=TOKEN, reasoning=words)
        case "call":
            written = msgspec.json.encode(f"{OPENING}{words}{ENDING}")
            reply = Served(calls=(ServedCall("bash", msgspec.Raw(written)),))
    reply = msgspec.structs.replace(reply, chunk=len(TOKEN))
    events = stream(reply, 1, usage, SPEECHES[wire]).events
    return [_detailed(event) for event in events] if content == "details" else events


def _detailed(event: bytes) -> bytes:
    """An event of Chat Completions whose reasoning is told twice, as text and as a detail."""
    detail = (
        rb'"reasoning":\1,"reasoning_details":[{"type":"reasoning.text","text":\1,"format":null,"index":0}]'
    )
    return re.sub(rb'"reasoning_content":("[^"]+")', detail, event)


def _answer(client: socket.socket) -> None:
    """Answer the requests of one connection."""
    with client, client.makefile("rb") as lines:
        while path := lines.readline():
            size = 0
            while (line := lines.readline().strip().lower()) != b"":
                size = (
                    int(line.removeprefix(b"content-length:")) if line.startswith(b"content-length") else size
                )
            lines.read(size)
            _, content, framing, tokens, *_, name = path.split()[1].decode().split("/")
            assert content in CONTENTS
            assert framing in FRAMINGS
            client.sendall(_HEAD)
            for piece in pieces(_PATHS[name], content, framing, int(tokens)):
                if framing != "rush":
                    time.sleep(PAUSE_S)
                client.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            client.sendall(b"0\r\n\r\n")


def _accept(door: socket.socket, tls: ssl.SSLContext | None) -> None:
    while True:
        client, _ = door.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = tls.wrap_socket(client, server_side=True) if tls else client
        threading.Thread(target=_answer, args=(stream,), daemon=True).start()


def main() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "localhost.pem", TLS / "localhost.key")
    with socket.create_server(("127.0.0.1", 0)) as plain, socket.create_server(("127.0.0.1", 0)) as secure:
        print(plain.getsockname()[1], secure.getsockname()[1], flush=True)
        threading.Thread(target=_accept, args=(plain, None), daemon=True).start()
        threading.Thread(target=_accept, args=(secure, context), daemon=True).start()
        sys.stdin.read()


if __name__ == "__main__":
    main()
