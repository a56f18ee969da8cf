"""A model near at hand: weights that are served for it, or a server at any URL."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NamedTuple

import msgspec

from hames.assembly.answerers import answerers_for, client_for
from hames.assembly.ask_for import LocalRequest
from hames.assembly.endpoint import endpoint
from hames.assembly.settings import Settings
from hames.assembly.system import SystemClock
from hames.core.errors import ConfigError, ModelError
from hames.core.profiles import ToolMode
from hames.loop.asking import Answerer
from hames.models.client import HttpClient
from hames.models.gguf import WINDOW, GgufServer, check_gguf, gguf_server
from hames.models.served import ServedModel, served_models

LIST_S = 30.0
"""A server tells its models within this time."""

TRIAL_S = 300.0
"""A large model on a slow machine takes minutes for its first reply."""

CUSTOM = "custom"
"""The provider of servers that are known by their address only."""

_OWNERS = ("llamacpp", "vllm", "sglang")
"""Servers that call themselves as we call their provider."""


def named(model: ServedModel) -> str:
    """The model with its provider, as a run names it."""
    return f"{model.owner if model.owner in _OWNERS else CUSTOM}/{model.name}"


class Near(NamedTuple):
    """A server that was reached, the models on it, and the settings that lead to it. `started` is ours."""

    client: HttpClient
    clock: SystemClock
    settings: Settings
    base_url: str
    models: tuple[ServedModel, ...]
    started: GgufServer | None = None

    def asked(self, model: ServedModel, mode: ToolMode) -> Settings:
        """The settings with which a run would ask this model."""
        window = self.settings.window or model.window
        return msgspec.structs.replace(self.settings, model=named(model), window=window, tool_mode=mode)

    def answerer(self, model: ServedModel, mode: ToolMode) -> Answerer:
        """Who answers for it."""
        return answerers_for(self.asked(model, mode), self.clock, self.client)[0]

    def model(self) -> ServedModel | None:
        """The model that is meant: the one that was named, or the only one."""
        wanted = self.settings.model
        if not wanted:
            return self.models[0] if len(self.models) == 1 else None
        for model in self.models:
            if wanted in (model.name, named(model)):
                return model
        known = ", ".join(model.name for model in self.models) or "none"
        raise ConfigError(f"--model: this server has no model {wanted!r}; it has {known}")


@asynccontextmanager
async def near(settings: Settings, asked: LocalRequest, clock: SystemClock) -> AsyncGenerator[Near]:
    """Reach the server that is asked for, or start one. Raises `ConfigError` and `ModelError`."""
    # One small request is free of budgets, and asks nobody else.
    at = msgspec.structs.replace(settings, wire="chat", effort=None, fallback=(), max_budget_usd=None)
    async with client_for(settings, clock) as client:
        if asked.url:
            yield await _reached(Near(client, clock, at, asked.url, ()))
            return
        async with _served(settings, asked) as started:
            # A key of the settings is for another server, and so is a name.
            at = msgspec.structs.replace(
                at, base_url=started.base_url, api_key_env=None, model=None, window=None
            )
            yield await _reached(Near(client, clock, at, started.base_url, (), started))


@asynccontextmanager
async def _served(settings: Settings, asked: LocalRequest) -> AsyncGenerator[GgufServer]:
    check_gguf(asked.gguf)
    window = settings.window or WINDOW
    async with gguf_server(asked.gguf, window=window, port=asked.port) as started:
        yield started


async def _reached(server: Near) -> Near:
    """The same with its models. Raises `ModelError`."""
    key = endpoint(server.settings, server.settings.providers[CUSTOM]).key
    revealed = key.reveal() if key is not None else None
    models = await served_models(server.client, server.clock, server.base_url, revealed, LIST_S)
    if not models:
        said = f"the server at {server.base_url} has no models: load one, and try again"
        raise ModelError("unknown_model", said)
    return server._replace(models=models)
