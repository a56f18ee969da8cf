import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import DEVNULL, Popen

import anyio
import anyio.to_thread
import msgspec
import pytest

from hames.core.ids import session_id
from tests.apps.outside import HAMES, KEY, Outside, bash, calls, texts

pytestmark = [pytest.mark.anyio, pytest.mark.needs_bwrap]


async def test_a_task_is_done_in_the_sandbox_and_its_result_is_on_standard_output(outside: Outside) -> None:
    async with outside.scripted(
        calls(bash("echo made > made.txt && cat made.txt")), {"text": "It is made."}
    ) as model:
        ended = await outside.hames("-p", "make it", *outside.to(model))
    assert ended.out == "It is made.\n"
    assert (outside.workspace / "made.txt").read_text() == "made\n"


async def test_the_key_of_deepseek_alone_is_enough(outside: Outside) -> None:
    reply = calls(bash("true"))
    async with outside.scripted({**reply, "reasoning": "hm"}, {"text": "done"}, rules="deepseek") as model:
        outside.env |= {"DEEPSEEK_API_KEY": KEY, "DEEPSEEK_BASE_URL": model.base_url}
        ended = await outside.hames("-p", "go", "--output-format", "json")
    assert ended.result["result"] == "done"
    cost = ended.result["total_cost_usd"]
    assert isinstance(cost, float)
    assert cost > 0


async def test_a_prompt_may_come_from_standard_input(outside: Outside) -> None:
    async with outside.scripted({"text": "read"}) as model:
        ended = await outside.hames("-p", *outside.to(model), stdin=b"from a pipe\n")
    assert ended.out == "read\n"


async def test_an_interpreter_behind_a_link_is_found_in_the_sandbox(outside: Outside, tmp_path: Path) -> None:
    (tmp_path / "environment").symlink_to(sys.prefix)
    outside.program = (str(tmp_path / "environment" / "bin" / "python"), *outside.program[1:])
    (outside.workspace / "file").write_text("the words")
    read = {"name": "read", "arguments": {"file_path": "file"}}
    async with outside.scripted({"calls": [read]}, {"text": "read"}) as model:
        ended = await outside.hames("-p", "go", "--output-format", "stream-json", *outside.to(model))
    assert "the words" in ended.out


async def test_three_hundred_steps_keep_their_prefix_and_can_be_rebuilt(outside: Outside) -> None:
    async with outside.scripted({"repeat": 300, "calls": [bash("echo {i}")]}, {"text": "done"}) as model:
        flags = ["--sandbox", "none", "--permission-mode", "auto"]
        ended = await outside.hames("-p", "go", "--output-format", "json", *flags, *outside.to(model))
        assert ended.result["num_turns"] == 301
        assert all(seen.extends for seen in model.seen[1:])
        session = str(ended.result["session_id"])
        sent = [event for event in await exported(outside, session) if event["type"] == "RequestSent"]
        assert [event["sha256"] for event in sent] == [seen.sha256 for seen in model.seen]


async def exported(outside: Outside, session: str) -> list[dict[str, object]]:
    ended = await outside.hames("export", session, "--format", "events")
    return [msgspec.convert(line["event"], dict[str, object]) for line in ended.lines]


async def test_system_prompt_and_tools_are_at_most_6000_bytes_on_the_wire(outside: Outside) -> None:
    async with outside.scripted({"text": "hi"}) as model:
        await outside.hames("-p", "x", *outside.to(model))
        assert model.seen[0].size <= 6000


async def test_json_and_stream_json_end_with_the_same_result(outside: Outside) -> None:
    async with outside.scripted({"text": "one"}, {"text": "two"}) as model:
        whole = await outside.hames("-p", "x", "--output-format", "json", *outside.to(model))
        lines = await outside.hames("-p", "x", "--output-format", "stream-json", *outside.to(model))
    assert len(whole.lines) == 1
    assert whole.result.keys() == lines.result.keys()
    assert lines.lines[0]["subtype"] == "init"


async def test_stream_json_input_holds_a_conversation(outside: Outside) -> None:
    message = b'{"type":"user","message":{"role":"user","content":"hi"}}\n'
    async with outside.scripted({"text": "one"}, {"text": "two"}) as model:
        flags = ["--input-format", "stream-json", "--output-format", "stream-json"]
        ended = await outside.hames(*flags, *outside.to(model), stdin=message)
        assert ended.result["result"] == "one"
        wrong = await outside.hames(*flags, *outside.to(model), stdin=message + b"nonsense\n", check=2)
    assert "not a user message" in wrong.err


# Sessions


def signpost(outside: Outside) -> Path:
    """A named pipe in the workspace: a command that writes to it is known to run."""
    path = outside.workspace / "signpost"
    os.mkfifo(path)
    return path


async def said_at(path: Path) -> str:
    """What a command has written there; waits for it."""
    with anyio.fail_after(60):
        return await anyio.to_thread.run_sync(path.read_text, abandon_on_cancel=True)


