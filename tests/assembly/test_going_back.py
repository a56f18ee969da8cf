import os
from pathlib import Path

import pytest

from hames.assembly.going_back import within
from hames.core.errors import UsageError


def test_a_path_is_relative_to_the_workspace_or_absolute_in_it() -> None:
    assert within("/w", "a/b") == "a/b"
    assert within("/w", "./a//b/../c/") == "a/c"
    assert within("/w", "/w/a") == "a"
    assert within("/w", ".") == ""
    assert within("/w", "..a") == "..a"


@pytest.mark.parametrize("path", ["..", "../x", "/x", "/wx", "a/../../x"])
def test_a_path_outside_of_the_workspace_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="is not in the workspace /w"):
        within("/w", path)


def test_a_path_may_lead_through_a_link_from_outside_but_a_link_inside_is_itself(tmp_path: Path) -> None:
    workspace = tmp_path.resolve() / "w"
    workspace.mkdir()
    (tmp_path / "way").symlink_to(workspace)
    os.symlink("/etc", workspace / "link")
    assert within(str(workspace), str(tmp_path / "way" / "a")) == "a"
    assert within(str(workspace), "link") == "link"
    assert within(str(workspace), "link/passwd") == "link/passwd"
