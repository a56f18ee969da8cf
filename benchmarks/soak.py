"""One long session: does anything grow with it? Real HTTP, real commands in the sandbox, real edits.

python benchmarks/soak.py [--steps 20000] [--every 500] [--window TOKENS] [--rate 0.01] [--kills 0]
    [--sandbox none] [--quick] [--keep DIRECTORY] [--out FILE]

The command line runs as a process of its own; this one is its model, and looks at it from outside each so
many steps: memory, descriptors, threads and processes of the tree, the log. At the end the session is
resumed, and each effect is looked for in the workspace. With `--kills` it is killed so often on the way, and
resumed; what a process holds is then judged of the last one alone. Only faults that pass are injected.
"""

import argparse
import contextlib
import ctypes
import itertools
import json
import os
import signal
import sqlite3
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
import msgspec
from steps import machine

from hames.testing.chaos import PASSING, Chaos
from hames.testing.model_server import ModelServer, running
from hames.testing.script import Served, ServedCall

WARM_STEPS = 1000
"""What grows is measured from here on."""
PART = 500
"""Steps whose effects are in one file: no file grows with the session."""
BARS = {
    "rss_growth_mb": 20.0,
    "log_bytes_spread": 0.10,
    "wal_mb": 64.0,
    "resume_s": 1.0,
    # From the first half to the second, the fewest that were seen: whether a command runs is chance.
    "more_descriptors": 5.0,
    "more_threads": 3.0,
    "more_processes": 9.0,
    "more_tree_descriptors": 60.0,
    "left_processes": 1.0,
}
PR_SET_CHILD_SUBREAPER = 36
# What a client may do about an overflow depends on its window: that is no fault of the server's.
FAULTS = tuple(name for name in PASSING if not name.startswith(("ctx_", "refused", "keepalive")))


class Work:
    """A model that works: commands, now and then with much output, and files written, read and edited."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self.step = 1
        self.asked_at = 0.0
        self.lost: list[int] = []

    def reply(self, number: int, body: bytes) -> Served:
        del number
        self.asked_at = self.asked_at or time.time()
        said = body.rfind(b'"role":"assistant"') + 1
        newest = body[max(body.find(b'"role":"tool"', said), said) :]
        marks = (f"step {self.step} is done", "edited ", "created ", "replaced ")
        if any(mark.encode() in newest for mark in (*marks, "note of ")):
            self.step += 1
        elif b"outcome not known" in newest:
            self.lost.append(self.step)
            self.step += 1
        if self.step > self._steps:
            return Served(text="All steps are done.")
        text = f"Step {self.step}: I look at what came of the last one, and go on with the next."
        return Served(text=text, calls=(call_of(self.step),))


def call_of(step: int) -> ServedCall:
    match step % 10:
        case 0:
            content = f"note of {step}\n" + "a line that is there to be read again\n" * 20
            name, arguments = "write", {"file_path": f"notes/{step % 40}.txt", "content": content}
        case 5:
            old, new = f"count {step // 10}\n", f"count {step // 10 + 1}\n"
            name, arguments = "edit", {"file_path": "counter.txt", "old_string": old, "new_string": new}
        case 7 if step > 10:
            name, arguments = "read", {"file_path": f"notes/{step // 10 * 10 % 40}.txt"}
        case _:
            much = "seq 1 20000; " if step % 100 == 33 else "ls -l; "
            ledger = f"mkdir -p ledger; echo {step} >> ledger/{step // PART}; "
            name, arguments = "bash", {"command": f"{ledger}{much}echo step {step} is done"}
    return ServedCall(name, msgspec.Raw(msgspec.json.encode(arguments)))


def ledger_of(steps: int) -> list[int]:
    """The steps that leave a line in the ledger."""
    return [step for step in range(1, steps + 1) if call_of(step).name == "bash"]


@dataclass
class Sample:
    """What was seen from outside at a step. Memory and sizes in bytes."""

    step: int
    at_s: float
    pid: int
    rss: int
    pss_tree: int
    descriptors: int
    threads: int
    processes: int
    tree_descriptors: int
    log_bytes: int
    events: int
    wal: int
    state: int


def look(step: int, begun: float, pid: int, state: Path) -> Sample:
    tree = tree_of(os.getpid())[1:]
    events, log_bytes = logged(state)
    return Sample(
        step=step,
        at_s=round(time.time() - begun, 1),
        pid=pid,
        rss=status_of(pid, "VmRSS") * 1024,
        pss_tree=sum(map(pss_of, tree)),
        descriptors=descriptors_of(pid),
        threads=status_of(pid, "Threads"),
        processes=len(tree),
        tree_descriptors=sum(map(descriptors_of, tree)),
        log_bytes=log_bytes,
        events=events,
        wal=size_of(state / "hames" / "log.db-wal"),
        state=sum(size_of(path) for path in state.rglob("*") if path.is_file()),
    )


def logged(state: Path) -> tuple[int, int]:
    """Events and bytes of the session, as the store counts them."""
    with contextlib.closing(sqlite3.connect(f"file:{state / 'hames' / 'log.db'}?mode=ro", uri=True)) as log:
        return log.execute("SELECT head, bytes FROM session").fetchone()


def tree_of(root: int) -> list[int]:
    """The process, and all below it that live."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    parents.setdefault(int(parent), []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += parents.get(pid, [])
    return found


