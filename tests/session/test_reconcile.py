from pathlib import Path

import msgspec
import pytest

from hames.core.events import AnyEvent, CallFinished, CallLost, CallStarted, TurnEnded
from hames.core.ids import blob_id
from hames.core.messages import Text
from hames.core.ports import Tool, Words
from hames.session.session import Session
from hames.testing.local import LocalFiles
from hames.testing.scripted import Scripted, ScriptedCall
from hames.tools.edit import Edit
from hames.tools.toolbox import Toolbox
from hames.tools.write import Write
from tests.rig import Rig

pytestmark = pytest.mark.anyio
GO = [Words((Text("go"),))]


def call(name: str, **arguments: str) -> Scripted:
    return Scripted(calls=(ScriptedCall(name, msgspec.json.encode(arguments).decode()),))


def write(path: Path, content: str) -> Scripted:
    return call("write", file_path=str(path), content=content)


def edit(path: Path, old: str, new: str) -> Scripted:
    return call("edit", file_path=str(path), old_string=old, new_string=new)


class Killed:
    """A session whose process died right after a call was started, before it could do anything."""

    def __init__(self, *replies: Scripted, more: tuple[Tool, ...] = ()) -> None:
        files = LocalFiles()
        self.tools = Toolbox([Write(files), Edit(files), *more])
        self.replies = replies

    async def found(self, path: Path, before: str | None) -> tuple[Rig, Session]:
        """The session as the next process finds it; the file is as it was `before` the call."""
        rig = Rig(*self.replies)
        rig.tools = self.tools
        session = await rig.open()
        await session.say(GO)
        events = [entry.event for entry in await rig.store.read(session.id)]
        last = max(index for index, event in enumerate(events) if isinstance(event, CallStarted))
        cut = Rig(Scripted(text="went on"))
        cut.tools, cut.clock = self.tools, rig.clock
        claim = await cut.store.claim(session.id)
        kept: list[AnyEvent] = [event for event in events[: last + 1] if event is not None]
        await cut.store.append(claim, kept, rig.store.brought)
        path.unlink(missing_ok=True)
        if before is not None:
            path.write_text(before)
        return cut, await cut.host.resume(session.id)


async def ends(rig: Rig, session: Session) -> list[CallFinished | CallLost]:
    return [e for e in await rig.logged(session) if isinstance(e, CallFinished | CallLost)]


def told(event: CallFinished | CallLost) -> str:
    return "\n".join(part.text for part in event.parts if isinstance(part, Text))


async def test_a_start_says_what_it_is_about_to_make_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    rig, session = await Killed(write(path, "new")).found(path, None)
    started = next(e for e in await rig.logged(session) if isinstance(e, CallStarted))
    (intent,) = started.intents
    assert (intent.path, intent.before, intent.after) == (str(path), "", blob_id(b"new"))


async def test_a_mended_call_that_is_found_done_is_still_told_as_mended(tmp_path: Path) -> None:
    path = tmp_path / "a"
    arguments = f"{{'file_path': '{path}', 'content': 'new'}}"
    reply = Scripted(calls=(ScriptedCall("Write", arguments),))
    rig, session = await Killed(reply).found(path, "new")
    await session.go_on()
    (end,) = await ends(rig, session)
    note, _, rest = told(end).partition("\n")
    assert (
        note
        == '[mended: "Write" was taken for the tool write; the arguments were no valid JSON: single quotes]'
    )
    assert rest
    assert "[mended" not in rest


async def test_a_write_that_was_not_done_is_done_now(tmp_path: Path) -> None:
    path = tmp_path / "a"
    rig, session = await Killed(write(path, "new")).found(path, None)
    await session.go_on()
    assert path.read_text() == "new"
    (event,) = await ends(rig, session)
    assert isinstance(event, CallFinished)
    assert event.outcome == "ok"
    started = [e.attempt for e in await rig.logged(session) if isinstance(e, CallStarted)]
    assert started == [1, 2]


