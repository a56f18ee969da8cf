"""Several sessions with one key whose provider is away, or sends them off, for minutes of a virtual clock."""

import itertools
from collections.abc import Callable
from pathlib import Path

import anyio
import msgspec
import pytest

from hames.core.errors import FailureKind, ModelError
from hames.core.messages import Text
from hames.core.ports import CallContext, ToolResult, Words
from hames.models.gate import FileGate
from hames.models.gate_file import GateFile
from hames.testing.chance import FixedChance
from hames.testing.clock import VirtualClock
from hames.testing.scripted import Answer, Scripted
from tests.rig import Rig, asks, check_the_log, ok

pytestmark = pytest.mark.anyio

SESSIONS = 6
STEPS = 40
NEEDED = SESSIONS * (STEPS + 1)

Refuse = Callable[[float], ModelError | None]
"""What a provider says to a request at a time; None when it answers."""


class Crowd:
    """Sessions that share a gate, each with steps of its own to do."""

    def __init__(self, place: Path, refuse: Refuse) -> None:
        self.clock = VirtualClock()
        self._start = self.clock.elapsed()
        self._refuse = refuse
        self.refused: list[float] = []
        self.done: dict[int, list[str]] = {at: [] for at in range(SESSIONS)}
        self.rigs = [self._rig(at, place / "gate") for at in range(SESSIONS)]

    @property
    def sent(self) -> int:
        return sum(len(rig.model.bodies) for rig in self.rigs)

    async def run(self) -> float:
        """Let all do their work; how long it took."""
        left = SESSIONS

        async def one(rig: Rig) -> None:
            nonlocal left
            session = await rig.open()
            ended = await session.say([Words((Text("go"),))])
            assert ended.ending == "done", ended.reason
            await check_the_log(rig, session)
            left -= 1

        async with anyio.create_task_group() as group:
            for rig in self.rigs:
                group.start_soon(one, rig)
            while left:
                assert self.clock.elapsed() < 7200, "it takes too long"
                await self.clock.advance(1.0)
        return self.clock.elapsed()

    def _rig(self, at: int, gate: Path) -> Rig:
        steps = itertools.count()

        def answer(number: int, body: bytes) -> Answer:
            now = self.clock.elapsed()
            if (error := self._refuse(now)) is not None:
                self.refused.append(now)
                return error
            step = next(steps)
            return asks(("work", f"{step}")) if step < STEPS else Scripted(text="there")

        async def work(arguments: str, context: CallContext) -> ToolResult:
            await self.clock.sleep(2.0)
            self.done[at].append(arguments)
            return ok("worked")

        rig = Rig(script=answer, tools={"work": ("effectful", work)})
        rig.clock = self.clock
        rig.chance = FixedChance(at)
        shared = FileGate(GateFile(str(gate)), "provider.example", self.clock, FixedChance(100 + at))
        rig.answerers = [msgspec.structs.replace(rig.answerer(rig.model, rig.profile), gate=shared)]
        return rig


def all_done() -> dict[int, list[str]]:
    return {at: [str(step) for step in range(STEPS)] for at in range(SESSIONS)}


@pytest.mark.parametrize("kind", ["transport", "overload"])
async def test_ten_minutes_without_a_provider_cost_the_sessions_of_a_key_one_request_a_wait(
    kind: FailureKind, tmp_path: Path
) -> None:
    begin, end = 15.0, 615.0

    def away(now: float) -> ModelError | None:
        return ModelError(kind, "away") if begin <= now < end else None

    crowd = Crowd(tmp_path, away)
    took = await crowd.run()
    assert crowd.done == all_done()
    # One alone would try some fifty times; all of them may be under way when it begins.
    assert len(crowd.refused) < 80 + SESSIONS
    assert crowd.sent == NEEDED + len(crowd.refused)
    assert took < end + 2.0 * STEPS + 45.0


@pytest.mark.parametrize("tells", [True, False])
async def test_a_storm_of_429_costs_less_than_a_third_more_requests(tells: bool, tmp_path: Path) -> None:
    each_s, most = 60.0, 60
    used: dict[int, int] = {}

    def limited(now: float) -> ModelError | None:
        minute = int(now // each_s)
        used[minute] = used.get(minute, 0) + 1
        if used[minute] <= most:
            return None
        return ModelError("rate", "slow down", wait_s=(minute + 1) * each_s - now if tells else None)

    crowd = Crowd(tmp_path, limited)
    took = await crowd.run()
    assert crowd.done == all_done()
    assert crowd.refused
    assert crowd.sent < 1.3 * NEEDED, (crowd.sent, NEEDED)
    # It is not slow for being polite: each minute is used to its end.
    assert took < (NEEDED // most + 1) * each_s + 30.0