async def test_sessions_are_listed_shown_exported_and_gone_on_with(outside: Outside) -> None:
    async with outside.scripted(calls(bash("echo hello")), {"text": "first"}, {"text": "second"}) as model:
        first = await outside.hames("-p", "say hello", "--output-format", "json", *outside.to(model))
        session = str(first.result["session_id"])
        listed = await outside.hames("sessions", "list")
        assert session in listed.out
        assert "say hello" in listed.out
        rows = await outside.hames("sessions", "list", "--json")
        assert rows.result["ending"] == "done"
        shown = await outside.hames("sessions", "show", session[:10])
        assert "calls 1.0: bash" in shown.out
        whole = await outside.hames("sessions", "show", session, "--whole")
        assert len(whole.out) >= len(shown.out)
        again = await outside.hames("--resume", session, "-p", "more", *outside.to(model))
        assert again.out == "second\n"
        assert all(seen.extends for seen in model.seen[1:])
        latest = await outside.hames(
            "--continue", "-p", "more", "--output-format", "json", *outside.to(model)
        )
    assert latest.result["session_id"] == session
    events = await exported(outside, session)
    assert [event["type"] for event in events].count("TurnEnded") == 3


async def test_a_session_can_be_given_its_id(outside: Outside) -> None:
    wanted = session_id(1, 2)
    async with outside.scripted({"text": "hi"}) as model:
        ended = await outside.hames(
            "-p", "x", "--session-id", wanted, "--output-format", "json", *outside.to(model)
        )
    assert ended.result["session_id"] == wanted


async def test_a_session_killed_in_mid_command_goes_on_as_if_nothing_had_happened(outside: Outside) -> None:
    marker, go = signpost(outside), outside.workspace / "go"
    os.mkfifo(go)
    replies = [
        calls(bash("echo one")),
        calls(bash(f"echo on > {marker}; read < {go}; echo real; exit 7"), bash("echo after")),
        {"text": "I looked, and went on."},
    ]
    async with outside.scripted(*replies) as model:
        async with outside.started(
            "-p", "go", "--output-format", "stream-json", *outside.to(model)
        ) as process:
            await said_at(marker)
            process.kill()
            await process.wait()
            assert process.stdout is not None
            printed = b"".join([chunk async for chunk in process.stdout]).decode()
        durable = [line for line in printed.splitlines() if '"subtype":"notice"' not in line]
        acknowledged = [msgspec.json.decode(line)["seq"] for line in durable]
        session = (await outside.hames("sessions", "list", "--json")).result["session"]
        await anyio.to_thread.run_sync(go.write_text, "on\n")
        ended = await outside.hames(
            "--resume", str(session), "-p", "--output-format", "json", *outside.to(model)
        )
        assert all(seen.extends for seen in model.seen[1:])
        assert not any(seen.problem for seen in model.seen)
    assert ended.result["result"] == "I looked, and went on."
    events = await exported(outside, str(session))
    assert len(events) > max(acknowledged)
    assert not [event for event in events if event["type"] == "CallLost"]
    ends = {str(event["call"]): event for event in events if event["type"] == "CallFinished"}
    assert ends["2.0"]["parts"] == [{"type": "text", "text": "real\n[exit 7]"}]
    assert ends["2.1"]["parts"] == [{"type": "text", "text": "after"}]


async def test_a_second_process_on_the_same_session_is_told_who_has_it(outside: Outside) -> None:
    marker = signpost(outside)
    async with (
        outside.scripted(calls(bash(f"echo on > {marker}; sleep 600")), {"text": "x"}) as model,
        outside.started("-p", "go", *outside.to(model)) as process,
    ):
        await said_at(marker)
        ended = await outside.hames("--continue", "-p", "me too", *outside.to(model), check=1)
        assert str(process.pid) in ended.err
        process.terminate()
        assert await process.wait() == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_the_command_keeps_what_was_done_and_exits_130(
    outside: Outside, number: signal.Signals
) -> None:
    marker = signpost(outside)
    command = f"echo $$ > {marker}; sleep 600"
    flags = ["--sandbox", "none", "--permission-mode", "auto", "--output-format", "json"]
    async with (
        outside.scripted(calls(bash("echo one")), calls(bash(command)), {"text": "x"}) as model,
        outside.started("-p", "go", *flags, *outside.to(model)) as process,
    ):
        pid = int(await said_at(marker))
        process.send_signal(number)
        assert await process.wait() == 130
        assert process.stdout is not None
        result = msgspec.json.decode(b"".join([chunk async for chunk in process.stdout]))
    assert (result["ending"], result["exit_code"]) == ("cancelled", 130)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    outcomes = [
        e["outcome"] for e in await exported(outside, result["session_id"]) if e["type"] == "CallFinished"
    ]
    assert outcomes == ["ok", "cancelled"]


# Endings


async def test_the_step_limit_exits_53(outside: Outside) -> None:
    async with outside.scripted({"repeat": 9, "calls": [bash("echo {i}")]}) as model:
        ended = await outside.hames("-p", "go", "--max-turns", "2", *outside.to(model), check=53)
    assert "limit of 2 steps" in ended.err
    assert "--resume" in ended.err


