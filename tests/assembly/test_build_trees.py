import os
from pathlib import Path

import msgspec
import pytest

from hames.assembly.build import build
from hames.assembly.settings import Flags, Settings
from hames.assembly.settings_file import Choices
from hames.channels.headless import NobodyHere
from hames.core.events import CallFinished, CallStarted, Entry, SessionOpened, SnapshotTaken
from hames.core.ids import SessionId
from hames.core.messages import Text
from hames.core.ports import Notice, Passing, Words
from hames.testing.scripted import Scripted, ScriptedCall, ScriptedModel
from tests.assembly.conftest import House

pytestmark = [pytest.mark.anyio, pytest.mark.needs_bwrap]


class Watcher:
    """Keeps what is told and not kept."""

    def __init__(self) -> None:
        self.told: list[Passing] = []

    def entry(self, entry: Entry) -> None:
        """Nothing."""

    def delta(self, step: int, delta: Passing) -> None:
        self.told.append(delta)


async def bash(
    settings: Settings, command: str, session: SessionId | None = None
) -> tuple[list[object], Watcher]:
    """What a session logs in which the agent runs one command, and what a listener is told."""
    arguments = msgspec.json.encode({"command": command}).decode()
    model = ScriptedModel([Scripted(calls=(ScriptedCall("bash", arguments),)), Scripted(text="done")])
    watcher = Watcher()
    async with build(settings, NobodyHere(), "auto", model=model) as parts:
        parts.listeners.add(watcher)
        opened = await (parts.host.open() if session is None else parts.host.resume(session))
        await opened.say([Words((Text("go"),))])
        return [entry.event for entry in await parts.store.read(opened.id)], watcher


def trees(events: list[object]) -> list[object]:
    """The trees before and after each call."""
    return [
        event.tree_before if isinstance(event, CallStarted) else event.tree_after
        for event in events
        if isinstance(event, CallStarted | CallFinished)
    ]


def packs(events: list[object]) -> list[object]:
    return [pack for event in events if isinstance(event, SnapshotTaken) for pack in event.packs]


async def test_what_a_command_changes_is_another_tree(house: House) -> None:
    (house.workspace / "a").write_text("one")
    events, _ = await bash(house.load(), "echo two > a")
    before, after = trees(events)
    assert before is not None
    assert after not in (None, before)
    assert len(packs(events)) == 2


async def test_without_undo_no_snapshot_is_taken(house: House) -> None:
    events, _ = await bash(house.load(Flags(Choices(undo=False))), "echo two > a")
    assert trees(events) == [None, None]
    assert packs(events) == []


async def test_another_session_of_the_workspace_keeps_nothing_twice(house: House) -> None:
    (house.workspace / "a").write_text("one")
    first, _ = await bash(house.load(), "true")
    second, _ = await bash(house.load(), "true")
    assert packs(first) == packs(second)
    assert len(packs(first)) == 1


async def test_a_resumed_session_builds_on_its_last_tree(house: House) -> None:
    (house.workspace / "a").write_text("one")
    first, _ = await bash(house.load(), "echo two > a")
    opened = first[0]
    assert isinstance(opened, SessionOpened)
    both, _ = await bash(house.load(), "true", opened.session)
    assert trees(both)[2:] == [trees(both)[1]] * 2
    assert packs(both) == packs(first)


async def test_what_is_ignored_goes_first_when_it_is_too_much_and_is_named(house: House) -> None:
    (house.workspace / ".gitignore").write_text("node_modules\n")
    (house.workspace / "node_modules").mkdir()
    for name in "abc":
        (house.workspace / "node_modules" / name).write_text("large")
    _, watcher = await bash(house.load(Flags(Choices(undo_files=2))), "true")
    notices = [told.words for told in watcher.told if isinstance(told, Notice)]
    assert notices == ["undo does not cover: node_modules (ignored, 3 files, 15 bytes)"]


async def test_what_no_command_can_see_is_not_looked_at(house: House, tmp_path: Path) -> None:
    secret = house.home / ".ssh"
    secret.mkdir()
    (secret / "id").write_text("a key")
    settings = house.load(Flags(workspace=str(house.home)))
    events, _ = await bash(settings, "true")
    kept = b"".join(
        Path(above, name).read_bytes()
        for above, _, names in os.walk(settings.directories.state)
        for name in names
    )
    assert packs(events) == []
    assert b"a key" not in kept
