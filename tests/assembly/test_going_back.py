import os
from pathlib import Path

import pytest

from hames.assembly.going_back import within


def test_a_path_is_relative_to_the_workspace_or_absolute_in_it() -> None:
    assert within("/w", "a/b") == "a/b"
    assert within("/w", "./a//b/../c/") == "a/c"
    assert within("/w", "/w/a") == "a"
    assert within("/w", ".") == ""
    assert within("/w", "..a") == "..a"


@pytest.mark.parametrize("path", ["../x", "/x", "../w/../x/", "a/../../x"])
def test_a_path_outside_of_the_workspace_is_absolute(path: str) -> None:
    assert within("/w", path) == "/x"
    assert within("/w", "/wx") == "/wx"


def test_a_path_may_lead_through_a_link_from_outside_but_a_link_inside_is_itself(tmp_path: Path) -> None:
    workspace = tmp_path.resolve() / "w"
    workspace.mkdir()
    (tmp_path / "way").symlink_to(workspace)
    os.symlink("/etc", workspace / "link")
    assert within(str(workspace), str(tmp_path / "way" / "a")) == "a"
    assert within(str(workspace), "link") == "link"
    assert within(str(workspace), "link/passwd") == "link/passwd"
