"""Goal: a turn is not done before its check passes, or has shown that it will not."""

import re
from hashlib import sha256

import msgspec

from hames.context.checks import looks
from hames.context.pursuit import Streak
from hames.context.sameness import essence
from hames.core.errors import LauncherError, Problem
from hames.core.events import CommandFact, GoalChecked, GoalCheckStarted, GoalSet
from hames.core.ids import BlobId, CallId
from hames.core.limits import GOAL_CANNOT_RUN, GOAL_OFF, GOAL_SAME, GOAL_SAME_IDLE
from hames.core.messages import Text, plain
from hames.core.ports import CheckOrder, ToolResult
from hames.core.text import one_line
from hames.loop.endings import Ending, shown_command
from hames.loop.kit import Kit
from hames.loop.look import look, look_after

_NAMED_CHARS = 200
_LEFT_OUT = r"\[… [^\]]* left out[^\]]* …\]"
"""What stands for the middle of a long output: its sizes are no part of what the check says."""

_GO_ON = "Go on until it passes: it is run again when you have nothing more to run."
_IDLE = (
    "It fails in the same way as before, and no file has changed since. To say that the work is done does "
    "not make it pass: find out why it fails, and change that. If it cannot pass, the turn will end as "
    "blocked."
)
_PLAINER = (
    "It has failed in the same way {same} times now, although files changed in between: what you change "
    "is not what it fails by. Read its output again, look at what it really runs and on which files, and try "
    "another way. If it goes on like this, the turn will end as blocked."
)
_CANNOT_RUN = {
    126: "The check itself could not run: something in it is no program that can be started.",
    127: "The check itself could not run: a command in it was not found.",
}
_PROVIDE = "If you can provide what it needs, do so; else the turn will end as blocked."

UNKNOWN_FINISH = "unknown_finish"
_OWES_NOTHING = "the model has nothing more to do"
_ODD_END = (
    "the model asks for nothing more, but its server has ended the reply in a way that hames does not know: "
    "it may not be whole"
)


class Missed(msgspec.Struct, frozen=True):
    """The goal is not reached. Without an `ending` the turn goes on."""

    ending: Ending | None


def goal_set(said: str, by: str, timeout_s: float) -> GoalSet:
    """The event that makes a command the goal, or with `off` lifts it, in words for the model."""
    command = "" if said == GOAL_OFF else said
    told = (
        f"[The goal of this session: the command `{command}` ends with exit code 0. It is run, at the root "
        "of the workspace, when you have nothing more to run; your turn is not done before it passes.]"
    )
    lifted = "[The session has no goal any more: no command has to pass before your turn is done.]"
    return GoalSet(command=command, by=by, timeout_s=timeout_s, told=told if command else lifted)


def doubt_words(command: str) -> str:
    """Why a goal may be reached although its check fails; nothing for most."""
    seems = looks(command)
    if seems.tells or not seems.checks:
        return ""
    named = shown_command(command)
    return f"`{named}` can end well although its check fails: leave out what follows it, or set -o pipefail"


async def pursue(kit: Kit) -> Missed | None:
    """Run the check of the goal; None when it passes, or there is no goal. The model is told of a failure.

    A check that has passed is not run again while the workspace is as it was then.
    """
    pursuit = kit.view.pursuit
    goal = pursuit.goal
    if goal is None:
        return None
    before = await look(kit)
    if before is not None and before == pursuit.passed:
        return None
    check = CallId(f"check.{pursuit.checks + 1}")
    changed = kit.view.verified.changed > pursuit.checked_seq
    await kit.journal.record(GoalCheckStarted(check=check, tree_before=before))
    result = await _run(kit, goal, check)
    tree = await look_after(kit)
    event = _checked(goal, check, result, tree)
    if not event.passed:
        streak = pursuit.streak.plus(event.likeness, event.fact.exit_code, changed=changed)
        event = msgspec.structs.replace(event, changed=changed, told=_told(goal, result, event.fact, streak))
    kit.journal.stage(event)
    return None if event.passed else Missed(_hopeless(goal, event.fact, pursuit.streak))


async def drop_check(kit: Kit) -> None:
    """End a check that a stopped process has left running: nothing is known of what it would have said."""
    pursuit = kit.view.pursuit
    if pursuit.running is not None:
        await kit.checker.stop(pursuit.running)
        kit.journal.stage(await _unknown(kit, pursuit.running))


