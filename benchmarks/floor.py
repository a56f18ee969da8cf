"""The floor: the barest loop that does the same work, with no harness around it.

python benchmarks/floor.py --base-url URL [--sandbox] [--durable DIRECTORY]

It asks, runs the commands that the reply calls for, and asks again until a reply has none. Same HTTP
requests over one kept connection, same `bash -c`, same bubblewrap arguments as hames gives, and two
commits a step with SQLite in the same mode. No permissions, no recovery, no limits, no records to read.
"""

import argparse
import http.client
import json
import os
import sqlite3
import subprocess
import sys
from urllib.parse import urlsplit

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "bash",
            "description": "Run a command.",
            "parameters": {"type": "object", "properties": {"command": {"type": "string"}}},
        },
    }
]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--sandbox", help="a JSON list: the program and arguments before the command")
    parser.add_argument("--durable", help="keep a log in this directory, two commits a step")
    asked = parser.parse_args()
    before = json.loads(asked.sandbox) if asked.sandbox else []
    log = open_log(asked.durable) if asked.durable else None
    url = urlsplit(asked.base_url)
    server = http.client.HTTPConnection(url.hostname or "", url.port)
    head = json.dumps({"model": "m", "tools": TOOLS, "messages": []})[:-2].encode()
    tail = b'],"stream":true}'
    body = bytearray(head + b'{"role":"user","content":"go"}')
    keep(log, [bytes(body)])
    while True:
        server.request(
            "POST", f"{url.path}/chat/completions", bytes(body + tail), {"Content-Type": "application/json"}
        )
        text, calls, raw = read_reply(server.getresponse())
        message = {"role": "assistant", "content": text, **({"tool_calls": calls} if calls else {})}
        piece = json.dumps(message).encode()
        body += b"," + piece
        keep(log, [raw, piece])
        if not calls:
            return 0
        kept = []
        for call in calls:
            command = json.loads(call["function"]["arguments"])["command"]
            ran = subprocess.run(
                [*before, "bash", "-c", command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            result = {"role": "tool", "tool_call_id": call["id"], "content": ran.stdout.decode()}
            piece = json.dumps(result).encode()
            body += b"," + piece
            kept.append(piece)
        keep(log, kept)


def open_log(directory: str) -> sqlite3.Connection:
    os.makedirs(directory, exist_ok=True)
    log = sqlite3.connect(os.path.join(directory, "log.db"), isolation_level=None)
    log.execute("PRAGMA journal_mode=WAL")
    log.execute("PRAGMA synchronous=FULL")
    log.execute("CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY, data BLOB)")
    return log


def keep(log: sqlite3.Connection | None, pieces: list[bytes]) -> None:
    if log is None:
        return
    log.execute("BEGIN IMMEDIATE")
    log.executemany("INSERT INTO event (data) VALUES (?)", [(piece,) for piece in pieces])
    log.execute("COMMIT")


def read_reply(response: http.client.HTTPResponse) -> tuple[str, list[dict], bytes]:
    text, calls, raw = "", [], []
    for line in response:
        raw.append(line)
        if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
            continue
        for choice in json.loads(line[6:]).get("choices", ()):
            delta = choice.get("delta", {})
            text += delta.get("content") or ""
            for part in delta.get("tool_calls", ()):
                while len(calls) <= part["index"]:
                    calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
                call = calls[part["index"]]
                call["id"] += part.get("id") or ""
                call["function"]["name"] += part["function"].get("name") or ""
                call["function"]["arguments"] += part["function"].get("arguments") or ""
    return text, calls, b"".join(raw)


if __name__ == "__main__":
    sys.exit(main())
