"""Runs with the profiles of real providers, against a server that enforces their rules."""

import pytest

from hames.testing.faults import append, call, leaked
from hames.testing.request_rules import Rules
from hames.testing.script import Served
from tests.apps.outside import KEY, Outside

pytestmark = pytest.mark.anyio

BARE = ["--sandbox", "none", "--permission-mode", "auto", "--output-format", "json"]
FIRST = (
    Served(reasoning="Think {i}.", text="Both.", calls=(call(append("a")), call(append("b"))), chunk=3),
    # A thought that is empty, after a time in the queue.
    Served(calls=(call(append("c")),), queued=5, pause_s=0.02),
    Served(reasoning="Think {i}.", calls=(call(append("d")),), chunk=1),
    leaked(Served(reasoning="Think {i}.", text="In the text.", calls=(call(append("e")),))),
    Served(calls=(call(append("f")),)),
    Served(reasoning="All is done.", text="first done"),
)
SECOND = (
    Served(text="Again.", calls=(call(append("g")),)),
    Served(reasoning="Think {i}.", calls=(call(append("h")),)),
    Served(text="second done"),
)
PROVIDERS: dict[str, tuple[str, Rules]] = {
    "deepseek": ("DEEPSEEK", "deepseek"),
    "anthropic": ("ANTHROPIC", "chat"),
    "openai": ("OPENAI", "chat"),
}


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_session_of_two_turns_keeps_every_rule_of_its_provider(
    outside: Outside, provider: str
) -> None:
    name, rules = PROVIDERS[provider]
    replies = (*FIRST, *SECOND)
    async with outside.scripted(*replies, rules=rules) as model:
        outside.env |= {f"{name}_API_KEY": KEY, f"{name}_BASE_URL": model.base_url}
        ended = await outside.hames("-p", "go", "--model", provider, *BARE)
        assert ended.result["result"] == "first done"
        session = str(ended.result["session_id"])
        ended = await outside.hames("-p", "on", "--resume", session, "--model", provider, *BARE)
        assert ended.result["result"] == "second done"
        assert [seen.problem for seen in model.seen] == [""] * len(replies)
        assert all(seen.extends for seen in model.seen[1:])
    assert (outside.workspace / "effects.log").read_text().split() == list("abcdefgh")
