import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from hames.core.errors import DamagedLog, Fenced, SessionMissing, StoreError, UsageError
from hames.core.events import (
    AnyEvent,
    CallFinished,
    CallLost,
    CallStarted,
    Effect,
    FilesRestored,
    JobDetached,
    JobFinished,
    JobStarted,
    ModelReplied,
    Repaired,
    RestoreStarted,
    Rewound,
    SnapshotTaken,
    TurnEnded,
    TurnStarted,
)
from hames.core.ids import JobId, SessionId
from hames.core.messages import ToolMessage
from hames.core.ports import CallContext, ToolResult
from hames.session.keeping import NoTrees
from hames.session.session import Session
from hames.session.taking_back import SHOWN_DIFFS, TookBack, Wanted, redo, rewind, undo
from hames.session.trees import Keeper
from hames.snapshots.contents import Contents
from hames.testing.scripted import Scripted
from tests.rig import BenchTools, Body, CountingStore, asks, job_over, ok
from tests.session.ground import Calm, Ground, change, doing, heard

pytestmark = pytest.mark.anyio
ALL = Wanted()
FILES = Wanted(context=False)
CONTEXT = Wanted(files=False)

T = TypeVar("T")


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(
        tmp_path,
        *doing("write a one; write d/b two"),
        *doing("write a other; remove d; write c new; mode c 600"),
    )


async def two_turns(ground: Ground) -> Session:
    """A first turn makes `a` and `d/b`, a second one changes `a`, removes `d` and makes `c`."""
    session = await ground.turn("first")
    return await ground.turn("second", session)


BEFORE = {"a": "644 one", "d/": "", "d/b": "644 two"}
AFTER = {"a": "644 other", "c": "600 new"}


def seq_of(events: list[AnyEvent], kind: type, nth: int = 0) -> int:
    """The number of the nth entry of a kind."""
    return [seq for seq, event in enumerate(events, 1) if isinstance(event, kind)][nth]


def paths(took: TookBack) -> dict[str, str]:
    return dict(took.changed)


async def test_undo_takes_back_the_files_and_the_words_of_the_last_turn(ground: Ground) -> None:
    session = await two_turns(ground)
    assert ground.files() == AFTER
    took = await undo(ground.host, session.id, ALL)
    assert ground.files() == BEFORE
    assert (took.session, took.what, took.said) == (session.id, "undo", ("second",))
    assert paths(took) == {"a": "content", "c": "removed", "d": "added", "d/b": "added"}
    assert (took.kept, took.failed, took.not_covered) == ((), (), ())
    resumed = await ground.host.resume(session.id)
    assert heard(resumed.view) == ["first"]
    assert not resumed.unfinished


async def test_the_next_request_extends_the_last_one_that_is_still_known(ground: Ground) -> None:
    session = await two_turns(ground)
    known = ground.rig.model.bodies[1]
    await undo(ground.host, session.id, ALL)
    resumed = await ground.turn("third", await ground.host.resume(session.id))
    body = ground.rig.model.bodies[-1]
    end = known.rindex(b'],"options"')
    assert body[:end] == known[:end]
    assert b"second" not in body
    assert heard(resumed.view) == ["first", "third"]
    again = await ground.host.resume(session.id)
    assert again.view.messages == resumed.view.messages
    replied = [event.step for event in await ground.events(session.id) if isinstance(event, ModelReplied)]
    assert replied == sorted(set(replied))


async def test_undo_and_redo_walk_over_all_turns(ground: Ground) -> None:
    session = await two_turns(ground)
    await undo(ground.host, session.id, ALL)
    await undo(ground.host, session.id, ALL)
    assert ground.files() == {}
    with pytest.raises(UsageError, match="nothing to undo"):
        await undo(ground.host, session.id, ALL)
    await redo(ground.host, session.id, ALL)
    assert ground.files() == BEFORE
    took = await redo(ground.host, session.id, ALL)
    assert ground.files() == AFTER
    assert took.said == ()
    assert heard((await ground.host.resume(session.id)).view) == ["first", "second"]
    with pytest.raises(UsageError, match="nothing to redo"):
        await redo(ground.host, session.id, ALL)


