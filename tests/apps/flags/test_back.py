from pathlib import Path

import pytest

from hames.apps.flags import parse
from hames.apps.flags.back import parse_typed
from hames.assembly.ask_for import BackRequest
from hames.core.errors import UsageError


def asked(*words: str) -> BackRequest:
    invocation = parse(words)
    assert invocation.command == "back"
    assert invocation.back is not None
    return invocation.back


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        ("undo", BackRequest("undo")),
        ("undo --both", BackRequest("undo")),
        ("undo 01jd --files", BackRequest("undo", "01jd", context=False)),
        ("redo --context", BackRequest("redo", files=False)),
        ("rewind 01jd@14 --stop-jobs", BackRequest("rewind", "01jd", 14, stop_jobs=True)),
        ("rewind @14", BackRequest("rewind", "", 14)),
        ("undo --force a --force b/c", BackRequest("undo", force=("a", "b/c"))),
        ("fork", BackRequest("fork")),
        ("fork 01jd", BackRequest("fork", "01jd")),
        ("fork 01jd@3 --output-format json", BackRequest("fork", "01jd", 3, as_json=True)),
    ],
)
def test_going_back_is_read(words: str, request_: BackRequest) -> None:
    assert asked(*words.split()) == request_


def test_a_worktree_is_named_from_the_current_directory(tmp_path: Path) -> None:
    assert asked("fork", "--worktree", str(tmp_path / "other")).worktree == str(tmp_path / "other")


def test_where_and_with_which_settings_is_read_as_elsewhere() -> None:
    flags = parse(["undo", "--cwd", "/w", "--settings", "s.toml", "--sandbox", "none"]).flags
    assert (flags.workspace, flags.settings, flags.choices.sandbox) == ("/w", "s.toml", "none")


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        ("rewind", "ID@SEQ"),
        ("rewind 01jd", "01jd does not name an entry: write ID@SEQ, for example 01jd7v@14"),
        ("rewind 01jd@", "write ID@SEQ"),
        ("rewind 01jd@x", "write ID@SEQ"),
        ("rewind 01jd@-1", "write ID@SEQ"),
        ("rewind 01jd@²", "write ID@SEQ"),
        ("fork 01jd@x", "write ID@SEQ"),
        ("undo 01jd@7", "hames rewind 01jd@7"),
        ("redo @7", "hames rewind @7"),
        ("undo --files --context", "not allowed with argument --files"),
        ("undo --worktree d", "unrecognized arguments: --worktree"),
        ("undo --fore a", "--force"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_fix(words: str, fix: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(words.split())
    assert fix in str(refused.value)


def test_what_is_typed_in_a_conversation_is_read_by_the_same_rules() -> None:
    assert parse_typed("undo", ["--files", "--force", "a b"]) == BackRequest(
        "undo", context=False, force=("a b",)
    )
    assert parse_typed("rewind", ["14"]) == BackRequest("rewind", "", 14)


@pytest.mark.parametrize(
    "words", [["01jd"], ["--help"], ["--cwd", "/w"], ["--fils"]], ids=lambda words: " ".join(words)
)
def test_what_has_no_meaning_in_a_conversation_is_refused_and_does_not_end_it(words: list[str]) -> None:
    with pytest.raises(UsageError, match="see /help"):
        parse_typed("undo", words)


def test_an_entry_must_be_named_in_a_conversation_too() -> None:
    with pytest.raises(UsageError, match="SEQ"):
        parse_typed("rewind", [])
