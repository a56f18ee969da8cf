"""python -m tests.torture --mode MODE --seed N: one seed again. --kills N --out FILE: many of each mode."""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from math import sqrt
from pathlib import Path

import anyio
import msgspec

from tests.torture.modes import MODES
from tests.torture.target import can_take_over
from tests.torture.trial import Verdict, trial


class Tally(msgspec.Struct):
    """What a mode has come to."""

    trials: int = 0
    kills: int = 0
    calls: int = 0
    failures: int = 0
    failed_seeds: list[int] = []
    wilson_95_upper: float = 1.0


def wilson_upper(failures: int, trials: int) -> float:
    """The upper bound of a 95 % Wilson interval for the share of failures."""
    if not trials:
        return 1.0
    z, share = 1.96, failures / trials
    middle = share + z * z / (2 * trials)
    spread = z * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return (middle + spread) / (1 + z * z / trials)


async def torture(
    modes: list[str], first: int, kills: int, workers: int, source: Path | None
) -> dict[str, Tally]:
    """Seeds of each mode until each has had its kills, `workers` at a time."""
    tallies = {mode: Tally() for mode in modes}

    def wanted() -> Iterator[tuple[str, int]]:
        for mode in modes:
            seed = first
            while tallies[mode].kills < kills and seed < first + 4 * kills:
                yield mode, seed
                seed += 1

    todo = wanted()

    async def work(root: Path) -> None:
        for mode, seed in todo:
            _count(tallies[mode], await trial(mode, seed, root, source))

    with tempfile.TemporaryDirectory(prefix="torture-") as root:
        async with anyio.create_task_group() as tasks:
            for _ in range(workers):
                tasks.start_soon(work, Path(root))
    return tallies


def _count(tally: Tally, verdict: Verdict) -> None:
    tally.trials += 1
    tally.kills += verdict.kills
    tally.calls += verdict.calls
    if verdict.broken:
        tally.failures += 1
        tally.failed_seeds.append(verdict.seed)
        print(verdict, file=sys.stderr, flush=True)
    tally.wilson_95_upper = wilson_upper(tally.failures, tally.trials)


def main() -> int:
    """The exit status says whether a law was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", action="append", choices=list(MODES), help="default: all")
    parser.add_argument("--seed", type=int, default=1, help="the first, or with --mode the only one")
    parser.add_argument("--kills", type=int, default=1, help="of each mode")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--source", type=Path, help="a source tree of hames, in place of the installed one")
    parser.add_argument("--out", type=Path, help="write the figures here, as JSON")
    read = parser.parse_args()
    modes = read.mode or [mode for mode in MODES if mode != "take_over" or can_take_over()]
    tallies = anyio.run(torture, modes, read.seed, read.kills, read.workers, read.source)
    for mode, tally in tallies.items():
        print(f"{mode:14} {tally.trials:5} trials {tally.kills:5} kills {tally.calls:6} calls", end=" ")
        print(f"{tally.failures:4} failures, at most {tally.wilson_95_upper:.2%} at 95 %")
    if read.out is not None:
        machine = f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"
        figures = {"machine": machine, "python": platform.python_version(), "modes": tallies}
        read.out.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=1) + b"\n")
    return 1 if any(tally.failures for tally in tallies.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
