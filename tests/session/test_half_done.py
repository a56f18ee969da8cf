"""A call over several files whose process died between two of them."""

from pathlib import Path

import msgspec
import pytest

from hames.core.events import AnyEvent, CallFinished, CallLost, CallStarted
from hames.core.messages import Text, plain
from hames.core.ports import Words
from hames.session.session import Session
from hames.testing.local import LocalFiles
from hames.testing.scripted import Scripted, ScriptedCall
from hames.tools.patch import ApplyPatch
from hames.tools.toolbox import Toolbox
from tests.rig import Rig

pytestmark = pytest.mark.anyio
GO = [Words((Text("go"),))]
PATCH = """*** Begin Patch
*** Update File: a
-one
+two
*** Add File: b
+new
*** Delete File: c
*** End Patch"""
BEFORE = {"a": "one\n", "c": "old\n"}
AFTER = {"a": "two\n", "b": "new\n"}


def put(place: Path, files: dict[str, str]) -> None:
    """The workspace as it is to be found."""
    for path in place.iterdir():
        path.unlink()
    for name, text in files.items():
        (place / name).write_text(text)


def found(place: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in place.iterdir()}


async def cut_short(place: Path, left: dict[str, str]) -> tuple[Rig, Session]:
    """The session as the next process finds it, with these files."""
    arguments = msgspec.json.encode({"input": PATCH}).decode()
    rig = Rig(Scripted(calls=(ScriptedCall("apply_patch", arguments),)))
    rig.tools, rig.workspace = Toolbox([ApplyPatch(LocalFiles())]), str(place)
    put(place, BEFORE)
    session = await rig.open()
    await session.say(GO)
    assert found(place) == AFTER
    events = [entry.event for entry in await rig.store.read(session.id)]
    last = max(index for index, event in enumerate(events) if isinstance(event, CallStarted))
    cut = Rig(Scripted(text="went on"))
    cut.tools, cut.clock, cut.workspace = rig.tools, rig.clock, rig.workspace
    claim = await cut.store.claim(session.id)
    kept: list[AnyEvent] = [event for event in events[: last + 1] if event is not None]
    await cut.store.append(claim, kept, rig.store.brought)
    put(place, left)
    return cut, await cut.host.resume(session.id)


async def end(rig: Rig, session: Session) -> CallFinished | CallLost:
    (event,) = (e for e in await rig.logged(session) if isinstance(e, CallFinished | CallLost))
    return event


async def starts(rig: Rig, session: Session) -> list[CallStarted]:
    return [e for e in await rig.logged(session) if isinstance(e, CallStarted)]


HALVES = (
    {"a": "two\n", "c": "old\n"},
    {"a": "two\n", "b": "new\n", "c": "old\n"},
    {"a": "one\n", "b": "new\n"},
    {"a": "one\n", "b": "new\n", "c": "old\n"},
)


@pytest.mark.parametrize("half", HALVES)
async def test_the_rest_is_done_by_the_next_attempt_and_what_was_done_is_left(
    tmp_path: Path, half: dict[str, str]
) -> None:
    rig, session = await cut_short(tmp_path, half)
    kept = {name: (tmp_path / name).stat().st_mtime_ns for name in half if half[name] == AFTER.get(name)}
    await session.go_on()
    assert found(tmp_path) == AFTER
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in kept} == kept
    event = await end(rig, session)
    assert isinstance(event, CallFinished)
    assert event.outcome == "ok"
    first, second = await starts(rig, session)
    assert (first.attempt, second.attempt) == (1, 2)
    assert first.intents == second.intents


@pytest.mark.parametrize(("left", "number"), [(BEFORE, 2), (AFTER, 1)])
async def test_all_or_nothing_is_settled_as_a_single_file_is(
    tmp_path: Path, left: dict[str, str], number: int
) -> None:
    rig, session = await cut_short(tmp_path, left)
    await session.go_on()
    assert found(tmp_path) == AFTER
    event = await end(rig, session)
    assert isinstance(event, CallFinished)
    assert len(await starts(rig, session)) == number
    assert set(session.view.seen) == {str(tmp_path / name) for name in AFTER}


async def test_nothing_more_is_done_when_the_user_has_saved_one_of_the_files(tmp_path: Path) -> None:
    left = {"a": "the user's own\n", "b": "new\n", "c": "old\n"}
    rig, session = await cut_short(tmp_path, left)
    await session.go_on()
    assert found(tmp_path) == left
    event = await end(rig, session)
    assert isinstance(event, CallLost)
    assert "[b was written before hames was stopped" in plain(event.parts)
    assert "a is there now, with other content" in plain(event.parts)


async def test_with_new_words_the_half_is_told_and_left(tmp_path: Path) -> None:
    rig, session = await cut_short(tmp_path, HALVES[0])
    await session.say([Words((Text("something else"),))])
    assert found(tmp_path) == HALVES[0]
    event = await end(rig, session)
    assert isinstance(event, CallLost)
    assert "[a was written before hames was stopped, and is as intended]" in plain(event.parts)
    assert "as before the call: b, c" in plain(event.parts)
