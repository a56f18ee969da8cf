"""Serves the weights of a GGUF file on loopback, with the engine of the extra `local`. A process of its own.

python -P -m hames.models.gguf_server FILE --name NAME --window TOKENS [--port PORT]

Prints its base URL as the first line and ends when its standard input is closed. What the engine has to say
goes to standard error.
"""

import argparse
import os
import sys
from importlib import import_module
from typing import Protocol, cast

ENGINE = "xllamacpp"
"""The module that reads the weights: llama.cpp and its server."""


class _Weights(Protocol):
    path: str


class _Parameters(Protocol):
    """Those of the engine's parameters that are set here."""

    model: _Weights
    model_alias: set[str]
    n_ctx: int
    hostnames: list[str]
    port: int
    offline: bool
    ui: bool
    endpoint_slots: bool
    cors_origins: str
    verbosity: int


class _Listening(Protocol):
    @property
    def listening_address(self) -> str: ...


class _Engine(Protocol):
    """The engine. `Server` returns when the weights are loaded and it listens; raises `RuntimeError`."""

    def CommonParams(self) -> _Parameters: ...

    def Server(self, parameters: _Parameters, /) -> _Listening: ...


def main() -> None:
    """Serve until standard input is closed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file")
    parser.add_argument("--name", required=True)
    parser.add_argument("--window", type=int, required=True)
    parser.add_argument("--port", type=int, default=0)
    asked = parser.parse_args()
    engine = cast(_Engine, import_module(ENGINE))
    given = engine.CommonParams()
    given.model.path, given.model_alias = asked.file, {asked.name}
    given.n_ctx, given.port, given.hostnames = asked.window, asked.port, ["127.0.0.1"]
    # Nothing is fetched, no page in a browser may ask, and nobody sees the requests of others.
    given.offline, given.ui, given.endpoint_slots, given.cors_origins = True, False, False, ""
    given.verbosity = 1  # errors
    try:
        server = engine.Server(given)
    except RuntimeError as error:
        sys.exit(f"{ENGINE}: {error}")
    print(f"{server.listening_address}/v1", flush=True)  # noqa: T201 - the first line is the result
    sys.stdin.buffer.read()
    # Requests that are under way end with the process: nobody waits for them any more.
    os._exit(0)


if __name__ == "__main__":
    main()
