"""What is left after a crash: all that was acknowledged, and nothing half done."""

import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hames.core.errors import SessionMissing
from hames.core.events import Entry, TurnEnded, TurnStarted
from hames.core.ids import SessionId, blob_id
from hames.core.limits import INLINE_BYTES
from hames.stores.sqlite import open_sqlite
from hames.testing.clock import VirtualClock

APPENDER = Path(__file__).with_name("appender.py")
SESSION = SessionId("s")
APPENDS = 12


def _killed_after(directory: Path, appends: int) -> int:
    # The last head that was acknowledged. The kill comes while the next appends are under way.
    command = (sys.executable, str(APPENDER), "loop", str(directory))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(appends)]
    process.kill()
    rest, errors = process.communicate()
    assert errors == b""
    whole = [line for line in (*lines, *rest.splitlines(keepends=True)) if line.endswith(b"\n")]
    return int(whole[-1])


async def _found(directory: Path) -> list[Entry]:
    async with await open_sqlite(str(directory), VirtualClock()) as store:
        try:
            entries = list(await store.read(SESSION))
        except SessionMissing:
            return []
        assert (await store.claim(SESSION)).head == len(entries)
        for head in range(0, len(entries), 3):
            number = head.to_bytes(8, "big")
            for data in (number, number * (INLINE_BYTES // 8 + 1)):
                assert await store.get(blob_id(data)) == data
    return entries


def test_whatever_was_acknowledged_outlives_a_dozen_kills(tmp_path: Path) -> None:
    entries: list[Entry] = []
    for already in range(12):
        acknowledged = _killed_after(tmp_path / "state", 1 + already * 3)
        entries = anyio.run(_found, tmp_path / "state")
        assert len(entries) >= acknowledged
        assert len(entries) % 3 == 0
        assert [type(entry.event) for entry in entries[-3::2]] == [TurnStarted, TurnEnded]
    assert len({entry.epoch for entry in entries}) == 12


class _Crashed(msgspec.Struct, frozen=True):
    """A database file and its write-ahead log, as a crash leaves them."""

    main: bytes
    wal: bytes
    entries: list[Entry]

    def commits(self, size: int) -> int:
        """Commits that lie whole within the first `size` bytes of the write-ahead log."""
        frames = range(32, size - 24 - 4096 + 1, 24 + 4096)
        return sum(1 for frame in frames if any(self.wal[frame + 4 : frame + 8]))


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> _Crashed:
    return anyio.run(_crash, tmp_path_factory.mktemp("crashed"))


async def _crash(directory: Path) -> _Crashed:
    entries: list[Entry] = []
    async with await open_sqlite(str(directory / "state"), VirtualClock()) as store:
        claim = await store.claim(SESSION)
        for turn in range(APPENDS):
            events = (TurnStarted(turn), TurnEnded(turn, "done", "x" * 300 * turn))
            claim, added = await store.append(claim, events, (b"%d" % turn * 400,))
            entries.extend(added)
        shutil.copytree(directory / "state", directory / "copy")
    copy = directory / "copy"
    return _Crashed((copy / "log.db").read_bytes(), (copy / "log.db-wal").read_bytes(), entries)


def _left(crashed: _Crashed, wal: bytes) -> list[Entry]:
    async def read(directory: str) -> list[Entry]:
        async with await open_sqlite(directory, VirtualClock()) as store:
            try:
                return list(await store.read(SESSION))
            except SessionMissing:
                return []

    with TemporaryDirectory() as directory:
        Path(directory, "log.db").write_bytes(crashed.main)
        Path(directory, "log.db-wal").write_bytes(wal)
        return anyio.run(partial(read, directory))


# The first commit is the claim, and each one after it an append of two events.


@given(share=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_a_write_ahead_log_cut_anywhere_keeps_every_whole_append(crashed: _Crashed, share: float) -> None:
    size = int(len(crashed.wal) * share)
    whole = max(crashed.commits(size) - 1, 0) * 2
    assert _left(crashed, crashed.wal[:size]) == crashed.entries[:whole]


@given(share=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
@settings(max_examples=40, deadline=None)
def test_a_write_ahead_log_with_a_bad_byte_keeps_what_lies_before_it(
    crashed: _Crashed, share: float, flip: int
) -> None:
    place = int(len(crashed.wal) * share)
    wal = bytearray(crashed.wal)
    wal[place] ^= flip
    left = _left(crashed, bytes(wal))
    assert left == crashed.entries[: len(left)]
    assert len(left) % 2 == 0
    assert len(left) >= max(crashed.commits(place) - 1, 0) * 2


def test_the_whole_write_ahead_log_keeps_everything(crashed: _Crashed) -> None:
    assert crashed.commits(len(crashed.wal)) == APPENDS + 1
    assert _left(crashed, crashed.wal) == crashed.entries
