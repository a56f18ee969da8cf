"""Stand in: another model answers while the first one cannot, and the first one again when it can."""

from math import inf

import msgspec

from hames.core.errors import ModelError
from hames.core.limits import STAND_IN_AFTER_S, STAND_IN_MOST_S, STAND_IN_S
from hames.core.ports import Notice
from hames.loop.kit import Kit
from hames.loop.reserve import spent_by_stand_ins
from hames.loop.retry import OF_THE_MODEL


def another_may_answer(kit: Kit) -> bool:
    """Whether there is one that is not known to be in trouble, and that may cost something yet."""
    now = kit.clock.now()
    asking = kit.asking
    return any(
        at != asking.at and _may(kit, at) and asking.down_until(at) <= now for at in range(asking.count)
    )


def is_time_for_another(kit: Kit, error: ModelError, spent_s: float, delay_s: float) -> bool:
    """Whether another one is asked rather than that this one is waited for."""
    slow = spent_s - kit.asking.spent_before_s >= STAND_IN_AFTER_S or delay_s >= STAND_IN_AFTER_S
    return (slow or kit.asking.on_probation or error.kind in OF_THE_MODEL) and another_may_answer(kit)


def turn_away(kit: Kit, error: ModelError) -> bool:
    """Stage that another model is asked from now on; false where there is none to turn to."""
    asking = kit.asking
    if asking.count == 1 or error.kind == "refused":
        return False
    now = kit.clock.now()
    strikes = asking.failures(asking.at)
    down_s = inf if error.kind in OF_THE_MODEL else min(STAND_IN_S * 2**strikes, STAND_IN_MOST_S)
    asking.set_down(asking.at, now + down_s)
    others = [at for at in range(asking.count) if at != asking.at and _may(kit, at)]
    ready = [at for at in others if asking.down_until(at) <= now]
    if not ready and down_s < inf:
        return False
    best = min(ready, default=None) if ready else min(others, key=asking.down_until, default=None)
    if best is None or asking.down_until(best) == inf:
        return False
    _turn_to(kit, best, f"{asking.answerer.name} cannot answer ({error.kind})")
    return True


def come_back(kit: Kit) -> None:
    """Stage that a model is asked that is to be preferred to the one that stands in, when it is time."""
    asking = kit.asking
    if not kit.view.trouble.failures:
        asking.spent_before_s = 0.0
    if asking.at == 0:
        return
    now = kit.clock.now()
    if not _may(kit, asking.at):
        _turn_to(kit, 0, "what other models may cost is spent")
        return
    for at in range(asking.at):
        if asking.down_until(at) <= now and _may(kit, at):
            _turn_to(kit, at, f"{asking.answerer.name} has stood in for long enough to try again")
            return


def _may(kit: Kit, at: int) -> bool:
    """Whether the money for those that stand in is not spent."""
    most = kit.limits.stand_in_nano_usd
    if at == 0 or most is None:
        return True
    return spent_by_stand_ins(kit) < most


def too_dear(kit: Kit) -> bool:
    """Stage that the first model is asked again, as what is left does not pay for who stands in; false where
    it is the first one that cannot be paid."""
    asking = kit.asking
    if asking.at == 0:
        return False
    asking.set_down(asking.at, inf)
    _turn_to(kit, 0, f"what is left does not pay for {asking.answerer.name}")
    return True


def _turn_to(kit: Kit, at: int, why: str) -> None:
    kit.asking.turn_to(at)
    kit.asking.spent_before_s = kit.view.trouble.spent_ms / 1000
    until = kit.asking.down_until(0) if at else 0.0
    pin_again(kit, instead_until_ms=_NEVER_MS if until == inf else int(until * 1000))
    kit.listener.delta(kit.view.step, Notice(f"{why}: {kit.asking.answerer.name} is asked now"))


_NEVER_MS = 2**53
"""The first model will not be tried again in this session by itself."""


def pin_again(kit: Kit, *, instead_until_ms: int) -> None:
    """Stage what requests are made with from here on, and begin a segment."""
    was, answerer = kit.view.pinned, kit.asking.answerer
    assert was is not None
    profile = answerer.profile
    kit.journal.stage(
        msgspec.structs.replace(
            was,
            segment=kit.view.segments + 1,
            model=profile.model,
            provider=profile.provider.name,
            wire=profile.form,
            mends=answerer.mends,
            instead_until_ms=instead_until_ms,
        )
    )
    kit.asking.begin_again()
