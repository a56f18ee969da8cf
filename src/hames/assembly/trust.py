"""Which workspaces are trusted: a record of their control files, bound to the content."""

import os
from collections.abc import Mapping
from hashlib import sha256
from stat import S_ISREG

import msgspec

from hames.assembly.instructions import NAMES as INSTRUCTIONS
from hames.core.errors import ConfigError

CONTROL_DIRECTORY = ".hames"
CONTROL_FILES = (".mcp.json", *INSTRUCTIONS)
"""What a workspace brings along that is obeyed or executed, beside all of `.hames`."""

_FILE_BYTES = 1024 * 1024
_FILES = 1000

Records = dict[str, dict[str, str]]


def control_files(workspace: str) -> dict[str, str]:
    """The control files of a workspace, each with the SHA-256 of its content.

    What is too big, too many or not a plain file gets a value that never matches a record.
    """
    names = [name for name in CONTROL_FILES if os.path.lexists(os.path.join(workspace, name))]
    for place, directories, files in os.walk(os.path.join(workspace, CONTROL_DIRECTORY)):
        directories.sort()
        names.extend(os.path.relpath(os.path.join(place, name), workspace) for name in sorted(files))
        if len(names) > _FILES:
            return {CONTROL_DIRECTORY: ""}
    return {name: _digest(os.path.join(workspace, name)) for name in names}


def _digest(path: str) -> str:
    try:
        found = os.stat(path)
        if not S_ISREG(found.st_mode) or found.st_size > _FILE_BYTES:
            return ""
        with open(path, "rb") as file:
            return sha256(file.read()).hexdigest()
    except OSError:
        return ""


def record_path(state: str) -> str:
    """Where trust is recorded, below the state directory."""
    return os.path.join(state, "trust.json")


def is_trusted(state: str, workspace: str, files: Mapping[str, str]) -> bool:
    """Whether a person has trusted exactly these files of this workspace."""
    recorded = _read(record_path(state)).get(workspace)
    return recorded is not None and "" not in files.values() and recorded == files


def remember_trust(state: str, workspace: str) -> None:
    """Record that a person trusts the workspace as it is now. Raises `ConfigError`."""
    files = control_files(workspace)
    odd = next((name for name, digest in files.items() if not digest), None)
    if odd is not None:
        raise ConfigError(f"{odd} in {workspace} cannot be trusted: it is not a plain, readable, small file")
    path = record_path(state)
    records = _read(path)
    records[workspace] = files
    try:
        os.makedirs(state, mode=0o700, exist_ok=True)
        aside = f"{path}.{os.getpid()}"
        with open(aside, "wb") as file:
            file.write(msgspec.json.encode(records))
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror})") from error


def _read(path: str) -> Records:
    """The records; a damaged file is as good as none, for then nothing is trusted."""
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(), type=Records)
    except (OSError, msgspec.DecodeError):
        return {}
