"""Reading and writing one file."""

import os
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.sandboxes.file_io import READ_BYTES, Refusal, read_lines, remove_whole, write_whole


def _hash(data: bytes) -> str:
    return sha256(data).hexdigest()


def _split(data: bytes) -> list[bytes]:
    return [line + b"\n" for line in data.split(b"\n")[:-1]] + (
        [data.rpartition(b"\n")[2]] if data[-1:] not in (b"", b"\n") else []
    )


@given(
    st.lists(st.sampled_from([b"a", b"bb\n", b"\n", b"cc", b"d\n"]), max_size=12).map(b"".join),
    st.integers(1, 8),
    st.one_of(st.none(), st.integers(0, 6)),
    st.integers(1, 12),
)
def test_a_slice_is_whole_lines_as_far_as_they_fit(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, line: int, lines: int | None, room: int
) -> None:
    path = tmp_path_factory.mktemp("read") / "file"
    path.write_bytes(data)
    facts, found = read_lines(str(path), line, lines, room)
    known = dict(facts)
    wanted = _split(data)[line - 1 :]
    wanted = wanted if lines is None else wanted[:lines]
    expected = b"".join(wanted)
    if len(expected) > room:
        fitting = b""
        for one in wanted:
            if len(fitting) + len(one) > room:
                break
            fitting += one
        expected = fitting or expected[:room]
    assert found == expected
    assert (known["sha256"], known["size"]) == (_hash(data), str(len(data)))
    assert known["total_lines"] == str(len(_split(data)))


def test_a_file_of_many_chunks_is_cut_at_the_right_lines(tmp_path: Path) -> None:
    lines = [b"%07d\n" % number for number in range(400_000)]
    (tmp_path / "big").write_bytes(b"".join(lines))
    for first in (1, 131_072, 131_073, 262_145, 399_999):
        facts, found = read_lines(str(tmp_path / "big"), first, 3, 1000)
        assert found == b"".join(lines[first - 1 : first + 2])
        assert dict(facts)["total_lines"] == "400000"


@pytest.mark.parametrize(
    ("data", "binary"),
    [
        (b"", False),
        (b"plain\n", False),
        ("käse\n".encode(), False),
        ("käse\n".encode("latin-1"), False),
        (b"\x1b[31mred\x1b[0m\n", False),
        (b"a\0b", True),
        (b"x" * 3_000_000 + b"\0", True),
        (bytes(range(1, 9)) * 100, True),
        ("text".encode("utf-16"), True),
    ],
)
def test_what_is_no_text_is_told(tmp_path: Path, data: bytes, binary: bool) -> None:
    (tmp_path / "file").write_bytes(data)
    facts, found = read_lines(str(tmp_path / "file"), 1, None, 100)
    assert bool(dict(facts)["binary"]) is binary
    assert data.startswith(found)


def test_only_plain_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, trouble in (
        (tmp_path, "directory"),
        (tmp_path / "pipe", "not_regular"),
        ("/dev/zero", "not_regular"),
    ):
        with pytest.raises(Refusal) as refused:
            read_lines(str(path), 1, None, 10)
        assert refused.value.trouble == trouble


def test_a_file_that_is_too_big_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(READ_BYTES + 1)
    with pytest.raises(Refusal, match="use head, tail") as refused:
        read_lines(str(tmp_path / "sparse"), 1, None, 10)
    assert refused.value.trouble == "too_big"


def test_a_new_file_gets_its_directories_and_the_usual_mode(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        facts, _ = write_whole(str(tmp_path / "a" / "b" / "file"), b"new", "")
    finally:
        os.umask(before)
    path = tmp_path / "a" / "b" / "file"
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert dict(facts)["sha256"] == _hash(b"new")
    assert os.listdir(path.parent) == ["file"]


def test_a_replaced_file_keeps_its_mode_and_its_links(tmp_path: Path) -> None:
    path = tmp_path / "real" / "script"
    path.parent.mkdir()
    path.write_bytes(b"old")
    path.chmod(0o751)
    (tmp_path / "link").symlink_to(path)
    write_whole(str(tmp_path / "link"), b"new", _hash(b"old"))
    assert (tmp_path / "link").is_symlink()
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o7777 == 0o751


def _refused(path: Path, data: bytes, expect: str) -> str:
    with pytest.raises(Refusal) as refused:
        write_whole(str(path), data, expect)
    return refused.value.trouble


def test_a_write_needs_the_content_it_was_made_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"theirs")
    assert _refused(path, b"mine", "") == "exists"
    assert _refused(path, b"mine", _hash(b"other")) == "changed"
    assert path.read_bytes() == b"theirs"
    assert _refused(tmp_path / "gone", b"mine", _hash(b"x")) == "changed"
    assert _refused(tmp_path, b"mine", "") == "directory"
    os.mkfifo(tmp_path / "pipe")
    assert _refused(tmp_path / "pipe", b"mine", "") == "not_regular"
    assert sorted(os.listdir(tmp_path)) == ["file", "pipe"]


def test_a_failed_write_leaves_no_trace(tmp_path: Path) -> None:
    name = "n" * 250
    (tmp_path / name).write_bytes(b"old")
    with pytest.raises(NotADirectoryError):
        write_whole(str(tmp_path / name / "below"), b"x", "")
    write_whole(str(tmp_path / name), b"new", _hash(b"old"))
    assert os.listdir(tmp_path) == [name]


def test_a_new_file_gets_the_mode_of_another_where_one_is_named(tmp_path: Path) -> None:
    like = tmp_path / "script"
    like.write_bytes(b"x")
    like.chmod(0o751)
    write_whole(str(tmp_path / "new"), b"new", "", str(like))
    assert (tmp_path / "new").stat().st_mode & 0o7777 == 0o751
    old = tmp_path / "old"
    old.write_bytes(b"old")
    old.chmod(0o600)
    write_whole(str(old), b"new", _hash(b"old"), str(like))
    assert old.stat().st_mode & 0o7777 == 0o600
    with pytest.raises(FileNotFoundError):
        write_whole(str(tmp_path / "newer"), b"new", "", str(tmp_path / "gone"))
    assert sorted(os.listdir(tmp_path)) == ["new", "old", "script"]


def test_a_file_is_removed_only_with_the_content_it_was_told_of(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"theirs")
    for place, expect, trouble in (
        (path, _hash(b"mine"), "changed"),
        (path, "", "changed"),
        (tmp_path / "gone", _hash(b"x"), "changed"),
        (tmp_path, "", "directory"),
    ):
        with pytest.raises(Refusal) as refused:
            remove_whole(str(place), expect)
        assert refused.value.trouble == trouble
    assert path.read_bytes() == b"theirs"
    remove_whole(str(path), _hash(b"theirs"))
    assert os.listdir(tmp_path) == []


def test_of_a_link_only_the_link_is_removed(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.write_bytes(b"x")
    (tmp_path / "link").symlink_to(real)
    remove_whole(str(tmp_path / "link"), _hash(b"x"))
    assert os.listdir(tmp_path) == ["real"]
