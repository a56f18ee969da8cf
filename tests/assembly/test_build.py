from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from hames.assembly.build import Unsaid, build
from hames.assembly.models import profile_for
from hames.assembly.settings import Flags, Settings
from hames.assembly.settings_file import Choices
from hames.channels.headless import NobodyHere
from hames.core.errors import ArgumentProblem, ConfigError, ModelError, SandboxError
from hames.core.events import CallFinished, CallIntended, Effect
from hames.core.messages import Text
from hames.core.ports import CallContext, Subject, ToolResult, ToolSpec, Words
from hames.policies.modes import Mode
from hames.testing.clock import VirtualClock
from hames.testing.scripted import Scripted, ScriptedCall, ScriptedModel
from tests.assembly.conftest import House

pytestmark = [pytest.mark.anyio, pytest.mark.needs_bwrap]


class City(msgspec.Struct):
    city: str


class Look:
    effect: Effect = "pure"

    def __init__(self, city: str) -> None:
        self._city = city

    def subject(self, cwd: str) -> Subject:
        return Subject("weather")

    async def run(self, context: CallContext) -> ToolResult:
        return ToolResult("ok", (Text(f"Rain in {self._city}."),))


class Weather:
    """A tool that somebody else brings."""

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec("weather", "The weather in a city.", msgspec.Raw(b'{"type":"object"}'))

    def prepare(self, arguments: str) -> Look:
        try:
            return Look(msgspec.json.decode(arguments, type=City).city)
        except msgspec.ValidationError as error:
            raise ArgumentProblem(str(error)) from error


def asks(name: str, /, **arguments: object) -> Scripted:
    return Scripted(calls=(ScriptedCall(name, msgspec.json.encode(arguments).decode()),))


async def played(settings: Settings, *replies: Scripted, mode: Mode = "auto") -> list[object]:
    """The events of one turn with these replies, with every real part but the model."""
    async with build(settings, NobodyHere(), mode, tools=[Weather()], model=ScriptedModel(replies)) as parts:
        session = await parts.host.open()
        await session.say([Words((Text("go"),))])
        return [entry.event for entry in await parts.store.read(session.id)]


def environ(house: House) -> dict[str, str]:
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "XDG_STATE_HOME": str(house.home / "state")}


def told(events: Sequence[object]) -> list[str]:
    finished = [event for event in events if isinstance(event, CallFinished)]
    return [part.text for event in finished for part in event.parts if isinstance(part, Text)]


async def test_a_tool_that_somebody_brings_is_found_and_called_unwrapped(house: House) -> None:
    events = await played(
        house.load(environ=environ(house)),
        asks("find_tools", query="weather"),
        asks("call_tool", name="weather", arguments={"city": "Ulm"}),
        asks("call_tool", name="weather", arguments={}),
    )
    texts = told(events)
    assert "weather" in texts[0]
    assert texts[1] == "Rain in Ulm."
    assert "city" in texts[2]
    called = [event for event in events if isinstance(event, CallIntended)][1]
    assert (called.tool, called.via) == ("weather", "call_tool")


async def test_all_tools_work_together_inside_the_boundary(house: House) -> None:
    secret = house.write(house.home / ".ssh" / "id_ed25519", "the key")
    events = await played(
        house.load(environ=environ(house)),
        asks("write", file_path="a.py", content="x = 1\n"),
        asks("edit", file_path="a.py", old_string="x = 1", new_string="x = 2"),
        asks("bash", command="mkdir sub; cd sub; cat ../a.py"),
        asks("bash", command="pwd"),
        asks("grep", pattern="x = ", output_mode="content", path=".."),
        asks("glob", pattern="**/*.py", path=str(house.workspace)),
        asks("read", file_path=str(secret)),
        asks("bash", command=f"cat {secret}"),
        asks("write", file_path="/etc/hames-was-here", content="x"),
    )
    texts = told(events)
    assert texts[2].startswith("x = 2")
    assert texts[3].strip() == str(house.workspace / "sub")
    assert "a.py" in texts[4]
    assert "a.py" in texts[5]
    assert not any("the key" in text for text in texts)
    assert not Path("/etc/hames-was-here").exists()


async def test_all_parts_keep_the_time_of_the_clock_that_is_given(house: House) -> None:
    clock = VirtualClock(1_000_000.0, jump=True)
    settings = house.load(environ=environ(house))
    busy = ScriptedModel([ModelError("rate", "slow down", wait_s=1200.0)])
    async with build(settings, NobodyHere(), "auto", model=busy, unsaid=Unsaid(clock=clock)) as parts:
        session = await parts.host.open()
        ended = await session.say([Words((Text("go"),))])
        entries = await parts.store.read(session.id)
    assert ended.ending == "done"
    assert clock.elapsed() >= 1200.0
    assert entries[0].at_ms == 1_000_000_000
    assert entries[-1].at_ms >= 1_001_200_000


