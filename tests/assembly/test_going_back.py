import os
from pathlib import Path

import pytest

from hames.assembly.going_back import path_in


def test_a_path_is_relative_to_the_workspace_or_absolute_in_it() -> None:
    assert path_in("/w", "a/b") == "a/b"
    assert path_in("/w", "./a//b/../c/") == "a/c"
    assert path_in("/w", "/w/a") == "a"
    assert path_in("/w", ".") == ""
    assert path_in("/w", "..a") == "..a"


@pytest.mark.parametrize("path", ["../x", "/x", "../w/../x/", "a/../../x"])
def test_a_path_outside_of_the_workspace_is_absolute(path: str) -> None:
    assert path_in("/w", path) == "/x"
    assert path_in("/w", "/wx") == "/wx"


def test_a_path_may_lead_through_a_link_from_outside_but_a_link_inside_is_itself(tmp_path: Path) -> None:
    workspace = tmp_path.resolve() / "w"
    workspace.mkdir()
    (tmp_path / "way").symlink_to(workspace)
    os.symlink("/etc", workspace / "link")
    assert path_in(str(workspace), str(tmp_path / "way" / "a")) == "a"
    assert path_in(str(workspace), "link") == "link"
    assert path_in(str(workspace), "link/passwd") == "link/passwd"
