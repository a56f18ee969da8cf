import anyio
import pytest

from hames.core.errors import DamagedLog, LauncherError, Problem, StoreError
from hames.core.events import (
    AnyEvent,
    CallFinished,
    CallLost,
    CallStarted,
    CommandFact,
    Effect,
    FileIntent,
    JobFinished,
    JobStarted,
    SnapshotTaken,
    TurnEnded,
)
from hames.core.ids import BlobId, JobId, blob_id
from hames.core.messages import Text, plain
from hames.core.ports import CallContext, Prepared, Settled, ToolResult, Words
from hames.core.text import wire_size
from hames.session.keeping import NoTrees
from hames.testing.scripted import Scripted
from tests.rig import BenchAction, BenchTools, BenchTrees, Body, Rig, asks, ok

pytestmark = pytest.mark.anyio
GO = [Words((Text("go"),))]
WAS, IS = blob_id(b"as it was"), blob_id(b"as it is")


class Writer(BenchAction):
    """A call that says beforehand what it will write."""

    def __init__(self, body: Body, arguments: str) -> None:
        super().__init__("write", "reconcilable", body, arguments)

    async def plan(self, context: CallContext) -> tuple[FileIntent, ...]:
        return (FileIntent("/w/a", "", "b"),)

    async def reconcile(self, context: CallContext, intents: tuple[FileIntent, ...]) -> Settled:
        return Settled("unknown")


class WriterTools(BenchTools):
    """One tool, that says what it will write."""

    def __init__(self, body: Body) -> None:
        super().__init__({"write": ("reconcilable", body)})
        self._body = body

    def prepare(self, name: str, arguments: str) -> Prepared:
        return Prepared(name, arguments, Writer(self._body, arguments))


def rig_with(effect: Effect, trees: BenchTrees, *, fails: bool = False) -> Rig:
    async def change(arguments: str, context: CallContext) -> ToolResult:
        trees.workspace = b"as it is"
        if fails:
            raise Problem("it went wrong")
        return ok("changed")

    rig = Rig(asks(("change", "{}")), Scripted("done"), tools={"change": (effect, change)})
    rig.trees = lambda _: trees
    return rig


async def events_of(rig: Rig) -> list[AnyEvent]:
    session = await rig.open()
    await session.say(GO)
    return [event for entry in await rig.store.read(session.id) if (event := entry.event) is not None]


def trees_of(events: list[AnyEvent]) -> list[tuple[str, BlobId | None]]:
    """The events that name a tree, and which."""
    found: list[tuple[str, BlobId | None]] = []
    for event in events:
        match event:
            case SnapshotTaken(tree=tree):
                found.append(("snapshot", tree))
            case CallStarted(tree_before=tree):
                found.append(("started", tree))
            case CallFinished(tree_after=tree) | CallLost(tree_after=tree):
                found.append(("ended", tree))
            case JobFinished(tree_after=tree):
                found.append(("job", tree))
            case _:
                pass
    return found


@pytest.mark.parametrize("fails", [False, True])
async def test_a_call_that_may_write_is_looked_at_before_and_after(fails: bool) -> None:
    trees = BenchTrees()
    events = await events_of(rig_with("effectful", trees, fails=fails))
    wanted = [("snapshot", WAS), ("started", WAS), ("snapshot", IS), ("ended", IS)]
    assert trees_of(events) == wanted
    assert trees.looked == [None, None]


async def test_a_call_that_changes_nothing_costs_no_look() -> None:
    trees = BenchTrees()
    assert trees_of(await events_of(rig_with("pure", trees))) == [("started", None), ("ended", None)]
    assert trees.looked == []


async def test_a_call_that_says_what_it_writes_is_looked_at_only_there() -> None:
    trees = BenchTrees()

    async def body(arguments: str, context: CallContext) -> ToolResult:
        return ok("written")

    rig = Rig(asks(("write", "{}")), Scripted("done"))
    rig.tools = WriterTools(body)
    rig.trees = lambda _: trees
    await events_of(rig)
    assert trees.looked == [["/w/a"], ["/w/a"]]


async def test_the_first_look_may_begin_while_the_model_answers() -> None:
    trees = BenchTrees()
    await events_of(rig_with("effectful", trees))
    assert trees.begun == 2


async def test_without_room_for_a_snapshot_nothing_is_run() -> None:
    trees = BenchTrees()
    trees.full_from = 1
    events = await events_of(rig_with("effectful", trees))
    assert trees.workspace == b"as it was"
    assert isinstance(events[-1], TurnEnded)
    assert events[-1].code == "disk"


async def test_a_call_that_has_run_ends_also_where_there_is_no_room_to_look() -> None:
    trees = BenchTrees()
    trees.full_from = 2
    events = await events_of(rig_with("effectful", trees))
    assert trees_of(events)[-1] == ("ended", None)
    assert isinstance(events[-1], TurnEnded)
    assert events[-1].ending == "done"


