import os
import shutil
from pathlib import Path

import anyio
import pytest

from tests.torture.modes import MODES
from tests.torture.target import can_take_over
from tests.torture.trial import Verdict, trial

pytestmark = [pytest.mark.anyio, pytest.mark.needs_bwrap, pytest.mark.slow]

KILLS = {"in_flight": 20}
"""Kills of a mode, where they are not 15."""


async def trials(mode: str, kills: int, root: Path) -> list[Verdict]:
    """Seeds from 1 on, as many as it takes; some at a time, so that each meets the noise of others."""
    verdicts: list[Verdict] = []
    seeds = iter(range(1, 4 * kills))

    async def work() -> None:
        while sum(verdict.kills for verdict in verdicts) < kills:
            if (seed := next(seeds, None)) is None:
                return  # So few kills: the last assertion will tell.
            verdicts.append(await trial(mode, seed, root))

    async with anyio.create_task_group() as tasks:
        for _ in range(1 + (os.cpu_count() or 1)):
            tasks.start_soon(work)
    return verdicts


@pytest.mark.parametrize("mode", MODES)
async def test_nothing_is_lost_and_nothing_happens_twice(mode: str, tmp_path: Path) -> None:
    if mode == "take_over" and not can_take_over():
        pytest.skip("this hames has no --take-over")
    kills = KILLS.get(mode, 15)
    verdicts = await trials(mode, kills, tmp_path)
    assert sum(verdict.kills for verdict in verdicts) >= kills
    assert not any(verdict.broken for verdict in verdicts), "\n\n".join(
        str(verdict) for verdict in verdicts if verdict.broken
    )
    shutil.rmtree(tmp_path)
