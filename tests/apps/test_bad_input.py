"""Every mistake gets one clear line that names the thing and the fix, and the right exit code."""

import os
import socket
import sqlite3
import sys
from pathlib import Path

import anyio
import pytest

from tests.apps.outside import HAMES, KEY, Outside, bash, calls

pytestmark = [pytest.mark.anyio, pytest.mark.needs_bwrap]


def one_line(err: str) -> str:
    lines = [line for line in err.splitlines() if line]
    assert lines[0].startswith("hames: "), err
    assert "Traceback" not in err
    return lines[0]


async def test_no_key(outside: Outside) -> None:
    ended = await outside.hames("-p", "x", check=41)
    assert "DEEPSEEK_API_KEY is not set" in one_line(ended.err)


async def test_a_wrong_key(outside: Outside) -> None:
    outside.env["DEEPSEEK_API_KEY"] = KEY
    async with outside.scripted({"status": 401, "message": "Authentication Fails"}) as model:
        outside.env["DEEPSEEK_BASE_URL"] = model.base_url
        ended = await outside.hames("-p", "x", check=41)
        assert len(model.seen) == 1
    assert "DEEPSEEK_API_KEY" in one_line(ended.err)
    assert KEY not in ended.err


async def test_an_empty_account(outside: Outside) -> None:
    async with outside.scripted({"status": 402, "message": "Insufficient Balance"}) as model:
        ended = await outside.hames("-p", "x", *outside.to(model), check=41)
        assert len(model.seen) == 1
    assert "Insufficient Balance" in one_line(ended.err)


async def test_an_endpoint_that_is_down(outside: Outside) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        ended = await outside.hames("-p", "x", "--base-url", url, "--model", "m", "--patience", "1", check=75)
    assert "refused" in one_line(ended.err)
    assert "--resume" in ended.err


async def test_a_model_that_hames_does_not_know(outside: Outside) -> None:
    ended = await outside.hames("-p", "x", "--model", "deepseek/deepseek-flahs", check=52)
    assert "deepseek-flash" in one_line(ended.err)


async def test_a_model_that_the_endpoint_does_not_know(outside: Outside) -> None:
    reply = {"status": 404, "message": "The model `scripted` does not exist"}
    async with outside.scripted(reply) as model:
        ended = await outside.hames("-p", "x", *outside.to(model), check=52)
    assert "scripted" in one_line(ended.err)


async def test_a_request_that_the_endpoint_rejects(outside: Outside) -> None:
    async with outside.scripted({"status": 400, "message": "temperature is out of range"}) as model:
        ended = await outside.hames("-p", "x", *outside.to(model), check=1)
    assert "temperature is out of range" in one_line(ended.err)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('modle = "x"', '"model"'),
        ("model = 5", "model"),
        ('model = "x', "settings.toml"),
        ('sandbox = "none"', "--sandbox none"),
        ('permission_mode = "bypassPermissions"', "auto"),
    ],
)
async def test_settings_that_are_wrong(outside: Outside, text: str, words: str) -> None:
    outside.settings(text)
    ended = await outside.hames("-p", "x", check=52)
    assert words in one_line(ended.err)


async def test_settings_that_cannot_be_read(outside: Outside) -> None:
    outside.config.mkdir(parents=True)
    ended = await outside.hames("-p", "x", check=52)
    assert str(outside.config) in one_line(ended.err)


@pytest.mark.parametrize(
    "text", ['base_url = "http://evil"', 'wire = "chat"', 'api_key_env = "X"', 'sandbox = "none"']
)
async def test_a_project_that_would_say_where_requests_go(outside: Outside, text: str) -> None:
    project = outside.workspace / ".hames" / "settings.toml"
    project.parent.mkdir()
    project.write_text(text)
    async with outside.scripted({"text": "untouched"}) as model:
        ended = await outside.hames("-p", "x", "--trust", *outside.to(model), check=52)
        assert text.split()[0] in one_line(ended.err)
        quiet = await outside.hames("-p", "x", *outside.to(model))
        assert "not trusted" in one_line(quiet.err)
        assert quiet.out == "untouched\n"


