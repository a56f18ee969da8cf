"""Spools."""

import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.sandboxes.spool import Spool


@given(st.lists(st.binary(max_size=30), max_size=20), st.integers(0, 40), st.integers(1, 20))
def test_head_and_tail_are_kept_and_all_is_counted(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes], head: int, tail: int
) -> None:
    path = tmp_path_factory.mktemp("spool") / "out"
    spool = Spool(str(path), head, tail)
    for chunk in chunks:
        spool.take(chunk)
    whole = b"".join(chunks)
    rest = whole[head:]
    for start in range(len(whole) + 1):
        first, data = spool.slice(start, 7)
        assert data == whole[first : first + len(data)]
        assert first == start or first == max(start, len(whole) - len(rest[-tail:]))
    spool.close()
    assert path.read_bytes() == whole[:head] + rest[-tail:]
    assert (spool.total, spool.kept) == (len(whole), len(path.read_bytes()))


def test_a_spool_never_follows_a_link_or_takes_a_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for name in ("file", "link"):
        with pytest.raises(FileExistsError):
            Spool(str(tmp_path / name), 1, 1)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_file_that_cannot_grow_costs_bytes_but_not_the_count(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "out"), 100, 4)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5, hard))
    try:
        spool.take(b"0123456789")
        spool.take(b"abc")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (spool.total, spool.kept) == (13, 5)
    assert spool.slice(0, 10) == (0, b"01234")
    assert spool.slice(7, 10) == (9, b"9abc")
    spool.close()
    assert (tmp_path / "out").read_bytes() == b"012349abc"


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "out"), 1, 1)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600
    spool.close()
    spool.remove()
    spool.remove()
    assert not (tmp_path / "out").exists()
