"""How a turn ends, and the exit code that says so."""

from typing import cast

import msgspec

from hames.core.errors import ExitCode, FailureKind, ModelError, OverLimit
from hames.core.events import EndingKind, TurnEnded


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


def exit_code(ended: TurnEnded) -> ExitCode:
    """The exit code of a run that ended so."""
    if ended.code == "sandbox":
        return ExitCode.CONFIG
    if ended.ending == "failed" and ended.code:
        return ModelError(cast(FailureKind, ended.code), ended.reason).exit_code
    return _EXIT_CODES[ended.ending]
