"""A home, a workspace and an environment of a test's own."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from hames.assembly.secret import Environ
from hames.assembly.settings import Flags, Places, Settings, load


class House:
    """A home directory with a workspace in it, and the files that settings come from."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.workspace = self.home / "ws"
        self.workspace.mkdir(parents=True)
        self.managed = root / "etc" / "managed.toml"
        self.user = self.home / ".config" / "hames" / "settings.toml"
        self.project = self.workspace / ".hames" / "settings.toml"

    def write(self, path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def load(self, flags: Flags | None = None, environ: Mapping[str, str] | None = None) -> Settings:
        places = Places(
            Environ({"HOME": str(self.home), **(environ or {})}), str(self.workspace), str(self.managed)
        )
        return load(flags or Flags(), places)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path.resolve())
