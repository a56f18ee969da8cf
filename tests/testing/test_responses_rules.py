import msgspec
import pytest

from hames.testing.responses_events import seal
from hames.testing.responses_rules import broken_responses_rule, input_end

TOOL: dict[str, object] = {"type": "function", "name": "read", "parameters": {}}
USER = {"type": "message", "role": "user", "content": "hi"}


def call(wire_id: str, **more: object) -> dict[str, object]:
    return {"type": "function_call", "call_id": wire_id, "name": "read", "arguments": "{}", **more}


def output(wire_id: str) -> dict[str, object]:
    return {"type": "function_call_output", "call_id": wire_id, "output": "ok"}


def thought(number: int, **more: object) -> dict[str, object]:
    name = f"rs_{number}"
    summary = [{"type": "summary_text", "text": "Hm."}]
    item = {"type": "reasoning", "id": name, "encrypted_content": seal(name, "Hm."), "summary": summary}
    return {**item, **more}


def said(text: str, **more: object) -> dict[str, object]:
    return {"type": "message", "role": "assistant", "content": text, **more}


def body(*items: object, **more: object) -> bytes:
    return msgspec.json.encode({"model": "m", "input": items, "stream": True, "store": False, **more})


def test_a_whole_history_is_fine() -> None:
    after = call("b", id="fc_1_0_after_rs_1")
    items = (
        USER,
        thought(1),
        after,
        call("a"),
        said("x"),
        output("a"),
        output("b"),
        thought(2),
        said("y"),
        USER,
    )
    assert broken_responses_rule(body(*items)) == ""


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"{", "cannot be read"),
        (b"[]", "cannot be read"),
        (body(USER, stream=False), "stream"),
        (body(USER, store=True), "store"),
        (body(USER, tools=[TOOL]), "Invalid schema"),
        (body(USER, previous_response_id="resp_1"), "not found"),
        (body(USER, call("a", arguments=None), output("a")), "Missing required parameter: 'input[1]'"),
        (body(USER, call("a"), {**output("a"), "output": None}), "Missing required parameter: 'input[2]'"),
        (body(USER, thought(1, encrypted_content=""), said("x")), "not persisted"),
        (body(USER, call("a")), "No tool output found for function call a"),
        (body(USER, output("a")), "No tool call found"),
        (body(USER, output("a"), call("a")), "No tool call found"),
        (body(USER, call("a"), output("a"), output("a")), "No tool call found"),
        (body(USER, call("a"), call("a"), output("a")), "Duplicate call_id"),
        (body(USER, call("a" * 65), output("a" * 65)), "too long"),
        (body(USER, call(""), output("")), "too long, or empty"),
        (body(USER, said("x", status="completed")), "Unknown parameter: 'input[1].status'"),
        (body(USER, thought(1)), "without its required following item"),
        (body(USER, thought(1), USER, thought(1), said("x")), "without its required following item"),
        (body(USER, thought(1, id=""), said("x")), "without its required following item"),
        (body(USER, thought(1), output("a")), "No tool call found"),
        (body(USER, thought(1, summary=None), said("x")), "summary"),
        (body(USER, thought(1, summary=[]), said("x")), "could not be verified"),
        (body(USER, thought(1, encrypted_content="other"), said("x")), "could not be verified"),
        (body(USER, call("a", id="fc_1_0_after_rs_1"), output("a")), "without its required 'reasoning' item"),
    ],
)
def test_a_broken_request_is_told_what_is_wrong(sent: bytes, words: str) -> None:
    assert words in broken_responses_rule(sent)


def test_the_end_of_the_input_is_found() -> None:
    sent = b'{"model":"m","input":[{"role":"user","content":"]"} ] ,"stream":true}'
    assert sent[: input_end(sent)] == b'{"model":"m","input":[{"role":"user","content":"]"}'
    assert input_end(b"{") == 0