async def test_what_the_user_did_stays_as_the_user_made_it(tmp_path: Path) -> None:
    ground = Ground(tmp_path, *doing("write a one; write b one"), *doing("write a two; write b two"))
    change(ground.root, "write mine first")
    session = await ground.turn("first")
    change(ground.root, "write mine second")
    change(ground.root, "write between mine")
    session = await ground.turn("second", session)
    change(ground.root, "write b mine")
    took = await undo(ground.host, session.id, ALL)
    assert ground.files() == {
        "a": "644 one",
        "b": "644 mine",
        "mine": "644 second",
        "between": "644 mine",
    }
    (kept,) = took.kept
    assert (kept.path, kept.why) == ("b", "changed")
    assert kept.diff[-2:] == ("+mine", "\\ No newline at end of file")
    restored = [event for event in await ground.events(session.id) if isinstance(event, FilesRestored)]
    assert restored[0].kept == ("b",)


async def test_a_path_that_the_user_changed_after_the_agent_stays_unless_it_is_forced(tmp_path: Path) -> None:
    ground = Ground(tmp_path, *doing("write a one"), *doing("write a two", "write c three"))
    session = await ground.turn("first")
    session = await ground.turn("second", session)
    change(ground.root, "write a mine")
    session = await ground.turn("third", session)
    events = await ground.events(session.id)
    first_end = seq_of(events, TurnEnded)
    took = await rewind(ground.host, session.id, first_end, ALL)
    assert ground.files() == {"a": "644 mine"}
    assert [(kept.path, kept.why) for kept in took.kept] == [("a", "changed")]
    forced = await rewind(ground.host, session.id, first_end, Wanted(force=("a",)))
    assert ground.files() == {"a": "644 one"}
    assert forced.kept == ()


async def test_of_many_paths_that_stay_the_first_show_their_difference(tmp_path: Path) -> None:
    names = [f"f{number:02}" for number in range(SHOWN_DIFFS + 1)]
    ground = Ground(tmp_path, *doing(";".join(f"write {name} agents" for name in names)))
    session = await ground.turn("first")
    for name in names:
        change(ground.root, f"write {name} mine")
    took = await undo(ground.host, session.id, ALL)
    assert [kept.path for kept in took.kept] == names
    assert [bool(kept.diff) for kept in took.kept] == [True] * SHOWN_DIFFS + [False]


async def test_a_turn_can_be_gone_on_with_from_any_step(tmp_path: Path) -> None:
    ground = Ground(tmp_path, *doing("write a one", "write a two", "write a three"), *doing("write a other"))
    session = await ground.turn("go")
    events = await ground.events(session.id)
    took = await rewind(ground.host, session.id, seq_of(events, CallStarted, 2) + 1, ALL)
    assert took.through == seq_of(events, CallFinished, 1)
    assert took.said == ()
    assert ground.files() == {"a": "644 two"}
    resumed = await ground.host.resume(session.id)
    assert resumed.unfinished
    assert resumed.view.turn_steps == 2
    ended = await resumed.go_on()
    assert (ended.turn, ended.steps) == (1, 4)
    assert ground.files() == {"a": "644 other"}
    calls = [m.call for m in resumed.view.messages if isinstance(m, ToolMessage)]
    assert calls == ["1.0", "2.0", "5.0"]


async def test_words_in_a_turn_that_was_gone_back_into_close_it(ground: Ground) -> None:
    session = await two_turns(ground)
    events = await ground.events(session.id)
    await rewind(ground.host, session.id, seq_of(events, CallFinished), ALL)
    resumed = await ground.turn("other", await ground.host.resume(session.id))
    turns = [event.turn for event in await ground.events(session.id) if isinstance(event, TurnEnded)]
    assert turns == [1, 2, 1, 3]
    assert heard(resumed.view) == ["first", "other"]


