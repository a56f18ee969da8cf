"""What a step costs: hames beside the bare loop, run by turns, as ratios.

python benchmarks/steps.py [--rounds 5] [--steps 20,100,300,1000] [--quick] [--out FILE]

Measures start to first request, wall and CPU for each durable step with one command, growth from step 20
to step 1,000, memory of the process tree, and the sizes of requests. The model is a script behind HTTP on
loopback, in a process of its own, that answers at once. Times are of the machine it runs on; the ratios
count.
"""

import argparse
import itertools
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hames.assembly.build import boundary_of, sandbox_for
from hames.assembly.settings import Flags, load
from hames.core.ids import JobId
from hames.core.ports import CommandSpec

HERE = Path(__file__).parent
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass
class Run:
    """One run of one contender. Times in seconds, memory in bytes."""

    first_request_s: float = 0.0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    gaps_s: list[float] = field(default_factory=list)
    pss: int = 0
    own_rss: int = 0
    sizes: list[int] = field(default_factory=list)
    stable: bool = True


Runs = dict[tuple[str, str, int], list[Run]]
CONTENDERS = ("floor", "hames")
SANDBOXES = ("none", "bubblewrap")


@contextmanager
def scripted(steps: int, scratch: Path) -> Generator[tuple[str, Path]]:
    """A scripted model that asks for `steps` commands, one a reply; its URL and where it records."""
    call = {"name": "bash", "arguments": {"command": "echo step {i}"}}
    script = scratch / "script.json"
    script.write_text(json.dumps([{"repeat": steps, "calls": [call]}, {"text": "done"}]))
    record = scratch / "record"
    command = [
        sys.executable,
        "-m",
        "hames.testing.model_server",
        "--script",
        str(script),
        "--record",
        str(record),
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        try:
            yield server.stdout.readline().strip(), record / "requests.jsonl"
        finally:
            server.stdin.close()


def hames_command(url: str, workspace: Path, sandbox: str) -> list[str]:
    program = Path(sys.executable).with_name("hames")
    flags = ["--base-url", url, "--wire", "chat", "--model", "scripted", "--cwd", str(workspace)]
    more = ["--sandbox", "none", "--permission-mode", "auto"] if sandbox == "none" else []
    return [str(program), "-p", "go", "--output-format", "json", *flags, *more]


def floor_command(url: str, workspace: Path, sandbox: str, state: Path) -> list[str]:
    more = ["--sandbox", json.dumps(sandbox_words(workspace))] if sandbox == "bubblewrap" else []
    return [sys.executable, str(HERE / "floor.py"), "--base-url", url, "--durable", str(state), *more]


def sandbox_words(workspace: Path) -> list[str]:
    """The very words that hames puts before a command, but for the descriptor of its status."""
    settings = load(Flags(workspace=str(workspace)))
    plan = sandbox_for(settings, boundary_of(settings)).wrap(
        CommandSpec(JobId("1"), ("--end--",), str(workspace), {})
    )
    words = list(plan.argv[: plan.argv.index("--end--")])
    at = words.index("--json-status-fd")
    return words[:at] + words[at + 2 :]


def run(command: list[str], env: dict[str, str], record: Path, *, memory: bool = False) -> Run:
    """Start one contender, wait for its end, and read what the server and the kernel saw."""
    seen = Run()
    begun = time.time()
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        while memory and process.poll() is None:
            seen.pss = max(seen.pss, tree_pss(process.pid))
            time.sleep(0.1)
        if not memory:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            seen.cpu_s = own_cpu_s(process.pid)
            seen.wall_s = time.time() - begun
        assert process.stderr is not None
        complaint = process.stderr.read().decode()
    if process.returncode != 0:
        raise SystemExit(f"{command[0]} ended with {process.returncode}: {complaint}")
    requests = [json.loads(line) for line in record.read_text().splitlines()]
    times = [request["wall"] for request in requests]
    seen.first_request_s = times[0] - begun
    seen.gaps_s = [after - before for before, after in itertools.pairwise(times)]
    seen.sizes = [request["size"] for request in requests]
    seen.stable = all(request["extends"] is not False for request in requests)
    return seen


def own_cpu_s(pid: int) -> float:
    """User and system time of the process alone, without its children (as RUSAGE_SELF)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def tree_pss(root: int) -> int:
    """Proportional set size of the process and all below it, in bytes."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    total, todo = 0, [root]
    while todo:
        pid = todo.pop()
        todo += parents.get(pid, [])
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
    return total


def contend(who: str, sandbox: str, steps: int, *, memory: bool = False) -> Run:
    with tempfile.TemporaryDirectory(prefix="hames-bench-") as made:
        scratch = Path(made)
        workspace = scratch / "workspace"
        workspace.mkdir()
        env = {
            **os.environ,
            "XDG_STATE_HOME": str(scratch / "state"),
            "XDG_CONFIG_HOME": str(scratch / "config"),
        }
        with scripted(steps, scratch) as (url, record):
            if who == "hames":
                command = hames_command(url, workspace, sandbox)
            else:
                command = floor_command(url, workspace, sandbox, scratch / "floor")
            return run(command, env, record, memory=memory)


def median_ms(runs: list[Run]) -> float:
    """The median of the runs' median step."""
    return 1000 * statistics.median(statistics.median(seen.gaps_s) for seen in runs)


def cpu_slope_ms(short: list[Run], long: list[Run], steps: int) -> float:
    """CPU of one step more, between runs that differ by `steps`."""
    return (
        1000 * (statistics.median(r.cpu_s for r in long) - statistics.median(r.cpu_s for r in short)) / steps
    )


def measure(rounds: int, lengths: list[int]) -> dict[str, object]:
    runs = alternate(rounds, lengths)
    middle = 300 if 300 in lengths else lengths[-1]
    memory = {
        who: max(contend(who, "bubblewrap", middle, memory=True).pss for _ in range(min(rounds, 3)))
        for who in CONTENDERS
    }
    ours, floor = (runs[who, "bubblewrap", middle][0].sizes for who in ("hames", "floor"))
    return {
        "machine": machine(),
        "rounds": rounds,
        "step": [step_row(runs, sandbox, steps) for sandbox in SANDBOXES for steps in lengths],
        "cpu_a_step": [
            cpu_row(runs, sandbox, first, last)
            for sandbox in SANDBOXES
            for first, last in itertools.pairwise(lengths)
        ],
        "start": {who: starting(who, rounds) for who in CONTENDERS},
        "memory_pss_mb": {who: round(pss / 1e6, 1) for who, pss in memory.items()},
        "requests": {
            "first_bytes": ours[0],
            "floor_first_bytes": floor[0],
            "bytes_a_step": round((ours[-1] - ours[0]) / (len(ours) - 1)),
            "floor_bytes_a_step": round((floor[-1] - floor[0]) / (len(floor) - 1)),
            "prefix_stable": all(
                run.stable
                for (who, _, steps), some in runs.items()
                if who == "hames" and steps <= middle  # A longer run leaves out its oldest steps.
                for run in some
            ),
        },
    }


def alternate(rounds: int, lengths: list[int]) -> Runs:
    """All runs, the contenders by turns; of the short ones three times as many, of the longest half."""
    runs: Runs = {}
    for turn in range(rounds):
        for steps in lengths:
            times = 3 if steps <= 100 else 1
            if steps > 300 and turn >= max(1, rounds // 2):
                continue
            for sandbox, who in itertools.product(SANDBOXES * times, CONTENDERS):
                runs.setdefault((who, sandbox, steps), []).append(contend(who, sandbox, steps))
                print(".", end="", file=sys.stderr, flush=True)
    return runs


def step_row(runs: Runs, sandbox: str, steps: int) -> dict[str, object]:
    floor, ours = (median_ms(runs[who, sandbox, steps]) for who in ("floor", "hames"))
    return {
        "sandbox": sandbox,
        "steps": steps,
        "floor_ms": round(floor, 2),
        "hames_ms": round(ours, 2),
        "ratio": round(ours / floor, 2),
    }


def cpu_row(runs: Runs, sandbox: str, first: int, last: int) -> dict[str, object]:
    """CPU of one step, between runs of two lengths."""
    floor, ours = (
        cpu_slope_ms(runs[who, sandbox, first], runs[who, sandbox, last], last - first)
        for who in ("floor", "hames")
    )
    return {
        "sandbox": sandbox,
        "from": first,
        "to": last,
        "floor_cpu_ms": round(floor, 3),
        "hames_cpu_ms": round(ours, 3),
    }


def starting(who: str, rounds: int) -> dict[str, float]:
    """Start to first request, and the CPU of a run of one reply."""
    runs = [contend(who, "bubblewrap", 0) for _ in range(max(rounds * 2, 5))]
    return {
        "first_request_s": round(statistics.median(r.first_request_s for r in runs), 3),
        "first_request_min_s": round(min(r.first_request_s for r in runs), 3),
        "cpu_s": round(statistics.median(r.cpu_s for r in runs), 3),
    }


def machine() -> dict[str, object]:
    return {
        "cores": os.cpu_count(),
        "arch": platform.machine(),
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", default="20,100,300,1000")
    parser.add_argument("--quick", action="store_true", help="one short round: does it run at all?")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    rounds, lengths = (
        (1, [5, 10]) if asked.quick else (asked.rounds, [int(n) for n in asked.steps.split(",")])
    )
    result = measure(rounds, lengths)
    text = json.dumps(result, indent=1)
    print(f"\n{text}")
    if asked.out:
        asked.out.write_text(f"{text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
