"""How a turn ends, and the exit code that says so."""

from collections.abc import Mapping
from typing import cast

import msgspec

from hames.core.errors import ExitCode, FailureKind, Fenced, ModelError, OverLimit, StoreError
from hames.core.events import EndingKind, JobStarted, Ran, TurnEnded
from hames.core.ids import JobId
from hames.core.text import for_terminal, one_line

_COMMAND_CHARS = 100


class Ending(msgspec.Struct, frozen=True):
    """How a turn ends: for a person in `reason`, for a machine in `code`."""

    kind: EndingKind
    reason: str
    code: str = ""


_EXIT_CODES: dict[EndingKind, ExitCode] = {
    "done": ExitCode.DONE,
    "blocked": ExitCode.BLOCKED,
    "step_limit": ExitCode.STEP_LIMIT,
    "time_limit": ExitCode.TIME_LIMIT,
    "budget": ExitCode.BUDGET,
    "failed": ExitCode.FAILED,
    "refused": ExitCode.FAILED,
    "cancelled": ExitCode.CANCELLED,
    "unfinished_background": ExitCode.UNFINISHED,
}


_OF_LIMITS: dict[str, EndingKind] = {
    "max_steps": "step_limit",
    "max_time_s": "time_limit",
    "stop_at": "time_limit",
}
"""What other limits end a turn with is `budget`."""


def stopped(error: OverLimit) -> Ending:
    """The ending of a turn that has reached a limit; `code` is its setting."""
    return Ending(_OF_LIMITS.get(error.limit, "budget"), str(error), error.limit)


def failed(error: ModelError) -> Ending:
    """The ending of a turn whose model could not be asked; `code` is the failure class."""
    return Ending("refused" if error.kind == "refused" else "failed", str(error), error.kind)


def broken_off(error: Exception) -> Ending:
    """The ending of a turn that could not be recorded: it is on no log, and the turn can be gone on with."""
    match error:
        case Fenced():
            return Ending("failed", str(error), "taken_over")
        case StoreError():
            return Ending("failed", str(error), "log")
        case _:
            return Ending("failed", f"hames itself failed: {type(error).__name__}: {error}", "crash")


def exit_code(ended: TurnEnded) -> ExitCode:
    """The exit code of a run that ended so."""
    if ended.code == "sandbox":
        return ExitCode.CONFIG
    if ended.ending == "failed" and ended.code:
        return ModelError(cast(FailureKind, ended.code), ended.reason).exit_code
    return _EXIT_CODES[ended.ending]


def named_jobs(jobs: Mapping[JobId, JobStarted]) -> str:
    """Background commands, for a person."""
    return ", ".join(f"{job} ({started.command})" for job, started in jobs.items())


def verified_words(ended: TurnEnded) -> str:
    """What is known of the last change of files; nothing where none was made and none was checked."""
    passed = [_ran(ran) for ran in ended.verified if ran.exit_code == 0]
    others = [_ran(ran) for ran in ended.verified if ran.exit_code != 0]
    if others:
        well = f"; passed: {', '.join(passed)}" if passed else ""
        return f"not verified after the last change: {', '.join(others)}{well}"
    if passed:
        return f"verified after the last change: {', '.join(passed)}"
    return "not verified: nothing was checked after the last change" if ended.unverified_changes else ""


def _ran(ran: Ran) -> str:
    how = "exit code not seen" if ran.exit_code is None else f"exit {ran.exit_code}"
    return f"`{shown_command(ran.command)}` {how}"


def shown_command(command: str) -> str:
    """A command in one short line, for a person."""
    return one_line(for_terminal(command), _COMMAND_CHARS)