async def test_what_a_person_must_allow_exits_3(outside: Outside) -> None:
    async with outside.scripted(calls(bash("echo 1 > made")), {"text": "I may not."}) as model:
        ended = await outside.hames("-p", "go", "--permission-mode", "ask", *outside.to(model), check=3)
    assert ended.out == "I may not.\n"
    assert not (outside.workspace / "made").exists()


async def test_background_work_that_does_not_end_exits_4_and_is_stopped(outside: Outside) -> None:
    marker, pid = signpost(outside), outside.workspace / "pid"
    start = bash(f"echo $$ > {marker}; sleep 600", run_in_background=True)
    wait = bash(f"cat {marker} > {pid}")
    flags = ["--sandbox", "none", "--permission-mode", "auto", "--wait-jobs", "0.1"]
    async with outside.scripted(calls(start, wait), {"text": "it runs"}) as model:
        ended = await outside.hames("-p", "go", *flags, *outside.to(model), check=4)
    assert "background work was still unfinished" in ended.err
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


async def test_background_work_that_ends_is_told_once(outside: Outside) -> None:
    start = bash("echo made it", run_in_background=True)
    async with outside.scripted(calls(start), {"text": "waiting"}, {"text": "made"}) as model:
        ended = await outside.hames("-p", "go", "--output-format", "json", *outside.to(model))
    events = await exported(outside, str(ended.result["session_id"]))
    (told,) = [event["told"] for event in events if event["type"] == "JobFinished"]
    assert "made it" in str(told)
    assert "exit 0" in str(told)


async def test_allowed_tools_answer_the_question_that_a_mode_would_ask(outside: Outside) -> None:
    flags = ["--permission-mode", "ask", "--allowed-tools", "Bash(echo:*)"]
    async with outside.scripted(calls(bash("echo 1")), {"text": "done"}) as model:
        await outside.hames("-p", "go", *flags, *outside.to(model))


async def test_disallowed_tools_are_denied_with_the_rule(outside: Outside) -> None:
    flags = ["--disallowed-tools", "Bash(echo:*)", "--output-format", "json"]
    async with outside.scripted(calls(bash("echo 1")), {"text": "no"}) as model:
        ended = await outside.hames("-p", "go", *flags, *outside.to(model))
    assert len(msgspec.convert(ended.result["permission_denials"], list[object])) == 1


# Big and odd output


SHOWN = 8000


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("seq 1 1400000", "left out"),
        ("head -c 10000000 /dev/zero | tr '\\0' x", "left out"),
        ("head -c 1000000 /dev/urandom", "binary"),
    ],
)
async def test_huge_output_is_shown_in_part_with_a_note(
    outside: Outside, command: str, expected: str
) -> None:
    async with outside.scripted(calls(bash(command)), {"text": "went on"}) as model:
        ended = await outside.hames("-p", "go", "--output-format", "stream-json", *outside.to(model))
        (text,) = texts(ended)
        assert expected in text
        assert model.seen[1].size - model.seen[0].size <= SHOWN + 500
        assert len(msgspec.json.encode(text)) <= SHOWN


async def test_the_whole_output_can_be_read_later(outside: Outside) -> None:
    read: dict[str, object] = {
        "name": "read",
        "arguments": {"file_path": "output://1.0", "offset": 150000, "limit": 1},
    }
    async with outside.scripted(calls(bash("seq 1 200000")), calls(read), {"text": "seen"}) as model:
        ended = await outside.hames("-p", "go", "--output-format", "stream-json", *outside.to(model))
    assert "150000\t150000" in texts(ended)[1]


# The conversation


async def test_without_p_it_converses_line_by_line(outside: Outside) -> None:
    async with outside.scripted(calls(bash("echo hello")), {"text": "Hello to you."}) as model:
        ended = await outside.hames(*outside.to(model), stdin=b"say hello\n/exit\n")
    assert "hames 0.1.0, custom/scripted, sandbox bubblewrap" in ended.out
    assert "bash" in ended.out
    assert "Hello to you." in ended.out
    assert "hames --resume" in ended.out


async def test_a_file_may_be_standard_input_of_a_conversation(outside: Outside, tmp_path: Path) -> None:
    said = tmp_path / "said"
    said.write_text("hi")
    async with outside.scripted({"text": "Hello."}) as model:
        with said.open("rb") as file:
            ran = await anyio.run_process(
                [*HAMES, *outside.to(model)], stdin=file, env=outside.env, cwd=outside.workspace
            )
    assert b"Hello." in ran.stdout


def peak_of(words: Sequence[str], outside: Outside) -> int:
    """The most memory that a command took, in kB."""
    with Popen(words, env=outside.env, cwd=outside.workspace, stdin=DEVNULL, stdout=DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_maxrss


async def peak_kb(outside: Outside, command: str) -> int:
    async with outside.scripted(calls(bash(command)), {"text": "done"}, watch=False) as model:
        words = [*HAMES, "-p", "go", *outside.to(model)]
        return await anyio.to_thread.run_sync(peak_of, words, outside)


async def test_ten_megabytes_of_output_are_never_held_whole(outside: Outside) -> None:
    assert await peak_kb(outside, "seq 1 1400000") - await peak_kb(outside, "echo 1") < 20_000
