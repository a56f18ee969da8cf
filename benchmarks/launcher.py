"""What the launcher adds to a command, beside `subprocess.run` of the same arguments, run by turns.

python benchmarks/launcher.py [--rounds 200] [--out FILE]

With and without bubblewrap: wall time of start to end, and CPU of the harness itself. Also the start and
the memory of the launcher. Times are of the machine it runs on; the differences count.
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

from hames.core.ids import JobId
from hames.core.ports import CommandSpec, Sandbox
from hames.sandboxes.bubblewrap import Bubblewrap, find_program
from hames.sandboxes.connection import LauncherProcess
from hames.sandboxes.launch import CommandLauncher
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


async def compare(
    process: LauncherProcess, sandbox: Sandbox, workspace: str, rounds: int
) -> dict[str, float]:
    env = command_env(os.environ)
    launcher = CommandLauncher(process, sandbox, prefix=sandbox.name)
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
        await launcher.release(running.job)

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
    return {
        "bare_ms": round(base, 3),
        "launcher_ms": round(wall, 3),
        "added_ms": round(wall - base, 3),
        "ratio": round(wall / base, 3),
        "harness_cpu_ms": round(own, 3),
        "bare_harness_cpu_ms": round(base_own, 3),
    }


async def first_command_ms(directory: str, workspace: str) -> float:
    process = LauncherProcess(directory)
    launcher = CommandLauncher(process, Unconfined())
    before = time.perf_counter()
    running = await launcher.start(CommandSpec(JobId("0"), ARGV, workspace, {}))
    await running.wait()
    took = time.perf_counter() - before
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
        firsts = [await first_command_ms(f"{scratch}/spool-{number}", workspace) for number in range(11)]
        process = LauncherProcess(f"{scratch}/spool")
        found: dict[str, object] = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}",
            "python": platform.python_version(),
            "load": os.getloadavg()[0],
            "rounds": rounds,
            "first_command_ms": round(statistics.median(firsts), 1),
            "none": await compare(process, Unconfined(), workspace, rounds),
            "bubblewrap": await compare(process, confined, workspace, rounds),
            "launcher_pss_kb": pss_kb(process.connect().pid),
        }
        await process.close()
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    found = json.dumps(anyio.run(measure, asked.rounds), indent=2)
    print(found)
    if asked.out:
        asked.out.write_text(found + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
