from collections.abc import Mapping, Sequence
from hashlib import sha256

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hames.context.assemble import Assembled, Assembler, images_in, request_event
from hames.core.events import RequestSent
from hames.core.ids import BlobId, blob_id, call_id
from hames.core.messages import (
    ALONE,
    AssistantMessage,
    Image,
    Message,
    ResultPlace,
    Text,
    ToolMessage,
    UserMessage,
)
from hames.core.ports import AskOptions, Pinned
from hames.testing.plain_wire import PlainWire
from hames.testing.sent import body_blobs

PINNED = Pinned(model="m", system="be good", tools=msgspec.Raw(b"[]"))
OPTIONS = AskOptions()


def user(text: str) -> Message:
    return UserMessage((Text(text),))


def joined(assembled: Assembled) -> bytes:
    return b"".join(bytes(chunk) for chunk in assembled.body.chunks)


def fresh() -> Assembler:
    assembler = Assembler(PlainWire())
    assembler.begin(PINNED)
    return assembler


def body_for(
    assembler: Assembler,
    messages: Sequence[Message],
    options: AskOptions,
    images: Mapping[BlobId, bytes],
) -> Assembled:
    size = assembler.extend(messages, images)
    assembled = assembler.assemble(options)
    assert size == assembled.body.size - len(PlainWire().tail(options))
    return assembled


def test_the_hash_and_size_are_of_the_bytes() -> None:
    assembled = body_for(fresh(), [user("a")], OPTIONS, {})
    body = joined(assembled)
    assert assembled.body.sha256 == sha256(body).hexdigest()
    assert assembled.body.size == len(body)
    assert msgspec.json.decode(body)["messages"][0][0]["parts"][0]["text"] == "a"


def test_a_body_extends_the_one_before_up_to_the_end_of_its_last_message() -> None:
    assembler = fresh()
    messages = [user("a")]
    first = joined(body_for(assembler, messages, OPTIONS, {}))
    assembler.sent(7)
    messages.append(AssistantMessage("b"))
    second = body_for(assembler, messages, AskOptions(max_tokens=5), {})
    end = len(first) - len(PlainWire().tail(OPTIONS))
    assert joined(second)[:end] == first[:end]
    assert second.extends == 7
    assert len(second.added) == 1
    assert assembler.encoded == 2


def test_assembled_again_the_same_messages_give_the_same_bytes_and_add_nothing() -> None:
    assembler = fresh()
    first = body_for(assembler, [user("a")], OPTIONS, {})
    assembler.sent(3)
    second = body_for(assembler, [user("a")], OPTIONS, {})
    assert joined(first) == joined(second)
    assert (second.added, second.blobs, second.extends) == ((), (), 3)


def test_a_new_segment_extends_nothing() -> None:
    assembler = fresh()
    body_for(assembler, [user("a")], OPTIONS, {})
    assembler.sent(3)
    assembler.begin(PINNED)
    again = body_for(assembler, [user("a")], OPTIONS, {})
    assert again.extends is None
    assert len(again.added) == 1


class Rows(PlainWire):
    """Results of one reply are one message of it."""

    def piece(self, message: Message, images: Mapping[BlobId, bytes], place: ResultPlace = ALONE) -> bytes:
        return b"[" * place.first + b"1" + b"]" * place.last


def test_the_wire_is_told_where_a_result_stands_among_those_of_its_reply() -> None:
    assembler = Assembler(Rows())
    assembler.begin(PINNED)
    messages = [user("a"), AssistantMessage("b")]
    results = [ToolMessage(call_id(1, at), f"w{at}", (Text("x"),)) for at in range(3)]
    messages += results
    first = joined(body_for(assembler, messages, OPTIONS, {}))
    assert first.endswith(b'"messages":[[1],[1],[1,1,1]' + PlainWire().tail(OPTIONS))
    messages += [AssistantMessage("c"), results[0], user("d")]
    assert b"[1],[1],[1,1,1],[1],[1],[1]]" in joined(body_for(assembler, messages, OPTIONS, {}))


def test_pictures_are_given_to_the_wire() -> None:
    blob = blob_id(b"png")
    message = UserMessage((Image("image/png", blob),))
    assembled = body_for(fresh(), [message], OPTIONS, {blob: b"png"})
    assert msgspec.json.decode(joined(assembled))["messages"][0][1] == {blob: 3}
    seen = ToolMessage(call_id(1, 0), "w", (Image("image/png", blob), Text("x")))
    assert images_in([message, AssistantMessage("b"), seen]) == (blob, blob)


@given(st.lists(st.tuples(st.lists(st.text(max_size=20), min_size=1, max_size=4), st.booleans()), max_size=6))
def test_every_request_can_be_rebuilt_from_the_log_also_after_a_restart(
    steps: list[tuple[list[str], bool]],
) -> None:
    assembler = fresh()
    messages: list[Message] = []
    requests: dict[int, RequestSent] = {}
    blobs: dict[BlobId, bytes] = {}
    bodies: dict[int, bytes] = {}
    for seq, (texts, restart) in enumerate(steps, start=1):
        messages.extend(user(text) for text in texts)
        assembled = body_for(assembler, messages, OPTIONS, {})
        requests[seq] = request_event(assembled, step=seq, attempt=1, segment=1)
        blobs.update((blob_id(data), data) for data in assembled.blobs)
        bodies[seq] = joined(assembled)
        assembler.sent(seq)
        if restart:
            head, *pieces = [blobs[blob] for blob in body_blobs(requests, seq)[:-1]]
            assembler = Assembler(PlainWire())
            assembler.restore(head, pieces, seq)
    for seq, body in bodies.items():
        assert b"".join(blobs[blob] for blob in body_blobs(requests, seq)) == body
        assert requests[seq].sha256 == sha256(body).hexdigest()