async def test_a_write_that_was_done_is_not_done_again(tmp_path: Path) -> None:
    path = tmp_path / "a"
    rig, session = await Killed(write(path, "new")).found(path, "new")
    was = path.stat().st_mtime_ns, path.stat().st_ino
    await session.go_on()
    (event,) = await ends(rig, session)
    assert isinstance(event, CallFinished)
    assert event.outcome == "ok"
    assert "as intended" in told(event)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == was
    assert session.view.seen[str(path)] == blob_id(b"new")


async def test_a_file_that_the_user_has_saved_since_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a"
    rig, session = await Killed(write(path, "new")).found(path, "the user's own words")
    await session.go_on()
    assert path.read_text() == "the user's own words"
    (event,) = await ends(rig, session)
    assert isinstance(event, CallLost)
    assert "neither as it was before the call nor as intended" in told(event)


@pytest.mark.parametrize(
    ("found", "kind", "after"),
    [
        ("x = 1\n", CallFinished, "x = 2\n"),
        ("x = 2\n", CallFinished, "x = 2\n"),
        ("x = 3\n", CallLost, "x = 3\n"),
    ],
)
async def test_an_edit_is_settled_by_what_the_file_says(
    tmp_path: Path, found: str, kind: type[CallFinished | CallLost], after: str
) -> None:
    path = tmp_path / "a.py"
    path.write_text("x = 1\n")
    rig, session = await Killed(edit(path, "x = 1", "x = 2")).found(path, found)
    await session.go_on()
    (event,) = await ends(rig, session)
    assert isinstance(event, kind)
    assert path.read_text() == after


async def test_a_file_that_is_gone_since_is_not_made_again(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("x = 1\n")
    rig, session = await Killed(edit(path, "x = 1", "x = 2")).found(path, None)
    await session.go_on()
    (event,) = await ends(rig, session)
    assert isinstance(event, CallLost)
    assert "is gone" in told(event)
    assert not path.exists()


async def test_a_place_that_cannot_be_looked_at_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a"
    rig, session = await Killed(write(path, "new")).found(path, None)
    path.mkdir()
    await session.go_on()
    (event,) = await ends(rig, session)
    assert isinstance(event, CallLost)
    assert "cannot be looked at" in told(event)


@pytest.mark.parametrize(
    ("found", "outcome"), [("new", "ok"), (None, "not_run"), ("the user's own words", "lost")]
)
async def test_with_new_words_the_truth_is_told_and_nothing_is_written(
    tmp_path: Path, found: str | None, outcome: str
) -> None:
    path = tmp_path / "a"
    rig, session = await Killed(write(path, "new")).found(path, found)
    await session.say([Words((Text("something else"),))])
    (event,) = await ends(rig, session)
    assert (event.outcome if isinstance(event, CallFinished) else "lost") == outcome
    assert (path.read_text() if path.exists() else None) == found
    first = next(e for e in await rig.logged(session) if isinstance(e, TurnEnded))
    assert first.code == "interrupted"


async def test_a_call_that_finds_beforehand_that_it_cannot_be_done_is_not_started(tmp_path: Path) -> None:
    rig = Rig(edit(tmp_path / "nowhere", "a", "b"), Scripted(text="I see"))
    rig.tools = Killed().tools
    session = await rig.open()
    await session.say(GO)
    (event,) = await ends(rig, session)
    assert isinstance(event, CallFinished)
    assert event.outcome == "failed"
    assert not any(isinstance(e, CallStarted) for e in await rig.logged(session))


async def test_a_tool_that_cannot_look_any_more_leaves_the_call_lost(tmp_path: Path) -> None:
    path = tmp_path / "a"
    rig, session = await Killed(write(path, "new")).found(path, "new")
    rig.tools = Rig().tools
    again = await rig.host.resume(session.id)
    await again.go_on()
    (event,) = await ends(rig, again)
    assert isinstance(event, CallLost)