async def test_an_entry_to_go_back_to_must_be_there(ground: Ground) -> None:
    session = await two_turns(ground)
    before = await ground.events(session.id)
    for seq in (0, 2, len(before) + 1):
        words = (
            f"{seq} is no entry of session {session.id} that one can go back to: these are 3 to {len(before)}"
        )
        with pytest.raises(UsageError, match=words):
            await rewind(ground.host, session.id, seq, ALL)
    with pytest.raises(UsageError, match="nothing to redo"):
        await redo(ground.host, session.id, ALL)
    with pytest.raises(UsageError, match="say what is to go back"):
        await undo(ground.host, session.id, Wanted(files=False, context=False))
    with pytest.raises(UsageError, match="must be UTF-8"):
        await undo(ground.host, session.id, Wanted(force=("\udcff",)))
    assert await ground.events(session.id) == before
    assert ground.files() == AFTER


async def test_files_alone_go_back_turn_by_turn_and_the_model_is_told(ground: Ground) -> None:
    session = await two_turns(ground)
    took = await undo(ground.host, session.id, FILES)
    assert ground.files() == BEFORE
    assert took.said == ()
    view = (await ground.host.resume(session.id)).view
    assert heard(view)[:2] == ["first", "second"]
    assert heard(view)[2].startswith(
        "[The user has put files back as they were earlier (undo): a, c, d, d/b."
    )
    await undo(ground.host, session.id, FILES)
    assert ground.files() == {}
    await redo(ground.host, session.id, FILES)
    assert ground.files() == BEFORE
    await undo(ground.host, session.id, FILES)
    with pytest.raises(UsageError, match="nothing to undo"):
        await undo(ground.host, session.id, FILES)


async def test_many_files_that_went_back_alone_are_counted(tmp_path: Path) -> None:
    ground = Ground(tmp_path, *doing(";".join(f"write f{number} x" for number in range(22))))
    session = await ground.turn("go")
    await undo(ground.host, session.id, FILES)
    assert ", and 2 more. Read them again" in heard((await ground.host.resume(session.id)).view)[-1]


async def test_files_that_go_back_to_what_they_are_tell_nothing(tmp_path: Path) -> None:
    ground = Ground(tmp_path, *doing("write a one"), Scripted(text="just talk"))
    session = await ground.turn("first")
    session = await ground.turn("second", session)
    took = await undo(ground.host, session.id, FILES)
    assert took.changed == ()
    assert heard((await ground.host.resume(session.id)).view) == ["first", "second"]
    await undo(ground.host, session.id, FILES)
    assert ground.files() == {}


async def test_the_view_alone_goes_back_and_files_stay(ground: Ground) -> None:
    session = await two_turns(ground)
    took = await undo(ground.host, session.id, CONTEXT)
    assert (took.said, took.changed) == (("second",), ())
    assert ground.files() == AFTER
    assert heard((await ground.host.resume(session.id)).view) == ["first"]
    await redo(ground.host, session.id, CONTEXT)
    assert heard((await ground.host.resume(session.id)).view) == ["first", "second"]


async def test_a_session_that_changed_nothing_goes_back_without_snapshots(tmp_path: Path) -> None:
    ground = Ground(tmp_path, Scripted(text="hello"))
    session = await ground.turn("hi")
    with pytest.raises(UsageError, match="the agent has changed none"):
        await undo(ground.host, session.id, FILES)
    took = await undo(ground.host, session.id, ALL)
    assert took.said == ("hi",)
    events = await ground.events(session.id)
    assert isinstance(events[-1], Rewound)
    assert not any(isinstance(event, SnapshotTaken | RestoreStarted) for event in events)


async def test_without_snapshots_only_the_view_can_go_back(ground: Ground) -> None:
    ground.rig.trees = lambda _: NoTrees()
    session = await two_turns(ground)
    with pytest.raises(UsageError, match="there is no snapshot of the files from before that.*--context"):
        await undo(ground.host, session.id, ALL)
    assert (await undo(ground.host, session.id, CONTEXT)).said == ("second",)


async def test_snapshots_that_cannot_be_taken_now_leave_everything_as_it_is(ground: Ground) -> None:
    session = await two_turns(ground)
    before = await ground.events(session.id)
    ground.rig.trees = lambda _: NoTrees()
    with pytest.raises(UsageError, match="undo is switched off, or it cannot be read"):
        await undo(ground.host, session.id, ALL)
    assert await ground.events(session.id) == before