def status_of(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def pss_of(pid: int) -> int:
    """What of its memory is its own, and its part of what is shared; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def descriptors_of(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


class Soak:
    """One session from its first step to its last."""

    def __init__(self, asked: argparse.Namespace, root: Path) -> None:
        self._asked = asked
        self.root = root
        self.workspace, self.state = root / "workspace", root / "state"
        self.workspace.mkdir()
        (self.workspace / "counter.txt").write_text("count 0\n")
        self.work = Work(asked.steps)
        self.samples: list[Sample] = []
        self.begun = time.time()
        self.resumes_s: list[float] = []
        self.endings: list[dict] = []
        self.left = 0

    def command(self, url: str, *words: str) -> list[str]:
        flags = ["--base-url", url, "--wire", "chat", "--model", "scripted", "--cwd", str(self.workspace)]
        flags += ["--output-format", "json", "--permission-mode", "auto", "--sandbox", self._asked.sandbox]
        flags += ["--window", str(self._asked.window), "--patience", "600"]
        return [str(Path(sys.executable).with_name("hames")), "-p", *words, *flags]

    async def run(self) -> None:
        chaos = Chaos(self.work, 1, self._asked.rate, FAULTS)
        async with running(ModelServer(chaos if self._asked.rate else self.work)) as server:
            kills = [self._asked.steps * (n + 1) // (self._asked.kills + 1) for n in range(self._asked.kills)]
            words = ["do the work"]
            for until in [*kills, None]:
                if not await self._process(self.command(server.base_url, *words), until, bool(self.samples)):
                    break
                words = ["--continue"]
            self.work.asked_at = 0.0
            begun = time.time()
            await self._process(self.command(server.base_url, "--continue", "and now?"), None, False)
            self.resumes_s.append(self.work.asked_at - begun)
        self.left = len(tree_of(os.getpid())) - 1

    async def _process(self, command: list[str], until: int | None, again: bool) -> bool:
        """Run hames up to the end, or to a step at which it is killed; whether there is more to do."""
        env = {
            **os.environ,
            "XDG_STATE_HOME": str(self.state),
            "XDG_CONFIG_HOME": str(self.root / "config"),
        }
        self.work.asked_at = 0.0
        begun = time.time()
        process = await anyio.open_process(command, env=env, stdin=-3, cwd=self.root)
        said = bytearray()

        async def read(stream, into: bytearray) -> None:
            async for data in stream:
                into += data

        complaints = bytearray()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, process.stdout, said)
            tasks.start_soon(read, process.stderr, complaints)
            while process.returncode is None:
                await anyio.sleep(0.05)
                if until is not None and self.work.step >= until:
                    process.send_signal(signal.SIGKILL)
                    await process.wait()
                    break
                next_at = (self.samples[-1].step if self.samples else 0) + self._asked.every
                if self.work.asked_at and next_at <= self.work.step < self._asked.steps:
                    with contextlib.suppress(OSError, StopIteration):
                        self.samples.append(look(self.work.step, self.begun, process.pid, self.state))
                        print(f"\r{self.work.step}", end="", file=sys.stderr, flush=True)
        if again and self.work.asked_at:
            self.resumes_s.append(self.work.asked_at - begun)
        if process.returncode == -signal.SIGKILL:
            return True
        ended = json.loads(said or b"{}")
        self.endings.append({key: ended.get(key) for key in ("subtype", "ending", "reason", "num_turns")})
        if process.returncode != 0:
            print(f"\n{complaints.decode()[-2000:]}\n{said.decode()[-2000:]}", file=sys.stderr)
            self.endings[-1]["exit"] = process.returncode
        return False

    def effects(self) -> dict[str, object]:
        """Each line of the ledger once, in its order, and the counter where it should be."""
        parts = sorted((self.workspace / "ledger").iterdir(), key=lambda part: int(part.name))
        found = [int(line) for part in parts for line in part.read_text().split()]
        counted = (self.workspace / "counter.txt").read_text()
        wanted = f"count {(self._asked.steps + 5) // 10}\n"
        return {
            "each_once": found == ledger_of(self._asked.steps),
            "lines": len(found),
            "counter_right": counted == wanted,
            "lost_calls": len(self.work.lost),
        }


def verdict(soak: Soak, warm: int) -> dict[str, object]:
    """Each bar, what was measured, and whether it holds."""
    warmed = [sample for sample in soak.samples if sample.step >= warm]
    measured: dict[str, float] = {"resume_s": round(max(soak.resumes_s), 3)}
    measured["left_processes"] = soak.left
    measured["wal_mb"] = round(max(sample.wal for sample in soak.samples) / 1e6, 1)
    if len(warmed) > 1:
        rates = [
            (after.log_bytes - before.log_bytes) / (after.step - before.step)
            for before, after in itertools.pairwise(warmed)
        ]
        middle = sum(rates) / len(rates)
        measured["log_bytes_spread"] = round(max(abs(rate - middle) for rate in rates) / middle, 3)
    held = [sample for sample in warmed if sample.pid == soak.samples[-1].pid]
    flat: dict[str, object] = {}
    if len(held) > 1:
        measured["rss_growth_mb"] = round((max(s.rss for s in held) - held[0].rss) / 1e6, 1)
        half = len(held) // 2
        for name in ("descriptors", "threads", "processes", "tree_descriptors"):
            values = [getattr(sample, name) for sample in held]
            measured[f"more_{name}"] = min(values[half:]) - min(values[:half])
            flat[name] = [min(values), max(values)]
    return {
        "bars": {
            name: {"measured": value, "bar": BARS[name], "holds": value < BARS[name]}
            for name, value in measured.items()
        },
        "between": flat,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--every", type=int, default=500, help="steps between two looks")
    parser.add_argument("--window", type=int, default=65_536, help="the model's context window, in tokens")
    parser.add_argument("--rate", type=float, default=0.01, help="the share of replies that fail first")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--sandbox", choices=("bubblewrap", "none"), default="bubblewrap")
    parser.add_argument("--quick", action="store_true", help="a short session: does it work at all?")
    parser.add_argument("--keep", type=Path, help="leave workspace and log in this new directory")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    warm = WARM_STEPS
    if asked.quick:
        asked.steps, asked.every, asked.kills, warm = 60, 15, 1, 0
    # What outlives a hames that is killed stays below this process, so that it is seen.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with contextlib.ExitStack() as stack:
        if asked.keep is not None:
            asked.keep.mkdir(parents=True)
            root = asked.keep.resolve()
        else:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hames-soak-")))
        soak = Soak(asked, root)
        anyio.run(soak.run)
        judged, effects = verdict(soak, warm), soak.effects()
    result = {
        "machine": machine(),
        "steps": asked.steps,
        "window": asked.window,
        "rate": asked.rate,
        "kills": asked.kills,
        "sandbox": asked.sandbox,
        "took_s": round(time.time() - soak.begun),
        "endings": soak.endings,
        "effects": effects,
        **judged,
        "resumes_s": [round(each, 3) for each in soak.resumes_s],
        "samples": [asdict(sample) for sample in soak.samples],
    }
    text = json.dumps(result, indent=1)
    print(f"\n{text}")
    if asked.out:
        asked.out.write_text(f"{text}\n")
    held = all(bar["holds"] for bar in judged["bars"].values()) or asked.quick
    return 0 if held and effects["each_once"] and effects["counter_right"] else 1


if __name__ == "__main__":
    sys.exit(main())
