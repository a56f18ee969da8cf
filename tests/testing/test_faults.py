import msgspec
import pytest

from hames.core.profiles import WireName
from hames.models.chat_reader import ChatReader
from hames.models.messages_reader import MessagesReader
from hames.models.profiles import resolve
from hames.models.responses_reader import ResponsesReader
from hames.testing.answering import SPEECHES
from hames.testing.faults import EFFECTIVE, FAULTS, FINAL, LONG, ONCE, append, call, leaked, spoiled
from hames.testing.model_suite import read_in
from hames.testing.script import Served, ServedCall, ServedUsage, stream

TRUE = Served(text="so", calls=(call(append("b")),))
WIRES: tuple[WireName, ...] = ("chat", "messages", "responses")


def reader(wire: WireName) -> ChatReader | MessagesReader | ResponsesReader:
    match wire:
        case "chat":
            return ChatReader(resolve("deepseek").provider)
        case "messages":
            return MessagesReader(resolve("anthropic"))
        case "responses":
            return ResponsesReader("scripted", "responses/scripted/m")


def commands(wire: WireName, reply: Served) -> list[str] | None:
    """What a reader of a wire finds asked for; None where there is no reply."""
    if reply.status != 200 or reply.framing == "gzip":
        return None
    found = stream(reply, 1, ServedUsage(1, 1), SPEECHES[wire])
    ended = read_in(lambda: reader(wire), found.events)
    return None if ended.reply is None else [each.arguments for each in ended.reply.message.calls]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("name", sorted(set(FAULTS) - FINAL - EFFECTIVE))
def test_only_the_last_reply_can_be_the_true_one(name: str, wire: WireName) -> None:
    *before, last = spoiled(name, TRUE, wire)
    wanted = append("b")
    for reply in before:
        found = commands(wire, reply)
        assert not found or not any(wanted in each for each in found)
    if name != "leaked_markup":
        found = commands(wire, last)
        assert found is not None
        assert len(found) == 1
        assert wanted in found[0]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("name", sorted(FINAL))
def test_after_a_final_fault_nothing_else_comes(name: str, wire: WireName) -> None:
    (only,) = spoiled(name, TRUE, wire)
    assert commands(wire, only) is None
    assert only.repeat > 1


def test_the_kinds_name_faults_that_there_are() -> None:
    assert set(FAULTS) >= FINAL | LONG | ONCE | EFFECTIVE


def test_leaked_calls_are_markup_at_the_end_of_the_text() -> None:
    arguments = msgspec.Raw(b'{"file_path": "a.py", "limit": 5}')
    found = leaked(Served(text="I read it.", calls=(ServedCall("read", arguments),)))
    assert found.calls == ()
    assert found.text == (
        "I read it.\n\n<｜DSML｜tool_calls>\n"  # noqa: RUF001 - the marks of DeepSeek
        '<｜DSML｜invoke name="read">\n'  # noqa: RUF001 - as DeepSeek writes it
        '<｜DSML｜parameter name="file_path" string="true">a.py</｜DSML｜parameter>\n'  # noqa: RUF001 - as DeepSeek writes it
        '<｜DSML｜parameter name="limit" string="false">5</｜DSML｜parameter>\n'  # noqa: RUF001 - as DeepSeek writes it
        "</｜DSML｜invoke>\n</｜DSML｜tool_calls>"  # noqa: RUF001 - as DeepSeek writes it
    )
