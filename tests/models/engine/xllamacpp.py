"""Stands in for the engine of the extra `local`: a GGUF file is its mark, and the script to play."""

import asyncio
import threading
from types import SimpleNamespace

from hames.testing.model_server import ModelServer, running
from hames.testing.script import read_script


class CommonParams:
    """What the engine may be told."""

    def __init__(self) -> None:
        self.model = SimpleNamespace(path="")
        self.model_alias: set[str] = set()
        self.n_ctx = 0
        self.hostnames: list[str] = []
        self.port = 0
        self.offline = False
        self.ui = True
        self.endpoint_slots = True
        self.cors_origins = "*"
        self.verbosity = 3


class Server:
    """Listens when it is made."""

    def __init__(self, given: CommonParams) -> None:
        with open(given.model.path, "rb") as file:
            script = file.read().removeprefix(b"GGUF")
        if not script:
            raise RuntimeError("Failed to init server, please check the input params.")
        assert (given.hostnames, given.cors_origins, given.ui) == (["127.0.0.1"], "", False)
        self._script = script
        self._ready = threading.Event()
        self.listening_address = ""
        threading.Thread(target=self._run, daemon=True).start()
        self._ready.wait()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        async with running(ModelServer(read_script(self._script))) as server:
            self.listening_address = server.base_url.removesuffix("/v1")
            self._ready.set()
            await asyncio.Event().wait()
