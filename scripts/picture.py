"""Runs the demonstration and draws what it showed into docs/demo.svg: a picture of the real thing.

.venv/bin/python scripts/picture.py
"""

import re
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WIDTH, LINE, FONT = 108, 18, 13
COLOURS = (
    (re.compile(r"^== "), "#7dcfff"),
    (re.compile(r"^\[\d+\]   !"), "#f7768e"),
    (re.compile(r"^\[\d+\]   ="), "#787c99"),
    (re.compile(r"^\[\d+\]   "), "#e0af68"),
    (re.compile(r"^\+"), "#9ece6a"),
    (re.compile(r"^-"), "#f7768e"),
)


def main() -> int:
    program = Path(sys.executable).with_name("hames")
    with tempfile.TemporaryDirectory() as home:
        env = {"HOME": home, "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
        ran = subprocess.run([program, "demo"], capture_output=True, text=True, env=env, check=True)
    text = re.sub(r"/tmp/hames-demo-\w+/", "/tmp/hames-demo/", ran.stdout)
    lines = [clip(line) for line in ["$ scripts/demo", *text.splitlines()]]
    (ROOT / "docs" / "demo.svg").write_text(draw(lines), encoding="utf-8")
    return 0


def clip(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"


def draw(lines: list[str]) -> str:
    """The lines as a terminal would show them."""
    height = LINE * (len(lines) + 2)
    width = int(WIDTH * FONT * 0.602) + 40
    rows = [
        f'<text x="20" y="{LINE * (n + 2)}" fill="{colour(line)}" xml:space="preserve">{escape(line)}</text>'
        for n, line in enumerate(lines)
        if line.strip()
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace" '
        f'font-size="{FONT}">\n<rect width="100%" height="100%" rx="8" fill="#1a1b26"/>'
    )
    return "\n".join([head, *rows, "</svg>", ""])


def colour(line: str) -> str:
    return next((shade for pattern, shade in COLOURS if pattern.match(line)), "#c0caf5")


if __name__ == "__main__":
    sys.exit(main())
