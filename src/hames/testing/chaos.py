"""A scripted model whose replies fail at random, the same ones for the same seed and requests."""

from collections.abc import Sequence
from hashlib import sha256
from random import Random
from typing import NamedTuple

import msgspec

from hames.core.profiles import WireName
from hames.testing.faults import EFFECTIVE, FAULTS, FINAL, LONG, ONCE, spoiled
from hames.testing.script import Play, Served

IN_A_ROW = 2
"""So many faults come before one true reply at most."""

PASSING: tuple[str, ...] = tuple(name for name in FAULTS if name not in FINAL | LONG | ONCE | EFFECTIVE)
"""Faults that pass soon and leave nothing behind."""

_AWAY_S = 0.3
# What a reply of the model has left in a later request, on any wire.
_SAID = (b'"role":"assistant"', b'"type":"function_call"')


class Taken(NamedTuple):
    """A reply, and the number of the true reply that it is, or stands for."""

    number: int
    reply: Served


class Chaos:
    """Plays a script, and lets a share of its replies (`rate`) fail first, in ways of which all can be
    recovered from: the true reply comes when it is asked for again.

    Which ones fail, and how, follows from the seed and from how far the conversation in the request has come,
    never from the time. The same request again gets the same true reply, so that a client that was killed
    loses none. It serves one session: several need one each.
    """

    def __init__(self, script: Play, seed: int, rate: float = 0.05, faults: Sequence[str] = PASSING) -> None:
        self._script = script
        self._seed = seed
        self._rate = rate
        self._faults = tuple(faults)
        self._owed: list[Served] = []
        self._known: dict[bytes, Taken] = {}
        self.given = 0
        self.faults: list[str] = []
        self._odd_ids = 0

    def take(self, wire: WireName, body: bytes) -> Taken:
        """The answer to a request. `given` counts the true ones, `faults` names the others."""
        asked = sha256(body).digest()
        if asked in self._known:
            return self._known[asked]
        if not self._owed:
            self._owed = self._plan(wire, body)
        reply = self._owed.pop(0)
        number = self.given + 1
        taken = Taken(number, reply)
        if not self._owed:
            self.given = number
            self._known[asked] = taken
        return taken

    def _plan(self, wire: WireName, body: bytes) -> list[Served]:
        """What comes in place of the next true reply, and last the reply itself or what carries it."""
        chance = Random(f"{self._seed} {sum(body.count(mark) for mark in _SAID)}")
        true = msgspec.structs.replace(self._script.reply(self.given + 1, body), repeat=1)
        before: list[Served] = []
        last = true
        for _ in range(IN_A_ROW):
            if chance.random() >= self._rate:
                break
            name = chance.choice(self._faults)
            self.faults.append(name)
            *failing, last = spoiled(name, true, wire)
            before += [self._alone(reply) for reply in failing for _ in range(reply.repeat)]
        return [*before, last]

    def _alone(self, reply: Served) -> Served:
        """A fault as one reply: who goes away comes back by itself, and no call has the id of a true one."""
        self._odd_ids += 1
        calls = tuple(
            msgspec.structs.replace(call, id=f"call_odd_{self._odd_ids:04}_{at}")
            for at, call in enumerate(reply.calls)
        )
        pause_s = _AWAY_S if reply.fault == "away" else reply.pause_s
        return msgspec.structs.replace(reply, calls=calls, pause_s=pause_s, repeat=1)
