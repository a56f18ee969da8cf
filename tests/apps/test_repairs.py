"""What is mended in what a model says, and what never is, over real HTTP on every wire."""

import msgspec
import pytest

from hames.core.profiles import WireName
from tests.apps.outside import Outside, bash, calls

pytestmark = pytest.mark.anyio

BARE = ["--sandbox", "none", "--permission-mode", "auto", "--output-format", "json"]
WIRES: tuple[WireName, ...] = ("chat", "messages", "responses")
CUT = '{"command": "echo x >> made.txt'
LEAK = (
    'Now.\n<｜DSML｜tool_calls>\n<｜DSML｜invoke name="bash">\n'  # noqa: RUF001 - as DeepSeek writes it
    '<｜DSML｜parameter name="command" string="true">echo {i} >> made.txt</｜DSML｜parameter>\n'  # noqa: RUF001 - as DeepSeek writes it
    "</｜DSML｜invoke>\n</｜DSML｜tool_calls>"  # noqa: RUF001 - as DeepSeek writes it
)


def raw(name: str, arguments: str) -> dict[str, object]:
    """A call whose arguments are sent as they are."""
    return {"name": name, "arguments": arguments}


@pytest.mark.parametrize("wire", WIRES)
async def test_a_call_that_was_cut_is_never_run(outside: Outside, wire: WireName) -> None:
    whole = bash("echo whole >> made.txt")
    replies = (
        {"calls": [whole], "fault": "cut_args"},
        {"calls": [raw("bash", CUT)], "finish": "length"},
        calls(raw("bash", CUT)),
        {"text": LEAK[:-30]},
        {"text": LEAK[:-30], "finish": "length"},
        calls(whole),
        {"text": "done"},
    )
    async with outside.scripted(*replies) as model:
        ended = await outside.hames("-p", "go", *BARE, *outside.to(model, wire))
        assert ended.result["result"] == "done"
        assert [seen.problem for seen in model.seen] == [""] * len(model.seen)
    assert (outside.workspace / "made.txt").read_text() == "whole\n"


@pytest.mark.parametrize("wire", WIRES)
async def test_calls_that_are_mended_or_taken_out_of_the_text_run_exactly_once(
    outside: Outside, wire: WireName
) -> None:
    replies = (
        {"text": LEAK, "chunk": 7},
        calls(raw("functions.Bash", '{"command": "echo {i} >> made.txt"}')),
        calls(raw("bash", "{'command': 'echo {i} >> made.txt',}")),
        {"text": LEAK},
        {"text": "done"},
    )
    async with outside.scripted(*replies) as model:
        ended = await outside.hames("-p", "go", *BARE, *outside.to(model, wire))
        assert (ended.result["result"], ended.result["num_turns"]) == ("done", 5)
        assert [seen.problem for seen in model.seen] == [""] * 5
        assert all(seen.extends for seen in model.seen[1:])
    assert (outside.workspace / "made.txt").read_text().split() == list("1234")
    exported = await outside.hames("export", str(ended.result["session_id"]), "--format", "events")
    events = [msgspec.convert(line["event"], dict[str, object]) for line in exported.lines]
    said = [
        event["repairs"]
        for event in events
        if event["type"] in ("ModelReplied", "CallIntended") and "repairs" in event
    ]
    assert said == [
        ["1 call taken out of the text, from <｜DSML｜tool_calls>"],  # noqa: RUF001 - as DeepSeek writes it
        ['"functions.Bash" was taken for the tool bash'],
        ["the arguments were no valid JSON: single quotes, a comma before the closing bracket"],
        ["1 call taken out of the text, from <｜DSML｜tool_calls>"],  # noqa: RUF001 - as DeepSeek writes it
    ]
