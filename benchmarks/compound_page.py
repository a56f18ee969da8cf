"""The page and the picture of the compound-error benchmark, from its results."""

from collections.abc import Callable
from math import log10
from pathlib import Path

TEMPLATE = Path(__file__).with_suffix(".md")
WIDTH, HEIGHT = 760, 420
LEGEND = WIDTH - 270
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 28, 60
COLOURS = {
    ("hames", 0.01): "#1a7f37",
    ("hames", 0.05): "#0969da",
    ("floor", 0.01): "#bc4c00",
    ("floor", 0.05): "#cf222e",
}
NAMES = {"hames": "hames", "floor": "bare loop"}
GREY, DARK = "#57606a", "#24292f"

Scale = Callable[[float], float]


def page(result: dict, times: float) -> str:
    """The whole page."""
    machine, met = result["machine"], sum(result["faults"].values())
    failed = [each for row in result["table"] for each in row["failed"]]
    told = f"{result['faults_recovered_from']:,} of them in runs that succeeded."
    listed = ["\n## Runs of hames that failed\n", *(f"- `{each['run']}`: {each['said']}" for each in failed)]
    return TEMPLATE.read_text().format(
        rows="\n".join(map(table_row, result["table"])),
        commands=f"{result['runs_with_commands']:,}",
        times=times,
        met=f"{met:,}",
        recovered=told if failed else "None of them ended a run.",
        faults="\n".join(f"| `{name}` | {count:,} |" for name, count in result["faults"].items()),
        machine=f"{machine['cores']} cores, {machine['arch']}, Linux {machine['kernel']}, "
        f"Python {machine['python']}",
        seed=result["seed"],
        failed="\n".join(listed) if failed else "",
    )


def table_row(row: dict) -> str:
    between = f"{percent(row['low'])} to {percent(row['high'])}"
    shares = f"{percent(row['success'])} | {between} | {percent(row['expected_without_recovery'])}"
    who = NAMES[row["who"]]
    return (
        f"| {row['rate']:.0%} | {row['steps']:,} | {who} | {row['runs']:,} | {row['failures']:,} | {shares} |"
    )


def percent(share: float) -> str:
    return f"{100 * share:.2f} %" if 0 < share < 1 else f"{100 * share:.0f} %"


def draw(table: list[dict]) -> str:
    """The success by the number of steps, with intervals; dotted what theory says of no recovery."""
    lengths = sorted({row["steps"] for row in table})
    low, high = log10(lengths[0]), log10(max(lengths[-1], lengths[0] + 1))

    def x(steps: float) -> float:
        return LEFT + (log10(steps) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(share: float) -> float:
        return TOP + (1 - share) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" font-family="system-ui, sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        *frame(lengths, x, y),
    ]
    shown = [key for key in COLOURS if any((row["who"], row["rate"]) == key for row in table)]
    for place, (who, rate) in enumerate(shown):
        rows = [row for row in table if (row["who"], row["rate"]) == (who, rate)]
        colour = COLOURS[who, rate]
        if who == "floor":
            curve = [10 ** (low + (high - low) * part / 60) for part in range(61)]
            theory = " ".join(f"{x(steps):.1f},{y((1 - rate) ** steps):.1f}" for steps in curve)
            parts.append(
                f'<polyline points="{theory}" fill="none" stroke="{colour}" stroke-dasharray="2 4"/>'
            )
        # Two lines at 100 % would hide each other: the second lets the first be seen.
        stroke = f'stroke="{colour}" stroke-width="2"'
        if who == "hames" and place > 0:
            stroke += ' stroke-dasharray="8 8"'
        parts += series(rows, stroke, colour, x, y)
        at = y(0.82) + 20 * place
        parts.append(line((LEGEND, at - 4), (LEGEND + 24, at - 4), stroke))
        parts.append(words(LEGEND + 32, at, f"{NAMES[who]}, faults at {rate:.0%} a step", DARK))
    parts.append(words(LEGEND + 32, y(0.82) + 20 * len(shown), "dotted: (1 - p)^n", GREY))
    return "\n".join([*parts, "</svg>", ""])


def frame(lengths: list[int], x: Scale, y: Scale) -> list[str]:
    """The lines and numbers that the others are read by."""
    parts: list[str] = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(line((LEFT, y(share)), (WIDTH - RIGHT, y(share)), 'stroke="#d8dee4"'))
        parts.append(words(LEFT - 8, y(share) + 4, f"{share:.0%}", GREY, "end"))
    parts += [words(x(steps), HEIGHT - BOTTOM + 20, f"{steps:,}", GREY, "middle") for steps in lengths]
    parts.append(words((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16, "steps of a task", DARK, "middle"))
    return parts


def series(rows: list[dict], stroke: str, colour: str, x: Scale, y: Scale) -> list[str]:
    """One contender at one rate: a line through its shares, and the interval of each."""
    rows = sorted(rows, key=lambda row: row["steps"])
    points = " ".join(f"{x(row['steps']):.1f},{y(row['success']):.1f}" for row in rows)
    parts = [f'<polyline points="{points}" fill="none" {stroke}/>']
    for row in rows:
        at = x(row["steps"])
        style = f'stroke="{colour}" stroke-width="5" opacity="0.35"'
        parts.append(line((at, y(row["low"])), (at, y(row["high"])), style))
        parts.append(f'<circle cx="{at:.1f}" cy="{y(row["success"]):.1f}" r="3.5" fill="{colour}"/>')
    return parts


def line(start: tuple[float, float], end: tuple[float, float], style: str) -> str:
    ends = f'x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"'
    return f"<line {ends} {style}/>"


def words(x: float, y: float, said: str, colour: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{said}</text>'
