"""The ways a headless run lies, each tried on a real one: what its end says is what happened.

Others stand elsewhere: work that outlives its wait, a detached job, a signal in a command, the step limit
(`test_cli.py`, `test_outlive.py`); a check of `--until` that fails while the model says that it is done, or
cannot run (`test_goal.py`); money, tokens and time that end a run (`test_limits.py`); a full disk, a wrong
key, settings and flags that cannot hold (`test_bad_input.py`); every fault of a provider on every wire
(`test_faults.py`); patience that ends (`test_outage.py`); a crash in the midst of a turn
(`tests/channels/test_headless.py`).
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio
import anyio.abc
import anyio.lowlevel
import msgspec
import pytest

from tests.apps.outside import HAMES, Ended, Outside, bash, calls
from tests.apps.test_outlive import ENOUGH_S, Pipe, both
from tests.sandboxes.processes import supervisors

pytestmark = [pytest.mark.anyio, pytest.mark.needs_bwrap]

JSON = ("--output-format", "json")
BARE = ("--sandbox", "none", "--permission-mode", "auto")
DONE = {"text": "All is done, and all tests pass."}
AT_ONCE = ("--patience", "0")


class Ran(msgspec.Struct, frozen=True):
    command: str
    exit_code: int | None


class Call(msgspec.Struct, frozen=True):
    tool_name: str
    why: str


class Result(msgspec.Struct, frozen=True):
    """What a result says of its ending."""

    is_error: bool
    ending: str
    code: str
    exit_code: int
    result: str
    num_turns: int
    verified: list[Ran]
    changed_since: bool
    permission_denials: list[Call]
    lost_calls: list[Call]
    jobs: list[object]

    @property
    def checks(self) -> list[tuple[str, int | None]]:
        return [(ran.command, ran.exit_code) for ran in self.verified]


def said_by(ended: Ended) -> Result:
    """The result, which says the same as the process."""
    result = msgspec.convert(ended.result, Result)
    assert result.exit_code == ended.code
    assert result.is_error is (result.ending != "done")
    assert (ended.code == 0) is (result.ending == "done")
    return result


async def run(outside: Outside, *replies: object, code: int = 0, flags: Sequence[str] = ()) -> Result:
    """One run against a model that says this."""
    async with outside.scripted(*replies) as model:
        return said_by(await outside.hames("-p", "go", *JSON, *flags, *outside.to(model), check=code))


async def in_shell(outside: Outside, line: str, *words: str) -> Ended:
    """A line of shell in which HAMES is the command with these words."""
    command = " ".join((*HAMES, *words))
    ran = await anyio.run_process(
        ["bash", "-c", line.replace("HAMES", command)], check=False, env=outside.env, cwd=outside.workspace
    )
    return Ended(ran.returncode, ran.stdout, ran.stderr)


# Work in the background


async def test_a_job_that_fails_after_the_last_word_is_told_before_the_run_is_over(outside: Outside) -> None:
    makes = "while [ ! -e go ]; do sleep 0.05; done; touch made; exit 7"
    job = bash(f"{makes}; make check", run_in_background=True)
    replies = [calls(job), {"text": "Done."}, {"text": "It failed."}]
    async with outside.scripted(*replies) as model, anyio.create_task_group() as tasks:

        async def fail_after_the_last_word() -> None:
            while model.served < 2:
                await anyio.lowlevel.checkpoint()
            (outside.workspace / "go").touch()

        tasks.start_soon(fail_after_the_last_word)
        result = said_by(await outside.hames("-p", "go", *JSON, *outside.to(model)))
        assert (result.result, result.num_turns) == ("It failed.", 3)


async def test_a_check_in_the_background_counts_by_its_own_exit_code(outside: Outside) -> None:
    (outside.workspace / "Makefile").write_text("check:\n\t@false\n")
    result = await run(outside, calls(bash("make check", run_in_background=True)), DONE, DONE)
    assert result.checks == [("make check", 2)]


# Replies that are none, or not whole


@pytest.mark.parametrize("reply", [{"text": ""}, {"text": " \n\n"}, {"reasoning": "I should say something."}])
async def test_a_model_that_says_nothing_has_not_done_it(outside: Outside, reply: dict[str, object]) -> None:
    silence = {**reply, "repeat": 20}
    result = await run(outside, calls(bash("echo 1")), silence, code=75, flags=AT_ONCE)
    assert (result.ending, result.code) == ("failed", "empty")


@pytest.mark.parametrize("fault", ["no_finish", "cut_text", "reset_midway"])
async def test_a_reply_without_its_end_is_no_answer(outside: Outside, fault: str) -> None:
    half = {"text": "All is done.", "fault": fault, "chunk": 3, "repeat": 20}
    result = await run(outside, half, code=75, flags=AT_ONCE)
    assert result.code in ("cut", "transport")


async def test_a_reply_that_the_limit_cut_is_gone_on_with_and_told_whole(outside: Outside) -> None:
    cut = {"text": "1, 2, ", "finish": "length"}
    result = await run(outside, cut, {"text": "3, 4, ", "finish": "length"}, {"text": "5."})
    assert (result.result, result.num_turns) == ("1, 2, 3, 4, 5.", 3)


async def test_a_reply_that_is_always_cut_is_never_done(outside: Outside) -> None:
    result = await run(outside, {"text": "and so ", "finish": "length", "repeat": 50}, code=3)
    assert (result.ending, result.code) == ("blocked", "stuck")


async def test_a_reply_that_ended_in_an_unknown_way_is_not_vouched_for(outside: Outside) -> None:
    odd = {"text": "half of", "finish": "who_knows"}
    assert (await run(outside, odd)).code == "unknown_finish"
    async with outside.scripted(odd) as model:
        ended = await outside.hames("-p", "go", *outside.to(model))
    assert "it may not be whole" in ended.err


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ({"text": "I begin", "finish": "content_filter"}, "content_filter"),
        ({"finish": "content_filter"}, "refused"),
        ({"text": "I begin", "calls": [bash("touch x")], "finish": "content_filter"}, "refused"),
    ],
)
async def test_what_a_content_filter_stopped_is_refused(
    outside: Outside, reply: dict[str, object], code: str
) -> None:
    result = await run(outside, {**reply, "repeat": 9}, code=1)
    assert (result.ending, result.code) == ("refused", code)
    assert not (outside.workspace / "x").exists()


# Errors of the provider


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (400, "rejected", 1),
        (401, "auth", 41),
        (402, "balance", 41),
        (403, "auth", 41),
        (404, "unknown_model", 52),
        (413, "overflow", 1),
        (422, "rejected", 1),
        (429, "rate", 75),
        (500, "overload", 75),
        (502, "overload", 75),
        (503, "overload", 75),
        (529, "overload", 75),
    ],
)
async def test_an_error_of_the_provider_is_an_error_also_after_good_steps(
    outside: Outside, status: int, code: str, exit_code: int
) -> None:
    error = {"status": status, "message": "no", "repeat": 20}
    begun = calls(bash("echo 1"), text="I begin.")
    result = await run(outside, begun, error, code=exit_code, flags=AT_ONCE)
    assert (result.ending, result.code, result.num_turns) == ("failed", code, 1)
    assert "no" in result.result


@pytest.mark.parametrize(
    ("body", "code", "exit_code"),
    [
        ('{"error": {"message": "bad key", "type": "authentication_error"}}', "auth", 41),
        ("<html><body>Please log in</body></html>", "cut", 75),
        ("{}", "cut", 75),
    ],
)
async def test_a_status_of_200_does_not_make_an_error_an_answer(
    outside: Outside, body: str, code: str, exit_code: int
) -> None:
    result = await run(outside, {"body": body, "repeat": 20}, code=exit_code, flags=AT_ONCE)
    assert (result.ending, result.code) == ("failed", code)


# What was denied, what failed, what is not known


async def test_what_a_person_must_allow_is_not_done_by_looking_at_something_else(outside: Outside) -> None:
    (outside.workspace / "notes").write_text("nothing\n")
    looks = calls({"name": "read", "arguments": {"file_path": "notes"}})
    flags = ("--permission-mode", "accept_edits")
    result = await run(outside, calls(bash("make install")), looks, DONE, code=3, flags=flags)
    assert (result.ending, result.code) == ("blocked", "approval")
    assert [call.tool_name for call in result.permission_denials] == ["bash"]


async def test_what_a_rule_forbids_is_told_beside_the_models_words(outside: Outside) -> None:
    flags = ("--disallowed-tools", "Bash(make:*)")
    result = await run(outside, calls(bash("make install")), DONE, flags=flags)
    assert [call.tool_name for call in result.permission_denials] == ["bash"]
    async with outside.scripted(calls(bash("make install")), DONE) as model:
        ended = await outside.hames("-p", "go", *flags, *outside.to(model))
    assert "hames: denied: bash: " in ended.err


PASSES = "check:\n\t@true\n"
FAILS = "check:\n\t@echo 1 failed; exit 1\n"


@pytest.mark.parametrize(
    ("steps", "checks", "changed"),
    [
        (["make check"], [("make check", 0)], False),
        (["make check", "echo x > code"], [], True),
        (["echo x > code", "make check"], [("make check", 0)], False),
        (["cp bad Makefile", "make check"], [("make check", 2)], False),
        (["cp bad Makefile", "make check | tail -1"], [("make check | tail -1", None)], False),
        (["cp bad Makefile", "make check || true"], [("make check || true", None)], False),
        (["make check", "cp bad Makefile", "cat Makefile"], [], True),
    ],
)
async def test_all_tests_pass_is_what_was_run_after_the_last_change_and_not_what_is_said(
    outside: Outside, steps: Sequence[str], checks: Sequence[tuple[str, int | None]], changed: bool
) -> None:
    (outside.workspace / "Makefile").write_text(PASSES)
    (outside.workspace / "bad").write_text(FAILS)
    result = await run(outside, *(calls(bash(step)) for step in steps), DONE)
    assert (result.checks, result.changed_since) == (list(checks), changed)


async def test_a_failed_check_that_nobody_looked_at_again_stands_beside_the_final_words(
    outside: Outside,
) -> None:
    (outside.workspace / "Makefile").write_text(FAILS)
    async with outside.scripted(calls(bash("make check")), DONE) as model:
        ended = await outside.hames("-p", "go", *outside.to(model))
    assert ended.out == "All is done, and all tests pass.\n"
    assert "hames: not verified after the last change: `make check` exit 2" in ended.err


@pytest.mark.parametrize("killed", [True, False])
async def test_a_call_whose_outcome_is_not_known_is_told_of(outside: Outside, killed: bool) -> None:
    ready = Pipe(outside.workspace / "ready")
    deploys = bash("echo half > deployed; echo on > ready; read < ready")
    async with outside.scripted(calls(deploys), DONE) as model:
        to = outside.to(model)
        async with outside.started("-p", "go", *JSON, *to) as process:
            await ready.read()
            if killed:
                process.kill()
                await process.wait()
            for pid in supervisors(outside.state):
                os.kill(pid, signal.SIGKILL)
            ended = await whole(process)
        if killed:
            ended = await outside.hames("-p", "--continue", *JSON, *to)
    result = said_by(ended)
    assert [call.tool_name for call in result.lost_calls] == ["bash"]
    assert result.changed_since


async def whole(process: anyio.abc.Process) -> Ended:
    """What a run that was started has printed, at its end."""
    assert process.stdout is not None
    printed = b"".join([chunk async for chunk in process.stdout])
    return Ended(await process.wait(), printed, b"")


# What is printed


@pytest.mark.parametrize("form", ["text", "json", "stream-json"])
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("HAMES > /dev/full", "standard output cannot be written: No space left on device"),
        ("HAMES >&-", "standard output is closed"),
        ("HAMES | true; exit ${PIPESTATUS[0]}", "standard output cannot be written: Broken pipe"),
    ],
)
async def test_what_cannot_be_printed_is_no_success(
    outside: Outside, form: str, line: str, words: str
) -> None:
    async with outside.scripted(calls(bash("echo 1")), DONE) as model:
        ended = await in_shell(outside, line, "-p", "go", "--output-format", form, *outside.to(model))
    assert ended.code == 1
    assert words in ended.err
    assert "Traceback" not in ended.err


async def test_after_a_gap_nothing_more_is_printed(outside: Outside, tmp_path: Path) -> None:
    out = tmp_path / "small"
    out.mkdir()
    fills = f"head -c 2000000 /dev/zero > {out}/filler 2> /dev/null; true"
    replies = [calls(bash(fills)), calls(bash("seq 3000")), calls(bash(f"rm -f {out}/filler")), DONE]
    shell = f"HAMES > {out}/lines; code=$?; cat {out}/lines; exit $code"
    async with outside.scripted(*replies) as model:
        words = ("-p", "go", *BARE, "--output-format", "stream-json", *outside.to(model))
        mounts = f"mount -t tmpfs -o size=64k none {out} && {{ {shell}; }}"
        ended = await in_shell(outside, f"unshare -Urm bash -c '{mounts}'", *words)
    assert ended.code == 1
    assert "standard output cannot be written: No space left" in ended.err
    assert '"seq"' in ended.out
    assert '"type":"result"' not in ended.out


@pytest.mark.parametrize("line", ["HAMES 2> /dev/full", "HAMES 2>&-", "HAMES <&- 2>&-"])
async def test_standard_error_changes_nothing_of_how_a_run_ends(outside: Outside, line: str) -> None:
    async with outside.scripted(calls(bash("echo 1 > x")), DONE) as model:
        ended = await in_shell(outside, line, "-p", "go", "--verbose", *JSON, *outside.to(model))
    assert said_by(ended).ending == "done"


# Runs that break off


async def test_a_log_that_breaks_in_the_midst_is_an_error_with_a_result(outside: Outside) -> None:
    drop = f"import sqlite3; sqlite3.connect('{outside.state}/log.db').execute('drop table event')"
    breaks = bash(f'{sys.executable} -c "{drop}"')
    async with outside.scripted(calls(breaks), DONE) as model:
        ended = await outside.hames("-p", "go", *BARE, *JSON, *outside.to(model), check=1)
        assert len(model.seen) == 1
    result = said_by(ended)
    assert (result.ending, result.code) == ("failed", "log")
    assert ended.result["seq"] is None
    assert "no such table" in ended.err
    assert "Traceback" not in ended.err


async def test_a_session_that_another_process_took_over_is_not_done_here(outside: Outside) -> None:
    ready, go = Pipe(outside.workspace / "ready"), Pipe(outside.workspace / "go")
    async with outside.scripted(calls(bash("echo on > ready; read < go")), DONE, DONE) as model:
        to = outside.to(model)
        async with outside.started("-p", "go", *JSON, *to) as process:
            await ready.read()
            process.send_signal(signal.SIGSTOP)
            words = ("-p", "--continue", "--take-over", *JSON, *to)
            taken = await both(go.write, lambda: outside.hames(*words))
            process.send_signal(signal.SIGCONT)
            first = await whole(process)
    assert said_by(taken).ending == "done"
    assert (said_by(first).ending, said_by(first).code) == ("failed", "taken_over")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_while_the_model_speaks_is_no_success(
    outside: Outside, number: signal.Signals
) -> None:
    speaks = {"text": "All is done.", "fault": "stall", "chunk": 3}
    async with (
        outside.scripted(speaks) as model,
        outside.started("-p", "go", *JSON, *outside.to(model)) as process,
    ):
        with anyio.fail_after(ENOUGH_S):
            while not model.seen:
                await anyio.lowlevel.checkpoint()
        process.send_signal(number)
        result = said_by(await whole(process))
    assert (result.ending, result.exit_code) == ("cancelled", 130)


# More turns than one


async def test_a_turn_that_failed_is_in_the_exit_code_whatever_comes_after_it(outside: Outside) -> None:
    said = b'{"type":"user","message":{"content":"go"}}\n'
    async with outside.scripted({"status": 400, "message": "no"}, DONE) as model:
        flags = ("-p", "--input-format", "stream-json", *JSON, *outside.to(model))
        async with outside.started(*flags) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            lines = process.stdout
            await process.stdin.send(said)
            first = msgspec.json.decode(await lines.receive(), type=Result)
            await process.stdin.send(said)
            second = msgspec.json.decode(await lines.receive(), type=Result)
            await process.stdin.aclose()
            assert await process.wait() == 1
    assert [(first.ending, first.exit_code), (second.ending, second.exit_code)] == [
        ("failed", 1),
        ("done", 0),
    ]


@pytest.mark.parametrize(
    ("reply", "flags", "code"),
    [
        ({"status": 401, "message": "no"}, (), 41),
        (calls(bash("make install")), ("--permission-mode", "ask"), 3),
        (DONE, (), 0),
    ],
)
async def test_a_conversation_from_a_pipe_ends_as_its_turn_did(
    outside: Outside, reply: dict[str, object], flags: Sequence[str], code: int
) -> None:
    async with outside.scripted(reply, DONE) as model:
        with anyio.fail_after(30):
            await outside.hames(*flags, *outside.to(model), stdin=b"go\n", check=code)
