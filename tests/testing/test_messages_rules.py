import msgspec
import pytest

from hames.testing.messages_events import signature
from hames.testing.messages_rules import broken_messages_rule

HI = {"type": "text", "text": "hi"}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": signature("hm")}
USER = {"role": "user", "content": "hi"}
TIFF = {"type": "base64", "media_type": "image/tiff", "data": ""}
MARK = {"cache_control": {"type": "ephemeral"}}
LONG = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
TOOL: dict[str, object] = {"name": "read", "input_schema": {"type": "object"}}


def use(wire_id: str = "toolu_1", name: str = "read") -> dict[str, object]:
    return {"type": "tool_use", "id": wire_id, "name": name, "input": {}}


def result(wire_id: str = "toolu_1", **more: object) -> dict[str, object]:
    return {"type": "tool_result", "tool_use_id": wire_id, **more}


def asked(*blocks: object) -> dict[str, object]:
    return {"role": "assistant", "content": blocks}


def user(*blocks: object) -> dict[str, object]:
    return {"role": "user", "content": blocks}


def body(*messages: object, **more: object) -> bytes:
    shared = {"model": "m", "max_tokens": 9, "messages": messages, "stream": True}
    return msgspec.json.encode({**shared, **more})


def test_a_paired_history_is_fine() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iV"}}
    history = body(
        user(HI, picture),
        asked(THOUGHT, HI, use("toolu_1_thought"), use("b")),
        user(result("b", content="ok"), result("toolu_1_thought", content=[HI, picture]), HI),
        USER,
        asked({"type": "redacted_thinking", "data": "x"}, HI),
        USER,
        tools=[{**TOOL, **LONG}],
        system=[{**HI, **MARK}],
        thinking={"type": "enabled", "budget_tokens": 1024},
        max_tokens=5000,
        **MARK,
    )
    assert broken_messages_rule(history) == ""


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"{", "cannot be read"),
        (body({"role": "system", "content": "x"}), "cannot be read"),
        (body(user({"type": "audio"})), "cannot be read"),
        (msgspec.json.encode({"model": "m", "messages": [USER], "stream": True}), "max_tokens"),
        (body(USER, max_tokens=0), "max_tokens"),
        (body(USER, stream=False), "stream"),
        (body(), "first and the last"),
        (body(asked(HI), USER), "first and the last"),
        (body(USER, asked(HI)), "first and the last"),
        (body(user({**HI, **MARK}, {**HI, **MARK}), tools=[{**TOOL, **MARK}] * 2, system=[MARK]), "found 5"),
        (body(USER, thinking={"type": "enabled"}), "a budget belongs"),
        (body(USER, thinking={"type": "adaptive", "budget_tokens": 2000}), "a budget belongs"),
        (body(USER, thinking={"type": "enabled", "budget_tokens": 1000}, max_tokens=5000), "at least 1024"),
        (body(USER, thinking={"type": "enabled", "budget_tokens": 5000}, max_tokens=5000), "less than"),
        (body(USER, tools=[{**TOOL, "name": "no tool"}]), "should match"),
        (body(USER, tools=[{"name": "read"}]), "input_schema"),
        (body(user({**HI, **LONG}), system=[{**HI, **MARK}]), "must not come after"),
        (body(USER, asked({**THOUGHT, **MARK}, HI), USER), "cannot have cache_control"),
        (body(user()), "non-empty content"),
        (body({"role": "user", "content": " \n"}), "non-whitespace"),
        (body(USER, asked(use()), USER), "without `tool_result` blocks immediately after: toolu_1"),
        (body(USER, asked(use()), user(HI, result())), "must come first"),
        (body(USER, asked(use("a"), use("b")), user(result("a")), user(result("b"))), "after: b"),
        (body(USER, asked(use()), asked(HI), user(result())), "without `tool_result` blocks"),
        (body(USER, asked(use()), user(result(), result())), "a single result"),
        (body(USER, user(result())), "unexpected `tool_use_id`"),
        (body(USER, asked(use(), use()), user(result())), "unique"),
        (body(USER, asked(use()), user(result()), asked(use()), user(result())), "unique"),
        (body(USER, asked(use("a:0")), user(result("a:0"))), "should match"),
        (body(USER, asked(use(name="no tool")), user(result())), "should match"),
        (body(USER, asked({**THOUGHT, "thinking": "hmm"}, HI), USER), "Invalid `signature`"),
        (body(USER, asked(HI, THOUGHT), USER), "cannot be `thinking`"),
        (body(USER, asked(use("a_thought")), user(result("a_thought"))), "expected `thinking`"),
        (body(user(THOUGHT)), "cannot be in a message of the user"),
        (body(USER, asked(result(), HI), USER), "cannot be in a message of the assistant"),
        (body(USER, asked(use()), user(result(content=[{**HI, "text": " "}]))), "non-whitespace"),
        (body(user({"type": "image", "source": TIFF})), "not supported"),
    ],
)  # fmt: skip
def test_a_broken_request_is_told_what_is_wrong(sent: bytes, said: str) -> None:
    assert said in broken_messages_rule(sent)
