"""Whole turns on the wires beside Chat Completions, over real HTTP."""

from pathlib import Path

import msgspec
import pytest

from hames.core.profiles import WireName
from hames.testing.model_server import ModelServer, running
from hames.testing.script import Script, Served, ServedCall
from tests.apps.outside import KEY, Outside, bash, calls

pytestmark = pytest.mark.anyio

BARE = ["--sandbox", "none", "--permission-mode", "auto", "--output-format", "json"]


async def exported(outside: Outside, session: str) -> list[dict[str, object]]:
    ended = await outside.hames("export", session, "--format", "events")
    return [msgspec.convert(line["event"], dict[str, object]) for line in ended.lines]


@pytest.mark.parametrize("wire", ["messages", "responses"])
async def test_a_turn_with_calls_side_by_side_keeps_the_rules_of_its_wire(
    outside: Outside, wire: WireName
) -> None:
    both = [bash("echo {i} >> made.txt"), bash("echo {i} >> other.txt")]
    replies = {"repeat": 20, "reasoning": "think {i}", "text": "step {i}", "calls": both, "chunk": 5}
    async with outside.scripted(replies, {"text": "done"}) as model:
        ended = await outside.hames("-p", "go", *BARE, *outside.to(model, wire))
        assert (ended.result["result"], ended.result["num_turns"]) == ("done", 21)
        assert [seen.problem for seen in model.seen] == [""] * 21
        assert all(seen.extends for seen in model.seen[1:])
        session = str(ended.result["session_id"])
        sent = [event for event in await exported(outside, session) if event["type"] == "RequestSent"]
        assert [event["sha256"] for event in sent] == [seen.sha256 for seen in model.seen]
    for name in ("made.txt", "other.txt"):
        lines = (outside.workspace / name).read_text().split()
        assert lines == [str(number) for number in range(1, 21)]


async def test_the_key_of_anthropic_alone_is_enough(outside: Outside) -> None:
    async with outside.scripted({**calls(bash("true")), "reasoning": "hm"}, {"text": "done"}) as model:
        outside.env |= {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": model.base_url}
        ended = await outside.hames("-p", "go", "--model", "anthropic", *BARE)
        assert [seen.problem for seen in model.seen] == ["", ""]
    assert ended.result["result"] == "done"
    cost = ended.result["total_cost_usd"]
    assert isinstance(cost, float)
    assert cost > 0


PAIRS = [
    ("chat", "messages"),
    ("messages", "chat"),
    ("chat", "responses"),
    ("responses", "chat"),
    ("messages", "responses"),
    ("responses", "messages"),
]


@pytest.mark.parametrize(("first", "second"), PAIRS)
async def test_a_session_goes_on_over_another_wire_and_back(
    outside: Outside, tmp_path: Path, first: WireName, second: WireName
) -> None:
    call = ServedCall("bash", msgspec.Raw(b'{"command": "echo {i} >> made.txt"}'))
    asks = Served(reasoning="think {i}", text="step {i}", calls=(call, call))
    # The same ids again with each reply, as some servers give them.
    odd = Served(calls=(ServedCall("bash", call.arguments, id="bash:0"), ServedCall("nothing at all")))
    script = Script([reply for _ in range(3) for reply in (asks, odd, Served(text="done {i}"))])
    server = ModelServer(script, rules="chat", record=tmp_path, bodies=True)
    async with running(server):
        session = ""
        for wire in (first, second, first):
            again = ["--resume", session] if session else []
            ended = await outside.hames("-p", "go", *again, *BARE, *outside.to(server, wire))
            session = str(ended.result["session_id"])
        assert [seen.problem for seen in server.seen] == [""] * 9
        assert [seen.extends for seen in server.seen] == [None, *([True, True, False] * 3)[:-1]]
    pinned = [event for event in await exported(outside, session) if event["type"] == "SettingsPinned"]
    assert [(event["segment"], event["wire"]) for event in pinned] == [(1, first), (2, second), (3, first)]
    last = (tmp_path / "000009.json").read_text()
    thoughts = [f"think {number}" in last for number in (1, 4, 7)]
    assert thoughts == [True, False, True]
    assert (outside.workspace / "made.txt").read_text().split() == list("112445778")