async def test_a_cancelled_call_is_looked_at_too() -> None:
    trees = BenchTrees()
    begun = anyio.Event()

    async def hang(arguments: str, context: CallContext) -> ToolResult:
        trees.workspace = b"as it is"
        begun.set()
        await anyio.sleep_forever()
        return ok("never")

    rig = Rig(asks(("hang", "{}"), ("hang", "{}")), tools={"hang": ("effectful", hang)})
    rig.trees = lambda _: trees
    session = await rig.open()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session.say, GO)
        await begun.wait()
        tasks.cancel_scope.cancel()
    events = [event for entry in await rig.store.read(session.id) if (event := entry.event) is not None]
    assert trees_of(events)[2:] == [("snapshot", IS), ("ended", IS), ("ended", None)]


async def test_the_end_of_a_background_command_is_looked_at() -> None:
    trees = BenchTrees()
    rig = Rig(asks(("start", "{}")), Scripted("on it"), Scripted("done"))
    job = JobId("1.0")

    async def start(arguments: str, context: CallContext) -> ToolResult:
        return ToolResult("ok", (Text("runs"),), job=JobStarted(job, context.call, "make"))

    def ended() -> None:
        trees.workspace = b"as it is"
        rig.jobs.over[job] = JobFinished(job, CommandFact(exit_code=0), None, "it ended")

    rig.tools = BenchTools({"start": ("effectful", start)})
    rig.trees = lambda _: trees
    rig.jobs.on_wait = ended
    assert trees_of(await events_of(rig))[-2:] == [("snapshot", IS), ("job", IS)]


# A call whose end nobody knows


async def told_of_a_loss(trees: BenchTrees, *, says_what: bool = False, undo: bool = True) -> str:
    """What the model is told of a call that was lost after it had changed something."""

    async def lose(arguments: str, context: CallContext) -> ToolResult:
        trees.workspace = b"as it is"
        raise LauncherError("it is gone")

    rig = Rig(asks(("write", "{}")), Scripted("done"), tools={"write": ("effectful", lose)})
    if says_what:
        rig.tools = WriterTools(lose)
    rig.trees = lambda _: trees if undo else NoTrees()
    (end,) = [event for event in await events_of(rig) if isinstance(event, CallFinished)]
    assert end.outcome == "failed"
    return plain(end.parts)


LOST = "[outcome not known: it is gone]"


async def test_what_has_changed_since_the_start_of_a_lost_call_is_told() -> None:
    trees = BenchTrees()
    trees.differ = ("made", "sub/")
    told = await told_of_a_loss(trees)
    assert told == f"{LOST}\n[changed in the workspace since it was started: made, sub/]"
    assert trees.compared == [(WAS, IS)]


async def test_a_lost_call_that_changed_nothing_is_told_so() -> None:
    told = await told_of_a_loss(BenchTrees())
    assert told == f"{LOST}\n[changed in the workspace since it was started: nothing]"


async def test_names_of_changed_paths_are_clean_and_no_more_than_the_model_can_use() -> None:
    trees = BenchTrees()
    trees.differ = ["\x1b[2Ja\nb", "c\udcff", *map(str, range(31))]
    told = await told_of_a_loss(trees)
    assert told.startswith(f"{LOST}\n[changed in the workspace since it was started: a?b, c\ufffd, 0, 1, ")
    assert told.endswith(", 26, 27, and 3 more]")
    trees.differ = ["é" * 200] * 31
    told = await told_of_a_loss(trees)
    assert told.endswith("é, and 1 more]")
    assert 1900 < wire_size(told) < 2200


@pytest.mark.parametrize("error", [StoreError("the disk failed"), DamagedLog("blob 7 is missing")])
async def test_a_tree_that_cannot_be_read_is_told_in_place_of_the_paths(error: StoreError) -> None:
    trees = BenchTrees()
    trees.differ = error
    told = await told_of_a_loss(trees)
    assert told == f"{LOST}\n[what has changed in the workspace cannot be seen: {error}]"


async def test_where_nobody_has_looked_nothing_is_said_of_changed_paths() -> None:
    assert await told_of_a_loss(BenchTrees(), undo=False) == LOST
    trees = BenchTrees()
    trees.full_from = 2
    assert await told_of_a_loss(trees) == LOST


async def test_a_call_that_is_not_lost_costs_no_comparison() -> None:
    trees = BenchTrees()
    await events_of(rig_with("effectful", trees, fails=True))
    assert trees.compared == []


async def test_a_lost_call_that_said_what_it_writes_is_looked_at_only_there() -> None:
    trees = BenchTrees()
    trees.differ = ("a",)
    assert await told_of_a_loss(trees, says_what=True) == (
        f"{LOST}\n[changed in the workspace since it was started: a]"
    )
    assert trees.looked == [["/w/a"], ["/w/a"]]
