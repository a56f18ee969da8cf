import os
from pathlib import Path

import pytest

from hames.assembly.standard_streams import lines

pytestmark = pytest.mark.anyio


async def test_lines_come_from_a_pipe_without_their_ends_and_the_last_may_lack_one() -> None:
    end, start = os.pipe()
    os.write(start, "one\r\ntwö\n\nlast".encode())
    os.close(start)
    try:
        assert [line async for line in lines(end)] == ["one", "twö", "", "last"]
    finally:
        os.close(end)


async def test_lines_come_from_a_file_too(tmp_path: Path) -> None:
    path = tmp_path / "said"
    path.write_text("one\ntwo\n")
    fd = os.open(path, os.O_RDONLY)
    try:
        assert [line async for line in lines(fd)] == ["one", "two"]
    finally:
        os.close(fd)
