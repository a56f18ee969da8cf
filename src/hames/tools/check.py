"""The check of a goal: a command whose exit code says whether it is reached."""

from contextlib import suppress
from math import inf

import msgspec

from hames.core.errors import LauncherError
from hames.core.ids import CallId, JobId
from hames.core.limits import GOAL_WORDS_BYTES
from hames.core.ports import Blobs, CallContext, CheckOrder, Launcher, ToolResult
from hames.tools.bash import Bash, BashArguments, Manner, Shell
from hames.tools.results import ROOM_BYTES

_MANNER = Manner(stops_at_timeout=True, most_s=inf, room_bytes=ROOM_BYTES - GOAL_WORDS_BYTES, stays=True)


class ShellChecker:
    """`Checker` over the shell that `bash` has."""

    def __init__(self, launcher: Launcher, blobs: Blobs, shell: Shell) -> None:
        self._launcher = launcher
        self._bash = Bash(launcher, blobs, msgspec.structs.replace(shell, manner=_MANNER))

    async def run(self, order: CheckOrder) -> ToolResult:
        """See `Checker`."""
        action = self._bash.action(BashArguments(order.command, timeout=int(order.timeout_s * 1000)))
        return await action.run(CallContext(order.check, order.cwd, seen={}, jobs={}, outputs={}))

    async def stop(self, check: CallId) -> None:
        """See `Checker`. One whose supervisor is gone went with it."""
        with suppress(LauncherError):
            running = await self._launcher.attach(JobId(check))
            if running is not None:
                await running.stop()
