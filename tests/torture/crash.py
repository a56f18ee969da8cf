"""Crashes of the whole machine: power that is lost, and a log whose tail is torn.

Everything of the run ends at once: the harness, the owner of its commands, and the commands. The world keeps
what was done to it: a disk may write back early, so effects that happened may well last. The state directory
is put in the place of the old one, then the harness is resumed.

*Power loss*: the recorded operations are done again on a disk that drops what was not synced (`disk.py`). At
some earlier points of the record, too, the state must hold all that had been acknowledged there.

*A torn tail*: bytes at the end of SQLite's write-ahead log are cut off, zeroed or overwritten, or half a
frame is added. This is fair only for what was never acknowledged. Beyond the last commit nothing was. The
last commit itself was not if the log without it still accounts for all that is known outside: each line that
was printed, each request that came, each effect that began. So the judge looks at such a log first, on a
copy.
"""

import shutil
import struct
from pathlib import Path
from signal import SIGKILL

from tests.torture.disk import Disk
from tests.torture.laws import acknowledged, nothing_lost, once
from tests.torture.life import Life, Run, lines_of
from tests.torture.processes import freeze, gone, kill
from tests.torture.recorder import Recorder
from tests.torture.target import read_events

LEAVING_S = 10.0
EARLIER_POINTS = 1

_FRAME_HEAD = struct.Struct(">II8s8s")
_WAL_HEAD_SIZE = 32
_FRAME_HEAD_SIZE = 24


async def stop_machine(run: Run, life: Life, where: str) -> None:
    """End everything at one instant."""
    frozen = freeze(run.token)
    run.kills += bool(frozen)
    run.may_lose = life.crashed = True
    run.tell(f"the machine stopped {where}")
    life.signal(SIGKILL)
    kill(frozen)
    if not await gone(frozen, LEAVING_S):
        run.faults.append("a process could not be killed")


# A torn tail


class Tear:
    """Damages the end of the log, as far as that is fair."""

    def __init__(self, run: Run, shared: Path) -> None:
        del shared
        self._run = run

    def begin(self) -> None:
        """A life begins: nothing to prepare."""

    async def strike(self, life: Life) -> None:
        """Tear."""
        del life
        run, random = self._run, self._run.random
        run.known_ends |= run.target.known_ends()
        wal = run.target.state / "log.db-wal"
        if not wal.exists():
            run.tell("  there is no write-ahead log to tear")
            return
        data = wal.read_bytes()
        commits = commit_ends(data)
        start = commits[-1] if commits else len(data)
        if len(commits) > 1 and await _accounts(run, data[: commits[-2]]):
            start = commits[-2]
        at = random.randint(start, len(data))
        kind = random.choice(("cut", "zeros", "noise", "more"))
        match kind:
            case "cut":
                torn = data[:at]
            case "zeros":
                torn = data[:at] + bytes(len(data) - at)
            case "noise":
                torn = data[:at] + random.randbytes(len(data) - at)
            case _:
                torn = data + data[-random.randint(1, 4000) :]
        wal.write_bytes(torn)
        (run.target.state / "log.db-shm").unlink(missing_ok=True)
        what = f"{kind} from {at} of {len(data)} bytes, {len(commits)} commits, fair from {start}"
        run.tell(f"  tore the log: {what}")


def commit_ends(wal: bytes) -> list[int]:
    """Where each transaction of a write-ahead log ends: after a frame with its mark and the log's salts."""
    page = int.from_bytes(wal[8:12], "big")
    salts, ends = wal[16:24], list[int]()
    size = _FRAME_HEAD_SIZE + page
    for at in range(_WAL_HEAD_SIZE, len(wal) - size + 1, size):
        _, pages, found, _ = _FRAME_HEAD.unpack_from(wal, at)
        if found != salts:
            break
        if pages:
            ends.append(at + size)
    return ends


