"""What a streamed token costs in CPU: our reading beside a bare reader on the same client, by turns.

python benchmarks/chunks.py [--rounds 7] [--tokens 2000] [--run-tokens 100000] [--quick] [--out FILE]

The server is `chunk_server.py`, in a process of its own. `bare` cuts the same bytes into events, decodes each
with msgspec and keeps the piece of text, nothing else; `bare_json` decodes with the json of Python. `hames`
takes what comes out of `HttpModel.ask`; `shown` hands it to the listeners of a conversation, whose screen
writes to /dev/null. All read with the same `HttpClient`, in this process. Times are of a token; `chunk_us` is
that of `hames` for each of the `chunks` in which a token came, and `sleeps` how often it slept for a token.

A run is a whole `hames -p` with a long answer, its children counted in, that ends with the answer in the log.
"""

import argparse
import json
import os
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import msgspec
from chunk_server import ENDING, FRAMINGS, OPENING, TLS, TOKEN, Content, Framing, pieces
from steps import machine

from hames.assembly.answerers import wire_for
from hames.assembly.system import SystemClock
from hames.channels.terminal.plain import Screen
from hames.core.ports import Body, Reply
from hames.core.profiles import WireName
from hames.models.address import endpoint_url
from hames.models.client import HttpClient, Request
from hames.models.endpoint import HttpModel
from hames.models.profiles import on_wire, resolve
from hames.session.log import Listeners

WIRES: tuple[WireName, ...] = ("chat", "messages", "responses")
PATHS = {"chat": "/chat/completions", "messages": "/messages", "responses": "/responses"}
BODY = b'{"go":true}'
MOST_RATIO = 2.0
MOST_US = 25.0
MOST_RUN_S = 3.0
RUN_FRAMINGS: tuple[Framing, ...] = ("many", "single", "halves")


class Ports(NamedTuple):
    """Where the server listens."""

    plain: int
    tls: int


class Case(NamedTuple):
    """What is asked for."""

    wire: WireName
    content: Content
    framing: Framing
    tokens: int

    def url(self, ports: Ports) -> str:
        place = (
            f"https://localhost:{ports.tls}" if self.framing == "tls" else f"http://127.0.0.1:{ports.plain}"
        )
        return f"{place}/{self.content}/{self.framing}/{self.tokens}/v1"

    @property
    def chunks(self) -> float:
        """In how many pieces a token comes; 1 where it comes together with others."""
        return max(1.0, len(pieces(self.wire, self.content, self.framing, self.tokens)) / self.tokens)

    def told(self) -> str:
        """What a reader has to end up with."""
        words = TOKEN * self.tokens
        return f"{OPENING}{words}{ENDING}" if self.content == "call" else words


CASES = (
    *((wire, "text", framing) for wire in WIRES for framing in FRAMINGS),
    *(
        (wire, content, framing)
        for wire in WIRES
        for content in ("reasoning", "call")
        for framing in ("single", "many")
    ),
    ("chat", "details", "single"),
    ("chat", "details", "many"),
)


# The readers: each gives what it has read


def _chat(event: Any, content: Content) -> str | None:
    if not event["choices"]:
        return None
    delta = event["choices"][0]["delta"]
    if content == "call":
        calls = delta.get("tool_calls")
        return calls[0]["function"].get("arguments") if calls else None
    return delta.get({"text": "content", "reasoning": "reasoning_content"}.get(content, "reasoning"))


def _messages(event: Any, content: Content) -> str | None:
    if event["type"] != "content_block_delta":
        return None
    return event["delta"].get({"text": "text", "reasoning": "thinking"}.get(content, "partial_json"))


_DELTAS = {
    "text": "response.output_text.delta",
    "reasoning": "response.reasoning_summary_text.delta",
    "call": "response.function_call_arguments.delta",
}


def _responses(event: Any, content: Content) -> str | None:
    return event["delta"] if event["type"] == _DELTAS[content] else None


