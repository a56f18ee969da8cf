import msgspec
import pytest

from hames.testing.chat_events import thought_sum
from hames.testing.request_rules import broken_rule, messages_end

USER = {"role": "user", "content": "hi"}


def assistant(*ids: str, **more: str) -> dict[str, object]:
    calls = [{"id": i, "type": "function", "function": {"name": "read", "arguments": "{}"}} for i in ids]
    return {"role": "assistant", "content": "", "tool_calls": calls, **more}


def result(wire_id: str) -> dict[str, object]:
    return {"role": "tool", "tool_call_id": wire_id, "content": "ok"}


def body(*messages: object, **more: object) -> bytes:
    return msgspec.json.encode({"model": "m", "messages": messages, "stream": True, **more})


def test_a_paired_history_is_fine() -> None:
    history = body(USER, assistant("a", "b"), result("b"), result("a"), USER)
    assert broken_rule(history, "chat") == ""


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"{", "cannot be read"),
        (b"[]", "cannot be read"),
        (body(USER, stream=False), "stream"),
        (body(), "last message"),
        (body(USER, {"role": "assistant", "content": "x"}), "last message"),
        (body(USER, assistant("a"), USER), "before the results of a"),
        (body(USER, assistant("a", "b"), result("a")), "no result for b"),
        (body(USER, assistant("a"), result("a"), result("a")), "not open"),
        (body(USER, result("a")), "not open"),
        (body(USER, assistant("a", "a"), result("a")), "two calls with one id"),
        (body({"role": "assistant", "content": None}, USER), "neither content nor calls"),
        (body({"role": "robot", "content": "x"}), "cannot be read"),
        (body({"role": "tool", "tool_call_id": 5, "content": "x"}), "cannot be read"),
    ],
)
def test_a_broken_request_is_told_what_is_wrong(sent: bytes, said: str) -> None:
    assert said in broken_rule(sent, "chat")
    assert broken_rule(sent, "none") == ""


def test_deepseek_wants_its_reasoning_back_beside_calls() -> None:
    without = body(USER, assistant("a"), result("a"))
    assert broken_rule(without, "chat") == ""
    assert "reasoning_content" in broken_rule(without, "deepseek")
    empty = body(USER, assistant("a", reasoning_content=""), result("a"))
    assert broken_rule(empty, "deepseek") == ""
    switched_off = body(USER, assistant("a"), result("a"), thinking={"type": "disabled"})
    assert broken_rule(switched_off, "deepseek") == ""
    assert broken_rule(body(USER, {"role": "assistant", "content": "x"}, USER), "deepseek") == ""


def test_deepseek_wants_it_back_as_it_was_also_after_later_words_of_the_user() -> None:
    own = f"call_1_0_thought_{thought_sum('Hm.')}"
    for given, accepted in (("Hm.", True), ("hm.", False), ("", False)):
        history = body(USER, assistant(own, reasoning_content=given), result(own), USER)
        assert (broken_rule(history, "deepseek") == "") is accepted
    later = {"role": "assistant", "content": "done"}
    for messages in ([USER, assistant(own), result(own), later, USER], [USER, assistant(own), result(own)]):
        assert "reasoning_content" in broken_rule(body(*messages), "deepseek")


def test_deepseek_takes_no_thought_that_it_has_not_had_but_those_of_other_models() -> None:
    for wire_id, accepted in (("call_1_0", False), ("toolu_of_another", True)):
        history = body(USER, assistant(wire_id, reasoning_content="Hm."), result(wire_id))
        assert (broken_rule(history, "deepseek") == "") is accepted


def test_the_end_of_the_last_message_is_found() -> None:
    sent = b'{"model":"m","messages":[{"a":1}, {"b":"]"} ],"stream":true}'
    assert sent[: messages_end(sent)] == b'{"model":"m","messages":[{"a":1}, {"b":"]"}'
    assert messages_end(b"nonsense") == 0


FORM: dict[str, object] = {"type": "json_schema", "json_schema": {"name": "reply", "schema": {}}}
SAID = {"role": "assistant", "content": '{"say": "x"}'}


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (body(USER, SAID, USER, response_format=FORM), ""),
        (body(USER), "response_format is missing"),
        (body(USER, response_format=FORM, tools=[]), "cannot call tools"),
        (body(USER, assistant("a"), result("a"), response_format=FORM), "cannot call tools"),
        (body(USER, response_format={"type": "json_object"}), "cannot be read"),
        (
            body(USER, {"role": "assistant", "content": "x"}, USER, response_format=FORM),
            "messages[1] is not in",
        ),
        (
            body(USER, {"role": "assistant", "content": []}, USER, response_format=FORM),
            "messages[1] is not in",
        ),
        (body(SAID, response_format=FORM), "last message"),
    ],
)
def test_a_model_without_tools_takes_only_the_form_of_its_replies(sent: bytes, said: str) -> None:
    problem = broken_rule(sent, "json_schema")
    assert said in problem
    assert bool(problem) == bool(said)
