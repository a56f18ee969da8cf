import os

import pytest

from hames.core.ids import CallId
from hames.core.limits import GOAL_WORDS_BYTES, SHOWN_BYTES
from hames.core.messages import plain
from hames.core.ports import CheckOrder
from hames.core.text import wire_size
from hames.tools.bash import Shell
from hames.tools.check import ShellChecker
from tests.tools.bench import Bench

pytestmark = pytest.mark.anyio
CHECK = CallId("check.1")


def checker(bench: Bench) -> ShellChecker:
    shell = Shell("/bin/bash", {"PATH": os.environ["PATH"], "SAID": "by the shell"}, bench.cwd)
    return ShellChecker(bench.launcher, bench.blobs, shell)


def order(bench: Bench, command: str, timeout_s: float = 60.0) -> CheckOrder:
    return CheckOrder(CHECK, command, bench.cwd, timeout_s)


@pytest.mark.parametrize(
    ("command", "outcome", "text"),
    [
        ('echo "$SAID"', "ok", "by the shell"),
        ("echo no; exit 3", "failed", "no\n[exit 3]"),
        ("nonsense", "failed", "/bin/bash: line 1: nonsense: command not found\n[exit 127]"),
        ("cd / && false", "failed", "[exit 1]"),
    ],
)
async def test_a_check_is_a_command_of_the_shell(bench: Bench, command: str, outcome: str, text: str) -> None:
    result = await checker(bench).run(order(bench, command))
    assert (result.outcome, plain(result.parts)) == (outcome, text)


async def test_a_check_is_stopped_at_its_own_time_out(bench: Bench) -> None:
    result = await checker(bench).run(order(bench, "sleep 60", 0.2))
    assert result.command is not None
    assert (result.outcome, result.command.timed_out, result.job) == ("failed", True, None)


async def test_a_long_output_is_kept_and_leaves_room_for_words_around_it(bench: Bench) -> None:
    result = await checker(bench).run(order(bench, "seq 100000; exit 1"))
    assert result.output is not None
    text = plain(result.parts)
    assert "read file_path=output://check.1" in text
    assert wire_size(text) <= SHOWN_BYTES - GOAL_WORDS_BYTES
    bench.outputs[CHECK] = result.output
    assert "77777" in await bench.say("grep", pattern="^77777$", path="output://check.1")
