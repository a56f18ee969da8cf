"""Every bar, and what was measured: docs/numbers.md, from the results that are kept.

python benchmarks/numbers_page.py [--check]

Prints what falls short. With `--check` nothing is written: it fails when the page is not that of the results.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "numbers.md"

HEAD = """\
# Numbers

*Generated from `benchmarks/results/` by `benchmarks/numbers_page.py`.*

What hames promises in figures, and what was measured. Ratios are taken by turns in one run, beside a bare
loop that has no harness; absolute times are of the machine, and the load is what it was busy with before.
`scripts/measure` takes all of them again, in one go ([benchmarks](../benchmarks/README.md)).

"""


@dataclass(frozen=True)
class Bar:
    """What is measured, in the words of the page, and its bar: at `most` so much, or at `least`."""

    what: str
    measured: float
    most: float | None = None
    least: float | None = None
    unit: str = ""
    digits: int = 2

    @property
    def holds(self) -> bool:
        over = self.most is not None and self.measured > self.most
        return not over and (self.least is None or self.measured >= self.least)

    def row(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        bar = f"at least {self.least:,g}" if self.most is None else f"at most {self.most:,g}"
        verdict = "holds" if self.holds else "**falls short**"
        return f"| {self.what} | {self.measured:,.{self.digits}f}{unit} | {bar}{unit} | {verdict} |\n"


Bars = Callable[[Any], Iterator[Bar]]


def steps(found: Any) -> Iterator[Bar]:
    start = found["start"]["hames"]
    yield Bar("from start to first request, median", start["first_request_s"], most=0.23, unit="s")
    yield Bar("CPU of that", start["cpu_s"], most=0.32, unit="s")
    rows = {(row["sandbox"], row["steps"]): row for row in found["step"]}
    plain, boxed = rows["none", 300], rows["bubblewrap", 300]
    yield Bar("a durable step in the sandbox over one of the bare loop, 300 steps", boxed["ratio"], most=1.6)
    yield Bar("the same without a sandbox", plain["ratio"], most=1.6)
    added = boxed["hames_ms"] - plain["hames_ms"]
    yield Bar("what the sandbox adds to a step", added, most=10, unit="ms")
    over = added - (boxed["floor_ms"] - plain["floor_ms"])
    yield Bar("of that, over what it adds to the bare loop", over, most=1, unit="ms")
    for sandbox, name in (("none", "without a sandbox"), ("bubblewrap", "in the sandbox")):
        costs = [row for row in found["cpu_a_step"] if row["sandbox"] == sandbox]
        most = max(row["hames_cpu_ms"] for row in costs)
        yield Bar(f"own CPU of a step, {name}", most, most=6, unit="ms")
        ours, floor = (costs[-1][who] / costs[0][who] for who in ("hames_cpu_ms", "floor_cpu_ms"))
        words = f"growth of that up to step 1,000, over the bare loop's own, {name}"
        yield Bar(words, ours / floor, most=1.1)
    memory, requests = found["memory_pss_mb"]["hames"], found["requests"]
    yield Bar("memory of the whole process tree (PSS)", memory, most=80, unit="MB", digits=0)
    yield Bar("system prompt and tools", requests["first_bytes"], most=6000, unit="bytes", digits=0)
    stable = 100.0 * requests["prefix_stable"]
    yield Bar("requests of 300 steps that extend the one before", stable, least=100, unit="%", digits=0)


def launcher(found: Any) -> Iterator[Bar]:
    added = found["none"]["added_ms"]
    yield Bar("a command through the supervisor, over a plain one", added, most=1.5, unit="ms")


def durable(found: Any) -> Iterator[Bar]:
    harness = max(row["harness_syncs_a_step"] for row in found["syncs"])
    supervisor = max(row["supervisor_syncs_a_step"] for row in found["syncs"])
    yield Bar("syncs a step, of the log", harness, most=3, digits=1)
    yield Bar("syncs a step, of the supervisor", supervisor, most=2, digits=1)
    rate = found["sessions"]["events_a_second"]
    yield Bar("events of 500 sessions in one process", rate, least=2000, unit="a second", digits=0)
    after = sum(row["effects_after_going_on"] for row in found["paused_owner"])
    yield Bar("effects of an owner that was paused and replaced", after, most=0, digits=0)


def torture(found: Any) -> Iterator[Bar]:
    modes = found["modes"].values()
    kills, least = sum(mode["kills"] for mode in modes), min(mode["kills"] for mode in modes)
    failures = sum(mode["failures"] for mode in modes)
    yield Bar(f"failures in {kills:,} kills of {len(modes)} modes", failures, most=0, digits=0)
    yield Bar("kills in the mode with the fewest", least, least=500, digits=0)


def snapshots(found: Any) -> Iterator[Bar]:
    for files, row in found["trees"].items():
        words = f"a snapshot of {int(files):,} files without a change, over a plain walk"
        yield Bar(words, row["unchanged_ratio"], most=2)
    yield Bar("both snapshots of a step on 50 files", found["trees"]["50"]["step_ms"], most=1, unit="ms")
    yield Bar("1,000 steps on disk, over what they changed, compressed", found["disk"]["ratio"], most=2)


def chunks(found: Any) -> Iterator[Bar]:
    rows, runs = found["rows"], found["runs"]
    ratio, cost = (max(rows, key=lambda row: row[key]) for key in ("ratio", "chunk_us"))
    words = f"a streamed token over a bare reader, worst of {len(rows)} ({_case(ratio)})"
    yield Bar(words, ratio["ratio"], most=2)
    yield Bar(f"a chunk in the worst framing ({_case(cost)})", cost["chunk_us"], most=25, unit="us")
    run = max(runs, key=lambda row: row["cpu_s"])
    named = f"worst of {len(runs)} ({run['wire']} {run['framing']})"
    yield Bar(f"CPU of a run with an answer of 100,000 tokens, {named}", run["cpu_s"], most=3, unit="s")


def _case(row: Mapping[str, Any]) -> str:
    return f"{row['wire']} {row['content']} {row['framing']}"


def compound(found: Any) -> Iterator[Bar]:
    for row in found["table"]:
        if row["who"] == "hames":
            what = f"{row['steps']:,} steps and faults at {row['rate']:.0%} of them"
            yield Bar(f"failed of {row['runs']:,} tasks with {what}", row["failures"], most=0, digits=0)


def soak(found: Any) -> Iterator[Bar]:
    yield Bar("steps of one session", found["steps"], least=20_000, digits=0)
    named = {
        "resume_s": ("its resume", "s"),
        "rss_growth_mb": ("growth of memory after step 1,000", "MB"),
        "log_bytes_spread": ("spread of the log's bytes a step", ""),
        "wal_mb": ("largest write-ahead log", "MB"),
    }
    for name, (words, unit) in named.items():
        yield Bar(words, found["bars"][name]["measured"], most=found["bars"][name]["bar"], unit=unit)


PARTS: tuple[tuple[str, str, Bars], ...] = (
    ("A step", "steps", steps),
    ("A command", "launcher", launcher),
    ("The log", "durable", durable),
    ("Kills", "torture", torture),
    ("Undo", "snapshots", snapshots),
    ("A streamed reply", "chunks", chunks),
    ("Faults at each step", "compound", compound),
    ("A long session", "soak", soak),
)


def page() -> str:
    """The page of the results that are there."""
    parts: list[str] = []
    short: list[Bar] = []
    for title, name, bars in PARTS:
        found = json.loads((RESULTS / f"{name}.json").read_text())
        rows = list(bars(found))
        short += [bar for bar in rows if not bar.holds]
        where = _where(found["machine"], found.get("load"))
        parts.append(f"## {title}\n\n`benchmarks/results/{name}.json`: {where}.\n\n{_table(rows)}")
    said = f"What falls short:\n\n{_table(short)}" if short else "All bars hold.\n"
    return f"{HEAD}{said}\n" + "\n".join(parts)


def _table(bars: Iterable[Bar]) -> str:
    return "| | measured | bar | |\n|---|---|---|---|\n" + "".join(bar.row() for bar in bars)


def _where(machine: Any, load: float | None) -> str:
    """The machine in words, and the load before the benchmark began where it is known."""
    if not isinstance(machine, str):
        load = machine.get("load")
        machine = f"{machine['arch']}, {machine['cores']} cores, Linux {machine['kernel']}"
    return machine if load is None else f"{machine}, load {load:.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="is the page that of the results?")
    made = page()
    if parser.parse_args().check:
        if PAGE.read_text() != made:
            print(
                "docs/numbers.md is not that of the results: run benchmarks/numbers_page.py", file=sys.stderr
            )
            return 1
        return 0
    PAGE.write_text(made)
    print(made.removeprefix(HEAD).partition("##")[0].strip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