async def read_bare(case: Case, ports: Ports, client: HttpClient, decode: Callable[[bytes], Any]) -> str:
    piece_of = {"chat": _chat, "messages": _messages, "responses": _responses}[case.wire]
    end = b"\r\n\r\n" if case.framing == "crlf" else b"\n\n"
    said: list[str] = []
    rest = b""
    exchange = await client.post(
        Request(endpoint_url(case.url(ports), PATHS[case.wire]), {}, (BODY,), len(BODY))
    )
    try:
        while not exchange.complete:
            rest += await exchange.receive(30.0)
            *events, rest = rest.split(end)
            for event in events:
                data = event.partition(b"data: ")[2]
                if data and data != b"[DONE]":
                    piece = piece_of(decode(data), case.content)
                    if piece:
                        said.append(piece)
    finally:
        await exchange.close()
    return "".join(said)


def model_for(case: Case, ports: Ports, client: HttpClient) -> HttpModel:
    profile = resolve("custom/any")
    provider = msgspec.structs.replace(on_wire(profile.provider, case.wire), base_url=case.url(ports))
    profile = msgspec.structs.replace(profile, provider=provider)
    return HttpModel(profile, wire_for(profile), client, SystemClock(), None)


async def read_hames(case: Case, ports: Ports, client: HttpClient, listeners: Listeners | None) -> str:
    async with aclosing(model_for(case, ports, client).ask(Body((BODY,), len(BODY), ""))) as stream:
        async for item in stream:
            if isinstance(item, Reply):
                return kept(item, case.content)
            if listeners is not None:
                listeners.delta(1, item)
    raise AssertionError("the stream ended without a reply")


def kept(reply: Reply, content: Content) -> str:
    message = reply.message
    if content == "call":
        return message.calls[0].arguments
    if content == "text":
        return message.text
    assert message.reasoning is not None
    return message.reasoning.text


# The measurement


class Cost(NamedTuple):
    """CPU of a token, and how often the reader has slept for it."""

    us: float
    sleeps: float


async def cost(read: Callable[[], Awaitable[str]], case: Case) -> Cost:
    before, slept = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    told = await read()
    spent = time.process_time() - before
    slept = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - slept
    assert told == case.told(), f"{case} was not read as it was told"
    return Cost(spent / case.tokens * 1e6, slept / case.tokens)


async def measure(case: Case, ports: Ports, rounds: int, show: Callable[[str], object]) -> dict[str, object]:
    """One row. The first round only warms up."""
    client = HttpClient(
        SystemClock(), make_tls=lambda: ssl.create_default_context(cafile=TLS / "localhost.pem")
    )
    listeners = Listeners()
    listeners.add(Screen(show))
    readers: dict[str, Callable[[], Awaitable[str]]] = {
        "bare": lambda: read_bare(case, ports, client, msgspec.json.decode),
        "hames": lambda: read_hames(case, ports, client, None),
        "bare_json": lambda: read_bare(case, ports, client, json.loads),
        "shown": lambda: read_hames(case, ports, client, listeners),
    }
    costs: dict[str, list[Cost]] = {name: [] for name in readers}
    for _ in range(rounds + 1):
        for name, read in readers.items():
            costs[name].append(await cost(read, case))
    await client.close()
    assert listeners.failures == []
    us = {name: statistics.median(one.us for one in some[1:]) for name, some in costs.items()}
    ratios = [ours.us / bare.us for ours, bare in zip(costs["hames"][1:], costs["bare"][1:], strict=True)]
    return {
        "wire": case.wire,
        "content": case.content,
        "framing": case.framing,
        "chunks": round(case.chunks, 1),
        "sleeps": round(statistics.median(one.sleeps for one in costs["hames"][1:]), 2),
        **{f"{name}_us": round(value, 2) for name, value in us.items()},
        "chunk_us": round(us["hames"] / case.chunks, 2),
        "ratio": round(statistics.median(ratios), 2),
    }