PATCH = "*** Begin Patch\n*** Add File: a\n+one\n*** End Patch"


@pytest.mark.parametrize(
    ("model", "preferred", "other"), [("openai", "apply_patch", "edit"), ("", "edit", "apply_patch")]
)
async def test_a_model_is_told_of_the_tool_that_it_edits_with_and_either_works(
    house: House, model: str, preferred: str, other: str
) -> None:
    settings = house.load(choices(model=model) if model else None, environ=environ(house))
    replies = (
        asks("apply_patch", input=PATCH),
        asks("edit", file_path="a", old_string="one", new_string="two"),
        asks("call_tool", name="apply_patch", arguments={"input": PATCH.replace("File: a", "File: b")}),
        asks("find_tools", query=other),
    )
    async with build(settings, NobodyHere(), "auto", model=ScriptedModel(replies)) as parts:
        names = [spec.name for spec in parts.tools.specs()]
        session = await parts.host.open()
        await session.say([Words((Text("go"),))])
        events = [entry.event for entry in await parts.store.read(session.id)]
    assert (names[2], other in names) == (preferred, False)
    assert [event.outcome for event in events if isinstance(event, CallFinished)][:3] == ["ok"] * 3
    assert (house.workspace / "a").read_text() == "two\n"
    assert (house.workspace / "b").read_text() == "one\n"
    assert told(events)[3] == "no tool fits; there are go_back"


async def test_a_rule_that_denies_one_path_of_a_patch_denies_all_of_it(house: House) -> None:
    house.write(house.user, '[permissions]\ndeny = ["Edit(./secrets/**)", "Write(./locked)"]\n')
    sections = ("*** Add File: fine\n+x", "*** Add File: locked\n+x", "*** Delete File: secrets/key")
    moved = "*** Update File: old\n*** Move to: secrets/new"
    for path in ("secrets/key", "old"):
        house.write(house.workspace / path, "x\n")
    patches = [f"*** Begin Patch\n{sections[0]}\n{each}\n*** End Patch" for each in (*sections[1:], moved)]
    events = await played(
        house.load(environ=environ(house)),
        *(asks("apply_patch", input=patch) for patch in patches),
        asks("apply_patch", input=PATCH),
    )
    outcomes = [event.outcome for event in events if isinstance(event, CallFinished)]
    assert outcomes == ["denied", "denied", "denied", "ok"]
    found = sorted(path.name for path in house.workspace.rglob("*") if path.is_file())
    assert found == ["a", "key", "old"]


async def test_plan_mode_changes_nothing(house: House) -> None:
    settings = house.load(environ=environ(house))
    events = await played(
        settings, asks("write", file_path="a", content="x"), asks("glob", pattern="*"), mode="plan"
    )
    outcomes = [event.outcome for event in events if isinstance(event, CallFinished)]
    assert outcomes == ["denied", "ok"]
    assert not (house.workspace / "a").exists()


async def test_a_deny_rule_for_reading_binds_commands_too(house: House) -> None:
    house.write(house.workspace / "secrets" / "token", "hidden words")
    house.write(house.user, '[permissions]\ndeny = ["Read(./secrets/token)"]\n')
    events = await played(
        house.load(environ=environ(house)),
        asks("read", file_path="secrets/token"),
        asks("bash", command="cat secrets/t*"),
    )
    assert not any("hidden words" in text for text in told(events))


async def test_a_sandbox_that_is_not_there_stops_the_build(house: House) -> None:
    settings = house.load(environ={"PATH": str(house.home)})
    with pytest.raises(SandboxError, match="bubblewrap"):
        await played(settings, Scripted(text="never"))


def choices(**said: object) -> Flags:
    return Flags(choices=msgspec.convert(said, Choices))


def test_a_base_url_makes_any_name_a_model_unless_it_names_a_provider(house: House) -> None:
    custom = profile_for(house.load(choices(base_url="http://h/v1", model="org/name", window=9000)))
    assert (custom.provider.name, custom.model, custom.facts.window) == ("custom", "org/name", 9000)
    known = profile_for(house.load(choices(base_url="http://h/v1", model="deepseek/deepseek-flash")))
    assert known.provider.name == "deepseek"
    assert profile_for(house.load()).provider.name == "deepseek"
    with pytest.raises(ConfigError, match="--model"):
        profile_for(house.load(choices(base_url="http://h/v1")))