async def test_a_workspace_that_is_not_a_directory(outside: Outside, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for place in (file, tmp_path / "nowhere"):
        ended = await outside.hames("-p", "x", "--cwd", str(place), check=2)
        assert str(place) in one_line(ended.err)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--nonsense"], "--nonsense"),
        (["-p", "x", "--modle=y"], 'did you mean "--model"?'),
        (["-p"], "-p needs a prompt"),
        (["-p", "x", "--output-format", "xml"], "--output-format"),
        (["-p", "x", "--max-turns", "many"], "--max-turns"),
        (["-p", "x", "--resume", "abc", "--continue"], "--resume"),
        (["-p", "x", "--session-id", "short"], "--session-id"),
        (["exec"], "hames exec -- CMD"),
        (["exec", "--"], "no command"),
        (["sessions"], "list | show | check | repair | delete"),
        (["sessions", "delete"], "ID"),
        (["sessions", "show"], "ID"),
        (["export"], "ID"),
    ],
)
async def test_a_command_line_that_is_wrong(outside: Outside, words: list[str], said: str) -> None:
    ended = await outside.hames(*words, check=2, stdin=b"")
    assert said in one_line(ended.err)


async def test_a_session_that_is_not_there(outside: Outside) -> None:
    outside.env["DEEPSEEK_API_KEY"] = KEY
    for words in (["sessions", "show", "abc"], ["export", "abc"], ["--resume", "abc", "-p", "x"]):
        ended = await outside.hames(*words, check=1)
        assert "no session abc" in one_line(ended.err)
    ended = await outside.hames("--continue", "-p", "x", check=1)
    assert str(outside.workspace) in one_line(ended.err)


async def test_a_session_of_another_workspace(outside: Outside, tmp_path: Path) -> None:
    async with outside.scripted({"text": "one"}) as model:
        ended = await outside.hames("-p", "x", "--output-format", "json", *outside.to(model))
    session = str(ended.result["session_id"])
    own, outside.workspace = outside.workspace, tmp_path / "elsewhere"
    outside.workspace.mkdir()
    ended = await outside.hames("-p", "y", "--resume", session, *outside.to(model), check=2)
    assert f"give --cwd {own}" in one_line(ended.err)
    own.rename(tmp_path / "moved")
    async with outside.scripted({"text": "two"}) as model:
        ended = await outside.hames("-p", "y", "--resume", session, *outside.to(model))
    assert ended.out == "two\n"


async def test_a_log_from_a_newer_version(outside: Outside) -> None:
    async with outside.scripted({"text": "hi"}) as model:
        await outside.hames("-p", "x", *outside.to(model))
    log = sqlite3.connect(outside.state / "log.db")
    log.execute("PRAGMA user_version = 99")
    log.close()
    ended = await outside.hames("sessions", "list", check=52)
    assert "newer" in one_line(ended.err)


