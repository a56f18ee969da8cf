"""The gate for an endpoint and its key, shared through the state directory."""

import os

from hames.assembly.settings import Settings
from hames.assembly.system import SystemChance
from hames.core.ports import Clock, Gate
from hames.models.address import parse_url
from hames.models.gate import FileGate, gate_path
from hames.models.gate_file import GateFile


def gate_for(
    settings: Settings, clock: Clock, base_url: str, key: str | None, concurrency: int | None = None
) -> Gate:
    """The gate that all sessions of this machine go through which ask the host of `base_url` with `key`.

    Raises `ConfigError` for a URL that is none. Nothing is written before there is something to share.
    """
    host = parse_url(base_url).authority
    path = gate_path(os.path.join(settings.directories.state, "gates"), host, key or "")
    return FileGate(GateFile(path), host, clock, SystemChance(), concurrency)
