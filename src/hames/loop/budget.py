"""Budget: the limits of a turn, looked at before each request, and the warning when most of one is used."""

from collections.abc import Iterator

import msgspec

from hames.core.errors import OverLimit
from hames.core.events import LimitReached, UserSpoke
from hames.core.limits import WARNED_SHARE
from hames.core.messages import Text
from hames.loop.kit import Kit
from hames.loop.time_limit import check_time, clock_words, minute_of_day, stops_at

ADVICE = "Finish what matters most, or say what is left to do."


class Level(msgspec.Struct, frozen=True):
    """How far a limit is used: `share` of it."""

    limit: str
    value: float
    used: float
    share: float


def keep_to_limits(kit: Kit) -> None:
    """Raise `OverLimit` if nothing more may be asked; stage a warning, once, for each limit that is near."""
    check_time(kit)
    levels = list(_levels(kit))
    for level in levels:
        if level.share >= 1:
            raise OverLimit(level.limit, level.value, _over_words(level))
    for level in levels:
        if level.share >= WARNED_SHARE and (level.limit, level.value) not in kit.view.pace.warned:
            event = LimitReached(limit=level.limit, value=level.value, used=level.used, warned=True)
            warning = warning_words(event)
            note = f"[{warning[0].upper()}{warning[1:]}. {ADVICE}]"
            kit.journal.stage(event, UserSpoke(parts=(Text(note),), source="harness"))


def _levels(kit: Kit) -> Iterator[Level]:
    """How far each limit is used that is set."""
    limits = kit.limits
    if limits.max_steps is not None:
        yield _level("max_steps", limits.max_steps, kit.view.turn_steps)
    used = kit.purse.used()
    if limits.max_nano_usd is not None:
        if used.nano_usd is None:
            usd = limits.max_nano_usd / 1e9
            raise OverLimit("max_budget_usd", usd, "a budget is set but no price is known")
        share = used.nano_usd / limits.max_nano_usd
        yield Level("max_budget_usd", limits.max_nano_usd / 1e9, used.nano_usd / 1e9, share)
    if limits.max_tokens is not None:
        yield _level("max_budget_tokens", limits.max_tokens, used.usage.input + used.usage.output)
    now = kit.clock.now()
    if limits.max_time_s is not None:
        yield _level("max_time_s", limits.max_time_s, kit.stopwatch.worked_s(kit.clock.elapsed()))
    if limits.stop_at is not None:
        begun = kit.view.pace.begun_ms / 1000
        share = (now - begun) / (stops_at(limits.stop_at, begun) - begun)
        yield Level("stop_at", limits.stop_at, minute_of_day(now), share)


def _level(limit: str, value: float, used: float) -> Level:
    return Level(limit, value, used, used / value)


def _over_words(level: Level) -> str:
    match level.limit:
        case "max_steps":
            return f"the limit of {level.value:g} steps was reached"
        case "max_budget_usd":
            return f"the budget of {level.value:g} USD was reached"
        case _:
            return f"the budget of {level.value:,.0f} tokens was reached"


def warning_words(event: LimitReached) -> str:
    """What is said of a limit that is near."""
    return f"most of a limit is used: {_used_words(event)}"


def _used_words(event: LimitReached) -> str:
    used, value = event.used, event.value
    match event.limit:
        case "max_steps":
            return f"{used:g} of {value:g} steps"
        case "max_budget_usd":
            return f"{used:.2g} of {value:g} USD"
        case "max_budget_tokens":
            return f"{used:,.0f} of {value:,.0f} tokens"
        case "max_time_s":
            return f"{used:.0f} of {value:g} s"
        case _:
            return f"it is {clock_words(used)}, and the end is at {clock_words(value)}"
