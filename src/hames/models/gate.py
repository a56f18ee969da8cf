"""The gate in front of a provider: one limiter for a key, for all sessions and processes of this machine."""

import os
from hashlib import sha256

import msgspec

from hames.core.ports import Chance, Clock, Closed, Pass
from hames.models.gate_file import GateFile, Hold
from hames.models.gate_state import (
    OPEN,
    GateState,
    Refusal,
    after_answer,
    after_refusal,
    is_silent,
    is_strike,
    shut_s,
    spread_ms,
    wait_ms,
)

# Where those who try are held, the usual one first, and behind them all who have a request under way.
_PROBES = 32
_UNDER_WAY = _PROBES
_SOON_S = 0.2
_LATER_S = 1.0


def gate_path(directory: str, host: str, key: str) -> str:
    """The file of the gate for `key` at `host`. Its name does not give the key away."""
    named = sha256(f"hames gate\0{host}\0{key}".encode("utf-8", "surrogatepass")).hexdigest()
    return os.path.join(directory, named[:32])


class FileGate:
    """Implements `Gate`, with what is known kept in `file` for all who use it.

    After a refusal nobody sends before the wait is over: as long as the server asks for, else a back-off.
    Then one request tries, and while it has no answer all others stay out, but for one more whenever
    `PROBE_S` have gone by without a word. The first answer opens the gate. With `concurrency` no more
    requests than that are under way. `host` is for messages.
    """

    def __init__(
        self, file: GateFile, host: str, clock: Clock, chance: Chance, concurrency: int | None = None
    ) -> None:
        self._file = file
        self._host = host
        self._clock = clock
        self._chance = chance
        self._concurrency = concurrency

    def enter(self) -> Pass | Closed:
        """Leave to send, or when to look again."""
        state, probe = self._file.read(), None
        if state.strikes:
            state, probe = self._try()
            if probe is None and state.strikes:
                return self._shut(state)
        place = None
        if self._concurrency is not None:
            start = int(self._chance.fraction() * self._concurrency)
            place = self._file.hold(_UNDER_WAY, self._concurrency, start)
            if place is None:
                _release(probe)
                return self._soon(f"{self._concurrency} requests are under way with this key, its limit")
        return _FilePass(self, state, probe, place)

    def opened(self, seen: GateState) -> None:
        """A request that was let in at `seen` is being answered."""
        self._file.change(lambda state: after_answer(state, seen))

    def shut(self, seen: GateState, wait_s: float | None, why: str) -> float:
        """A request that was let in at `seen` was refused; when its session may look again."""
        refusal = Refusal(wait_s, why, self._chance.bits(62) + 1, self._chance.fraction())
        counted = False

        def rule(state: GateState) -> GateState:
            nonlocal counted
            counted = is_strike(state, seen)
            return after_refusal(state, seen, refusal, self._now_ms())

        return self._until(self._file.change(rule), first=counted)

    def _try(self) -> tuple[GateState, Hold | None]:
        """The state, and the place of the one who tries whether the provider answers again."""
        probe: Hold | None = None

        def rule(state: GateState) -> GateState:
            nonlocal probe
            now_ms = self._now_ms()
            if not state.strikes or wait_ms(state, now_ms):
                return state
            more = is_silent(state, now_ms)
            probe = self._file.hold(0, _PROBES) if more else self._file.hold_alone(0, _PROBES)
            return state if probe is None else msgspec.structs.replace(state, probed_ms=now_ms)

        return self._file.change(rule), probe

    def _shut(self, state: GateState) -> Closed:
        if wait_ms(state, self._now_ms()):
            return Closed(self._until(state, first=False), state.why)
        return self._soon(f"another session tries whether {self._host} answers again")

    def _until(self, state: GateState, *, first: bool) -> float:
        # The first one is exact; the others come a little later, and not all at once.
        later_ms = 0.0 if first else spread_ms(state) * self._chance.fraction()
        return (state.until_ms + later_ms) / 1000

    def _soon(self, why: str) -> Closed:
        return Closed(self._clock.now() + _SOON_S + (_LATER_S - _SOON_S) * self._chance.fraction(), why)

    def _now_ms(self) -> int:
        # To be asked for when nobody else can change the state: a time from before it was changed would look
        # like a clock that was set back.
        return round(self._clock.now() * 1000)


class _FilePass:
    """A request that was let in at `seen`. `probe` is held while it tries, `place` while it is under way."""

    def __init__(self, gate: FileGate, seen: GateState, probe: Hold | None, place: Hold | None) -> None:
        self._gate = gate
        self._seen = seen
        self._probe = probe
        self._place = place

    def answered(self) -> None:
        if self._seen.strikes:
            self._gate.opened(self._seen)
        self._tried()

    def refused(self, wait_s: float | None, why: str) -> float:
        until = self._gate.shut(self._seen, wait_s, why)
        self._tried()
        return until

    def close(self) -> None:
        self._tried()
        _release(self._place)

    def _tried(self) -> None:
        # What it says after this is no longer the outcome of a try.
        self._seen = OPEN
        _release(self._probe)


def _release(hold: Hold | None) -> None:
    if hold is not None:
        hold.close()


class OpenGate:
    """Implements `Gate` for whoever shares with nobody: never shut, and waits after refusals in a row."""

    def __init__(self, clock: Clock, chance: Chance) -> None:
        self._clock = clock
        self._chance = chance
        self._strikes = 0

    def enter(self) -> Pass | Closed:
        """Leave to send."""
        return _OpenPass(self)

    def opened(self) -> None:
        """A request is being answered."""
        self._strikes = 0

    def shut(self, wait_s: float | None) -> float:
        """A request was refused; when to look again."""
        self._strikes += 1
        return self._clock.now() + shut_s(wait_s, self._strikes, self._chance.fraction())


class _OpenPass:
    def __init__(self, gate: OpenGate) -> None:
        self._gate = gate

    def answered(self) -> None:
        self._gate.opened()

    def refused(self, wait_s: float | None, why: str) -> float:
        return self._gate.shut(wait_s)

    def close(self) -> None:
        pass
