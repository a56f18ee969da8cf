"""Whole runs against a model whose replies fail at random, over real HTTP."""

from pathlib import Path

import pytest

from hames.core.errors import ExitCode
from hames.core.profiles import WireName
from hames.testing.chaos import Chaos
from hames.testing.faults import append, call
from hames.testing.model_server import ModelServer
from hames.testing.script import Script, Served
from tests.apps.faults import WIRES, run_against

pytestmark = pytest.mark.anyio

STEPS = 12


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("seed", range(4))
async def test_whatever_fails_each_effect_happens_once(seed: int, wire: WireName, tmp_path: Path) -> None:
    # A long first result, so that there is something to clear when a request is said to be too long.
    first = Served(calls=(call(append("s1")), *[call(f"seq {number} 1500") for number in range(5)]))
    step = Served(reasoning="think {i}", text="step {i}", calls=(call(append("s{i}")),), repeat=STEPS - 1)
    chaos = Chaos(Script([first, step, Served(text="done")]), seed, 0.3)
    cell = await run_against(ModelServer(chaos, rules="chat", watch=True), tmp_path, wire)
    assert cell.effects == tuple(f"s{number}" for number in range(1, STEPS + 1)), chaos.faults
    assert cell.exit == ExitCode.DONE
    assert cell.problems == ()
    assert chaos.faults
