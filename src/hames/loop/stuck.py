"""Stuck: the model goes round in circles. It is told, told again, and then the turn is ended."""

from collections.abc import Sequence

import msgspec

from hames.context.progress import STUCK, Step
from hames.core.events import Labelled, UserSpoke
from hames.core.limits import (
    STUCK_CYCLE,
    STUCK_PATIENCE,
    STUCK_ROUNDS,
    STUCK_SAME,
    STUCK_STEPS,
)
from hames.core.messages import Text
from hames.loop.endings import Ending
from hames.loop.kit import Kit

_LAST = len(STUCK_SAME)
"""The level at which the turn ends."""


class Stuck(msgspec.Struct, frozen=True):
    """A circle: how far it has gone (1: say so, 2: say it again, 3: stop), since which step, and `evidence`
    that names what repeats. `advice` is what could be done instead."""

    level: int
    since: int
    evidence: str
    advice: str


def unstick(kit: Kit) -> Ending | None:
    """Look at the last steps before the next one: tell the model when they go in a circle, or end the turn.

    Each level is told once, and none is left out.
    """
    if kit.guards.on_stuck == "off":
        return None
    stuck = find(kit.view.progress.steps)
    if stuck is None:
        return None
    told = sum(step >= stuck.since for step in kit.view.progress.told)
    if stuck.level <= told:
        return None
    if told + 1 < _LAST:
        label = Labelled(step=kit.view.step, label=STUCK, source="rule", evidence=stuck.evidence)
        kit.journal.stage(label, UserSpoke(parts=(Text(_nudge(stuck, told)),), source="harness"))
        return None
    if kit.guards.on_stuck == "tell":
        return None
    return Ending("blocked", f"it goes round in circles: {stuck.evidence}", STUCK)


def _nudge(stuck: Stuck, told: int) -> str:
    if not told:
        return f"[You are going in circles: {stuck.evidence}. {stuck.advice}]"
    return (
        f"[You are still going in circles: {stuck.evidence}. If this goes on, the turn ends as blocked. Do "
        "something that you have not done yet, or stop and say what is missing and what you have tried.]"
    )


def find(steps: Sequence[Step]) -> Stuck | None:
    """The circle that the last steps are in, the one that has gone farthest; None for none."""
    found = [*_cycles(steps), *_undone(steps), *_idle(steps)]
    return max(found, key=lambda stuck: stuck.level, default=None)


def _level(count: int, thresholds: Sequence[int], *, news: bool = False) -> int:
    return sum(count >= most * (STUCK_PATIENCE if news else 1) for most in thresholds)


def _cycles(steps: Sequence[Step]) -> list[Stuck]:
    """The same calls with the same results, over and over."""
    acts = [step.acts for step in steps]
    found: list[Stuck] = []
    for length in range(1, min(STUCK_CYCLE, len(steps)) + 1):
        rounds = _rounds(acts, length)
        block = steps[len(steps) - length :]
        if rounds < 2 or _repeats_within(acts[-length:]) or any(step.waits for step in block):
            continue
        news = any(step.new for step in steps[len(steps) - (rounds - 1) * length :])
        level = _level(rounds, STUCK_SAME if length == 1 else STUCK_ROUNDS, news=news)
        if level:
            found.append(_circle(block, rounds, steps[len(steps) - rounds * length].step, level))
    return found


def _repeats_within(acts: Sequence[bytes]) -> bool:
    """Whether these are themselves rounds of a shorter cycle."""
    size = len(acts)
    return any(
        size % part == 0 and all(acts[at] == acts[at % part] for at in range(size)) for part in range(1, size)
    )


def _rounds(acts: Sequence[bytes], length: int) -> int:
    """How many times in a row the last `length` of these stand at the end."""
    at = len(acts) - length - 1
    while at >= 0 and acts[at] == acts[at + length]:
        at -= 1
    return (len(acts) - 1 - at) // length


def _circle(block: Sequence[Step], rounds: int, since: int, level: int) -> Stuck:
    last = block[-1]
    ends = f', ending "{last.end}"' if last.end else ""
    if len(block) == 1:
        evidence = f"the same step was made {rounds} times in a row with the same result: {last.said}{ends}"
        advice = (
            "It will not come out differently. Change something first, look elsewhere, or say what you need; "
            "to wait for something, wait longer in one call."
        )
    else:
        named = ", then ".join(step.said for step in block)
        evidence = (
            f"the same {len(block)} steps were made {rounds} times in a row with the same results: {named}"
            f"{ends}"
        )
        advice = (
            "Another round will not come out differently. Leave it: try another way, or say what you need."
        )
    return Stuck(level, since, evidence, advice)


def _undone(steps: Sequence[Step]) -> list[Stuck]:
    """Files that go from one state to another and back, over and over."""
    near = steps[-STUCK_STEPS[-1] :]
    changes = [step for step in near if step.before and step.after != step.before]
    if not changes:
        return []
    last = changes[-1]
    same = [step for step in changes if (step.before, step.after) == (last.before, last.after)]
    news = len(same) > 1 and any(step.new for step in near if step.step >= same[1].step)
    level = _level(len(same), STUCK_ROUNDS, news=news)
    if not level:
        return []
    evidence = f"the same change of the files was made {len(same)} times, and undone in between: {last.said}"
    advice = (
        "Neither state is what you want. Find out what a third one must be before you change anything, or "
        "say what speaks against each."
    )
    return [Stuck(level, same[0].step, evidence, advice)]


def _idle(steps: Sequence[Step]) -> list[Stuck]:
    """Many steps in a row in which nothing is new."""
    count = next((at for at, step in enumerate(reversed(steps)) if step.new), len(steps))
    level = _level(count, STUCK_STEPS)
    if not level:
        return []
    evidence = (
        f"the last {count} steps brought nothing new: no change of the files or the plan, and no result that "
        "was not there before"
    )
    advice = "Write down what you know, decide what to try next and do that, or say what you need."
    return [Stuck(level, steps[-count].step, evidence, advice)]
