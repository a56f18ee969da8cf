"""`hames models local` and `hames doctor --local`: the real command, with a script for a sampler."""

import os
import signal
from pathlib import Path

import anyio
import anyio.abc
import msgspec
import pytest

from tests.apps.outside import Outside, told

pytestmark = pytest.mark.anyio

ENGINE = Path(__file__).parents[1] / "models" / "engine"
NAME = "hames-scripted"
CALLS: dict[str, dict[str, object]] = {
    "read": {"file_path": "notes.txt"},
    "write": {"file_path": "hello.txt", "content": "hello"},
    "edit": {"file_path": "notes.txt", "old_string": "red", "new_string": "blue"},
    "bash": {"command": "ls"},
    "grep": {"pattern": "red"},
    "glob": {"pattern": "*.txt"},
    "todo_write": {"todos": [{"content": "look", "status": "pending"}]},
    "job": {"action": "list"},
    "find_tools": {"query": "pictures"},
    "call_tool": {"name": "read", "arguments": {"file_path": "notes.txt"}},
}
AS_ASKED = {"calls": [{"name": "report", "arguments": {"word": "ready"}}]}
AS_JSON = told("", ("report", {"word": "ready"}))
IN_WORDS = {"text": "I would report it."}


def every_call(**other: object) -> list[object]:
    """A reply for each tool: as it is asked for, or the other one that is given."""
    return [other.get(name) or told("", (name, arguments)) for name, arguments in CALLS.items()]


def lines(shown: str, width: int) -> dict[str, str]:
    """What is said of each thing."""
    return {line[:width].strip(): line[width:].strip() for line in shown.splitlines()}


def weights(outside: Outside, *replies: object) -> str:
    """A file that the engine of the tests can serve."""
    outside.env["PYTHONPATH"] = str(ENGINE)
    file = outside.workspace / "small.gguf"
    file.write_bytes(b"GGUF" + (msgspec.json.encode(list(replies)) if replies else b""))
    return str(file)


async def test_every_tool_is_called_once_and_nothing_is_run(outside: Outside) -> None:
    async with outside.scripted(*every_call(), rules="json_schema") as model:
        ended = await outside.hames("doctor", "--local", "--url", model.base_url)
        assert [seen.problem for seen in model.seen] == [""] * len(CALLS)
    said = ended.out.splitlines()
    assert said[0] == f"ok    server: {NAME}, {model.base_url}"
    assert [line.split()[:2] for line in said[1:]] == [["ok", f"{name}:"] for name in CALLS]
    assert "other arguments" not in ended.out
    assert os.listdir(outside.workspace) == []
    assert not outside.state.exists()


@pytest.mark.parametrize(
    ("reply", "mark", "words", "code"),
    [
        (told("", ("read", {"file_path": "x", "limit": 9})), "ok", "(other arguments than asked, but", 0),
        (told("", ("read", {"offset": 3})), "FAIL", "file_path missing", 1),
        (told("", ("write", {"file_path": "x", "content": ""})), "FAIL", "called write: the server does", 1),
        (told("No."), "FAIL", "called nothing: the server does not hold replies to the form", 1),
        ({"text": "Here you are: read(notes.txt)"}, "FAIL", "did not answer in the form", 75),
        ({"status": 500, "message": "out of memory"}, "FAIL", "answered 500: out of memory", 75),
    ],
)
async def test_a_call_that_a_run_could_not_go_on_with_is_named_and_the_others_are_tried(
    outside: Outside, reply: object, mark: str, words: str, code: int
) -> None:
    async with outside.scripted(*every_call(read=reply)) as model:
        ended = await outside.hames("doctor", "--local", "--url", model.base_url, check=code)
    said = ended.out.splitlines()[1:]
    assert said[0].startswith(f"{mark.ljust(4)}  read: ")
    assert words in said[0]
    assert [line.split()[:2] for line in said[1:]] == [["ok", f"{name}:"] for name in list(CALLS)[1:]]


async def test_nobody_is_asked_on_when_the_server_is_gone(outside: Outside) -> None:
    async with outside.scripted(told("", ("read", CALLS["read"])), {"fault": "away"}) as model:
        ended = await outside.hames("doctor", "--local", "--url", model.base_url, check=75)
    assert [line.split()[:2] for line in ended.out.splitlines()[1:]] == [["ok", "read:"], ["FAIL", "write:"]]


async def test_the_doctor_serves_weights_for_itself(outside: Outside) -> None:
    ended = await outside.hames("doctor", "--local", "--gguf", weights(outside, *every_call()))
    assert "started in" in ended.out.splitlines()[0]
    assert ended.out.count("\nok ") == len(CALLS)


async def test_the_doctor_takes_the_weights_for_tests_where_nothing_is_named(outside: Outside) -> None:
    missing = await outside.hames("doctor", "--local", check=52)
    assert missing.err == (
        "hames: --local: there is no model to ask. Name weights with --gguf FILE, or a server with --url URL;"
        " scripts/fetch-test-weights brings small weights for this\n"
    )
    kept = outside.home / ".cache" / "hames" / "weights"
    kept.mkdir(parents=True)
    os.rename(weights(outside, *every_call()), kept / "SmolLM2-135M-Instruct.Q4_1.gguf")
    assert (await outside.hames("doctor", "--local")).out.count("\nok ") == len(CALLS)


