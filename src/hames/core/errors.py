"""The error tree, and the exit codes.

HamesError                      everything we raise on purpose; `exit_code` says how a run ends
|-- ConfigError                 a setting is wrong: names the key and the fix            52
|-- UsageError                  the command line is wrong                                 2
|-- OutputLost                  standard output cannot be written                         1
|-- StoreError                  the log cannot be read or written                         1
|   |-- SessionMissing          no such session                                           1
|   |-- SessionBusy             another process owns the session                          1
|   |-- Fenced                  another owner has taken the session over: stop at once    1
|   |-- NewerLog                the log was written by a newer hames                     52
|   |-- StoreFull               no space left; what was acknowledged is safe              1
|   `-- DamagedLog              a row or blob does not match its hash                     1
|-- SandboxError                the sandbox is missing or did not start; nothing was run  52
|-- LauncherError               the launcher process is gone or refused                   1
|-- OverLimit                   a limit of the turn or the session forbids to go on      53, 54, 124
|-- ModelError                  one attempt failed; `kind` is its class         1, 41, 52, 75
`-- Problem                     an expected failure of a tool, told to the model: not a crash
    |-- ArgumentProblem         the arguments do not fit the tool
    `-- FileProblem             the file is missing, denied, changed, ...
"""

import errno
from enum import IntEnum
from typing import Literal


class ExitCode(IntEnum):
    """How a run of `hames` ended, for scripts. `docs/exit-codes.md` is generated from this."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> "ExitCode":
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    DONE = 0, "done"
    FAILED = 1, "error, or the model refused"
    USAGE = 2, "the command line is wrong"
    BLOCKED = 3, "blocked: a person is needed"
    UNFINISHED = 4, "background work was still unfinished"
    AUTH = 41, "authentication failed, or the account has no balance"
    CONFIG = 52, "a setting, the sandbox or the installation is wrong"
    STEP_LIMIT = 53, "the step limit was reached"
    BUDGET = 54, "the money or token budget was reached"
    UNAVAILABLE = 75, "the provider was unavailable for longer than the allowed wait"
    TIME_LIMIT = 124, "the time limit was reached"
    EXEC_FAILED = 125, "`hames exec` itself failed; the command was not run"
    CANCELLED = 130, "cancelled by SIGINT or SIGTERM"


class HamesError(Exception):
    """Everything hames raises on purpose. `str()` is one clear sentence for the person."""

    exit_code: ExitCode = ExitCode.FAILED


class ConfigError(HamesError):
    """A setting is wrong. The message names the key and the fix."""

    exit_code = ExitCode.CONFIG


class UsageError(HamesError):
    """The command line is wrong."""

    exit_code = ExitCode.USAGE


class OutputLost(HamesError):
    """Standard output cannot be written. `gone`: whoever read it has gone away."""

    def __init__(self, message: str, *, gone: bool = False) -> None:
        super().__init__(message)
        self.gone = gone


class StoreError(HamesError):
    """The log cannot be read or written."""


class SessionMissing(StoreError):
    """There is no such session."""


class SessionBusy(StoreError):
    """Another process owns the session."""


class Fenced(StoreError):
    """An append was refused because another owner has the session. Stop at once."""


class NewerLog(StoreError):
    """The log was written by a newer version than this one can read."""

    exit_code = ExitCode.CONFIG


class StoreFull(StoreError):
    """The disk is full. Nothing of the refused append was written."""


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says when no space is left."""


class DamagedLog(StoreError):
    """A row or a blob does not match its hash."""


class SandboxError(HamesError):
    """The sandbox is missing or did not start. No command was run."""

    exit_code = ExitCode.CONFIG


class LauncherError(HamesError):
    """The launcher process is gone or refused."""


class OverLimit(HamesError):
    """A limit forbids to go on: the turn ends with it. `limit` is its setting, `value` what it is set to."""

    def __init__(self, limit: str, value: float, message: str) -> None:
        super().__init__(message)
        self.limit = limit
        self.value = value


FailureKind = Literal[
    "auth",
    "balance",
    "rate",
    "overload",
    "transport",
    "stalled",
    "cut",
    "empty",
    "malformed",
    "overflow",
    "refused",
    "rejected",
    "unknown_model",
]
"""The class of a failed attempt. Each has its own rule in `loop/retry.py`."""

_MODEL_EXIT: dict[FailureKind, ExitCode] = {
    "auth": ExitCode.AUTH,
    "balance": ExitCode.AUTH,
    "unknown_model": ExitCode.CONFIG,
    "rate": ExitCode.UNAVAILABLE,
    "overload": ExitCode.UNAVAILABLE,
    "transport": ExitCode.UNAVAILABLE,
    "stalled": ExitCode.UNAVAILABLE,
    "cut": ExitCode.UNAVAILABLE,
    "empty": ExitCode.UNAVAILABLE,
    "malformed": ExitCode.UNAVAILABLE,
}


class ModelError(HamesError):
    """One attempt at a model failed.

    `kind` is the failure class, `status` the HTTP status if there was one, `wait_s` what the server
    asked us to wait, `raw` whatever bytes of the reply had arrived, and `window` the size of the context
    window, in tokens, that the server named when it found the request too long.
    """

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        status: int | None = None,
        wait_s: float | None = None,
        raw: bytes = b"",
        window: int | None = None,
    ) -> None:
        super().__init__(message)
        self.kind: FailureKind = kind
        self.status = status
        self.wait_s = wait_s
        self.raw = raw
        self.window = window
        self.exit_code = _MODEL_EXIT.get(kind, ExitCode.FAILED)


class Problem(HamesError):
    """An expected failure of a tool, in words that the model can act on."""


class ArgumentProblem(Problem):
    """The arguments do not fit the tool."""


FileTrouble = Literal[
    "missing", "denied", "directory", "not_regular", "too_big", "changed", "exists", "invalid", "failed"
]


class FileProblem(Problem):
    """A file operation failed. `trouble` is the class, `path` the file."""

    def __init__(self, trouble: FileTrouble, path: str, message: str) -> None:
        super().__init__(message)
        self.trouble: FileTrouble = trouble
        self.path = path
