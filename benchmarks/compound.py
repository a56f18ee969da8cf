"""What is left of 0.99^50: whole tasks with faults at each step, through hames and a bare loop.

python benchmarks/compound.py [--steps 10,50,200,1000] [--rates 0.01,0.05]
    [--runs N | --runs 3000,3000,200,200] [--seed 1] [--workers 2] [--commands 0.1] [--quick] [--out FILE]
python benchmarks/compound.py --only "0.05 50 17"     one run, by the name under which a failure is listed
python benchmarks/compound.py --page                  docs/compound.md and .svg, from the results

A run is a success when the turn ends as done with the right answer, each effect is in the world exactly once
and in its order, and the log checks. Runs that are done are kept beside the results and not made again: the
same command goes on after an interruption. Each is given by the seed, the rate, the steps and its number.
"""

import argparse
import json
import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from math import sqrt
from multiprocessing import get_context
from pathlib import Path

import anyio
from compound_page import draw, page
from compound_run import TIMES, Came, Case, through_floor, through_hames
from steps import machine

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "compound.json"
DOCS = HERE.parent / "docs"
CONTENDERS = {"hames": through_hames, "floor": through_floor}
USUAL_RUNS = {10: 3000, 50: 3000, 200: 200, 1000: 200}
AT_ONCE_STEPS = 500
"""So many steps are one piece of work for a process."""


def wilson(succeeded: int, runs: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share."""
    share, square = succeeded / runs, z * z / runs
    middle = (share + square / 2) / (1 + square)
    half = z * sqrt(share * (1 - share) / runs + square / (4 * runs)) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)


def cases(asked: argparse.Namespace) -> list[Case]:
    """All runs. Those of a share, spread evenly, run commands in a workspace on a disk."""
    every = round(1 / asked.commands) if asked.commands else 0
    return [
        Case(asked.seed, rate, steps, number, bool(every) and number % every == 0)
        for steps, runs in zip(asked.steps, asked.runs, strict=True)
        for rate in asked.rates
        for number in range(runs)
    ]


def play(who: str, some: list[Case]) -> list[dict]:
    """Some runs, one after the other."""
    return [told(who, case, anyio.run(CONTENDERS[who], case)) for case in some]


def told(who: str, case: Case, came: Came) -> dict:
    return {
        "who": who,
        "run": case.key,
        "commands": case.commands,
        "ok": came.ok,
        "said": came.said,
        "faults": came.faults,
    }


def play_all(wanted: list[Case], asked: argparse.Namespace, kept: Path) -> list[dict]:
    """What all runs came to: those that are kept from before, and the others now."""
    done = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    known = {(row["who"], row["run"]) for row in done}
    work = []
    for who in CONTENDERS:
        some, steps = [], 0
        for case in wanted:
            if (who, case.key) in known:
                continue
            some, steps = [*some, case], steps + case.steps
            if steps >= AT_ONCE_STEPS:
                work.append((who, some))
                some, steps = [], 0
        work += [(who, some)] if some else []
    with (
        ProcessPoolExecutor(asked.workers, mp_context=get_context("spawn")) as pool,
        kept.open("a") as lines,
    ):
        for at, future in enumerate(as_completed([pool.submit(play, *piece) for piece in work]), 1):
            for row in future.result():
                lines.write(json.dumps(row) + "\n")
                done.append(row)
                if row["who"] == "hames" and not row["ok"]:
                    print(f"\n{row['run']}: {row['said']} {row['faults']}", file=sys.stderr)
            lines.flush()
            print(f"\r{at} of {len(work)}", end="", file=sys.stderr, flush=True)
    wanted_keys = {case.key for case in wanted}
    return [row for row in done if row["run"] in wanted_keys]


def summed(rows: list[dict], asked: argparse.Namespace) -> dict:
    """The table."""
    table = [
        row_of(
            [row for row in rows if row["who"] == who and row["run"].startswith(f"{rate:g} {steps} ")],
            who,
            rate,
            steps,
        )
        for rate in asked.rates
        for steps in asked.steps
        for who in CONTENDERS
    ]
    faults: Counter[str] = Counter()
    for row in rows:
        if row["who"] == "hames":
            faults.update(row["faults"])
    ours = [row for row in rows if row["who"] == "hames"]
    return {
        "machine": machine(),
        "seed": asked.seed,
        "runs_with_commands": sum(row["commands"] for row in ours),
        "table": table,
        "faults_recovered_from": sum(faults.values())
        - sum(sum(r["faults"].values()) for r in ours if not r["ok"]),
        "faults": dict(sorted(faults.items())),
    }


def row_of(rows: list[dict], who: str, rate: float, steps: int) -> dict:
    succeeded = sum(row["ok"] for row in rows)
    low, high = wilson(succeeded, len(rows))
    return {
        "who": who,
        "rate": rate,
        "steps": steps,
        "runs": len(rows),
        "failures": len(rows) - succeeded,
        "success": round(succeeded / len(rows), 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "expected_without_recovery": round((1 - rate) ** steps, 4),
        "failed": [{"run": row["run"], "said": row["said"]} for row in rows if not row["ok"]][:20]
        if who == "hames"
        else [],
    }


def main() -> int:
    numbers = partial(numbers_of, int)
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=numbers, default=list(USUAL_RUNS))
    parser.add_argument("--rates", type=partial(numbers_of, float), default=[0.01, 0.05])
    parser.add_argument("--runs", type=numbers, help="for all lengths, or one number for each")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--commands", type=float, default=0.1, help="the share of runs with real commands")
    parser.add_argument("--quick", action="store_true", help="a few short runs: does it work at all?")
    parser.add_argument("--only", metavar="RUN", help='one run of hames, as in "0.05 50 17"')
    parser.add_argument(
        "--page", action="store_true", help="write the page from the results, and measure nothing"
    )
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if asked.page:
        result = json.loads((asked.out or RESULTS).read_text())
        (DOCS / "compound.md").write_text(page(result, TIMES))
        (DOCS / "compound.svg").write_text(draw(result["table"]))
        return 0
    if asked.quick:
        asked.steps, asked.rates, asked.runs = [5, 20], [0.05, 0.5], [6]
    asked.runs = asked.runs or [USUAL_RUNS.get(steps, 200) for steps in asked.steps]
    asked.runs = asked.runs * len(asked.steps) if len(asked.runs) == 1 else asked.runs
    if asked.only:
        return one(asked)
    if asked.out is None:
        rows = play_all(cases(asked), asked, Path(os.devnull))
    else:
        kept = part_of(asked)
        rows = play_all(cases(asked), asked, kept)
    result = summed(rows, asked)
    text = json.dumps(result, indent=1)
    print(f"\n{text}")
    if asked.out is not None:
        asked.out.write_text(f"{text}\n")
        part_of(asked).unlink(missing_ok=True)
    return 0 if all(not row["failures"] for row in result["table"] if row["who"] == "hames") else 1


def part_of(asked: argparse.Namespace) -> Path:
    """Where runs are kept until all are done."""
    return asked.out.with_suffix(f".seed{asked.seed}.part")


def one(asked: argparse.Namespace) -> int:
    rate, steps, number = asked.only.split()
    every = round(1 / asked.commands) if asked.commands else 0
    case = Case(asked.seed, float(rate), int(steps), int(number), bool(every) and int(number) % every == 0)
    came = anyio.run(through_hames, case)
    print(json.dumps(told("hames", case, came), indent=1))
    return 0 if came.ok else 1


def numbers_of(kind: type, text: str) -> list:
    return [kind(each) for each in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