@pytest.mark.parametrize("command", [("doctor", "--local"), ("models", "local")])
async def test_without_the_extra_weights_cannot_be_served(outside: Outside, command: tuple[str, ...]) -> None:
    file = weights(outside)
    del outside.env["PYTHONPATH"]
    ended = await outside.hames(*command, "--gguf", file, check=52)
    assert ended.err.startswith("hames: --gguf: the engine for weights is not installed: pip install")
    assert ended.out == ""


@pytest.mark.parametrize("command", [("doctor", "--local"), ("models", "local")])
async def test_a_server_that_is_not_there_is_one_line(outside: Outside, command: tuple[str, ...]) -> None:
    async with outside.scripted() as model:
        url = model.base_url
    ended = await outside.hames(*command, "--url", url, check=75)
    assert ended.err.endswith("refused the connection: check the base URL, and that the server runs\n")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("replies", "tools", "mode", "code"),
    [
        ([AS_ASKED], "called as asked", [], 0),
        ([IN_WORDS, AS_JSON], "called where JSON is asked for", ["--tool-mode", "json_schema"], 0),
        (
            [{"status": 400, "message": "no tools here"}, AS_JSON],
            "called where JSON is asked for",
            ["--tool-mode", "json_schema"],
            0,
        ),
        ([IN_WORDS, IN_WORDS], "not called as asked", ["--tool-mode", "json_schema"], 1),
    ],
)
async def test_a_server_is_looked_at_and_used_as_it_is_said(
    outside: Outside, replies: list[object], tools: str, mode: list[str], code: int
) -> None:
    async with outside.scripted(*replies, told("All well.") if mode else {"text": "All well."}) as model:
        looked = await outside.hames(
            "models", "local", "--url", model.base_url, "--window", "9000", check=code
        )
        said = lines(looked.out, 13)
        assert (said["server"], said["models"], said["window"]) == (model.base_url, NAME, "9,000 tokens")
        assert said["tools"].startswith(tools)
        use = said["use"].split()
        assert use[1:] == [
            "--base-url",
            model.base_url,
            "--model",
            f"custom/{NAME}",
            "--window",
            "9000",
            *mode,
        ]
        ended = await outside.hames("-p", "go", "--sandbox", "none", *use[1:])
        assert ended.out == "All well.\n"


async def test_a_window_that_is_not_told_is_not_guessed(outside: Outside) -> None:
    async with outside.scripted(AS_ASKED) as model:
        ended = await outside.hames("models", "local", "--url", model.base_url)
    assert "not told by the server: give it with --window" in ended.out
    assert "--window" not in lines(ended.out, 13)["use"]


async def test_a_server_in_trouble_is_not_taken_for_one_that_cannot_call(outside: Outside) -> None:
    async with outside.scripted({"status": 503, "message": "busy"}) as model:
        ended = await outside.hames("models", "local", "--url", model.base_url, check=75)
        assert len(model.seen) == 1
    assert "answered 503: busy" in ended.err


async def test_the_key_of_a_server_is_used_and_named_but_never_shown(outside: Outside) -> None:
    outside.env["NEAR_KEY"] = "sk-near-and-secret"
    async with outside.scripted(AS_ASKED) as model:
        ended = await outside.hames("models", "local", "--url", model.base_url, "--api-key-env", "NEAR_KEY")
    assert lines(ended.out, 13)["use"].endswith("--api-key-env NEAR_KEY")
    assert "sk-near" not in ended.out + ended.err


async def test_weights_are_served_until_the_pipe_is_closed(outside: Outside) -> None:
    async with outside.started("models", "local", "--gguf", weights(outside, AS_ASKED)) as process:
        url = await _served(process)
        assert await _listens(url)
        assert process.stdin is not None
        await process.stdin.aclose()
        assert await process.wait() == 0
    assert not await _listens(url)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_a_server_ends_with_the_one_who_started_it(outside: Outside, how: signal.Signals) -> None:
    async with outside.started("models", "local", "--gguf", weights(outside, AS_ASKED)) as process:
        url = await _served(process)
        process.send_signal(how)
        assert await process.wait() == (130 if how == signal.SIGINT else -how)
    with anyio.fail_after(10):
        while await _listens(url):
            pass


async def test_weights_that_the_engine_cannot_read_are_told_of_with_its_words(outside: Outside) -> None:
    ended = await outside.hames("models", "local", "--gguf", weights(outside), check=1)
    assert ended.err.splitlines()[-2:] == [
        "xllamacpp: Failed to init server, please check the input params.",
        f"hames: the server for {outside.workspace}/small.gguf did not start; what the engine says of it is"
        " above",
    ]


async def test_nothing_of_the_current_directory_is_imported(outside: Outside) -> None:
    (outside.workspace / "argparse.py").write_text("raise SystemExit('taken in')\n")
    outside.program = (outside.program[0], "-P", *outside.program[1:])  # like the installed command
    ended = await outside.hames("doctor", "--local", "--gguf", weights(outside, *every_call()))
    assert "taken in" not in ended.err


async def _served(process: anyio.abc.Process) -> str:
    """The base URL, once all has been said."""
    assert process.stdout is not None
    said = b""
    with anyio.fail_after(30):
        while b"ends with" not in said:
            said += await process.stdout.receive()
    return lines(said.decode(), 13)["server"]


async def _listens(url: str) -> bool:
    try:
        stream = await anyio.connect_tcp("127.0.0.1", int(url.split(":")[2].partition("/")[0]))
    except OSError:
        return False
    await stream.aclose()
    return True
