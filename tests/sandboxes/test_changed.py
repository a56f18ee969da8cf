import os
import time
from pathlib import Path

import pytest

from hames.sandboxes.changed import find_changed
from hames.sandboxes.wire import Frame

HOUR_S = 3600


def changed(root: Path, since_s: float, most: int = 100) -> tuple[list[str], int, bool]:
    asked = {"path": [str(root)], "since_ms": [str(int(since_s * 1000))], "most": [str(most)]}
    items, body = find_changed(Frame(asked, b""))
    facts = dict(items)
    assert body == b""
    return [value for key, value in items if key == "path"], int(facts["total"]), bool(facts["whole"])


def after(*paths: Path) -> float:
    """A time that is later than the last change of these, and of nothing that follows."""
    newest = max(os.lstat(path).st_ctime_ns for path in paths)
    mark = paths[0].parent / "mark"
    # The clock of files goes in steps: the next one is waited for by touching, not by sleeping.
    while time.time_ns() < newest + 30_000_000:
        mark.touch()
    since = time.time()
    while os.lstat(mark).st_ctime_ns < (since + 0.02) * 1e9:
        mark.touch()
    mark.unlink()
    return since + 0.015


def test_what_changed_is_named_and_what_did_not_is_not(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("a", "sub/b", "sub/removed", "other/c", "other/deep/d", ".git/index", ".git/objects/1"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("old")
    (root / "link").symlink_to("a")
    since = after(root, *root.rglob("*"))
    assert changed(root, since) == ([], 0, True)
    (root / "sub" / "removed").unlink()
    (root / "other" / "deep" / "d").chmod(0o600)
    os.utime(root / "a", (0, 0))
    (root / ".git" / "objects" / "2").write_text("new")
    (root / "link").unlink()
    (root / "link").symlink_to("/nowhere")
    assert changed(root, since) == ([".git/", "a", "link", "sub/", "other/deep/d"], 5, True)
    assert changed(root, since, most=2) == ([".git/", "a"], 5, True)


def test_a_link_to_a_directory_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("x")
    (tmp_path / "root" / "link").symlink_to(tmp_path / "outside")
    assert changed(tmp_path / "root", 0) == (["link"], 1, True)


def test_a_root_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        changed(tmp_path / "nowhere", time.time() - HOUR_S)
