"""A model that goes back in the midst of a turn, over real files and snapshots."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from hames.core.errors import UsageError
from hames.core.events import (
    AnyEvent,
    CallFinished,
    CommandFact,
    Effect,
    FilesRestored,
    JobStarted,
    Labelled,
    Outcome,
    RequestSent,
    RestoreStarted,
    Rewound,
    UserSpoke,
)
from hames.core.ids import JobId
from hames.core.limits import REPEATED_FAILURES
from hames.core.messages import plain
from hames.core.ports import CallContext, Prepared, Tool, ToolResult
from hames.loop.kit import Guards
from hames.session.keeping import NoTrees
from hames.session.points import boundary
from hames.session.taking_back import Wanted, redo, undo
from hames.snapshots.contents import Contents
from hames.testing.scripted import Answer, Scripted
from hames.tools.go_back import GoBackTool
from tests.rig import BenchTools, Body, asks, job_over, ok
from tests.session.ground import Calm, Ground, change, heard

pytestmark = pytest.mark.anyio
T = TypeVar("T")


class Killed(BaseException):
    """The process is gone."""


class DyingBefore(Calm):
    """A keeper whose process is killed before files change."""

    async def work(self, function: Callable[[Contents], T]) -> T:
        if function.__qualname__.startswith("put_back"):
            raise Killed
        return await super().work(function)


class DyingAfter(Calm):
    """A keeper whose process is killed when files have changed and nobody knows of it."""

    async def work(self, function: Callable[[Contents], T]) -> T:
        done = await super().work(function)
        if function.__qualname__.startswith("put_back"):
            raise Killed
        return done


class WithWayBack(BenchTools):
    """Tools of a test, and the real `go_back`."""

    def __init__(self, tools: dict[str, tuple[Effect, Body]], root: Path) -> None:
        super().__init__(tools)
        self._back: Tool = GoBackTool(str(root))

    def prepare(self, name: str, arguments: str) -> Prepared:
        if name == "go_back":
            return Prepared(name, arguments, self._back.prepare(arguments))
        return super().prepare(name, arguments)


def back_to(step: int) -> Answer:
    return asks(("go_back", f'{{"step": {step}}}'))


def does(what: str) -> Answer:
    return asks(("do", what))


def ground_of(tmp_path: Path, *answers: Answer) -> Ground:
    """A workspace. `user` is done by somebody else in mid-turn."""
    ground = Ground(tmp_path, *answers)

    async def user(arguments: str, context: CallContext) -> ToolResult:
        change(ground.root, arguments)
        return ok("seen")

    ground.rig.tools = WithWayBack(
        {"do": ("effectful", ground.do), "read": ("pure", ground.read), "user": ("pure", user)}, ground.root
    )
    return ground


def results(events: list[AnyEvent]) -> list[tuple[Outcome, str]]:
    return [(event.outcome, plain(event.parts)) for event in events if isinstance(event, CallFinished)]


def count(events: list[AnyEvent], kind: type[AnyEvent]) -> int:
    return sum(isinstance(event, kind) for event in events)


TRIES = (does("write a one; write d/b two"), does("write a other; remove d; write c new"))
BACK = (
    "ok",
    "the files are as they were after step 1; read them again before you change them\nput back: a, c, d, d/b",
)


async def test_files_go_back_and_the_words_stay(tmp_path: Path) -> None:
    ground = ground_of(tmp_path, *TRIES, back_to(1), asks(("read", "a")), does("write a third"))
    session = await ground.turn("go")
    events = await ground.events(session.id)
    assert results(events)[2:4] == [BACK, ("ok", "one")]
    assert ground.files() == {"a": "644 third", "d/": "", "d/b": "644 two"}
    started = next(event for event in events if isinstance(event, RestoreStarted))
    assert (started.what, started.by, started.context) == ("rewind", "model", False)
    assert count(events, Rewound) == 0
    assert heard(session.view) == ["go"]
    again = await ground.host.resume(session.id)
    assert again.view.messages == session.view.messages


async def test_in_its_midst_there_is_no_point_to_go_back_to(tmp_path: Path) -> None:
    ground = ground_of(tmp_path, *TRIES, back_to(1))
    session = await ground.turn("go")
    entries = await ground.entries(session.id)
    asked = [entry.seq for entry in entries if isinstance(entry.event, RequestSent)][2]
    for kind in (RestoreStarted, FilesRestored):
        seq = next(entry.seq for entry in entries if isinstance(entry.event, kind))
        assert boundary(entries, seq) == asked - 1


async def test_it_is_a_part_of_its_turn_and_is_undone_and_redone_with_it(tmp_path: Path) -> None:
    first = (does("write a zero"), Scripted(text="done"))
    ground = ground_of(tmp_path, *first, *TRIES, back_to(2), does("write e five"), Scripted(text="done"))
    session = await ground.turn("first")
    await ground.turn("second", session)
    after = ground.files()
    assert "c" not in after
    for wanted in (Wanted(), Wanted(context=False)):
        await undo(ground.host, session.id, wanted)
        assert ground.files() == {"a": "644 zero"}
        await redo(ground.host, session.id, wanted)
        assert ground.files() == after


async def test_there_is_nothing_to_redo_after_a_model_has_gone_back(tmp_path: Path) -> None:
    ground = ground_of(tmp_path, *TRIES, back_to(1))
    session = await ground.turn("go")
    with pytest.raises(UsageError, match="there is nothing to redo"):
        await redo(ground.host, session.id, Wanted())


async def test_a_step_of_an_earlier_turn_can_be_gone_back_to(tmp_path: Path) -> None:
    ground = ground_of(
        tmp_path,
        does("write a one"),
        Scripted(text="done"),
        does("write a two"),
        back_to(1),
        Scripted(text="done"),
    )
    session = await ground.turn("first")
    await ground.turn("second", session)
    assert ground.files() == {"a": "644 one"}
    await undo(ground.host, session.id, Wanted(context=False))
    assert ground.files() == {"a": "644 one"}  # All that the second turn did is taken back: together nothing.
    assert heard((await ground.host.resume(session.id)).view) == ["first", "second"]


async def test_what_the_user_has_changed_stays(tmp_path: Path) -> None:
    ground = ground_of(
        tmp_path,
        does("write a one; write b one"),
        does("write a two; write b two"),
        asks(("user", "write a mine")),
        asks(("user", "write own mine")),
        back_to(1),
    )
    session = await ground.turn("go")
    assert ground.files() == {"a": "644 mine", "b": "644 one", "own": "644 mine"}
    assert results(await ground.events(session.id))[-1][1].splitlines()[1:] == [
        "put back: b",
        "kept, changed by somebody else since: a",
    ]


async def test_where_nothing_has_changed_nothing_goes_back(tmp_path: Path) -> None:
    ground = ground_of(tmp_path, does("write a one"), asks(("read", "a")), back_to(1))
    session = await ground.turn("go")
    last = results(await ground.events(session.id))[-1]
    assert last == ("ok", "the files are as they were after step 1: nothing had to be changed")


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (3, "there is no earlier step 3 (there are 1 to 2): nothing was changed"),
        (0, "there is no earlier step 0 (there are 1 to 2): nothing was changed"),
    ],
)
async def test_only_an_earlier_step_can_be_gone_back_to(tmp_path: Path, step: int, words: str) -> None:
    ground = ground_of(tmp_path, *TRIES, back_to(step))
    session = await ground.turn("go")
    events = await ground.events(session.id)
    assert results(events)[-1] == ("failed", words)
    assert count(events, RestoreStarted) == 0


async def test_the_first_step_has_none_before_it(tmp_path: Path) -> None:
    ground = ground_of(tmp_path, back_to(1))
    session = await ground.turn("go")
    words = "there is no earlier step 1 (there are none): nothing was changed"
    assert results(await ground.events(session.id)) == [("failed", words)]


async def test_running_commands_are_to_be_stopped_first(tmp_path: Path) -> None:
    ground = ground_of(tmp_path, *TRIES, asks(("serve", "")), back_to(1))

    async def serve(arguments: str, context: CallContext) -> ToolResult:
        job = JobStarted(JobId(context.call), context.call, "serve")
        return msgspec.structs.replace(ok("started"), job=job)

    ground.rig.tools = WithWayBack(
        {"do": ("effectful", ground.do), "serve": ("effectful", serve)}, ground.root
    )
    session = await ground.turn("go")
    found = results(await ground.events(session.id))[-1]
    assert found[0] == "failed"
    assert found[1].startswith("background commands are running: 3.0 (serve); stop them first")


async def test_without_snapshots_it_is_refused(tmp_path: Path) -> None:
    ground = ground_of(tmp_path, *TRIES, back_to(1))
    ground.rig.trees = lambda _: NoTrees()
    session = await ground.turn("go")
    words = "there is no snapshot of the files from step 1: nothing was changed"
    assert results(await ground.events(session.id))[-1] == ("failed", words)


async def test_a_workspace_that_cannot_be_looked_at_is_left_alone(tmp_path: Path) -> None:
    ground = ground_of(tmp_path, *TRIES, asks(("user", "away")), back_to(1))

    async def away(arguments: str, context: CallContext) -> ToolResult:
        ground.root.rename(ground.root.with_name("elsewhere"))
        return ok("moved")

    ground.rig.tools = WithWayBack({"do": ("effectful", ground.do), "user": ("pure", away)}, ground.root)
    session = await ground.turn("go")
    found = results(await ground.events(session.id))[-1]
    assert found[0] == "failed"
    assert found[1].startswith("no snapshot can be taken of")


@pytest.mark.parametrize("dying", [DyingBefore, DyingAfter])
async def test_a_kill_on_the_way_back_is_made_good_and_the_model_is_told_once(
    tmp_path: Path, dying: type[Calm]
) -> None:
    ground = ground_of(tmp_path, *TRIES, back_to(1), does("write a third"), Scripted(text="done"))
    ground.kind = dying
    session = await ground.rig.open()
    with pytest.raises(Killed):
        await ground.turn("go", session)
    assert isinstance((await ground.events(session.id))[-1], RestoreStarted)
    change(ground.root, "write mine too")
    ground.kind = Calm
    resumed = await ground.host.resume(session.id)
    assert (await resumed.go_on()).ending == "done"
    assert ground.files() == {"a": "644 third", "d/": "", "d/b": "644 two", "mine": "644 too"}
    events = await ground.events(session.id)
    assert results(events)[2] == BACK
    assert (count(events, RestoreStarted), count(events, FilesRestored)) == (1, 1)
    assert heard(resumed.view) == ["go"]


async def test_a_kill_before_anything_was_begun_has_it_done_anew(tmp_path: Path) -> None:
    class DyingFirst(Calm):
        """Its process is killed when the trees are read."""

        async def work(self, function: Callable[[Contents], T]) -> T:
            raise Killed

    ground = ground_of(tmp_path, *TRIES, back_to(1), Scripted(text="done"))
    ground.kind = DyingFirst
    session = await ground.rig.open()
    with pytest.raises(Killed):
        await ground.turn("go", session)
    ground.kind = Calm
    resumed = await ground.host.resume(session.id)
    assert (await resumed.go_on()).ending == "done"
    events = await ground.events(session.id)
    assert results(events)[2] == BACK
    assert count(events, RestoreStarted) == 1


# The rule


def failing(number: int) -> list[Answer]:
    return [does(f"write a try{number}"), asks(("test", "make"))]


def rule_ground(tmp_path: Path, guards: Guards, *more: Answer) -> Ground:
    """A file that is good, and then broken in four ways."""
    tries = [answer for number in range(REPEATED_FAILURES) for answer in failing(number)]
    ground = ground_of(
        tmp_path, does("write a good"), asks(("test", "make")), *tries, *more, Scripted(text="done")
    )

    async def test(arguments: str, context: CallContext) -> ToolResult:
        good = (ground.root / "a").read_text() == "good"
        fact = CommandFact(exit_code=0 if good else 2)
        words = "fine" if good else "a.c:3:1: error: no such thing"
        return msgspec.structs.replace(ok(words), outcome="ok" if good else "failed", command=fact)

    ground.rig.tools = WithWayBack({"do": ("effectful", ground.do), "test": ("effectful", test)}, ground.root)
    ground.rig.guards = guards
    return ground


def notes(events: list[AnyEvent]) -> list[str]:
    return [
        plain(event.parts) for event in events if isinstance(event, UserSpoke) and event.source == "harness"
    ]


EVIDENCE = (
    "make has failed 4 times in the same way, each time after other changes: a.c:3:1: error: no such thing"
)
TRIED = (
    "Tried so far: step 4: do write a try0; step 6: do write a try1; step 8: do write a try2; "
    "step 10: do write a try3"
)
LAST = "`make` last went well at step 2."


async def test_a_way_back_is_offered_after_the_same_failure_four_times(tmp_path: Path) -> None:
    ground = rule_ground(tmp_path, Guards(), back_to(2), asks(("test", "make")))
    session = await ground.turn("go")
    events = await ground.events(session.id)
    assert notes(events) == [
        f"[{EVIDENCE}. {TRIED}. {LAST} To put the files back to how they were then, and try another way, "
        'call call_tool with name go_back and arguments {"step": 2}; what you have learnt stays. Or go on, '
        "if you know why it fails.]"
    ]
    labels = [(event.step, event.label, event.evidence) for event in events if isinstance(event, Labelled)]
    assert labels == [(10, "repeated_failure", EVIDENCE)]
    assert results(events)[-1] == ("ok", "fine")
    assert ground.files() == {"a": "644 good"}
    assert [failure.put_back for failure in session.view.ledger.failures] == [True] * REPEATED_FAILURES


async def test_files_go_back_by_themselves_where_the_user_wants_that(tmp_path: Path) -> None:
    ground = rule_ground(tmp_path, Guards(on_repeated_failure="rewind"), asks(("test", "make")))
    session = await ground.turn("go")
    events = await ground.events(session.id)
    assert notes(events) == [
        f"[{EVIDENCE}. {TRIED}. {LAST} The files are put back to how they were then; what you have learnt "
        "stays. Try another way.]",
        "[Files were put back as they were earlier (rewind): a. Read them again before you rely on what you "
        "know of them.]",
    ]
    assert results(events)[-1] == ("ok", "fine")
    await undo(ground.host, session.id, Wanted())
    assert ground.files() == {}


async def test_a_kill_while_files_go_back_by_themselves_is_made_good(tmp_path: Path) -> None:
    ground = rule_ground(tmp_path, Guards(on_repeated_failure="rewind"), asks(("test", "make")))
    ground.kind = DyingAfter
    session = await ground.rig.open()
    with pytest.raises(Killed):
        await ground.turn("go", session)
    ground.kind = Calm
    resumed = await ground.host.resume(session.id)
    assert (await resumed.go_on()).ending == "done"
    events = await ground.events(session.id)
    assert (len(notes(events)), count(events, RestoreStarted)) == (2, 1)
    assert results(events)[-1] == ("ok", "fine")


async def test_what_cannot_go_back_by_itself_is_told(tmp_path: Path) -> None:
    ground = rule_ground(tmp_path, Guards(on_repeated_failure="rewind"))
    job = JobId("2.1")

    async def test(arguments: str, context: CallContext) -> ToolResult:
        fact = CommandFact(exit_code=2)
        started = None if context.jobs else JobStarted(job, context.call, "serve")
        return msgspec.structs.replace(ok("error: no"), outcome="failed", command=fact, job=started)

    ground.rig.tools = WithWayBack({"do": ("effectful", ground.do), "test": ("effectful", test)}, ground.root)
    session = await ground.rig.open()
    ground.rig.jobs.on_wait = lambda: ground.rig.jobs.over.update({job: job_over(job)})
    await ground.turn("go", session)
    told = notes(await ground.events(session.id))
    assert len(told) == 2
    assert told[1].startswith("[They could not be put back: background commands are running: 2.1 (serve)")


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    ground = rule_ground(tmp_path, Guards(on_repeated_failure="off"))
    session = await ground.turn("go")
    assert notes(await ground.events(session.id)) == []


async def test_without_snapshots_no_way_back_is_offered(tmp_path: Path) -> None:
    ground = rule_ground(tmp_path, Guards())
    ground.rig.trees = lambda _: NoTrees()
    session = await ground.turn("go")
    assert notes(await ground.events(session.id)) == []


async def test_a_command_that_fails_is_shown_with_what_has_changed_since_it_went_well(tmp_path: Path) -> None:
    ground = rule_ground(tmp_path, Guards(on_repeated_failure="off"))
    session = await ground.turn("go")
    found = [words for outcome, words in results(await ground.events(session.id)) if outcome == "failed"]
    note = "[it went well at step 2; changed since: a]"
    assert found == [f"a.c:3:1: error: no such thing\n{note}"] * REPEATED_FAILURES
