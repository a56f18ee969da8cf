"""`--until`: real runs over the sample project, with its real tests as the check."""

import shutil
import signal
from pathlib import Path

import anyio
import msgspec
import pytest

import hames.testing
from tests.apps.outside import Outside, bash, calls
from tests.apps.test_cli import said_at, signpost

pytestmark = [pytest.mark.anyio, pytest.mark.needs_bwrap]

SAMPLE = Path(hames.testing.__file__).parent / "sample"
CHECK = "python3 -m unittest"
JSON = ("--output-format", "json")


class Ran(msgspec.Struct, frozen=True):
    command: str
    exit_code: int | None
    seq: int


class Result(msgspec.Struct, frozen=True):
    """What a result says of its ending."""

    ending: str
    code: str
    exit_code: int
    is_error: bool
    reason: str
    num_turns: int
    verified: list[Ran]
    changed_since: bool
    session_id: str


@pytest.fixture
def shop(outside: Outside) -> Outside:
    """The sample project, as a workspace."""
    shutil.copytree(SAMPLE, outside.workspace, dirs_exist_ok=True)
    return outside


def mends(file: str, old: str, new: str) -> dict[str, object]:
    """A reply that reads a file and repairs one thing in it."""
    read: dict[str, object] = {"name": "read", "arguments": {"file_path": file}}
    change = {"file_path": file, "old_string": old, "new_string": new}
    edit: dict[str, object] = {"name": "edit", "arguments": change}
    return calls(read, edit, text="I mend one thing.")


DONE = {"text": "All is done."}
ROUNDS = [
    mends("shop/cart.py", "Line(name, ", "Line(name.strip(), "),
    mends("shop/cart.py", "sum(line.price", "sum(line.quantity * line.price"),
    mends("shop/pages.py", "items // size", "-(-items // size)"),
    mends("shop/pages.py", "start = number * size", "start = number * size - 1"),
    mends("shop/pages.py", "number * size - 1", "(number - 1) * size"),
]


async def goal_events(outside: Outside, session: str, kind: str) -> list[dict[str, object]]:
    ended = await outside.hames("export", session, "--format", "events")
    events = [msgspec.convert(line["event"], dict[str, object]) for line in ended.lines]
    return [event for event in events if event["type"] == kind]


async def test_a_goal_that_needs_five_rounds_is_reached(shop: Outside) -> None:
    replies = [reply for each in ROUNDS for reply in (each, DONE)]
    async with shop.scripted(*replies) as model:
        ended = await shop.hames("-p", "repair it", "--until", CHECK, *JSON, *shop.to(model))
        assert all(seen.extends for seen in model.seen[1:])
    result = msgspec.convert(ended.result, Result)
    assert (result.ending, result.code, result.is_error, result.num_turns) == ("done", "goal", False, 10)
    assert [(ran.command, ran.exit_code) for ran in result.verified] == [(CHECK, 0)]
    assert not result.changed_since
    checks = await goal_events(shop, result.session_id, "GoalChecked")
    assert [check["passed"] for check in checks] == [False] * 4 + [True]
    again = await anyio.run_process(["python3", "-m", "unittest"], cwd=shop.workspace, check=False)
    assert again.returncode == 0


async def test_a_goal_that_is_never_reached_ends_as_blocked(shop: Outside) -> None:
    replies = [{"text": "It works now, all tests pass.", "repeat": 50}]
    async with shop.scripted(*replies) as model:
        flags = ["--until", CHECK, "--max-turns", "40", *JSON]
        ended = await shop.hames("-p", "repair it", *flags, *shop.to(model), check=3)
    result = msgspec.convert(ended.result, Result)
    assert (result.ending, result.code, result.num_turns) == ("blocked", "goal_stuck", 3)
    assert result.is_error
    assert result.reason == f"the check of the goal fails in the same way and nothing changes: `{CHECK}`"
    assert [ran.exit_code for ran in result.verified] == [1]


async def test_a_goal_whose_changes_change_nothing_ends_as_blocked_too(outside: Outside) -> None:
    tries = [reply for number in range(20) for reply in (calls(bash(f"echo {number} > try")), DONE)]
    async with outside.scripted(*tries) as model:
        flags = ["--until", "test -f wanted", "--max-turns", "60"]
        ended = await outside.hames("-p", "go", *flags, *outside.to(model), check=3)
    assert "failed 9 times in the same way: `test -f wanted` (blocked, exit 3)" in ended.err
    assert "hames: not verified after the last change: `test -f wanted` exit 1" in ended.err


async def test_a_step_limit_ends_a_goal_before_it_is_reached(shop: Outside) -> None:
    replies = [reply for each in ROUNDS for reply in (each, DONE)]
    async with shop.scripted(*replies) as model:
        flags = ["--until", CHECK, "--max-turns", "5", *JSON]
        ended = await shop.hames("-p", "repair it", *flags, *shop.to(model), check=53)
    result = msgspec.convert(ended.result, Result)
    assert (result.ending, result.is_error, result.changed_since) == ("step_limit", True, True)


async def test_a_check_that_cannot_run_ends_as_blocked_and_says_so(outside: Outside) -> None:
    async with outside.scripted({"text": "done", "repeat": 9}) as model:
        ended = await outside.hames("-p", "go", "--until", "no-such-program", *outside.to(model), check=3)
    assert "the check of the goal cannot run (exit code 127): `no-such-program`" in ended.err
    assert len(model.seen) == 2


