"""What is known of a provider under one key, and what each refusal and answer makes of it. Pure."""

from binascii import crc32
from math import ceil

import msgspec

from hames.core.backoff import backoff_s
from hames.core.limits import PROBE_S, SHUT_MOST_S
from hames.core.text import one_line

_WHY_CHARS = 300


class GateState(msgspec.Struct, frozen=True, omit_defaults=True):
    """Nobody sends before `until_ms`; after it, while there are `strikes`, one request at a time tries.

    `strikes` are refusals in a row, and `mark` tells the last refusal from all others. `set_ms` is when
    `until_ms` was set, `probed_ms` when somebody last began to try. All are wall times.
    """

    strikes: int = 0
    mark: int = 0
    until_ms: int = 0
    set_ms: int = 0
    probed_ms: int = 0
    why: str = ""


OPEN = GateState()


class Refusal(msgspec.Struct, frozen=True):
    """What a provider that cannot serve has said. `asked_s` is the wait that it wants, if it says so, and
    `fraction` the share of a back-off to take else."""

    asked_s: float | None
    why: str
    mark: int
    fraction: float


def wait_ms(state: GateState, now_ms: int) -> int:
    """How long nobody may send; 0 when that is over.

    A clock that was set back since does not make the wait longer than it was.
    """
    return max(state.until_ms - now_ms, 0) if now_ms >= state.set_ms else 0


def spread_ms(state: GateState) -> float:
    """Within how much time after a wait those who do not try first look again."""
    return min((state.until_ms - state.set_ms) / 10, 1000.0)


def is_silent(state: GateState, now_ms: int) -> bool:
    """Whether whoever tries has had no answer for so long that another one may try as well."""
    return not 0 <= now_ms - state.probed_ms < PROBE_S * 1000


def shut_s(asked_s: float | None, strikes: int, fraction: float) -> float:
    """How long nobody sends after so many refusals in a row: as the server asks, else a back-off."""
    if asked_s is not None and asked_s > 0:
        return min(asked_s, SHUT_MOST_S)
    return backoff_s(strikes, fraction)


def is_strike(state: GateState, seen: GateState) -> bool:
    """Whether a refusal of a request that was let in at `seen` tells something new.

    One that was under way when others were refused does not, unless there was an answer since: a burst
    counts once.
    """
    return state.strikes <= seen.strikes


def after_refusal(state: GateState, seen: GateState, refusal: Refusal, now_ms: int) -> GateState:
    """The state after a refusal of a request that was let in at `seen`."""
    strikes = state.strikes + is_strike(state, seen)
    until_ms = now_ms + ceil(shut_s(refusal.asked_s, strikes, refusal.fraction) * 1000)
    if now_ms + wait_ms(state, now_ms) > until_ms:
        return msgspec.structs.replace(state, strikes=strikes, mark=refusal.mark)
    return GateState(
        strikes=strikes,
        mark=refusal.mark,
        until_ms=until_ms,
        set_ms=now_ms,
        probed_ms=state.probed_ms,
        why=one_line(refusal.why, _WHY_CHARS),
    )


def after_answer(state: GateState, seen: GateState) -> GateState:
    """The state after an answer to a request that was let in at `seen`: open, unless somebody has been
    refused since."""
    return OPEN if state.mark == seen.mark else state


def encode(state: GateState) -> bytes:
    """The state as one line with a checksum; nothing at all when there is nothing to say."""
    if not state.strikes:
        return b""
    line = msgspec.json.encode(state)
    return b"%08x %b\n" % (crc32(line), line)


def decode(data: bytes) -> GateState | None:
    """The state in the first line of `data`; None when that is torn, or of somebody else."""
    if not data:
        return OPEN
    line, ended, _ = data.partition(b"\n")
    said, _, body = line.partition(b" ")
    if not ended or said != b"%08x" % crc32(body):
        return None
    try:
        return msgspec.json.decode(body, type=GateState)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
