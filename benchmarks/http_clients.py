"""Which HTTP client: import time, CPU per request and CPU per streamed chunk of three candidates.

    python benchmarks/http_clients.py [--json FILE] [--rounds N]

Makes one clean virtual environment for each candidate (needs `uv` and the package index), without
trio and with compiled bytecode, and talks to a server of its own on loopback.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BASE = ["anyio", "msgspec"]
PACKAGES = {"httptools": ["httptools"], "httpcore": ["httpcore"], "httpcore2": ["httpcore2"]}
IMPORTS = {"httptools": "hames.models.client", "httpcore": "httpcore", "httpcore2": "httpcore2"}
BEFORE = "asyncio, anyio, anyio._backends._asyncio, msgspec, hames.core.ports"

REQUESTS = 300
CHUNKS = 5000
BODY = b'{"messages":"' + b"x" * 20_000 + b'"}'
EVENT = (
    b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":'
    b'[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}\n\n'
)

Ask = Callable[[str], AsyncIterator[bytes]]


# The server: answers each POST with as many events as its path says, each in a chunk of its own


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    framed = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    try:
        while True:
            request = await reader.readuntil(b"\r\n\r\n")
            size = next(
                int(line.split(b":")[1])
                for line in request.lower().split(b"\r\n")
                if line.startswith(b"content-length")
            )
            await reader.readexactly(size)
            count = int(request.split(b" ", 2)[1].rsplit(b"/", 1)[1])
            writer.write(head)
            for _ in range(count):
                writer.write(framed)
                await writer.drain()
                # Mostly one event a packet, as from a model that speaks word by word.
                await asyncio.sleep(0)
            writer.write(b"0\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _serve() -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    stdin = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    await stdin.read()


# The candidates: each posts BODY to a URL and gives the bytes of the answer as they come. httptools over
# anyio is what hames uses, and is measured through its own client


def _ours() -> Ask:
    from hames.models.address import parse_url
    from hames.models.client import HttpClient, Request

    class Clock:
        now = staticmethod(time.time)
        elapsed = staticmethod(time.monotonic)
        sleep = staticmethod(asyncio.sleep)

    client = HttpClient(Clock())

    async def ask(url: str) -> AsyncIterator[bytes]:
        exchange = await client.post(Request(parse_url(url), {}, (BODY,), len(BODY)))
        try:
            while not exchange.complete:
                yield await exchange.receive(30.0)
        finally:
            await exchange.close()

    return ask


def _core(name: str) -> Ask:
    core = __import__(name)
    pool = core.AsyncConnectionPool()
    timeouts = {"timeout": {"connect": 20.0, "read": 30.0, "write": 60.0, "pool": 5.0}}

    async def ask(url: str) -> AsyncIterator[bytes]:
        headers = {"Content-Length": str(len(BODY))}
        async with pool.stream("POST", url, headers=headers, content=BODY, extensions=timeouts) as reply:
            async for data in reply.aiter_stream():
                yield data

    return ask


def _candidate(name: str) -> Ask:
    return _ours() if name == "httptools" else _core(name)


async def _cpu(work: Callable[[], Awaitable[int]]) -> float:
    before = time.process_time()
    count = await work()
    return (time.process_time() - before) / count * 1e6


async def _child(name: str, port: int) -> None:
    ask = _candidate(name)
    base = f"http://127.0.0.1:{port}"

    async def requests() -> int:
        for _ in range(REQUESTS):
            assert sum([len(data) async for data in ask(f"{base}/3")]) == 3 * len(EVENT)
        return REQUESTS

    async def chunks() -> int:
        assert sum([len(data) async for data in ask(f"{base}/{CHUNKS}")]) == CHUNKS * len(EVENT)
        return CHUNKS

    await requests()
    print(json.dumps({"request_us": await _cpu(requests), "chunk_us": await _cpu(chunks)}))


# The measurement


def _environment(root: Path, name: str) -> Path:
    home = root / name
    subprocess.run(["uv", "venv", "-q", "--python", sys.executable, str(home)], check=True)
    python = home / "bin" / "python"
    install = ["uv", "pip", "install", "-q", "--compile-bytecode", "--python", str(python)]
    subprocess.run([*install, *BASE, *PACKAGES[name]], check=True)
    return python


def _run(python: Path, *args: str) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = str(ROOT / "src")
    return subprocess.run(
        [str(python), *args], check=True, capture_output=True, text=True, env=environment
    ).stdout


def _import_ms(python: Path, name: str) -> float:
    code = (
        f"import time, {BEFORE}\nstart = time.perf_counter()\nimport {IMPORTS[name]}\n"
        "print((time.perf_counter() - start) * 1000)"
    )
    return float(_run(python, "-c", code))


def _measure(rounds: int) -> dict[str, dict[str, float]]:
    serve = subprocess.Popen(
        [sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert serve.stdin is not None
    assert serve.stdout is not None
    port = serve.stdout.readline().strip()
    try:
        with tempfile.TemporaryDirectory() as root:
            pythons = {name: _environment(Path(root), name) for name in PACKAGES}
            return _interleaved(pythons, port, rounds)
    finally:
        serve.stdin.close()
        serve.wait()


def _interleaved(pythons: dict[str, Path], port: str, rounds: int) -> dict[str, dict[str, float]]:
    imports: dict[str, list[float]] = {name: [] for name in pythons}
    speeds: dict[str, list[dict[str, float]]] = {name: [] for name in pythons}
    for name, python in pythons.items():
        _import_ms(python, name)
    for _ in range(15):
        for name, python in pythons.items():
            imports[name].append(_import_ms(python, name))
    for _ in range(rounds):
        for name, python in pythons.items():
            speeds[name].append(json.loads(_run(python, __file__, "--child", name, "--port", port)))
    return {
        name: {
            "import_ms_min": round(min(imports[name]), 1),
            "import_ms_median": round(statistics.median(imports[name]), 1),
            "request_us_median": round(statistics.median(s["request_us"] for s in speeds[name]), 1),
            "chunk_us_median": round(statistics.median(s["chunk_us"] for s in speeds[name]), 1),
        }
        for name in pythons
    }


def _machine() -> dict[str, str | int]:
    return {
        "cores": os.cpu_count() or 0,
        "machine": platform.machine(),
        "python": platform.python_version(),
        "kernel": platform.release(),
    }


def _table(results: dict[str, dict[str, float]]) -> str:
    columns = ["import_ms_min", "import_ms_median", "request_us_median", "chunk_us_median"]
    rows = ["| client | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    rows += [f"| {name} | " + " | ".join(f"{r[c]:g}" for c in columns) + " |" for name, r in results.items()]
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the result here too")
    parser.add_argument("--rounds", type=int, default=5, help="runs of the two CPU measurements")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--child", choices=sorted(PACKAGES), help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        asyncio.run(_serve())
    elif args.child:
        asyncio.run(_child(args.child, args.port))
    else:
        result = {"machine": _machine(), "clients": _measure(args.rounds)}
        print(_table(result["clients"]))
        print(json.dumps(result))
        if args.json:
            args.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
