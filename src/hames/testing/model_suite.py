"""What every wire must do, as checks that a test calls with its own wire and streams.

Each raises `AssertionError` that names what does not hold.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from hames.core.errors import ModelError
from hames.core.ids import BlobId
from hames.core.messages import Message, result_place
from hames.core.ports import AskOptions, Delta, Pinned, ReasoningDelta, Reply, ReplyReader, TextDelta, Wire


class Ended(msgspec.Struct, frozen=True):
    """How reading a stream ended: with a reply, or with a failure of this class and words."""

    reply: Reply | None
    failure: str
    deltas: tuple[Delta, ...]


def body_of(
    wire: Wire,
    pinned: Pinned,
    messages: Sequence[Message],
    options: AskOptions,
    images: Mapping[BlobId, bytes] | None = None,
) -> bytes:
    """A whole request body, joined as the port says."""
    pieces = [
        wire.piece(message, images or {}, result_place(messages, at)) for at, message in enumerate(messages)
    ]
    return wire.head(pinned) + b",".join(pieces) + wire.tail(options)


def check_body(
    wire: Wire,
    pinned: Pinned,
    messages: Sequence[Message],
    options: AskOptions,
    images: Mapping[BlobId, bytes] | None = None,
) -> bytes:
    """A body is one JSON object, the same each time, and each longer history extends it; the body.

    The results of one reply come all together, so no request ends between two of them.
    """
    body = body_of(wire, pinned, messages, options, images)
    decoded = msgspec.json.decode(body)
    assert isinstance(decoded, dict), "the body is not one JSON object"
    assert body == body_of(wire, pinned, messages, options, images), "the same input gave other bytes"
    tail = wire.tail(options)
    for count in range(1, len(messages)):
        if not result_place(messages, count).first:
            continue
        shorter = body_of(wire, pinned, messages[:count], options, images)
        prefix = shorter[: len(shorter) - len(tail)]
        assert body.startswith(prefix + b","), f"the body of {count} messages is not extended"
    return body


def read_in(make_reader: Callable[[], ReplyReader], parts: Sequence[bytes]) -> Ended:
    """Read a reply that comes in these parts."""
    reader = make_reader()
    deltas: list[Delta] = []
    for part in parts:
        deltas += reader.feed(part)
    try:
        return Ended(reader.finish(0.5), "", tuple(deltas))
    except ModelError as error:
        failed = error
    assert failed.raw == b"".join(parts), "the failure does not carry what had come"
    return Ended(None, f"{failed.kind}: {failed}", tuple(deltas))


def check_reading(make_reader: Callable[[], ReplyReader], stream: bytes) -> Ended:
    """A stream reads the same whole, cut in two at every place, and byte by byte; how it ends."""
    whole = read_in(make_reader, [stream])
    places = [[stream[:at], stream[at:]] for at in range(1, len(stream))]
    for parts in [*places, [stream[at : at + 1] for at in range(len(stream))]]:
        ended = read_in(make_reader, parts)
        assert ended == whole, f"cut at {len(parts[0])}, the stream reads otherwise"
    if whole.reply is not None:
        _check_reply(whole.reply, whole.deltas, stream)
    return whole


def check_cuts(make_reader: Callable[[], ReplyReader], stream: bytes) -> None:
    """However early a stream breaks off, it is a failure, or the very reply of the whole stream."""
    whole = read_in(make_reader, [stream]).reply
    assert whole is not None, "the whole stream must be a reply"
    for at in range(len(stream)):
        reply = read_in(make_reader, [stream[:at]]).reply
        if reply is not None:
            assert reply.message.text == whole.message.text, f"cut at {at}, half of an answer was taken"
            calls = [(call.name, call.arguments) for call in reply.message.calls]
            wanted = [(call.name, call.arguments) for call in whole.message.calls]
            assert calls == wanted, f"cut at {at}, other calls were taken"


def _check_reply(reply: Reply, deltas: Sequence[Delta], stream: bytes) -> None:
    assert reply.raw == stream, "the raw bytes are not those that came"
    ids = [call.wire_id for call in reply.message.calls]
    assert all(ids), "a call has no wire id"
    assert len(set(ids)) == len(ids), "two calls have one wire id"
    text = "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))
    thought = "".join(delta.text for delta in deltas if isinstance(delta, ReasoningDelta))
    reasoning = reply.message.reasoning.text if reply.message.reasoning else ""
    assert not text or text == reply.message.text, "the deltas are not the text"
    assert not thought or thought == reasoning, "the deltas are not the reasoning"
