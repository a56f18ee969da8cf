"""The model of a long day: a mind that works through tasks, behind a service that fails now and then."""

import re
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from hashlib import sha256
from random import Random

import msgspec

from hames.core.errors import FailureKind, ModelError
from hames.core.events import Usage
from hames.core.ports import Body, Delta, Reply, TextDelta
from hames.testing.scripted import Scripted, ScriptedCall, ScriptedModel
from tests.session.long_day_world import Order, World

OUTAGE = (7200.0, 7800.0)
WINDOW = 12_000
"""In tokens. The service says that it has more."""
BYTES_PER_TOKEN = 4

FAULT_SHARE, ODD_SHARE = 0.1, 0.05
IN_A_ROW = 2
"""So many faults at most: hames gives up after some attempts of no use, as it should."""
FAULTS: Sequence[FailureKind] = ("rate", "overload", "transport", "stalled", "cut", "empty", "malformed")
ODD = ("unknown tool", "broken arguments", "cut at the limit")

BATCHES = (
    ("command",),
    ("edit",),
    ("send",),
    ("build",),
    ("read", "read", "read"),
    ("edit", "send", "read"),
)
WEIGHTS = (12, 6, 4, 1, 4, 2)


class Mind:
    """What the model does next. As a model does, it finds in the request what became of its last calls; and
    the same request again gets the same answer."""

    def __init__(self, chance: Random, is_over: Callable[[], bool]) -> None:
        self._chance = chance
        self._is_over = is_over
        self._known: dict[bytes, Scripted] = {}
        self._todo: dict[int, str] = {}
        self.tasks: dict[int, str] = {}
        self.odd: set[str] = set()

    def answer(self, body: bytes) -> Scripted:
        asked = sha256(body).digest()
        if asked not in self._known:
            self._known[asked] = self._next(body[body.rfind(b'"type":"assistant"') + 1 :])
        return self._known[asked]

    def _next(self, newest: bytes) -> Scripted:
        for done in re.findall(rb"task (\d+) is done", newest):
            self._todo.pop(int(done), None)
        if self._todo and b"outcome not known" in newest:
            return Scripted(text="I look first.", calls=(call("look", *self._todo),))
        if not self._todo and self._is_over():
            return Scripted(text="All is done.")
        if not self._todo:
            self._plan()
        if self._chance.random() < ODD_SHARE:
            return self._odd(self._chance.choice(ODD))
        calls = [self._call(task, kind) for task, kind in self._todo.items()]
        words = "I go on with what is next. " * self._chance.randint(1, 12)
        return Scripted(text=words, calls=tuple(calls))

    def _plan(self) -> None:
        chance = self._chance
        kinds = chance.choices(BATCHES, WEIGHTS)[0]
        self._todo = {len(self.tasks) + at: kind for at, kind in enumerate(kinds, 1)}
        self.tasks.update(self._todo)

    def _call(self, task: int, kind: str) -> ScriptedCall:
        lasts_s = {"command": (10, 120), "build": (100, 500)}.get(kind, (1, 5))
        much = (1, 3) if task // 100 % 2 else (1, 60)
        return call(kind, task, lasts_s=self._chance.uniform(*lasts_s), lines=self._chance.randint(*much))

    def _odd(self, what: str) -> Scripted:
        self.odd.add(what)
        match what:
            case "unknown tool":
                return Scripted(calls=(call("launch", *self._todo),))
            case "broken arguments":
                return Scripted(calls=(ScriptedCall("send", '{"tasks": ['),))
            case _:
                return Scripted(text="First of all I would like to", finish="length")


def call(name: str, *tasks: int, lasts_s: float = 1.0, lines: int = 1) -> ScriptedCall:
    return ScriptedCall(name, msgspec.json.encode(Order(tasks, lasts_s, lines)).decode())


class Provider:
    """Implements `Model`: the mind behind a service that fails, is away for ten minutes, and has less room
    than it says."""

    def __init__(self, world: World, chance: Random, is_over: Callable[[], bool]) -> None:
        self._world = world
        self._chance = chance
        self.mind = Mind(chance, is_over)
        self._scripted = ScriptedModel(lambda number, body: self.mind.answer(body))
        self.sent: list[bytes] = []
        self.largest = 0
        self.rewritten = 0
        self.failed: Counter[str] = Counter()
        self.too_soon: list[float] = []
        self._row = 0
        self._not_before = 0.0
        self._prefix = b""

    async def ask(self, body: Body) -> AsyncGenerator[Delta | Reply]:
        fate, clock = self._world.fate, self._world.clock
        fate.at("ask")
        data = b"".join(body.chunks)
        self._take(data)
        slept_s = clock.slept_s
        await clock.pass_by(self._chance.uniform(1, 10))
        fate.at("asking")
        error = self._failure(data)
        if clock.slept_s != slept_s:
            error = ModelError("transport", "the machine was asleep, and the connection is gone")
        if error is not None:
            self.failed[error.kind] += 1
            if error.kind == "stalled":
                await clock.pass_by(30)
            elif error.kind in ("cut", "malformed"):
                yield TextDelta("I go on")
            if error.wait_s is not None:
                self._not_before = clock.now() + error.wait_s
            raise error
        self._row = 0
        self.largest = max(self.largest, len(data) // BYTES_PER_TOKEN)
        async with aclosing(self._scripted.ask(body)) as stream:
            async for item in stream:
                fate.at("asking")
                yield self._counted(item, data)

    def _counted(self, item: Delta | Reply, data: bytes) -> Delta | Reply:
        if not isinstance(item, Reply):
            return item
        return msgspec.structs.replace(item, usage=Usage(input=len(data) // BYTES_PER_TOKEN, output=50))

    def _take(self, data: bytes) -> None:
        now = self._world.clock.now()
        if now < self._not_before - 0.001:
            self.too_soon.append(self._not_before - now)
        self.rewritten += not data.startswith(self._prefix)
        self._prefix = data[: data.rfind(b'],"options":')]
        self.sent.append(data)

    def _failure(self, data: bytes) -> ModelError | None:
        begin, end = OUTAGE
        if begin <= self._world.passed_s < end:
            return ModelError("transport", "the service cannot be reached")
        if len(data) // BYTES_PER_TOKEN > WINDOW:
            return ModelError("overflow", "this is more than fits")
        if self._row >= IN_A_ROW or self._chance.random() >= FAULT_SHARE:
            return None
        self._row += 1
        kind = self._chance.choice(FAULTS)
        waits = kind == "rate" and self._chance.random() < 0.7
        return ModelError(kind, f"{kind}, on purpose", wait_s=self._chance.uniform(20, 90) if waits else None)