# Commands in the background


JOB = JobId("1.0")


async def start(arguments: str, context: CallContext) -> ToolResult:
    job = JobStarted(job=JobId(context.call), call=context.call, command="make")
    return msgspec.structs.replace(ok("runs"), job=job)


async def detach(arguments: str, context: CallContext) -> ToolResult:
    return msgspec.structs.replace(ok("runs on"), job=JobDetached(job=JobId(arguments)))


async def with_live_job(tmp_path: Path) -> tuple[Ground, Session]:
    """A first turn has started a job that runs on, a second one has made `a`."""
    leaving = [asks(("start", "")), asks(("detach", JOB)), Scripted(text="it runs")]
    ground = Ground(tmp_path, *leaving, *doing("write a one"))
    tools: dict[str, tuple[Effect, Body]] = {
        "start": ("effectful", start),
        "detach": ("pure", detach),
        "do": ("effectful", ground.do),
    }
    ground.rig.tools = BenchTools(tools)
    session = await ground.turn("first")
    session = await ground.turn("second", session)
    assert list(session.view.jobs) == [JOB]
    return ground, session


async def test_a_live_job_forbids_to_go_back_unless_it_is_to_be_stopped(tmp_path: Path) -> None:
    ground, session = await with_live_job(tmp_path)
    before = await ground.events(session.id)
    with pytest.raises(UsageError, match=r"running: 1\.0 \(make\); --stop-jobs stops them first"):
        await undo(ground.host, session.id, ALL)
    assert await ground.events(session.id) == before
    await undo(ground.host, session.id, Wanted(stop_jobs=True))
    assert ground.rig.jobs.stopped == [JOB]
    assert ground.files() == {}
    resumed = await ground.host.resume(session.id)
    assert not resumed.view.jobs
    assert heard(resumed.view) == ["first", "[job over]"]
    (over,) = [event for event in await ground.events(session.id) if isinstance(event, JobFinished)]
    assert over.tree_after is not None


async def test_the_view_alone_goes_back_beside_a_job_that_it_still_knows(tmp_path: Path) -> None:
    ground, session = await with_live_job(tmp_path)
    await undo(ground.host, session.id, CONTEXT)
    assert list((await ground.host.resume(session.id)).view.jobs) == [JOB]
    with pytest.raises(UsageError, match="--stop-jobs"):
        await undo(ground.host, session.id, CONTEXT)


async def test_a_job_that_has_ended_meanwhile_forbids_nothing(tmp_path: Path) -> None:
    ground, session = await with_live_job(tmp_path)
    ground.rig.jobs.over[JOB] = job_over(JOB, "[made]")
    await undo(ground.host, session.id, ALL)
    assert ground.rig.jobs.stopped == []
    assert heard((await ground.host.resume(session.id)).view) == ["first", "[made]"]


# What was left in the midst of something


async def cut_after(ground: Ground, session: SessionId, keep: int) -> None:
    """The log as it is when hames was killed after so many entries."""
    await rewrite(ground, session, (await ground.events(session))[:keep])


async def rewrite(ground: Ground, session: SessionId, events: list[AnyEvent]) -> None:
    """The session with these events for its log."""
    whole = ground.rig.store
    ground.rig.store = CountingStore(ground.rig.clock)
    claim = await ground.rig.store.claim(session)
    await ground.rig.store.append(claim, events, whole.brought)


async def test_an_interrupted_turn_is_closed_and_what_it_did_is_taken_back(ground: Ground) -> None:
    session = await two_turns(ground)
    events = await ground.events(session.id)
    await cut_after(ground, session.id, seq_of(events, CallStarted, 1))
    took = await undo(ground.host, session.id, ALL)
    assert took.said == ("second",)
    assert ground.files() == BEFORE
    after = await ground.events(session.id)
    assert isinstance(after[seq_of(after, CallLost) - 1], CallLost)
    ended = after[seq_of(after, TurnEnded, 1) - 1]
    assert isinstance(ended, TurnEnded)
    assert (ended.ending, ended.code) == ("cancelled", "left")