@contextmanager
def serving() -> Generator[Ports]:
    """The server in a process of its own; its ports."""
    command = [sys.executable, str(Path(__file__).with_name("chunk_server.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        try:
            yield Ports(*map(int, server.stdout.readline().split()))
        finally:
            server.stdin.close()


def whole_run(case: Case, ports: Ports) -> dict[str, object]:
    """CPU of `hames -p` from its start to its end, with its children."""
    with tempfile.TemporaryDirectory(prefix="hames-bench-") as made:
        scratch = Path(made)
        (scratch / "workspace").mkdir()
        dirs = {"XDG_STATE_HOME": str(scratch / "state"), "XDG_CONFIG_HOME": str(scratch / "config")}
        program = str(Path(sys.executable).with_name("hames"))
        where = ["--base-url", case.url(ports), "--wire", case.wire, "--model", "scripted"]
        command = [
            program,
            "-p",
            "go",
            "--output-format",
            "json",
            *where,
            "--cwd",
            str(scratch / "workspace"),
        ]
        out = scratch / "out"
        with out.open("wb") as file:
            begun = time.monotonic()
            process = subprocess.Popen(
                command, env={**os.environ, **dirs}, stdout=file, stderr=subprocess.PIPE
            )
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        assert process.stderr is not None
        with process.stderr:
            complaint = process.stderr.read().decode()
        if process.returncode != 0:
            raise SystemExit(f"hames ended with {process.returncode}: {complaint}")
        assert json.loads(out.read_bytes())["result"].strip() == case.told().strip()
        return {
            "wire": case.wire,
            "framing": case.framing,
            "tokens": case.tokens,
            "cpu_s": round(used.ru_utime + used.ru_stime, 2),
            "wall_s": round(time.monotonic() - begun, 1),
        }


def missed(rows: list[dict[str, Any]], runs: list[dict[str, Any]]) -> list[str]:
    """The bars that were not met."""
    found: list[str] = []
    for row in rows:
        name = f"{row['wire']} {row['content']} {row['framing']}"
        if row["ratio"] > MOST_RATIO:
            found.append(f"{name}: {row['ratio']} times the bare reader")
        if row["chunk_us"] > MOST_US:
            found.append(f"{name}: {row['chunk_us']} us a chunk")
    found += [f"{r['wire']} {r['framing']}: a run of {r['cpu_s']} s" for r in runs if r["cpu_s"] > MOST_RUN_S]
    return found


def table(rows: list[dict[str, Any]]) -> str:
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(str(row[name]) for name in columns) + " |" for row in rows])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=2000, help="of an answer in the rows")
    parser.add_argument("--run-tokens", type=int, default=100_000, help="of the answer of a whole run")
    parser.add_argument("--only", default="", help="rows whose wire, content and framing hold this text")
    parser.add_argument("--quick", action="store_true", help="one short round: does it run at all?")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    rounds, tokens, run_tokens = (
        (1, 50, 50) if asked.quick else (asked.rounds, asked.tokens, asked.run_tokens)
    )
    result: dict[str, Any] = {"machine": machine(), "rounds": rounds, "tokens": tokens}
    with serving() as ports, Path(os.devnull).open("w") as nowhere:
        cases = [
            Case(wire, content, framing, tokens // 8 if framing == "scraps" else tokens)
            for wire, content, framing in CASES
            if asked.only in f"{wire} {content} {framing}"
        ]
        result["rows"] = [anyio.run(measure, case, ports, rounds, nowhere.write) for case in cases]
        print(table(result["rows"]))
        result["runs"] = [
            whole_run(Case(wire, "text", framing, run_tokens), ports)
            for wire in WIRES
            for framing in RUN_FRAMINGS
            if run_tokens
        ]
    result["missed"] = missed(result["rows"], result["runs"])
    text = json.dumps(result, indent=1)
    print(text)
    if asked.out:
        asked.out.write_text(f"{text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
