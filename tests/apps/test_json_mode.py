"""Whole runs with a backend that cannot call tools: calls and words are JSON of a form that is asked for."""

import pytest

from hames.testing.model_server import ModelServer
from tests.apps.outside import Outside, bash, calls, told

pytestmark = pytest.mark.anyio

BARE = ["--sandbox", "none", "--permission-mode", "auto", "--output-format", "json"]


def describe(outside: Outside, model: ModelServer, tool_mode: str) -> None:
    outside.settings(
        f'[providers.local]\nbase_url = "{model.base_url}"\nwire = "chat"\ntool_mode = "{tool_mode}"\n'
    )


async def test_a_run_reads_edits_and_runs_a_command(outside: Outside) -> None:
    (outside.workspace / "cart.py").write_text("total = 1\n")
    replies = (
        told("I look.", ("read", {"file_path": "cart.py"}), ("glob", {"pattern": "*"})),
        told("", ("edit", {"file_path": "cart.py", "old_string": "1", "new_string": "2"})),
        {"text": "I have done it, I think."},
        told("Now I try it.", ("bash", {"command": "python3 -c 'import cart; print(cart.total)' > out.txt"})),
        told("It is 2 now."),
    )
    async with outside.scripted(*replies, rules="json_schema") as model:
        describe(outside, model, "json_schema")
        ended = await outside.hames("-p", "go", "--model", "local/some", *BARE)
        assert (ended.result["result"], ended.result["num_turns"]) == ("It is 2 now.", 4)
        assert [seen.problem for seen in model.seen] == [""] * 5
        assert all(seen.extends for seen in model.seen[1:])
    assert (outside.workspace / "cart.py").read_text() == "total = 2\n"
    assert (outside.workspace / "out.txt").read_text() == "2\n"


async def test_a_session_goes_on_when_its_backend_learns_to_call_tools(outside: Outside) -> None:
    first = (told("", ("bash", {"command": "echo 1 >> made.txt"})), told("one"))
    async with outside.scripted(*first, rules="json_schema") as model:
        describe(outside, model, "json_schema")
        ended = await outside.hames("-p", "go", "--model", "local/some", *BARE)
        assert [seen.problem for seen in model.seen] == ["", ""]
    session = str(ended.result["session_id"])
    async with outside.scripted(calls(bash("echo 2 >> made.txt")), {"text": "two"}) as model:
        describe(outside, model, "native")
        ended = await outside.hames("-p", "on", "--model", "local/some", "--resume", session, *BARE)
        assert [seen.problem for seen in model.seen] == ["", ""]
    assert ended.result["result"] == "two"
    assert (outside.workspace / "made.txt").read_text().split() == ["1", "2"]