class Killed(Exception):
    """Stands for the end of the process."""


class DyingBefore(Calm):
    """A keeper whose process is killed before a restore has changed anything."""

    async def work(self, function: Callable[[Contents], T]) -> T:
        if function.__qualname__.startswith("put_back"):
            raise Killed
        return await super().work(function)


class DyingAfter(Calm):
    """A keeper whose process is killed when a restore is done and nobody knows of it."""

    async def work(self, function: Callable[[Contents], T]) -> T:
        done = await super().work(function)
        if function.__qualname__.startswith("put_back"):
            raise Killed
        return done


@pytest.mark.parametrize("dying", [DyingBefore, DyingAfter])
@pytest.mark.parametrize("wanted", [ALL, FILES])
async def test_a_restore_that_was_cut_short_is_made_good_by_whoever_comes_next(
    ground: Ground, dying: type[Keeper], wanted: Wanted
) -> None:
    session = await two_turns(ground)
    change(ground.root, "write mine too")
    ground.kind = dying
    with pytest.raises(Killed):
        await undo(ground.host, session.id, wanted)
    assert isinstance((await ground.events(session.id))[-1], RestoreStarted)
    ground.kind = Calm
    resumed = await ground.host.resume(session.id)
    assert ground.files() == {**BEFORE, "mine": "644 too"}
    assert heard(resumed.view)[:2] == (["first"] if wanted.context else ["first", "second"])
    assert len(heard(resumed.view)) == (1 if wanted.context else 3)
    await redo(ground.host, session.id, ALL)
    assert ground.files() == {**AFTER, "mine": "644 too"}


async def cut(ground: Ground, dying: type[Keeper], going_back: Awaitable[TookBack]) -> None:
    """Have a process killed while it puts files back."""
    ground.kind = dying
    with pytest.raises(Killed):
        await going_back
    ground.kind = Calm


@pytest.mark.parametrize("dying", [DyingBefore, DyingAfter])
async def test_what_was_cut_short_and_is_asked_for_again_is_done_once(
    ground: Ground, dying: type[Keeper]
) -> None:
    session = await two_turns(ground)
    change(ground.root, "write a mine")
    await cut(ground, dying, undo(ground.host, session.id, ALL))
    took = await undo(ground.host, session.id, ALL)
    assert ground.files() == {**BEFORE, "a": "644 mine"}
    assert (took.what, took.said) == ("undo", ("second",))
    assert paths(took) == {"c": "removed", "d": "added", "d/b": "added"}
    assert [(kept.path, kept.why) for kept in took.kept] == [("a", "changed")]
    assert "+mine" in took.kept[0].diff
    await cut(ground, dying, redo(ground.host, session.id, ALL))
    assert (await redo(ground.host, session.id, ALL)).said == ()
    assert ground.files() == {**AFTER, "a": "644 mine"}
    start = seq_of(await ground.events(session.id), TurnStarted) - 2
    await cut(ground, dying, rewind(ground.host, session.id, start, FILES))
    took = await rewind(ground.host, session.id, start, FILES)
    assert (took.through, took.said) == (start, ())
    assert ground.files() == {"a": "644 mine"}
    assert len(heard((await ground.host.resume(session.id)).view)) == 3
    await cut(ground, dying, redo(ground.host, session.id, Wanted(context=False, force=("a",))))
    again = Wanted(context=False, force=(str(ground.root / "a"),))
    assert (await redo(ground.host, session.id, again)).kept == ()
    assert ground.files() == {**AFTER, "a": "644 mine"}


@pytest.mark.parametrize("dying", [DyingBefore, DyingAfter])
async def test_what_the_user_does_before_a_restore_is_made_good_is_the_users(
    ground: Ground, dying: type[Keeper]
) -> None:
    session = await two_turns(ground)
    await cut(ground, dying, undo(ground.host, session.id, ALL))
    change(ground.root, "write a mine")
    change(ground.root, "write new/mine too")
    mine = {"a": "644 mine", "new/": "", "new/mine": "644 too"}
    before = {**BEFORE, **mine}
    await undo(ground.host, session.id, ALL)
    assert ground.files() == before
    await undo(ground.host, session.id, ALL)
    assert ground.files() == mine
    await redo(ground.host, session.id, ALL)
    assert ground.files() == before
    await redo(ground.host, session.id, ALL)
    assert ground.files() == {**AFTER, **mine}


