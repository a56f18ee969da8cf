"""The suite must find what is broken: each check is tried on something that breaks it."""

import msgspec
import pytest

from hames.core.errors import ModelError
from hames.core.events import Usage
from hames.core.messages import AssistantMessage, Message, Text, UserMessage
from hames.core.ports import AskOptions, Delta, Pinned, Reply
from hames.models.chat import ChatWire
from hames.models.profiles import providers
from hames.testing.model_suite import check_body, check_cuts, check_reading

PINNED = Pinned("m", "s", msgspec.Raw(b"[]"))
MESSAGES: list[Message] = [UserMessage((Text(word),)) for word in ("a", "b", "c")]


class Forgetful(ChatWire):
    """Its pieces differ from time to time."""

    count = 0

    def tail(self, options: AskOptions) -> bytes:
        self.count += 1
        return super().tail(options).replace(b"true", b"%d" % self.count, 1)


class NoComma(ChatWire):
    """Its head does not end where a piece can follow."""

    def head(self, pinned: Pinned) -> bytes:
        return super().head(pinned).rstrip(b",")


class Gullible:
    """Takes whatever has come for the answer."""

    def __init__(self) -> None:
        self.data = b""

    def feed(self, data: bytes) -> list[Delta]:
        self.data += data
        return []

    def finish(self, first_byte_s: float) -> Reply:
        text = self.data.decode(errors="replace")
        return Reply(AssistantMessage(text), "stop", "m", Usage(), self.data, first_byte_s)


class Blocky(Gullible):
    """Reads a stream otherwise when it comes in pieces."""

    def feed(self, data: bytes) -> list[Delta]:
        return super().feed(data + b"|")


class Lossy(Gullible):
    """Fails without saying what had come."""

    def finish(self, first_byte_s: float) -> Reply:
        raise ModelError("cut", "no")


@pytest.mark.parametrize(("wire", "said"), [(Forgetful, "other bytes"), (NoComma, "malformed")])
def test_a_wire_that_breaks_the_law_of_bodies_is_found(wire: type[ChatWire], said: str) -> None:
    with pytest.raises((AssertionError, msgspec.DecodeError), match=said):
        check_body(wire(providers()["deepseek"]), PINNED, MESSAGES, AskOptions())


def test_a_reader_that_depends_on_how_bytes_come_is_found() -> None:
    with pytest.raises(AssertionError, match="cut at 1"):
        check_reading(Blocky, b"stream")


def test_a_reader_that_takes_half_an_answer_is_found() -> None:
    with pytest.raises(AssertionError, match="half of an answer"):
        check_cuts(Gullible, b"stream")


def test_a_reader_that_loses_what_came_is_found() -> None:
    with pytest.raises(AssertionError, match="what had come"):
        check_reading(Lossy, b"stream")
