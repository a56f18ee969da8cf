"""Trust is bound to content."""

import os
from pathlib import Path

import pytest

from hames.assembly.trust import control_files, is_trusted, record_path, remember_trust
from hames.core.errors import ConfigError


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    workspace = tmp_path / "ws"
    (workspace / ".hames" / "hooks").mkdir(parents=True)
    (workspace / ".hames" / "settings.toml").write_text('model = "x"\n')
    (workspace / ".hames" / "hooks" / "start").write_text("true\n")
    (workspace / "AGENTS.md").write_text("Be kind.\n")
    (workspace / "main.py").touch()
    return workspace


def trusted(state: Path, workspace: Path) -> bool:
    return is_trusted(str(state), str(workspace), control_files(str(workspace)))


def test_control_files_are_those_that_are_obeyed_or_run(workspace: Path) -> None:
    assert sorted(control_files(str(workspace))) == [
        ".hames/hooks/start",
        ".hames/settings.toml",
        "AGENTS.md",
    ]


def test_trust_holds_until_a_control_file_changes(tmp_path: Path, workspace: Path) -> None:
    state = tmp_path / "state"
    assert not trusted(state, workspace)
    remember_trust(str(state), str(workspace))
    assert trusted(state, workspace)
    (workspace / "main.py").write_text("print()\n")
    assert trusted(state, workspace)
    (workspace / "AGENTS.md").write_text("Be cruel.\n")
    assert not trusted(state, workspace)


def test_trust_ends_when_a_control_file_comes_or_goes(tmp_path: Path, workspace: Path) -> None:
    remember_trust(str(tmp_path), str(workspace))
    (workspace / ".mcp.json").write_text("{}")
    assert not trusted(tmp_path, workspace)
    (workspace / ".mcp.json").unlink()
    assert trusted(tmp_path, workspace)
    (workspace / "AGENTS.md").unlink()
    assert not trusted(tmp_path, workspace)


def test_trust_in_one_workspace_is_not_trust_in_another(tmp_path: Path, workspace: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    remember_trust(str(tmp_path), str(workspace))
    remember_trust(str(tmp_path), str(other))
    assert trusted(tmp_path, workspace)
    assert trusted(tmp_path, other)
    assert not is_trusted(str(tmp_path), str(tmp_path / "third"), {})


@pytest.mark.parametrize("kind", ["pipe", "big", "dangling", "directory"])
def test_an_odd_control_file_is_never_trusted(tmp_path: Path, workspace: Path, kind: str) -> None:
    path = workspace / "CLAUDE.md"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "big":
        path.write_bytes(b"x" * (1024 * 1024 + 1))
    elif kind == "dangling":
        path.symlink_to("nowhere")
    else:
        path.mkdir()
    with pytest.raises(ConfigError, match="CLAUDE.md in .* cannot be trusted"):
        remember_trust(str(tmp_path), str(workspace))
    assert not trusted(tmp_path, workspace)


def test_too_many_control_files_are_never_trusted(tmp_path: Path, workspace: Path) -> None:
    for number in range(1001):
        (workspace / ".hames" / str(number)).touch()
    assert control_files(str(workspace)) == {".hames": ""}
    assert not trusted(tmp_path, workspace)


def test_a_damaged_record_trusts_nothing(tmp_path: Path, workspace: Path) -> None:
    remember_trust(str(tmp_path), str(workspace))
    Path(record_path(str(tmp_path))).write_text("{")
    assert not trusted(tmp_path, workspace)


def test_a_record_that_cannot_be_written_is_an_error(tmp_path: Path, workspace: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        remember_trust(str(tmp_path / "file" / "state"), str(workspace))