async def test_something_else_is_done_beside_what_was_cut_short(ground: Ground) -> None:
    session = await two_turns(ground)
    start = seq_of(await ground.events(session.id), TurnStarted) - 2
    await cut(ground, DyingBefore, undo(ground.host, session.id, ALL))
    await redo(ground.host, session.id, ALL)
    assert ground.files() == AFTER
    await cut(ground, DyingBefore, rewind(ground.host, session.id, start, ALL))
    later = seq_of(await ground.events(session.id), TurnStarted, 1)
    await rewind(ground.host, session.id, later, ALL)
    assert ground.files() == BEFORE
    await cut(ground, DyingBefore, rewind(ground.host, session.id, start, FILES))
    assert (await undo(ground.host, session.id, CONTEXT)).said == ("second",)
    assert ground.files() == {}


async def test_every_cut_of_an_undo_comes_to_the_whole_of_it(ground: Ground) -> None:
    session = await two_turns(ground)
    begun = len(await ground.events(session.id))
    await undo(ground.host, session.id, ALL)
    done = len(await ground.events(session.id))
    events = await ground.events(session.id)
    first = seq_of(events, RestoreStarted)
    for keep in range(first, done):
        if isinstance(events[keep - 1], FilesRestored):
            continue  # In one commit with the view's.
        await cut_after(ground, session.id, keep)
        resumed = await ground.host.resume(session.id)
        assert heard(resumed.view) == ["first"]
        assert ground.files() == BEFORE
    assert begun < first


async def lost_snapshots(ground: Ground) -> SessionId:
    """A session whose restore was cut short, and whose snapshots are gone."""
    session = await two_turns(ground)
    await undo(ground.host, session.id, ALL)
    events = await ground.events(session.id)
    kept = [data for data in ground.rig.store.brought if not data.startswith(b"hames tree")]
    ground.rig.store = CountingStore(ground.rig.clock)
    claim = await ground.rig.store.claim(session.id)
    await ground.rig.store.append(claim, events[: seq_of(events, RestoreStarted)], kept)
    return session.id


async def test_a_restore_whose_snapshots_are_gone_waits_for_a_repair_and_is_then_given_up(
    ground: Ground,
) -> None:
    session = await lost_snapshots(ground)
    with pytest.raises(DamagedLog):
        await ground.host.resume(session)
    claim = await ground.rig.store.claim(session)
    await ground.rig.store.append(claim, [Repaired(1, 1, "blobs are gone")])
    assert heard((await ground.host.resume(session)).view) == ["first"]
    (restored,) = [event for event in await ground.events(session) if isinstance(event, FilesRestored)]
    assert restored.failed == (".",)


async def test_a_workspace_that_is_gone_cannot_be_put_back(ground: Ground) -> None:
    session = await two_turns(ground)
    await undo(ground.host, session.id, ALL)
    events = await ground.events(session.id)
    await cut_after(ground, session.id, seq_of(events, RestoreStarted))
    shutil.rmtree(ground.root)
    with pytest.raises(StoreError, match="cannot be put back: No such file or directory"):
        await ground.host.resume(session.id)


async def test_a_session_that_is_not_there_cannot_go_back(ground: Ground) -> None:
    with pytest.raises(SessionMissing):
        await undo(ground.host, SessionId("0" * 26), ALL)


async def test_whoever_went_back_lets_go_of_the_session(ground: Ground) -> None:
    session = await two_turns(ground)
    await undo(ground.host, session.id, ALL)
    last = ground.rig.runtime.entered[-1]
    with pytest.raises(Fenced):
        await ground.rig.store.append(msgspec.structs.replace(last, head=0), [TurnStarted(turn=9)])
