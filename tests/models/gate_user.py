"""A process of its own that uses a gate.

`obey PATH LIMIT` does what it is told on standard input, a line each: `at SECONDS`, `enter`, `answered`,
`refused SECONDS WHY`, `close`, and says of each what came of it. `churn PATH` is refused and answered for
ever. `storm PATH DOWN` asks until the provider is there again, which is when the file DOWN is gone. `crowd
PATH LIMIT` makes requests one after another. The last two say what they do in lines of JSON.
"""

import json
import os
import sys
import time
from collections.abc import Callable

import anyio

from hames.core.ports import Closed, Pass
from hames.models.gate import FileGate
from hames.models.gate_file import GateFile
from hames.testing.chance import FixedChance

SPEED = 10.0
"""Seconds of a gate in one of a storm."""


class SetClock:
    """Implements `Clock`: the time is what it is set to, also an earlier one."""

    def __init__(self, time_s: float = 1_750_000_000.0) -> None:
        self.time_s = time_s

    def now(self) -> float:
        return self.time_s

    def elapsed(self) -> float:
        return self.time_s

    async def sleep(self, seconds: float) -> None:
        self.time_s += seconds
        await anyio.lowlevel.checkpoint()


class FastClock(SetClock):
    """Implements `Clock`: the same for all processes, and faster than the real one."""

    def now(self) -> float:
        return time.time() * SPEED

    def wait_until(self, then: float) -> None:
        time.sleep(max(then - self.now(), 0.0) / SPEED)


def _obey(path: str, limit: int | None) -> None:
    clock = SetClock()
    gate = FileGate(GateFile(path), "api.example", clock, FixedChance(os.getpid()), limit)
    leave: Pass | None = None
    for line in sys.stdin:
        said = "done"
        match line.split():
            case ["at", seconds]:
                clock.time_s = float(seconds)
            case ["enter"]:
                entered = gate.enter()
                leave = None if isinstance(entered, Closed) else entered
                said = f"{entered.until} {entered.why}" if isinstance(entered, Closed) else "pass"
            case ["answered"] if leave:
                leave.answered()
            case ["refused", seconds, *why] if leave:
                said = str(leave.refused(float(seconds), " ".join(why)))
            case ["close"] if leave:
                leave.close()
            case _:
                said = "what?"
        print(said, flush=True)


def _churn(path: str) -> None:
    clock = SetClock()
    gate = FileGate(GateFile(path), "api.example", clock, FixedChance(0))
    print("begun", flush=True)
    count = 0
    while True:
        clock.time_s += 100
        leave = gate.enter()
        if isinstance(leave, Closed):
            continue
        count += 1
        if count % 3:
            leave.refused(1.0, "busy " * (count % 50))
        else:
            leave.answered()
        leave.close()


def _until_let_in(gate: FileGate, clock: FastClock) -> tuple[float, Pass]:
    """When it was asked for, and leave to send."""
    while True:
        asked = clock.now()
        leave = gate.enter()
        if not isinstance(leave, Closed):
            return asked, leave
        clock.wait_until(leave.until)


def _storm(path: str, down: str, say: Callable[..., None]) -> None:
    clock = FastClock()
    gate = FileGate(GateFile(path), "api.example", clock, FixedChance(os.getpid()))
    while True:
        asked, leave = _until_let_in(gate, clock)
        begun = clock.now()
        if not os.path.exists(down):
            leave.answered()
            leave.close()
            break
        failed = clock.now()
        until = leave.refused(None, "it is down")
        say(asked=asked, begun=begun, failed=failed, until=until, noted=clock.now())
        leave.close()
        clock.wait_until(until)
    say(answered=True)


def _crowd(path: str, limit: int, say: Callable[..., None]) -> None:
    clock = FastClock()
    gate = FileGate(GateFile(path), "api.example", clock, FixedChance(os.getpid()), limit)
    for _ in range(8):
        _, leave = _until_let_in(gate, clock)
        say(under_way=1)
        clock.wait_until(clock.now() + 0.2)
        say(under_way=-1)
        leave.close()


def _say(**what: object) -> None:
    # One write of a short line: those of others do not come in between.
    os.write(1, json.dumps(what).encode() + b"\n")


def main() -> None:
    match sys.argv[1:]:
        case ["obey", path, limit]:
            _obey(path, int(limit) or None)
        case ["churn", path]:
            _churn(path)
        case ["storm", path, down]:
            _storm(path, down, _say)
        case ["crowd", path, limit]:
            _crowd(path, int(limit), _say)
        case _:
            sys.exit("what?")


if __name__ == "__main__":
    main()
