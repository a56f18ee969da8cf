"""A day of one session: process after process works on it, and is killed at it."""

from random import Random

import msgspec

from hames.core.errors import SessionMissing
from hames.core.events import Entry
from hames.core.ids import SessionId
from hames.core.messages import Text
from hames.core.ports import Words
from hames.core.profiles import ModelFacts
from hames.session.inbox import arrival_of
from hames.session.session import Session
from hames.testing.chance import FixedChance
from tests.rig import PROFILE, BenchGate, Rig
from tests.session.long_day_model import Provider
from tests.session.long_day_world import DayJobs, DayTools, Died, Fate, World

DAY_S = 8 * 3600.0
SAID_AT_S = (900.0, 7500.0, 12_000.0, 20_000.0, 27_000.0)
"""When the user says something in between."""

TOLD_WINDOW = 16_000
"""What hames believes of the model, in tokens; there is less room."""

PLACES = {
    "log": 30,
    "commit": 90,
    "committed": 90,
    "ask": 30,
    "asking": 30,
    "wait": 4,
    "command": 20,
    "build": 2,
    "send": 6,
    "edit": 10,
    "read": 10,
}
"""Where processes are killed, and at which time that they come there at the latest."""
ROUNDS = 2
"""So often at each of them."""


class Day:
    """One session, from its first process to the one that nobody kills. What can go wrong with it may be set
    before it begins: the `fates` of its processes, the `world`, and how long nobody starts another process
    at the most."""

    def __init__(self, seed: int, *, lasts_s: float = DAY_S, world: World | None = None) -> None:
        chance = Random(seed)
        draw = chance.randint
        self.fates = [Fate(place, draw(1, most)) for _ in range(ROUNDS) for place, most in PLACES.items()]
        chance.shuffle(self.fates)
        self.world = world or World()
        self.provider = Provider(self.world, chance, lambda: self.world.passed_s >= lasts_s)
        self.rig = Rig()
        self.rig.profile = msgspec.structs.replace(
            PROFILE, facts=ModelFacts(window=TOLD_WINDOW, max_output=1000)
        )
        self.rig.clock, self.rig.store = self.world.clock, self.world.store
        self.rig.asked = self.provider
        self.rig.tools, self.rig.jobs = DayTools(self.world), DayJobs(self.world)
        self.world.on_time = self._say_what_is_due
        self.id = SessionId(f"{seed:026}")
        self.away_s = 60.0
        self.killed: list[str] = []
        self.said: list[str] = []
        self._chance = chance
        self._session: Session | None = None

    async def live(self) -> Session:
        """Let processes work until the turn is over; what the last one held."""
        for fate in self.fates:
            self.world.fate = fate
            try:
                await self._process()
            except* Died:
                self.killed.append(fate.place)
            self._session, self.world.fate = None, Fate()
            await self.world.clock.pass_by(self._chance.uniform(1, self.away_s))
        return await self._process()

    async def entries(self) -> list[Entry]:
        return list(await self.world.store.read(self.id))

    async def _process(self) -> Session:
        """What hames does when it is started: go on with what is there."""
        self.rig.gate = BenchGate(self.world.clock, FixedChance(len(self.killed)))
        try:
            session = await self.rig.host.resume(self.id)
        except SessionMissing:
            session = await self.rig.host.open(self.id)
        self._session = session
        if session.unfinished:
            await session.go_on()
        elif session.view.ended is None:
            await session.say([Words((Text("go"),), dedup="go")])
        return session

    async def _say_what_is_due(self) -> None:
        while len(self.said) < len(SAID_AT_S) and not self.world.fate.dead:
            at_s = SAID_AT_S[len(self.said)]
            if self.world.passed_s < at_s:
                break
            key = f"said/{at_s:.0f}"
            words = Words((Text(f"By the way, it is {at_s:.0f} now."),), dedup=key)
            self.said.append(key)
            if self._session is not None:
                await self._session.hear(words)
            else:
                await self.world.store.put(self.id, arrival_of(words, key))
