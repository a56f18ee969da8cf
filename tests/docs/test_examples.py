"""The examples in README.md and docs/ are run. CONTRIBUTING.md says how to write one."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(?P<kind>[^\n]*)\n(?P<body>.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
KINDS = ("console", "python", "toml", "json", "text")


class Block(NamedTuple):
    """A fenced block of a page."""

    kind: str
    body: str


class Example(NamedTuple):
    """A command of a console block, and the output that the page shows."""

    command: str
    shown: str


def read_blocks(text: str) -> list[Block]:
    return [Block(match["kind"].strip(), match["body"]) for match in FENCE.finditer(text)]


def read_console(body: str) -> list[Example]:
    examples: list[Example] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            examples.append(Example(line[2:], ""))
        elif examples and examples[-1].command.endswith("\\") and line.startswith("> "):
            examples[-1] = Example(f"{examples[-1].command}\n{line[2:]}", "")
        else:
            assert examples, f"a console block starts with a command: {line}"
            examples[-1] = Example(examples[-1].command, examples[-1].shown + line + "\n")
    return examples


def fits(shown: str, output: str) -> bool:
    """Whether the output is the one shown. `...` stands for any text, alone on a line for any lines."""
    pattern = ""
    for line in shown.splitlines():
        words = ".*".join(map(re.escape, line.rstrip().split("...")))
        pattern += r"(?:.*\n)*" if line.strip() == "..." else words + r"[ \t]*\n"
    return re.fullmatch(pattern, output if output.endswith("\n") or not output else output + "\n") is not None


def run(argv: list[str], scratch: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        "HOME": str(scratch / "home"),
        "LANG": "C.UTF-8",
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
    }
    return subprocess.run(
        argv,
        cwd=scratch / "work",
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_do_what_it_says(page: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    for kind, body in read_blocks(page.read_text()):
        assert kind in KINDS, f"a block is one of {', '.join(KINDS)}, not {kind!r}:\n{body}"
        if kind == "toml":
            tomllib.loads(body)
        elif kind == "json":
            json.loads(body)
        elif kind == "python":
            done = run([sys.executable, "-c", body], tmp_path)
            assert done.returncode == 0, done.stdout
        elif kind == "console":
            for command, shown in read_console(body):
                done = run(["bash", "-c", command], tmp_path)
                assert done.returncode == 0, f"$ {command}\n{done.stdout}"
                assert not shown or fits(shown, done.stdout), f"$ {command}\n{done.stdout}"


def test_links_between_pages_lead_somewhere() -> None:
    broken: list[str] = []
    for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "AGENTS.md", ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


@pytest.mark.parametrize(
    ("shown", "output", "same"),
    [
        ("a\n", "a\n", True),
        ("a\n", "a", True),
        ("a\n", "b\n", False),
        ("a\n", "a\nb\n", False),
        ("a\n...\n", "a\nb\nc\n", True),
        ("...\nc\n", "c\n", True),
        ("took ... s\n", "took 1.5 s\n", True),
        ("took ... s\n", "took 1.5 s\nmore\n", False),
        ("(x)\n", "x\n", False),
    ],
)
def test_shown_output_is_compared_line_by_line(shown: str, output: str, same: bool) -> None:
    assert fits(shown, output) is same


def test_a_console_block_is_read_as_commands_with_their_output() -> None:
    assert read_console("$ a\n1\n2\n$ b \\\n> c\n") == [Example("a", "1\n2\n"), Example("b \\\nc", "")]
