"""Steps made by hand, as the log would hold them."""

from collections.abc import Sequence

from hames.context.progress import Progress, Step
from hames.core.events import (
    CallFinished,
    CallStarted,
    FileFact,
    JobFinished,
    Labelled,
    ModelReplied,
    Outcome,
    Todo,
    Usage,
    UserSpoke,
)
from hames.core.events import CommandFact as Fact
from hames.core.ids import JobId, blob_id, call_id
from hames.core.messages import AssistantMessage, Call, Text


class Walk:
    """A progress, and the steps that are taken in it."""

    def __init__(self) -> None:
        self.progress = Progress()
        self.number = 0

    @property
    def steps(self) -> Sequence[Step]:
        return self.progress.steps

    @property
    def last(self) -> Step:
        return self.steps[-1]

    def reply(self, *calls: tuple[str, str], text: str = "") -> None:
        self.number += 1
        made = tuple(
            Call(call_id(self.number, at), f"w{at}", name, arguments)
            for at, (name, arguments) in enumerate(calls)
        )
        self.progress.take(
            ModelReplied(
                step=self.number,
                attempt=1,
                message=AssistantMessage(text, None, made),
                finish="calls" if made else "stop",
                model="m",
                raw=blob_id(b""),
                usage=Usage(),
            )
        )

    def start(self, tree: str, at: int = 0) -> None:
        self.progress.take(CallStarted(call=call_id(self.number, at), tree_before=blob_id(tree.encode())))

    def end(
        self,
        result: str,
        at: int = 0,
        *,
        outcome: Outcome = "ok",
        tree: str = "",
        took_s: float = 0.0,
        files: tuple[FileFact, ...] = (),
        todos: tuple[Todo, ...] | None = None,
    ) -> None:
        self.progress.take(
            CallFinished(
                call=call_id(self.number, at),
                outcome=outcome,
                parts=(Text(result),),
                elapsed_ms=int(took_s * 1000),
                files=files,
                todos=todos,
                tree_after=blob_id(tree.encode()) if tree else None,
            )
        )

    def step(self, call: str, result: str, *, failed: bool = False, took_s: float = 0.0) -> None:
        """A look at something."""
        self.reply(("bash", call))
        self.end(result, outcome="failed" if failed else "ok", took_s=took_s)

    def write(self, call: str, result: str, before: str, after: str) -> None:
        """A step that may change files."""
        self.reply(("edit", call))
        self.start(before)
        self.end(result, tree=after)

    def user(self, words: str = "and now?") -> None:
        self.progress.take(UserSpoke(parts=(Text(words),)))

    def tell(self) -> None:
        self.progress.take(Labelled(step=self.number, label="stuck", source="rule"))

    def job_over(self, told: str) -> None:
        self.progress.take(JobFinished(job=JobId("1.0"), command=Fact(exit_code=0), output=None, told=told))
