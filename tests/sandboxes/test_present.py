"""Which of many paths exist."""

import os
from pathlib import Path

from hames.sandboxes.present import Present


def test_paths_that_come_and_go_are_noticed(tmp_path: Path) -> None:
    path, deep = str(tmp_path / "file"), str(tmp_path / "a" / "b" / "file")
    present = Present((path, deep))
    assert present.refresh()
    assert present.of((path, deep)) == ()
    assert not present.refresh()
    (tmp_path / "file").write_text("x")
    assert present.refresh()
    assert present.of((deep, path)) == (path,)
    (tmp_path / "a" / "b").mkdir(parents=True)
    present.refresh()
    Path(deep).write_text("x")
    assert present.refresh()
    assert present.of((deep, path)) == (deep, path)
    os.unlink(path)
    assert present.refresh()
    assert present.of((deep, path)) == (deep,)


def test_the_real_place_of_a_link_is_given(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "broken").symlink_to("nowhere")
    paths = (str(tmp_path / "link"), str(tmp_path / "broken"))
    present = Present(paths)
    present.refresh()
    assert present.of(paths) == (str(tmp_path / "real"),)


def test_a_time_that_was_set_back_hides_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    present = Present((path,))
    present.refresh()
    before = tmp_path.stat()
    Path(path).write_text("x")
    os.utime(tmp_path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert tmp_path.stat().st_mtime_ns == before.st_mtime_ns
    assert present.refresh()
    assert present.of((path,)) == (path,)


def test_a_directory_that_is_replaced_by_a_link_is_seen(tmp_path: Path) -> None:
    path = str(tmp_path / "dir" / "file")
    for name in ("dir", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    present = Present((path,))
    present.refresh()
    (tmp_path / "dir").rename(tmp_path / "old")
    (tmp_path / "dir").symlink_to("other")
    assert present.refresh()
    assert present.of((path,)) == (str(tmp_path / "other" / "file"),)