async def test_a_check_runs_in_the_sandbox_at_the_root_of_the_workspace(outside: Outside) -> None:
    check = "! touch /etc/x && pwd > where"
    (outside.workspace / "below").mkdir()
    async with outside.scripted(calls(bash("cd below")), DONE) as model:
        await outside.hames("-p", "go", "--until", check, *outside.to(model))
    assert (outside.workspace / "where").read_text() == f"{outside.workspace}\n"


async def test_a_check_that_hides_its_end_is_told_of_and_verifies_nothing(outside: Outside) -> None:
    async with outside.scripted(DONE) as model:
        words = ("-p", "go", "--until", f"{CHECK} | tail -1", *JSON, *outside.to(model))
        ended = await outside.hames(*words)
    assert "can end well although its check fails" in ended.err
    assert [ran.exit_code for ran in msgspec.convert(ended.result, Result).verified] == [None]


async def test_a_check_has_a_time_out_of_its_own(outside: Outside) -> None:
    async with outside.scripted({"text": "done", "repeat": 9}) as model:
        flags = ["--until", "sleep 600", "--until-timeout", "0.3", *JSON]
        ended = await outside.hames("-p", "go", *flags, *outside.to(model), check=3)
    assert ended.result["code"] == "goal_stuck"


async def test_what_a_check_changes_goes_back_with_the_turn(outside: Outside) -> None:
    async with outside.scripted(DONE) as model:
        await outside.hames("-p", "go", "--until", "echo left > cache", *outside.to(model))
    assert (outside.workspace / "cache").exists()
    await outside.hames("undo")
    assert not (outside.workspace / "cache").exists()


async def test_a_long_failure_is_condensed_and_can_be_read_whole(outside: Outside) -> None:
    check = "test -f wanted || { seq 100000; exit 1; }"
    look = {"name": "grep", "arguments": {"pattern": "^77777$", "path": "output://check.1"}}
    async with outside.scripted(DONE, {"calls": [look]}, calls(bash("touch wanted")), DONE) as model:
        flags = ["--until", check, "--output-format", "stream-json"]
        ended = await outside.hames("-p", "go", *flags, *outside.to(model))
    told = [str(line["content"]) for line in ended.lines if line.get("subtype") == "goal_check"]
    assert len(told[0]) < 8000
    assert "all of it: read file_path=output://check.1" in told[0]
    assert "77777" in str(next(line for line in ended.lines if line["type"] == "user"))


async def test_a_session_keeps_its_goal_until_it_is_lifted(outside: Outside) -> None:
    lives = calls(bash("touch wanted"))
    async with outside.scripted(DONE, DONE, DONE, lives, DONE, calls(bash("rm wanted")), DONE) as model:
        to = [*outside.to(model), *JSON]
        first = await outside.hames("-p", "go", "--until", "test -f wanted", *to, check=3)
        session = str(first.result["session_id"])
        second = await outside.hames("-p", "on", "--resume", session, *to)
        assert (second.result["code"], second.result["ending"]) == ("goal", "done")
        lifted = await outside.hames("-p", "on", "--resume", session, "--until", "off", *to)
        assert (lifted.result["code"], lifted.result["changed_since"]) == ("", True)
        assert len(await goal_events(outside, session, "GoalSet")) == 2


@pytest.mark.parametrize("words", [[], ["-p", "and now?"]])
async def test_a_run_that_is_killed_in_a_check_runs_it_again_and_never_twice_at_once(
    outside: Outside, words: list[str]
) -> None:
    place = signpost(outside)
    check = "mkdir lock || exit 9; echo x >> ran; [ -e second ] && exit 0; echo > signpost; sleep 600"
    async with outside.scripted({"text": "done", "repeat": 9}) as model:
        async with outside.started("-p", "go", "--until", check, *outside.to(model)) as process:
            await said_at(place)
            process.send_signal(signal.SIGKILL)
            await process.wait()
        (outside.workspace / "second").touch()
        (outside.workspace / "lock").rmdir()
        flags = words or ["-p"]
        ended = await outside.hames(*flags, "--continue", *outside.to(model), *JSON)
    assert (ended.result["ending"], ended.result["code"]) == ("done", "goal")
    assert len((outside.workspace / "ran").read_text().split()) == 2
    checks = await goal_events(outside, str(ended.result["session_id"]), "GoalChecked")
    assert [check["passed"] for check in checks] == [False, True]


async def test_a_check_is_stopped_with_the_run(outside: Outside) -> None:
    async with outside.scripted({"text": "done", "repeat": 9}) as model:
        place = signpost(outside)
        flags = ["--until", "echo > signpost; sleep 600; touch late"]
        async with outside.started("-p", "go", *flags, *outside.to(model)) as process:
            await said_at(place)
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 130
    assert not (outside.workspace / "late").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--until", " "], "--until needs a command"),
        (["--until-timeout", "3"], "--until-timeout goes with --until"),
        (["--until", "true", "--until-timeout", "0"], "--until-timeout takes a number of seconds above 0"),
    ],
)
async def test_a_goal_that_is_none_is_refused(outside: Outside, flags: list[str], words: str) -> None:
    ended = await outside.hames("-p", "go", *flags, check=2)
    assert words in ended.err


async def test_a_goal_is_set_in_a_conversation(outside: Outside) -> None:
    async with outside.scripted(DONE, calls(bash("touch wanted")), DONE) as model:
        lines = b"/goal test -f wanted\ngo\n/goal\n"
        ended = await outside.hames(*outside.to(model), stdin=lines)
    assert "goal: `test -f wanted` failed, exit 1" in ended.out
    assert "goal: `test -f wanted` passed" in ended.out
