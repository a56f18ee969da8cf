"""The `go_back` tool: the files as they were after an earlier step, to try another way from there."""

import msgspec

from hames.core.errors import Problem
from hames.core.events import Effect
from hames.core.ports import CallContext, Settled, Subject, ToolResult, ToolSpec, WentBack
from hames.core.text import listed
from hames.tools.arguments import read_arguments, spec_of
from hames.tools.results import said

_NAMED = 20


class GoBackArguments(msgspec.Struct, frozen=True):
    """What `go_back` is told."""

    step: int


_SPEC = spec_of(
    "go_back",
    "Put the files of the workspace back to how they were after an earlier step, to try another way from "
    "there. What was said and learnt stays, and so does what the user has changed. You are told the step "
    "when the same thing has failed several times.",
    GoBackArguments,
)


class GoBackTool:
    """Puts files back. `workspace` is what it may write."""

    def __init__(self, workspace: str) -> None:
        self._workspace = workspace

    @property
    def spec(self) -> ToolSpec:
        return _SPEC

    def prepare(self, arguments: str) -> "GoBackAction":
        return GoBackAction(read_arguments("go_back", GoBackArguments, arguments).step, self._workspace)


class GoBackAction:
    """One way back. A stopped one is finished by whoever opens the session next, before this is asked."""

    effect: Effect = "effectful"

    def __init__(self, step: int, workspace: str) -> None:
        self._step = step
        self._workspace = workspace

    def subject(self, cwd: str) -> Subject:
        return Subject("go_back", writes=(self._workspace,))

    async def run(self, context: CallContext) -> ToolResult:
        if context.back is None:
            raise Problem("files cannot be put back here: undo is switched off")
        return self._told(await context.back.to(self._step, "model"))

    async def attach(self, context: CallContext, *, wait: bool) -> Settled:
        """See `Attachable`."""
        done = None if context.back is None else await context.back.since(context.call)
        return Settled("undone") if done is None else Settled("done", self._told(done))

    def _told(self, done: WentBack) -> ToolResult:
        if not (done.changed or done.kept or done.failed):
            return said(f"the files are as they were after step {self._step}: nothing had to be changed")
        lines = [
            f"the files are as they were after step {self._step}; read them again before you change them"
        ]
        told = ((done.changed, "put back"), (done.kept, "kept, changed by somebody else since"))
        lines += [f"{words}: {listed(paths, _NAMED)}" for paths, words in told if paths]
        if done.failed:
            lines.append(f"could not be changed: {listed(done.failed, _NAMED)}")
        return said("\n".join(lines), "failed" if done.failed else "ok")
