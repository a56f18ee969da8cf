from pathlib import Path

import msgspec
import pytest

from hames.core.errors import UsageError
from hames.core.events import (
    CallFinished,
    CallStarted,
    CommandFact,
    Entry,
    FileFact,
    FileIntent,
    Repaired,
    SessionOpened,
    TurnStarted,
)
from hames.core.ids import SessionId
from hames.core.ports import CallContext, ToolResult
from hames.sandboxes.runtime import remove_tree
from hames.session.forking import fork
from hames.session.host import Host
from hames.session.keeping import NoTrees
from hames.session.taking_back import Wanted, redo, rewind, undo
from hames.stores.memory import MemoryStore
from hames.stores.sqlite import open_sqlite
from hames.stores.upkeep import SqliteUpkeep
from hames.testing.scripted import Scripted, ScriptedModel
from tests.rig import BenchTools, ok
from tests.session.ground import Ground, change, doing, heard
from tests.session.test_taking_back import AFTER, BEFORE, JOB, rewrite, seq_of, two_turns, with_live_job

pytestmark = pytest.mark.anyio
ALL = Wanted()


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(
        tmp_path,
        *doing("write a one; write d/b two"),
        *doing("write a other; remove d; write c new; mode c 600"),
    )


async def after_first(ground: Ground, session: SessionId) -> int:
    """The entry that ends the first turn."""
    return seq_of(await ground.events(session), TurnStarted, 1) - 2


async def test_a_fork_goes_on_from_an_entry_with_the_files_as_they_were_then(ground: Ground) -> None:
    session = await two_turns(ground)
    before = await ground.events(session.id)
    through = await after_first(ground, session.id)
    took = await fork(ground.host, session.id, through, ALL)
    assert took.session != session.id
    assert (took.what, took.through, took.said) == ("fork", through, ("second",))
    assert dict(took.changed) == {"a": "content", "c": "removed", "d": "added", "d/b": "added"}
    assert ground.files() == BEFORE
    made = await ground.events(took.session)
    assert made[1:through] == before[1:through]
    opened = made[0]
    assert isinstance(opened, SessionOpened)
    assert (opened.session, opened.parent) == (took.session, session.id)
    assert await ground.events(session.id) == before
    forked = await ground.turn("third", await ground.host.resume(took.session))
    assert heard(forked.view) == ["first", "third"]
    known, body = ground.rig.model.bodies[1], ground.rig.model.bodies[-1]
    end = known.rindex(b'],"options"')
    assert body[:end] == known[:end]


async def test_a_fork_of_the_end_goes_on_with_everything(ground: Ground) -> None:
    session = await two_turns(ground)
    took = await fork(ground.host, session.id, None, ALL)
    assert (took.said, took.changed) == ((), ())
    assert ground.files() == AFTER
    assert heard((await ground.host.resume(took.session)).view) == ["first", "second"]


async def test_undo_in_a_fork_knows_the_user_from_the_other_session(tmp_path: Path) -> None:
    ground = Ground(tmp_path, *doing("write a one"), *doing("write b two"), *doing("write c three"))
    session = await ground.turn("first")
    change(ground.root, "write mine 1")
    await ground.turn("second", session)
    change(ground.root, "write mine 2")
    took = await fork(ground.host, session.id, await after_first(ground, session.id), ALL)
    assert ground.files() == {"a": "644 one", "mine": "644 2"}
    change(ground.root, "write mine 3")
    forked = await ground.turn("third", await ground.host.resume(took.session))
    assert ground.files() == {"a": "644 one", "c": "644 three", "mine": "644 3"}
    await undo(ground.host, forked.id, ALL)
    assert ground.files() == {"a": "644 one", "mine": "644 3"}
    await undo(ground.host, forked.id, ALL)
    assert ground.files() == {"mine": "644 3"}


async def test_the_files_of_a_fork_can_be_brought_back(ground: Ground) -> None:
    session = await two_turns(ground)
    took = await fork(ground.host, session.id, await after_first(ground, session.id), ALL)
    change(ground.root, "write mine too")
    await redo(ground.host, took.session, ALL)
    assert ground.files() == {**AFTER, "mine": "644 too"}


