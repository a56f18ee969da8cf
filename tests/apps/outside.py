"""The real `hames` command, from outside: its own process, a home of its own, a model behind HTTP."""

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE

import anyio
import anyio.abc
import msgspec

from hames.core.profiles import WireName
from hames.testing.model_server import ModelServer, running
from hames.testing.request_rules import Rules
from hames.testing.script import read_script

HAMES = (sys.executable, "-m", "hames.apps.cli")
KEY = "sk-for-tests-only"


class Ended:
    """How a run of the command ended."""

    def __init__(self, code: int, out: bytes, err: bytes) -> None:
        self.code = code
        self.out = out.decode()
        self.err = err.decode()

    @property
    def lines(self) -> list[dict[str, object]]:
        """Standard output as JSON lines."""
        return [msgspec.json.decode(line, type=dict[str, object]) for line in self.out.splitlines()]

    @property
    def result(self) -> dict[str, object]:
        """The last line."""
        return self.lines[-1]


class Outside:
    """A user's machine: a home, a workspace, an environment without any key."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.workspace = root / "workspace"
        self.state = self.home / ".local" / "state" / "hames"
        self.program: tuple[str, ...] = HAMES
        self.config = self.home / ".config" / "hames" / "settings.toml"
        self.home.mkdir()
        self.workspace.mkdir()
        self.env = {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    async def hames(self, *words: str, check: int | None = 0, stdin: bytes | None = None) -> Ended:
        """Run it to its end."""
        ran = await anyio.run_process(
            [*self.program, *words],
            input=stdin,
            stdin=DEVNULL if stdin is None else None,
            check=False,
            env=self.env,
            cwd=self.workspace,
        )
        ended = Ended(ran.returncode, ran.stdout, ran.stderr)
        assert check is None or ended.code == check, (ended.code, ended.out, ended.err)
        return ended

    @asynccontextmanager
    async def started(self, *words: str) -> AsyncGenerator[anyio.abc.Process]:
        """Start it; it is killed at the end if it still runs."""
        process = await anyio.open_process(
            [*self.program, *words], stdin=PIPE, stdout=PIPE, stderr=PIPE, env=self.env, cwd=self.workspace
        )
        async with process:
            try:
                yield process
            finally:
                if process.returncode is None:
                    process.kill()

    def settings(self, text: str) -> None:
        """Write the user's settings file."""
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_text(text)

    def to(self, server: ModelServer, wire: WireName = "chat") -> list[str]:
        """The flags that lead to a scripted model."""
        return ["--base-url", server.base_url, "--wire", wire, "--model", "scripted"]

    @asynccontextmanager
    async def scripted(
        self, *replies: object, rules: Rules = "chat", watch: bool = True
    ) -> AsyncGenerator[ModelServer]:
        """A model that plays these replies over HTTP, and refuses requests that break the wire's rules."""
        script = read_script(msgspec.json.encode(list(replies)))
        async with running(ModelServer(script, rules=rules, watch=watch)) as server:
            yield server


def bash(command: str, **more: object) -> dict[str, object]:
    """A scripted `bash` call."""
    return {"name": "bash", "arguments": {"command": command, **more}}


def calls(*made: dict[str, object], text: str = "") -> dict[str, object]:
    """A scripted reply with calls."""
    return {"text": text, "calls": list(made)}


def told(say: str = "", *asked: tuple[str, dict[str, object]]) -> dict[str, object]:
    """A scripted reply in the form that is asked for in JSON mode."""
    form: dict[str, object] = {"say": say}
    if asked:
        form["calls"] = [{"name": name, "arguments": arguments} for name, arguments in asked]
    return {"text": msgspec.json.encode(form).decode(), "chunk": 9}


class _Part(msgspec.Struct):
    text: str


class _Block(msgspec.Struct):
    content: list[_Part] = []


class _Message(msgspec.Struct):
    content: list[_Block] | str


class _Line(msgspec.Struct, tag="user"):
    message: _Message


def texts(ended: Ended) -> list[str]:
    """What the tools gave back, in a stream-json run."""
    made = [line for line in ended.out.splitlines() if line.startswith('{"type":"user"')]
    lines = [msgspec.json.decode(line, type=_Line) for line in made]
    blocks = [block for line in lines for block in line.message.content if isinstance(block, _Block)]
    return [part.text for block in blocks for part in block.content]