async def test_a_log_that_is_no_database(outside: Outside) -> None:
    outside.state.mkdir(parents=True)
    (outside.state / "log.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    ended = await outside.hames("sessions", "list", check=1)
    assert "log.db" in one_line(ended.err)


async def test_a_missing_sandbox_is_never_gone_without(outside: Outside, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("bash", "rg"):
        found = next(p for d in os.environ["PATH"].split(":") if (p := Path(d) / name).exists())
        (programs / name).symlink_to(found)
    outside.env["PATH"] = str(programs)
    async with outside.scripted(calls(bash("echo 1"))) as model:
        ended = await outside.hames("-p", "x", *outside.to(model), check=52)
        assert not model.seen
    assert "bubblewrap" in one_line(ended.err)


async def test_a_full_disk_ends_the_turn_on_the_log_and_loses_nothing(
    outside: Outside, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    outside.env["XDG_STATE_HOME"] = str(small)
    fill = f"head -c 100000000 /dev/zero > {small}/filler 2>/dev/null; true"
    async with outside.scripted(
        calls(bash("echo one")), calls(bash(fill)), calls(bash("echo never"))
    ) as model:
        flags = ["--sandbox", "none", "--permission-mode", "auto", "--output-format", "stream-json"]
        run = " ".join([sys.executable, "-m", "hames.apps.cli", "-p", "x", *flags, *outside.to(model)])
        save = f"{sys.executable} -m hames.apps.cli sessions list --json >&2"
        script = f"mount -t tmpfs -o size=1m none {small} && {run}; echo code $? >&2; {save}"
        ran = await anyio.run_process(
            ["unshare", "-Urm", "sh", "-c", script], check=False, env=outside.env, cwd=outside.workspace
        )
    err = ran.stderr.decode()
    assert "code 1\n" in err, err
    assert "Traceback" not in err
    shown = [line for line in ran.stdout.decode().splitlines() if '"seq"' in line]
    events = int(err.rpartition('"events":')[2].partition(",")[0])
    assert '"ending":"failed"' in err
    assert len(shown) >= 3
    assert '"code":"disk"' in shown[-1]
    assert "no space is left for the log" in shown[-1]
    assert f'"seq":{events}' in shown[-1]


async def test_a_reader_that_goes_away_is_not_a_traceback(outside: Outside) -> None:
    async with outside.scripted({"text": "hi"}) as model:
        await outside.hames("-p", "x", *outside.to(model))
    command = f"{' '.join(HAMES)} sessions list --json | true"
    ran = await anyio.run_process(
        ["bash", "-c", command], check=False, env=outside.env, cwd=outside.workspace
    )
    assert b"Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("words", "settings", "fix"),
    [
        ("--max-budget-usd 0", "", "--max-budget-usd: expected float > 0.0, got 0"),
        ("--max-turns 0", "", "--max-turns: expected int >= 1, got 0"),
        ("--patience -1", "", "--patience: expected float >= 0.0, got -1"),
        ("--window 100", "", "--window: expected int >= 1024, got 100"),
        ("--effort hard", "", "deepseek does not take 'hard'; it takes none, minimal, low"),
        ("--fallback-model kimmi", "", "fallback: 'kimmi' is not known"),
        (
            "--max-budget-usd 1 --base-url http://127.0.0.1:9/v1 --model m",
            "",
            '[providers.custom.models."m"]',
        ),
        (
            "--fallback-model custom/m",
            "fallback_max_usd = 1",
            "fallback_max_usd: no price is known for custom/m",
        ),
        ("", 'wire = "telex"', '"wire" is one of chat, messages, responses'),
        ("", "max_budget_usd = -1", '"max_budget_usd": expected float > 0.0, got -1'),
        ("", "[providers.deepseek]\nkey = 1", 'there is no setting "providers.deepseek.key"'),
        (
            "",
            "[providers.deepseek.models.flash]\nwindow = 10",
            '"providers.deepseek.models.flash.window": expected int >= 1024',
        ),
    ],
)
async def test_a_setting_that_cannot_hold_ends_the_start_with_the_key_and_the_fix(
    outside: Outside, words: str, settings: str, fix: str
) -> None:
    outside.env["DEEPSEEK_API_KEY"] = KEY
    outside.settings(settings)
    ended = await outside.hames("-p", "x", *words.split(), check=52)
    assert fix in one_line(ended.err)
    assert not outside.state.exists()


@pytest.mark.parametrize("flag", ["-p", "--model", "--append-system-prompt", "--until", "--resume"])
async def test_words_that_are_no_text(outside: Outside, flag: str) -> None:
    ended = await outside.hames(flag, "gr\udcfcn", "--base-url", "http://h/v1", check=2)
    assert "not valid UTF-8: gr\ufffdn" in one_line(ended.err)


async def test_bytes_that_are_no_text_in_a_prompt_from_standard_input(outside: Outside) -> None:
    async with outside.scripted({"text": "世界"}) as model:
        outside.env["PYTHONIOENCODING"] = "ascii"
        ended = await outside.hames("-p", *outside.to(model), stdin=b"gr\xfcn")
    assert ended.out == "\\u4e16\\u754c\n"
