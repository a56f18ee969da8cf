"""`hames demo`: the main job on a small sample project, with a scripted model unless one is named."""

import difflib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from hames.assembly.settings import places
from hames.core.errors import ExitCode
from hames.core.text import for_terminal, one_line

TASK = (
    "The tests of this project fail. Find out why and repair the code until all of them pass. "
    "Leave the tests as they are."
)
TESTS = ("python3", "-m", "unittest")
SAMPLE = Path(__file__).parent.parent / "testing" / "sample"
SCRIPT = Path(__file__).parent.parent / "testing" / "sample_script.json"
KEY_NAME = "HAMES_DEMO_KEY"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration. Flags are those of `hames -p`: a model that is named, or a key, runs it live."""
    flags = list(sys.argv[1:] if argv is None else argv)
    if "-h" in flags or "--help" in flags:
        print(
            "usage: hames demo [--model PROVIDER/MODEL] [--base-url URL] [flags of hames -p]\n\n"
            "Repairs a small sample project in a scratch folder. Without a model or DEEPSEEK_API_KEY the\n"
            "model's part is played by a script, served over HTTP on loopback; all else is the real thing."
        )
        return ExitCode.DONE
    live = any(flag.split("=")[0] in ("--model", "--base-url") for flag in flags)
    live = live or bool(places().environ.get("DEEPSEEK_API_KEY"))
    with tempfile.TemporaryDirectory(prefix="hames-demo-") as scratch:
        place = Path(scratch) / "shop"
        shutil.copytree(SAMPLE, place, ignore=shutil.ignore_patterns("__pycache__"))
        say(f"A small project with real bugs, copied to {place}")
        say("Its tests now:")
        run_tests(place)
        if live:
            say("The model is LIVE. The loop, the tools, the sandbox, the log and the tests are real.")
            code = repair(place, flags, scripted=False)
        else:
            say(
                "No model is set up, so the model's part is played by a SCRIPT, served over HTTP on\n"
                "loopback. The loop, the tools, the sandbox, the log and the tests are the real ones."
            )
            with scripted_model() as url:
                served = ["--base-url", url, "--model", "deepseek/deepseek-flash", "--api-key-env", KEY_NAME]
                code = repair(place, [*served, *flags], scripted=True)
        say("What changed:")
        show_diff(place)
        say("The tests, run once more in the sandbox:")
        tests = run_tests(place)
    if not code and not tests:
        say("Done: the tests pass.")
        return ExitCode.DONE
    say(f"The run ended with exit code {code}; the tests with {tests}.")
    return code or ExitCode.FAILED


def say(words: str) -> None:
    """A line of the demonstration's own, set off from what the agent says."""
    print(f"\n== {words}", flush=True)


def hames(*words: str) -> list[str]:
    """The command line of this very hames."""
    return [sys.executable, "-m", "hames.apps.cli", *words]


def run_tests(place: Path) -> int:
    """Run the project's own tests in the sandbox, and show what they print."""
    ran = subprocess.run(
        hames("exec", "--cwd", str(place), "--", *TESTS),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    lines = [line for line in ran.stdout.splitlines() if line.strip()]
    for line in lines[-3:]:
        print(f"   {line}", flush=True)
    return ran.returncode


def repair(place: Path, flags: Sequence[str], *, scripted: bool) -> int:
    """The main job: `hames -p` in the project, each step shown when it is on the log."""
    command = hames("-p", TASK, "--cwd", str(place), "--output-format", "stream-json", *flags)
    env = {**places().environ, KEY_NAME: "none-needed"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as running:
        assert running.stdout is not None
        for line in running.stdout:
            show(msgspec.json.decode(line, type=Line), scripted=scripted)
    return running.returncode


class Block(msgspec.Struct, frozen=True):
    """A piece of a message."""

    type: str
    text: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"")
    content: list["Block"] = []
    is_error: bool = False


class Said(msgspec.Struct, frozen=True):
    """A message of stream-json."""

    content: list[Block] | str = []


class Line(msgspec.Struct, frozen=True):
    """A line of stream-json."""

    type: str
    subtype: str = ""
    seq: int = 0
    message: Said = Said()
    sandbox: str = ""
    session_id: str = ""
    total_cost_usd: float | None = None
    num_turns: int = 0
    duration_ms: int = 0
    usage: dict[str, int] = {}


def show(line: Line, *, scripted: bool) -> None:
    """One line of the run, for a person."""
    if line.subtype == "init":
        print(f"   session {line.session_id}, sandbox {line.sandbox}", flush=True)
    elif line.type == "result":
        show_cost(line, scripted=scripted)
    elif isinstance(line.message.content, list):
        for block in line.message.content:
            show_block(block, line.seq)


def show_block(block: Block, seq: int) -> None:
    """One block: what the model says, calls, or gets back."""
    if block.type == "text":
        print(f"\n[{seq}] {for_terminal(block.text, lines=True)}", flush=True)
    elif block.type == "tool_use":
        print(f"[{seq}]   {block.name} {one_line(for_terminal(gist(block.input)), 150)}".rstrip(), flush=True)
    elif block.type == "tool_result":
        text = "\n".join(part.text for part in block.content)
        lines = [line for line in text.splitlines() if line.strip()]
        shown = lines[0 if block.is_error else -1] if lines else "(nothing)"
        print(f"[{seq}]   {'!' if block.is_error else '='} {one_line(for_terminal(shown), 150)}", flush=True)


def gist(arguments: msgspec.Raw) -> str:
    """What a call is about: its first argument, where that is text."""
    values = list(msgspec.json.decode(arguments, type=dict[str, object]).values())
    return values[0] if values and isinstance(values[0], str) else ""


def show_cost(line: Line, *, scripted: bool) -> None:
    """What the run came to."""
    used = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in line.usage.items())
    cost = "no price is known" if line.total_cost_usd is None else f"{line.total_cost_usd:.6f} USD"
    say(f"{line.num_turns} steps in {line.duration_ms / 1000:.1f} s; {used}")
    print(f"   cost: {cost}", flush=True)
    if scripted:
        print("   Nothing was paid: it is what as many tokens of deepseek-flash cost.", flush=True)
    print(f"   Every step is on the log: hames sessions show {line.session_id}", flush=True)


def show_diff(place: Path) -> None:
    """What differs between the sample and the repaired project."""
    for before in sorted(SAMPLE.rglob("*.py")):
        name = str(before.relative_to(SAMPLE))
        old = before.read_text().splitlines(keepends=True)
        after = place / name
        new = after.read_text().splitlines(keepends=True) if after.exists() else []
        sys.stdout.writelines(difflib.unified_diff(old, new, f"before/{name}", f"after/{name}", n=1))
    sys.stdout.flush()


@contextmanager
def scripted_model() -> Generator[str]:
    """The scripted model as a server of its own; gives its base URL and ends it afterwards."""
    command = [
        sys.executable,
        "-m",
        "hames.testing.model_server",
        "--script",
        str(SCRIPT),
        "--rules",
        "deepseek",
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.stdin.close()


if __name__ == "__main__":
    sys.exit(main())
