"""What durability costs and holds: syncs a step, many sessions at once, and the window of a paused owner.

python benchmarks/durable.py [--sessions 500] [--pause 31] [--quick] [--out FILE]

Syncs are counted by strace, in the harness and in the supervisor, as the difference between a long run and a
short one. The window of a paused owner is what lies between the sync that makes a command's start durable
and the request to start it, seen by strace, which makes it longer. The paused owner is stopped by SIGSTOP at
such a place or any other, replaced, and let go on: no effect may follow.
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import anyio
from steps import hames_command, machine, scripted

from hames.assembly.system import SystemClock
from hames.core.events import TurnEnded, TurnStarted, UserSpoke
from hames.core.ids import SessionId
from hames.core.messages import Text
from hames.stores.sqlite import open_sqlite

LINE = re.compile(r"(\d+) (\d+\.\d+) (\w+)\((.*)")
STEPS = 40


def environment(scratch: Path) -> dict[str, str]:
    return {
        **os.environ,
        "XDG_STATE_HOME": str(scratch / "state"),
        "XDG_CONFIG_HOME": str(scratch / "config"),
    }


def traced(steps: int, sandbox: str) -> list[tuple[int, float, str, str]]:
    """The system calls of a run: process, time, name and the rest."""
    with tempfile.TemporaryDirectory(prefix="hames-bench-") as made:
        scratch = Path(made)
        (scratch / "workspace").mkdir()
        log = scratch / "strace"
        calls = "fsync,fdatasync,execve,sendto,sendmsg,clone,clone3,vfork"
        with scripted(steps, scratch) as (url, _):
            command = hames_command(url, scratch / "workspace", sandbox)
            strace = ["strace", "-f", "-ttt", "-s", "200", "-e", f"trace={calls}", "-o", str(log)]
            subprocess.run(
                [*strace, *command], env=environment(scratch), stdout=subprocess.DEVNULL, check=True
            )
        found = (LINE.match(line) for line in log.read_text(errors="replace").splitlines())
        return [(int(m[1]), float(m[2]), m[3], m[4]) for m in found if m]


def syncs(trace: list[tuple[int, float, str, str]]) -> Counter[str]:
    """How many syncs the harness has made, and how many the supervisor."""
    supervisors = {pid for pid, _, name, rest in trace if name == "execve" and "sandboxes.supervisor" in rest}
    return Counter(
        "supervisor" if pid in supervisors else "harness"
        for pid, _, name, _ in trace
        if name in ("fsync", "fdatasync")
    )


def windows_ms(trace: list[tuple[int, float, str, str]]) -> list[float]:
    """From the last sync before each start of a command to the request itself, in ms."""
    found: list[float] = []
    synced = 0.0
    for _, at, name, rest in trace:
        if name in ("fsync", "fdatasync"):
            synced = at
        elif "do=start" in rest and synced:
            found.append((at - synced) * 1000)
    return found


def measure_syncs(sandbox: str, steps: int) -> dict[str, object]:
    short, long = traced(5, sandbox), traced(5 + steps, sandbox)
    few, many = syncs(short), syncs(long)
    widths = windows_ms(long)
    return {
        "sandbox": sandbox,
        "harness_syncs_a_step": round((many["harness"] - few["harness"]) / steps, 2),
        "supervisor_syncs_a_step": round((many["supervisor"] - few["supervisor"]) / steps, 2),
        "window_ms_median_under_strace": round(statistics.median(widths), 2) if widths else None,
        "window_ms_most_under_strace": round(max(widths), 2) if widths else None,
    }


async def events_a_second(sessions: int, rounds: int) -> float:
    """Sessions of one process that all append at the same time, three events with each commit."""
    with tempfile.TemporaryDirectory(prefix="hames-bench-") as made:
        async with await open_sqlite(f"{made}/state", SystemClock()) as store:
            claims = [await store.claim(SessionId(f"{number:026d}")) for number in range(sessions)]

            async def live(number: int) -> None:
                claim = claims[number]
                for turn in range(rounds):
                    events = (TurnStarted(turn), UserSpoke((Text("x" * 300),)), TurnEnded(turn, "done", ""))
                    claim, _ = await store.append(claim, events)

            begun = time.perf_counter()
            async with anyio.create_task_group() as tasks:
                for number in range(sessions):
                    tasks.start_soon(live, number)
            return 3 * sessions * rounds / (time.perf_counter() - begun)


def paused_owner(pause_s: float) -> dict[str, object]:
    """An owner is stopped in the middle of its steps, replaced by another, and goes on after `pause_s`."""
    with tempfile.TemporaryDirectory(prefix="hames-bench-") as made:
        scratch = Path(made)
        workspace = scratch / "workspace"
        workspace.mkdir()
        env = environment(scratch)
        script = scratch / "script.json"
        call = {"name": "bash", "arguments": {"command": ": {i}; echo $(date +%s.%N) $PPID >> ledger"}}
        script.write_text(json.dumps([{"repeat": 3000, "calls": [call]}, {"text": "done"}]))
        serve = [sys.executable, "-m", "hames.testing.model_server", "--script", str(script)]
        with subprocess.Popen(serve, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            assert server.stdin is not None
            url = server.stdout.readline().strip()
            command = [*hames_command(url, workspace, "none"), "--max-turns", "2000"]
            old = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            ledger = workspace / "ledger"
            while not ledger.exists() or ledger.read_text().count("\n") < 20:
                time.sleep(0.01)
            old.send_signal(signal.SIGSTOP)
            stopped = time.monotonic()
            again = ["--continue", "--take-over", "--max-turns", "20"]
            taken = subprocess.run([*command, *again], env=env, capture_output=True, check=False)
            time.sleep(max(0.0, pause_s - (time.monotonic() - stopped)))
            effects = ledger.read_text().count("\n")
            old.send_signal(signal.SIGCONT)
            said = old.communicate(timeout=60)[0].decode(errors="replace").strip().splitlines()
            server.stdin.close()
        return {
            "paused_s": pause_s,
            "new_owner_exit": taken.returncode,
            "effects_after_going_on": ledger.read_text().count("\n") - effects,
            "old_owner_exit": old.returncode,
            "old_owner_said": said[-1] if said else "",
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=500)
    parser.add_argument("--pause", type=float, default=31.0, help="seconds; a start is refused after 30")
    parser.add_argument("--quick", action="store_true", help="one short round: does it run at all?")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    sessions, rounds, steps, pauses = (
        (20, 2, 5, [0.0]) if asked.quick else (asked.sessions, 20, STEPS, [0.0] * 5 + [asked.pause])
    )
    result: dict[str, object] = {"machine": machine()}
    if shutil.which("strace"):
        result["syncs"] = [measure_syncs(sandbox, steps) for sandbox in ("none", "bubblewrap")]
    else:
        print("strace is not installed: syncs are not counted", file=sys.stderr)
    result["sessions"] = {
        "sessions": sessions,
        "events_a_second": round(anyio.run(events_a_second, sessions, rounds)),
    }
    result["paused_owner"] = [paused_owner(pause) for pause in pauses]
    text = json.dumps(result, indent=1)
    print(text)
    if asked.out:
        asked.out.write_text(f"{text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