async def test_a_fork_of_the_conversation_alone_leaves_the_files(ground: Ground) -> None:
    session = await two_turns(ground)
    through = await after_first(ground, session.id)
    took = await fork(ground.host, session.id, through, Wanted(files=False))
    assert ground.files() == AFTER
    assert len(await ground.events(took.session)) == through
    assert heard((await ground.host.resume(took.session)).view) == ["first"]


async def test_a_fork_takes_the_conversation_along_and_a_worktree_the_files(
    ground: Ground, tmp_path: Path
) -> None:
    session = await two_turns(ground)
    for wanted, directory in ((Wanted(context=False), None), (Wanted(files=False), str(tmp_path / "copy"))):
        with pytest.raises(UsageError, match="a fork always takes"):
            await fork(ground.host, session.id, None, wanted, directory)


async def test_a_fork_into_a_worktree_has_the_files_as_they_were_and_leaves_these(
    ground: Ground, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    session = await two_turns(ground)
    before = await ground.events(session.id)
    through = await after_first(ground, session.id)
    took = await fork(ground.host, session.id, through, ALL, str(copy))
    assert ground.files() == AFTER
    assert ground.files(copy) == BEFORE
    assert await ground.events(session.id) == before
    forked = await ground.host.resume(took.session)
    assert forked.view.opened is not None
    assert forked.view.opened.workspace == str(copy)
    assert heard(forked.view)[0] == "first"
    assert f"the directory is {copy} now" in heard(forked.view)[1]
    ground.root, was = copy, ground.root
    await ground.turn("third", forked)
    change(copy, "write a mine")
    took = await undo(ground.host, forked.id, ALL)
    assert ground.files(copy) == {**BEFORE, "a": "644 mine"}
    await rewind(ground.host, forked.id, 3, Wanted(force=("a",)))
    assert ground.files(copy) == {}
    assert ground.files(was) == AFTER


async def test_a_worktree_must_be_empty(ground: Ground, tmp_path: Path) -> None:
    session = await two_turns(ground)
    listed = await ground.rig.store.sessions()
    with pytest.raises(UsageError, match="Directory not empty; name a directory that is empty or not there"):
        await fork(ground.host, session.id, None, ALL, str(ground.root))
    assert await ground.rig.store.sessions() == listed


async def test_a_worktree_of_a_session_that_nobody_has_looked_at_is_a_copy_of_what_is_there(
    tmp_path: Path,
) -> None:
    ground = Ground(tmp_path, Scripted(text="hello"))
    change(ground.root, "write mine here")
    session = await ground.turn("hi")
    await fork(ground.host, session.id, None, ALL, str(tmp_path / "copy"))
    assert ground.files(tmp_path / "copy") == {"mine": "644 here"}
    ground.rig.trees = lambda _: NoTrees()
    session = await ground.turn("hi")
    with pytest.raises(UsageError, match="undo is switched off"):
        await fork(ground.host, session.id, None, ALL, str(tmp_path / "other"))


async def test_paths_of_the_old_workspace_are_those_of_the_copy(ground: Ground, tmp_path: Path) -> None:
    root, copy = str(ground.root), str(tmp_path / "copy")

    async def look(arguments: str, context: CallContext) -> ToolResult:
        files = (FileFact(f"{root}/d/b", "0" * 64, "read"), FileFact("/etc/hosts", "1" * 64, "read"))
        cwd = {"in": f"{root}/d", "at": root, "out": "/", "none": None}[arguments]
        return msgspec.structs.replace(ok("seen"), files=files, command=CommandFact(exit_code=0, cwd=cwd))

    for where, expected in (("in", f"{copy}0/d"), ("at", f"{copy}1"), ("out", "/"), ("none", f"{copy}3")):
        number = ["in", "at", "out", "none"].index(where)
        ground.rig.tools = BenchTools({"do": ("effectful", look)})
        ground.rig.model = ScriptedModel(doing(where))
        ground.rig.asked = ground.rig.model
        session = await ground.turn("go")
        took = await fork(ground.host, session.id, None, ALL, f"{copy}{number}")
        view = (await ground.host.resume(took.session)).view
        assert view.cwd == expected
        assert set(view.seen) == {f"{copy}{number}/d/b", "/etc/hosts"}


async def test_what_a_call_was_about_to_write_is_in_the_copy(ground: Ground, tmp_path: Path) -> None:
    session = await two_turns(ground)
    intents = (FileIntent(f"{ground.root}/a", "", "1"),)
    events = [
        msgspec.structs.replace(event, intents=intents) if isinstance(event, CallStarted) else event
        for event in await ground.events(session.id)
    ]
    await rewrite(ground, session.id, events)
    took = await fork(ground.host, session.id, None, ALL, str(tmp_path / "copy"))
    started = [event for event in await ground.events(took.session) if isinstance(event, CallStarted)]
    assert [event.intents[0].path for event in started] == [str(tmp_path / "copy" / "a")] * 2


async def test_a_job_that_was_live_stays_with_the_other_session(tmp_path: Path) -> None:
    ground, session = await with_live_job(tmp_path)
    copy = tmp_path / "copy"
    took = await fork(ground.host, session.id, await after_first(ground, session.id), ALL, str(copy))
    assert ground.files(copy) == {}
    view = (await ground.host.resume(took.session)).view
    assert not view.jobs
    assert f"job {JOB} stayed with session {session.id}" in heard(view)[1]
    with pytest.raises(UsageError, match="--stop-jobs"):
        await fork(ground.host, session.id, None, ALL)
    assert list((await ground.host.resume(session.id)).view.jobs) == [JOB]


async def test_a_turn_that_a_fork_has_the_first_part_of_can_be_gone_on_with(ground: Ground) -> None:
    session = await two_turns(ground)
    events = await ground.events(session.id)
    took = await fork(ground.host, session.id, seq_of(events, CallFinished, 1), ALL)
    forked = await ground.host.resume(took.session)
    assert forked.unfinished
    assert (await forked.go_on()).ending == "done"
    assert ground.files() == AFTER


class NewerStore(MemoryStore):
    """A store in which a newer hames has left an event, and a repair a second opening."""

    async def read(self, session: SessionId, after: int = 0) -> list[Entry]:
        found = list(await super().read(session, after))
        if len(found) > 8:
            found[6] = msgspec.structs.replace(found[6], event=None)
            opened = found[0].event
            found[7] = msgspec.structs.replace(found[7], event=opened)
        return found


async def test_what_cannot_be_taken_along_leaves_its_place(ground: Ground) -> None:
    session = await two_turns(ground)
    newer = NewerStore(ground.rig.clock)
    claim = await newer.claim(session.id)
    await newer.append(claim, await ground.events(session.id), ground.rig.store.brought)
    parts = msgspec.structs.replace(ground.rig.parts, store=newer, blobs=newer, arrivals=newer)
    took = await fork(Host(parts), session.id, None, Wanted(files=False))
    made = [entry.event for entry in await MemoryStore.read(newer, took.session)]
    assert [type(event) for event in made[6:8]] == [Repaired, Repaired]


async def test_a_fork_lives_on_when_the_other_session_is_deleted(tmp_path: Path) -> None:
    ground = Ground(tmp_path, *doing("write a one"), *doing("write a two"), *doing("write b three"))
    async with await open_sqlite(str(tmp_path / "state"), ground.rig.clock) as store:
        ground.store = store
        host = Host(msgspec.structs.replace(ground.rig.parts, store=store, blobs=store, arrivals=store))
        session = await ground.turn("first", await host.open())
        await ground.turn("second", session)
        entries = await store.read(session.id)
        second = [entry.seq for entry in entries if isinstance(entry.event, TurnStarted)][1]
        took = await fork(host, session.id, second - 2, ALL)
        assert ground.files() == {"a": "644 one"}
        upkeep = SqliteUpkeep(str(tmp_path / "state"), ground.rig.clock, remove_tree)
        await upkeep.delete(session.id)
        await upkeep.sweep()
        assert not (await upkeep.check()).damages
        forked = await ground.turn("third", await host.resume(took.session))
        await undo(host, forked.id, ALL)
        assert ground.files() == {"a": "644 one"}
        await undo(host, forked.id, ALL)
        assert ground.files() == {}
