"""Runs the whole fault table, and writes what it came to: `python -m tests.apps.fault_page`."""

import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import anyio

from hames.core.errors import ExitCode
from hames.core.profiles import WireName
from tests.apps.faults import (
    CELLS,
    FIRST_BYTE_S,
    IDLE_S,
    PLAIN,
    ROWS,
    SERVERS,
    WIRES,
    Cell,
    Row,
    row_of,
    run_cell,
    wrong,
)


async def run_all(report: Callable[[str], None]) -> dict[str, dict[WireName, Cell]]:
    """Every cell of the table, and of a run in which nothing fails; `report` hears of each."""
    found: dict[str, dict[WireName, Cell]] = {}
    for name, wire in CELLS:
        with tempfile.TemporaryDirectory() as root:
            cell = await run_cell(Path(root), name, wire)
        found.setdefault(name, {})[wire] = cell
        report(f"{name} {wire}: {'; '.join(wrong(name, cell)) or 'as it should be'}")
    return found


PAGE = Path(__file__).parents[2] / "docs" / "faults.md"

_HEAD = """\
# Faults

*Written by `python -m tests.apps.fault_page`; `tests/apps/test_faults.py` holds every cell of it.*

A provider fails in many ways. Each of these is served by the scripted server of `hames.testing` over real
HTTP, on each of the three wires, to a whole run: the model has a word appended to a file, then comes the
fault, then it has another word appended, then it says its last words. The run must end as it should, with
each word in the file once. Where a fault is a call that must not be run, as one whose arguments were cut,
it would append another word. The file is read at the end.

Without a fault a run takes {plain} requests. A cell holds the requests of the run, all attempts counted,
and the seconds that it took longer than the run without a fault on the same wire. What is meant to last
long is shortened: silence before the first word may last {first_byte:g} s here, silence after it {idle:g} s.
The last rows are longer runs, against servers that refuse what is too long or breaks a rule of theirs.

| fault | what happens | chat | messages | responses | outcome |
|---|---|---:|---:|---:|---|
"""

_FOOT = """
Waits are random within bounds that double (full jitter), and never shorter than what a server asks for.
{total} faults, {cells} runs: {right} as they should be.

To try a fault yourself, name it in a script, or let them happen at random:

```text
python -m hames.testing.model_server --script script.json --chaos 7 --rate 0.05
```
"""


def page(found: Mapping[str, Mapping[WireName, Cell]]) -> str:
    """What the runs came to, as Markdown."""
    plain = found["none"]
    lines: list[str] = []
    for name in (*ROWS, *SERVERS):
        row, cells = row_of(name), found[name]
        shown = (_shown(name, cells.get(wire), plain[wire]) for wire in WIRES)
        failed = "; ".join(f"{wire}: {said}" for wire, cell in cells.items() for said in wrong(name, cell))
        lines.append(f"| `{name}` | {row.told} | {' | '.join(shown)} | {failed or _outcome(row)} |")
    cells = [(name, cell) for name, of_wires in found.items() if name != "none" for cell in of_wires.values()]
    right = sum(not wrong(name, cell) for name, cell in cells)
    head = _HEAD.format(plain=PLAIN, first_byte=FIRST_BYTE_S, idle=IDLE_S)
    foot = _FOOT.format(total=len(lines), cells=len(cells), right=right)
    return head + "\n".join(lines) + "\n" + foot


def _shown(name: str, cell: Cell | None, plain: Cell) -> str:
    if cell is None:
        return ""
    longer = max(cell.seconds - plain.seconds, 0)
    return f"{cell.requests}, {longer:.1f} s" if name in ROWS else str(cell.requests)


def _outcome(row: Row) -> str:
    end = "done" if row.exit == ExitCode.DONE else f"ends with exit code {int(row.exit)}"
    return f"{end}; {row.why}" if row.why else end


async def main() -> None:
    """Run all of it, and write the page."""
    found = await run_all(lambda line: print(line, file=sys.stderr))
    PAGE.write_text(page(found))


if __name__ == "__main__":
    anyio.run(main)