def copy_tree(source: Path, target: Path) -> None:
    """Directories and plain files; a socket or a pipe means nothing without those who made it."""
    target.mkdir(parents=True)
    for path in source.iterdir():
        if path.is_dir() and not path.is_symlink():
            copy_tree(path, target / path.name)
        elif path.is_file():
            shutil.copy2(path, target / path.name)


async def _accounts(run: Run, wal: bytes) -> bool:
    """Whether a log that ends here holds all that is known outside."""
    copy = run.root / "copy"
    copy_tree(run.target.state, copy / run.target.state.name)
    (copy / run.target.state.name / "log.db-wal").write_bytes(wal)
    (copy / run.target.state.name / "log.db-shm").unlink(missing_ok=True)
    ran = await run.command(run.target.export(), state=copy)
    shutil.rmtree(copy)
    if ran.returncode:
        return False
    evidence = run.evidence([*run.exports, read_events(ran.stdout)])
    return not any([*acknowledged(evidence), *nothing_lost(evidence), *once(evidence)])


# Power loss


class PowerLoss:
    """Records the harness of a run, and takes the power away."""

    def __init__(self, run: Run, shared: Path) -> None:
        self._run = run
        self._watched = run.target.state.parent
        self._recorder = Recorder(run.root / "recorder", self._watched, shared)
        self._base = run.root / "base"
        run.target.python = str(self._recorder.python)
        run.model.mark = lambda: self._recorder.size

    def begin(self) -> None:
        """A life begins: all that is there now is safe."""
        shutil.rmtree(self._base, ignore_errors=True)
        copy_tree(self._watched, self._base)
        self._recorder.restart()

    async def strike(self, life: Life) -> None:
        """Drop what was not synced, now and at earlier points; what is left now is the state from here on."""
        run, random = self._run, self._run.random
        ends = [operation.end for operation in self._recorder.operations()]
        if not ends:
            run.tell("  nothing was recorded")
            return
        for _ in range(EARLIER_POINTS):
            await self._earlier(random.choice(ends), life.requests)
        every = random.random() < 0.5
        run.tell(f"  the power was lost after {len(ends)} operations: dropped {'all' if every else 'some'}")
        after = run.root / "after"
        self._lose(ends[-1], after, every=every)
        shutil.rmtree(self._watched)
        after.rename(self._watched)
        shown = await run.command(run.target.show())
        if shown.returncode and life.lines:
            run.faults.append(f"it cannot be shown: {shown.stderr.decode(errors='replace')[-300:]}")

    def _lose(self, end: int, target: Path, *, every: bool) -> list[bytes]:
        """The state if the power is lost there; returns what had been printed."""
        disk, printed = Disk(self._watched, self._base), list[bytes]()
        for operation in self._recorder.operations():
            if operation.end > end:
                break
            disk.do(operation)
            if operation.kind == "A":
                printed.append(operation.more)
        disk.lose_power(target, None if every else self._run.random)
        return printed

    async def _earlier(self, end: int, requests: int) -> None:
        run = self._run
        target = run.root / "earlier"
        printed = self._lose(end, target, every=run.random.random() < 0.5)
        lines = lines_of(b"".join(printed))
        came = [request for request in run.model.requests[requests:] if request.at <= end]
        ran = await run.command(run.target.export(), state=target)
        checked = await run.command(run.target.check(), state=target)
        shutil.rmtree(target)
        if ran.returncode == 0 and checked.returncode:
            said = checked.stdout.decode(errors="replace").strip()[-300:]
            run.faults.append(f"if the power had been lost at {end}, it would be damaged: {said}")
        if ran.returncode == 0:
            exports = [*run.exports, read_events(ran.stdout)]
            evidence = run.evidence(exports, lines=lines, requests=came)
            broken = [*acknowledged(evidence), *nothing_lost(evidence)]
            run.faults += [f"if the power had been lost at {end}: {words}" for words in broken]
        elif lines or came or run.exports:
            said = ran.stderr.decode(errors="replace").strip()[-300:]
            run.faults.append(f"if the power had been lost at {end}, it could not be read: {said}")