def checked_words(event: GoalChecked) -> str:
    """What a check of the goal came to, on one line for a person."""
    if event.passed:
        how = "passed"
    elif event.fact.stopped:
        how = "stopped"
    elif event.fact.timed_out:
        how = "took too long"
    else:
        how = "failed" if event.fact.exit_code is None else f"failed, exit {event.fact.exit_code}"
    return f"goal: `{shown_command(event.command)}` {how}, {event.fact.elapsed_s * 1000:.0f} ms"


def reached(kit: Kit) -> Ending:
    """The ending of a turn that owes nothing more."""
    goal = kit.view.pursuit.goal
    if goal is None:
        reply = kit.view.reply
        odd = reply is not None and reply.finish == "other"
        return Ending("done", _ODD_END, UNKNOWN_FINISH) if odd else Ending("done", _OWES_NOTHING)
    return Ending("done", f"the check of the goal passed: {_named(goal)}", "goal")


async def _run(kit: Kit, goal: GoalSet, check: CallId) -> ToolResult:
    """What the check comes to. One that is cut short has an end on the log, too."""
    opened = kit.view.opened
    assert opened is not None, "a session is opened before anything is run in it"
    results: list[ToolResult] = []
    try:
        order = CheckOrder(check, goal.command, opened.workspace, goal.timeout_s)
        results.append(await kit.checker.run(order))
    except LauncherError as error:
        results.append(ToolResult("failed", (Text(f"[outcome not known: {error}]"),), lost=True))
    except Problem as error:
        results.append(ToolResult("failed", (Text(str(error)),)))
    finally:
        if not results:
            kit.journal.stage(await _unknown(kit, check))
    return results[0]


async def _unknown(kit: Kit, check: CallId) -> GoalChecked:
    goal = kit.view.pursuit.goal
    command = goal.command if goal is not None else ""
    fact = CommandFact(stopped=True)
    return GoalChecked(
        check=check, command=command, passed=False, fact=fact, tree_after=await look_after(kit)
    )


def _checked(goal: GoalSet, check: CallId, result: ToolResult, tree: BlobId | None) -> GoalChecked:
    fact = result.command or CommandFact()
    text = re.sub(_LEFT_OUT, "", plain(result.parts)).replace(check, "")
    return GoalChecked(
        check=check,
        command=goal.command,
        passed=result.outcome == "ok",
        fact=msgspec.structs.replace(fact, cwd=None),
        output=result.output,
        likeness=sha256(essence(text, failed=True).encode()).hexdigest()[:16],
        tree_after=tree,
    )


def _told(goal: GoalSet, result: ToolResult, fact: CommandFact, streak: Streak) -> str:
    advice = _GO_ON
    if fact.exit_code in _CANNOT_RUN:
        advice = f"{_CANNOT_RUN[fact.exit_code]} {_PROVIDE}"
    elif streak.same >= GOAL_SAME[0]:
        advice = _PLAINER.format(same=streak.same)
    elif streak.idle > 1:
        advice = _IDLE
    heading = f"[The goal is not reached: {_named(goal)} was run, and {_how(result, fact)}.]"
    return f"{heading}\n{plain(result.parts)}\n[{advice}]"


def _how(result: ToolResult, fact: CommandFact) -> str:
    if result.lost:
        return "nobody knows how it ended"
    if fact.timed_out:
        return "it took too long"
    if fact.exit_code is not None:
        return f"it ended with exit code {fact.exit_code}"
    return f"it was ended by signal {fact.signal}" if fact.signal is not None else "it could not be started"


def _hopeless(goal: GoalSet, fact: CommandFact, streak: Streak) -> Ending | None:
    """Why there is no use in going on, if there is none."""
    if streak.unrunnable >= GOAL_CANNOT_RUN:
        words = f"the check of the goal cannot run (exit code {fact.exit_code}): {_named(goal)}"
        return Ending("blocked", words, "goal_cannot_run")
    if streak.idle >= GOAL_SAME_IDLE:
        words = f"the check of the goal fails in the same way and nothing changes: {_named(goal)}"
        return Ending("blocked", words, "goal_stuck")
    if streak.same >= GOAL_SAME[1]:
        words = f"the check of the goal failed {streak.same} times in the same way: {_named(goal)}"
        return Ending("blocked", words, "goal_stuck")
    return None


def _named(goal: GoalSet) -> str:
    return f"`{one_line(goal.command, _NAMED_CHARS)}`"
