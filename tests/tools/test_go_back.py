import pytest

from hames.core.errors import Problem
from hames.core.events import TakenBackBy
from hames.core.ids import CallId
from hames.core.messages import plain
from hames.core.ports import Attachable, CallContext, Subject, WentBack
from hames.testing.tool_suite import check_tool
from hames.tools.go_back import GoBackTool

pytestmark = pytest.mark.anyio

DONE = WentBack(("a", "b"), ("c",), ())


class Way:
    """A way back that says what the test lets it say."""

    def __init__(self, done: WentBack) -> None:
        self._done = done
        self.asked: list[tuple[int, TakenBackBy]] = []

    async def to(self, step: int, by: TakenBackBy) -> WentBack:
        self.asked.append((step, by))
        return self._done

    async def since(self, call: CallId) -> WentBack | None:
        return self._done if call == "7.0" else None


def context(way: Way | None, call: str = "9.0") -> CallContext:
    return CallContext(call=CallId(call), cwd="/w", seen={}, jobs={}, outputs={}, back=way)


async def test_it_does_what_every_tool_must() -> None:
    way = Way(DONE)
    result = await check_tool(GoBackTool("/w"), '{"step": 3}', context(way))
    assert way.asked == [(3, "model")]
    assert (result.outcome, plain(result.parts)) == (
        "ok",
        "the files are as they were after step 3; read them again before you change them\nput back: a, b\n"
        "kept, changed by somebody else since: c",
    )


async def test_what_could_not_be_changed_is_a_failure() -> None:
    action = GoBackTool("/w").prepare('{"step": 3}')
    result = await action.run(context(Way(WentBack((), (), ("x",)))))
    assert result.outcome == "failed"
    assert plain(result.parts).endswith("\ncould not be changed: x")


def test_it_writes_the_workspace() -> None:
    assert GoBackTool("/w").prepare('{"step": 3}').subject("/w/below") == Subject("go_back", writes=("/w",))


async def test_without_a_way_back_it_says_why() -> None:
    with pytest.raises(Problem, match="undo is switched off"):
        await GoBackTool("/w").prepare('{"step": 3}').run(context(None))


@pytest.mark.parametrize(
    ("way", "call", "state"),
    [(Way(DONE), "7.0", "done"), (Way(DONE), "8.0", "undone"), (None, "7.0", "undone")],
)
async def test_one_that_was_stopped_is_found_again(way: Way | None, call: str, state: str) -> None:
    action = GoBackTool("/w").prepare('{"step": 3}')
    assert isinstance(action, Attachable)
    settled = await action.attach(context(way, call), wait=True)
    assert settled.state == state
    assert (settled.result is not None) == (state == "done")
