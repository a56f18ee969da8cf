"""Weights in a GGUF file: are they what they should be, and a server for them on this machine."""

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from subprocess import PIPE

import anyio
from anyio.abc import Process

from hames.core.errors import ConfigError, HamesError
from hames.models.gguf_server import ENGINE

WINDOW = 16_384
"""Tokens of context, where nothing else is said. A model that was trained for fewer gets fewer."""

START_S = 600.0
"""Large weights are read from a slow disk in minutes."""

END_S = 5.0
"""The server ends by itself within this time, or is killed."""

_MAGIC = b"GGUF"


class GgufServer:
    """A running server. `name` is that of the model on it."""

    def __init__(self, process: Process, base_url: str, name: str) -> None:
        self._process = process
        self.base_url = base_url
        self.name = name

    async def ended(self) -> int:
        """Wait until it ends; the exit status."""
        return await self._process.wait()


def model_name(path: str) -> str:
    """What the model in this file is called."""
    return os.path.basename(path).removesuffix(".gguf")


def check_gguf(path: str) -> None:
    """Raises `ConfigError` for what is no GGUF file, and where the engine for it is not installed."""
    try:
        with open(path, "rb") as file:
            begin = file.read(len(_MAGIC))
    except OSError as error:
        raise ConfigError(f"--gguf: {path} cannot be read: {error.strerror}") from error
    if begin != _MAGIC:
        raise ConfigError(f"--gguf: {path} is no GGUF file: it does not begin with GGUF")
    if find_spec(ENGINE) is None:
        raise ConfigError(
            "--gguf: the engine for weights is not installed: pip install 'hames[local]'. Or start a server"
            " of your own (llama.cpp, Ollama, vLLM), and give --url URL"
        )


@asynccontextmanager
async def gguf_server(
    path: str, *, window: int = WINDOW, port: int = 0, start_s: float = START_S
) -> AsyncGenerator[GgufServer]:
    """Serve the weights at an absolute path in a process of its own. It ends with this one, whatever happens.

    Raises `HamesError` when it does not start; the engine has then said why on standard error.
    """
    name = model_name(path)
    words = [path, "--name", name, "--window", str(window), "--port", str(port)]
    # -P: nothing of the current directory is imported. A session of its own: Ctrl-C is for us to act on.
    command = [sys.executable, "-P", "-m", "hames.models.gguf_server", *words]
    process = await anyio.open_process(command, stdin=PIPE, stdout=PIPE, stderr=None, start_new_session=True)
    try:
        yield GgufServer(process, await _base_url(process, path, start_s), name)
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)


async def _base_url(process: Process, path: str, start_s: float) -> str:
    """The first line that it prints."""
    assert process.stdout is not None
    line = b""
    with anyio.move_on_after(start_s) as scope:
        try:
            while not line.endswith(b"\n"):
                line += await process.stdout.receive()
        except anyio.EndOfStream:
            pass
    if scope.cancelled_caught:
        raise HamesError(f"the server for {path} was not ready after {start_s:g} s")
    if not line.endswith(b"\n"):
        raise HamesError(f"the server for {path} did not start; what the engine says of it is above")
    return line.decode().strip()


async def _end(process: Process) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdin.aclose()
    with anyio.move_on_after(END_S):
        await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
    await process.stdout.aclose()
