"""What the supervisor adds to a command, beside `subprocess.run` of the same arguments, run by turns.

python benchmarks/launcher.py [--rounds 200] [--out FILE]

With and without bubblewrap: wall time of start to end, and CPU of the harness itself. Also the start and
the memory of the supervisor. Times are of the machine it runs on; the differences count.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio

from hames.core.ids import JobId, SessionId
from hames.core.ports import Claim, CommandSpec, Sandbox
from hames.sandboxes.bubblewrap import Bubblewrap, find_program
from hames.sandboxes.launch import CommandLauncher
from hames.sandboxes.process import SupervisorProcess
from hames.sandboxes.profile import Place, command_env, workspace_policy
from hames.sandboxes.unconfined import Unconfined

ARGV = ("/bin/true",)


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def bare(argv: list[str], env: dict[str, str], cwd: str) -> None:
    done = subprocess.run(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


async def timed(act: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    before, used = time.perf_counter(), cpu()
    await act()
    return time.perf_counter() - before, cpu() - used


async def entered(root: str, sandbox: Sandbox) -> SupervisorProcess:
    process = SupervisorProcess(root, enclosed=sandbox.name != "none")
    await process.enter(Claim(SessionId("session"), 1, 0))
    return process


async def compare(root: str, sandbox: Sandbox, workspace: str, rounds: int) -> dict[str, float]:
    env = command_env(os.environ)
    process = await entered(root, sandbox)
    launcher = CommandLauncher(process, sandbox)
    plan = sandbox.wrap(CommandSpec(JobId("0"), ARGV, workspace, env))
    argv = list(plan.argv)
    if plan.reports_start:
        at = argv.index("--json-status-fd")
        del argv[at : at + 2]
    numbers = iter(range(10**9))

    async def through() -> None:
        running = await launcher.start(CommandSpec(JobId(str(next(numbers))), ARGV, workspace, env))
        end = await running.wait()
        assert end is not None
        assert end.fact.exit_code == 0, end
        launcher.release(running.job)

    async def plain() -> None:
        bare(argv, dict(plan.env), plan.cwd)

    for _ in range(10):
        await through()
        await plain()
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    for _ in range(rounds):
        ours.append(await timed(through))
        theirs.append(await timed(plain))
    wall, own = (statistics.median(run[place] for run in ours) * 1000 for place in (0, 1))
    base, base_own = (statistics.median(run[place] for run in theirs) * 1000 for place in (0, 1))
    pss = pss_kb(process.connect().pid)
    await launcher.close()
    return {
        "bare_ms": round(base, 3),
        "launcher_ms": round(wall, 3),
        "added_ms": round(wall - base, 3),
        "ratio": round(wall / base, 3),
        "harness_cpu_ms": round(own, 3),
        "bare_harness_cpu_ms": round(base_own, 3),
        "supervisor_pss_kb": pss,
    }


async def first_command_ms(root: str, sandbox: Sandbox, workspace: str) -> float:
    before = time.perf_counter()
    launcher = CommandLauncher(await entered(root, sandbox), sandbox)
    running = await launcher.start(CommandSpec(JobId("0"), ARGV, workspace, {}))
    await running.wait()
    took = time.perf_counter() - before
    launcher.release(running.job)
    await launcher.close()
    return took * 1000


def pss_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


async def measure(rounds: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as scratch:
        workspace = f"{scratch}/project"
        os.mkdir(workspace)
        place = Place(
            str(Path.home()), workspace, needed=(sys.prefix, sys.base_prefix), private=(f"{scratch}/state",)
        )
        bwrap = find_program("bwrap", os.environ.get("PATH", os.defpath))
        confined = Bubblewrap(workspace_policy(place), bwrap, f"{scratch}/state")
        firsts = {
            sandbox.name: [await first_command_ms(f"{scratch}/run", sandbox, workspace) for _ in range(11)]
            for sandbox in (Unconfined(), confined)
        }
        return {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}",
            "python": platform.python_version(),
            "load": os.getloadavg()[0],
            "rounds": rounds,
            "first_command_ms": {name: round(statistics.median(times), 1) for name, times in firsts.items()},
            "none": await compare(f"{scratch}/run", Unconfined(), workspace, rounds),
            "bubblewrap": await compare(f"{scratch}/run", confined, workspace, rounds),
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="a few rounds: does it run at all?")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    found = json.dumps(anyio.run(measure, 5 if asked.quick else asked.rounds), indent=2)
    print(found)
    if asked.out:
        asked.out.write_text(found + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
