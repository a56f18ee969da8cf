import sys

import anyio
import pytest

from tests.apps.outside import Outside

pytestmark = [pytest.mark.anyio, pytest.mark.needs_bwrap]


async def demo(outside: Outside, *flags: str) -> tuple[int, str]:
    ran = await anyio.run_process(
        [sys.executable, "-m", "hames.apps.cli", "demo", *flags],
        check=False,
        env=outside.env,
        cwd=outside.workspace,
    )
    assert not ran.stderr
    return ran.returncode, ran.stdout.decode()


async def test_the_sample_is_repaired_and_the_screen_says_that_the_model_is_a_script(
    outside: Outside,
) -> None:
    for _ in range(2):
        code, shown = await demo(outside)
        assert code == 0
        assert "the model's part is played by a SCRIPT" in shown
        assert "FAILED (failures=6)" in shown
        assert "+    return sum(line.quantity * line.price for line in lines)" in shown
        assert "Nothing was paid" in shown
        assert shown.rstrip().endswith("== Done: the tests pass.")


async def test_with_a_model_of_ones_own_it_runs_live_and_says_when_nothing_was_repaired(
    outside: Outside,
) -> None:
    async with outside.scripted({"text": "I would rather not."}) as model:
        code, shown = await demo(outside, *outside.to(model))
    assert code == 1
    assert "The model is LIVE" in shown
    assert "SCRIPT" not in shown
    assert "Done" not in shown


async def test_the_session_is_told_once_and_what_the_model_says_cannot_steer_the_terminal(
    outside: Outside,
) -> None:
    async with outside.scripted({"status": 503, "message": "busy"}, {"text": "No \x1b[31mred."}) as model:
        shown = await outside.hames("demo", *outside.to(model), check=1)
    assert shown.out.count(", sandbox ") == 1
    assert "No [31mred." in shown.out


async def test_help_says_what_it_does(outside: Outside) -> None:
    code, shown = await demo(outside, "--help")
    assert code == 0
    assert "usage: hames demo" in shown
