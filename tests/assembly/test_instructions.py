from pathlib import Path

from hames.assembly.instructions import MOST_BYTES, read_instructions


def test_files_are_read_from_the_root_of_the_repository_down(tmp_path: Path) -> None:
    inner = tmp_path / "repo" / "part"
    inner.mkdir(parents=True)
    (tmp_path / "AGENTS.md").write_text("not ours")
    (tmp_path / "repo" / ".git").mkdir()
    (tmp_path / "repo" / "AGENTS.md").write_text("root")
    (inner / "CLAUDE.md").write_text("inner")
    assert read_instructions(str(inner)) == [
        (str(tmp_path / "repo" / "AGENTS.md"), "root"),
        (str(inner / "CLAUDE.md"), "inner"),
    ]


def test_of_several_names_in_one_directory_the_first_counts(tmp_path: Path) -> None:
    for name in ("AGENTS.md", "CLAUDE.md", "GEMINI.md"):
        (tmp_path / name).write_text(name)
    assert [text for _, text in read_instructions(str(tmp_path))] == ["AGENTS.md"]


def test_outside_a_repository_only_the_workspace_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "AGENTS.md").write_text("above")
    inner = tmp_path / "inner"
    inner.mkdir()
    assert read_instructions(str(inner)) == []


def test_a_long_file_is_cut_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "AGENTS.md").write_text("x" * (MOST_BYTES + 1))
    ((_, text),) = read_instructions(str(tmp_path))
    assert text.endswith(f"[cut at {MOST_BYTES} bytes: read the file for more]")
