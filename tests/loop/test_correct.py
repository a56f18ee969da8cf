"""What is told beside a failure. The way back itself is tried in tests/session/test_returning.py."""

from collections.abc import Sequence

import msgspec
import pytest

from hames.core.errors import StoreError
from hames.core.events import CallFinished, CommandFact
from hames.core.ids import blob_id
from hames.core.limits import FAILURE_NOTE_BYTES
from hames.core.messages import Text, plain
from hames.core.ports import CallContext, Look, ToolResult, Words
from hames.loop.kit import Guards
from hames.testing.scripted import Scripted
from tests.rig import BenchTrees, Rig, asks, check_the_log

pytestmark = pytest.mark.anyio

GOOD, BAD = "fine", "src/a.c:3:1: error: no such thing\n[exit 2]"


class Bench:
    """A command that goes well once, and fails then."""

    def __init__(self, differ: Sequence[str] | StoreError, failure: str = BAD) -> None:
        self.trees = BenchTrees()
        self.trees.differ = differ
        self.failure = failure
        self.times = 0
        answers = [asks(("bash", "make")), asks(("bash", "make")), Scripted(text="done")]
        self.rig = Rig(*answers, tools={"bash": ("effectful", self.run)})
        self.rig.trees = lambda _: self.trees

    async def run(self, arguments: str, context: CallContext) -> ToolResult:
        self.times += 1
        self.trees.workspace = f"after {self.times}".encode()
        if self.times == 1:
            return ToolResult("ok", (Text(GOOD),), command=CommandFact(exit_code=0))
        return ToolResult("failed", (Text(self.failure),), command=CommandFact(exit_code=2))

    async def told(self) -> str:
        """What the model is told beside the failure."""
        session = await self.rig.open()
        await session.say([Words((Text("go"),))])
        await check_the_log(self.rig, session)
        ends = [event for event in await self.rig.logged(session) if isinstance(event, CallFinished)]
        assert plain(ends[0].parts) == GOOD
        return plain(ends[1].parts).removeprefix(self.failure).strip()


async def test_a_command_that_fails_is_shown_with_what_has_changed_since_it_went_well() -> None:
    bench = Bench(["b.c", "src/a.c", "lib/b.c"])
    told = await bench.told()
    assert told == ("[it went well at step 1; changed since: src/a.c (the error names line 3), b.c, lib/b.c]")
    assert bench.trees.compared == [(blob_id(b"after 1"), blob_id(b"after 2"))]


@pytest.mark.parametrize(
    ("failure", "differ", "named"),
    [
        ("/w/src/a.c:3: error: no", ["a.c", "src/a.c"], "src/a.c (the error names line 3), a.c"),
        ("a.c:3: error: no", ["b.c", "src/a.c"], "src/a.c (the error names line 3), b.c"),
        ("a.c:3: error: no", ["lib/a.c", "src/a.c"], "lib/a.c, src/a.c"),
        ("other.c:3: error: no", ["a.c"], "a.c"),
    ],
)
async def test_a_file_is_known_by_whatever_path_an_error_writes(
    failure: str, differ: list[str], named: str
) -> None:
    assert await Bench(differ, failure).told() == f"[it went well at step 1; changed since: {named}]"


@pytest.mark.parametrize("differ", [[], ["__pycache__/", ".git/index", "src/__pycache__/a.pyc", ".coverage"]])
async def test_where_nothing_but_caches_has_changed_that_is_said(differ: list[str]) -> None:
    assert await Bench(differ).told() == (
        "[it went well at step 1, and no file has changed since: it may hang on chance, on time or on "
        "something outside]"
    )


async def test_many_changes_are_counted_and_long_ones_cut() -> None:
    told = await Bench([f"{number}.c" for number in range(9)]).told()
    assert told == "[it went well at step 1; changed since: 0.c, 1.c, 2.c, 3.c, 4.c, 5.c, and 3 more]"
    told = await Bench(["é\n" * 300]).told()
    assert len(msgspec.json.encode(told)) - 2 <= FAILURE_NOTE_BYTES
    assert told.endswith("]")


async def test_where_snapshots_cannot_be_compared_nothing_is_added() -> None:
    assert await Bench(StoreError("gone")).told() == ""


async def test_without_snapshots_nothing_is_added() -> None:
    bench = Bench(["a.c"])

    class Blind(BenchTrees):
        """Sees nothing."""

        async def look(self, paths: Sequence[str] | None = None) -> Look:
            return Look()

    bench.rig.trees = lambda _: Blind()
    assert await bench.told() == ""


async def test_it_can_be_switched_off() -> None:
    bench = Bench(["a.c"])
    bench.rig.guards = Guards(failure_notes=False)
    assert await bench.told() == ""
