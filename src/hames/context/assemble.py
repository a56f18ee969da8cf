"""From the view to the bytes of the next request, each message encoded once."""

from collections.abc import Mapping, Sequence
from hashlib import sha256

import msgspec

from hames.core.events import Cost, RequestSent
from hames.core.ids import BlobId, blob_id
from hames.core.messages import Image, Message, ToolMessage, UserMessage, result_place
from hames.core.ports import AskOptions, Body, BodyWire, Pinned


class Assembled(msgspec.Struct, frozen=True):
    """A request body, and what of it is new to the log: `blobs` are the bytes behind the ids. `prefix` is the
    size of what comes before the `options`."""

    body: Body
    prefix: int
    options: AskOptions
    head: BlobId
    added: tuple[BlobId, ...]
    tail: BlobId
    extends: int | None
    messages: int
    blobs: tuple[bytes, ...]


class Assembler:
    """Keeps the encoded prefix of the current segment.

    A body extends the body before it byte for byte up to the end of the last message. The cost of
    `assemble` is that of the new messages and of one copy, however long the session is.
    """

    def __init__(self, wire: BodyWire) -> None:
        self._wire = wire
        self._prefix = bytearray()
        self._digest = sha256()
        self._head = b""
        self._added: list[bytes] = []
        self._tail = b""
        self._tail_kept = b""
        self._fresh = True
        self._messages = 0
        self._extends: int | None = None

    @property
    def encoded(self) -> int:
        """How many messages are in the prefix already."""
        return self._messages

    def begin(self, pinned: Pinned) -> None:
        """Start a segment: nothing of an earlier one is extended."""
        self._start(self._wire.head(pinned))
        self._fresh = True

    def restore(self, head: bytes, pieces: Sequence[bytes], extends: int) -> None:
        """Go on from logged bytes: the request at `extends` and the pieces of its whole chain."""
        self._start(head)
        for piece in pieces:
            self._add(piece)
        self._messages = len(pieces)
        self._extends = extends
        self._fresh = False

    def extend(self, messages: Sequence[Message], images: Mapping[BlobId, bytes]) -> int:
        """Take in what follows in `messages` on those that are there already. Gives the size so far."""
        for index in range(self._messages, len(messages)):
            encoded = self._wire.piece(messages[index], images, result_place(messages, index))
            piece = b"," + encoded if index else encoded
            self._add(piece)
            self._added.append(piece)
        self._messages = len(messages)
        return len(self._prefix)

    def assemble(self, options: AskOptions) -> Assembled:
        """The body for all messages so far. What is new in it since the last `sent` one goes to the log."""
        tail = self._wire.tail(options)
        digest = self._digest.copy()
        digest.update(tail)
        prefix = bytes(self._prefix)
        blobs = [*self._added]
        if self._fresh:
            blobs.append(self._head)
        if tail != self._tail_kept:
            blobs.append(tail)
        self._tail = tail
        return Assembled(
            body=Body((prefix, tail), len(prefix) + len(tail), digest.hexdigest()),
            prefix=len(prefix),
            options=options,
            head=blob_id(self._head),
            added=tuple(blob_id(piece) for piece in self._added),
            tail=blob_id(tail),
            extends=self._extends,
            messages=self._messages,
            blobs=tuple(blobs),
        )

    def sent(self, seq: int) -> None:
        """The last assembled body is in the log, as the request at `seq`: the next one extends it.

        Assembled again, the same messages give the same bytes and add nothing to the log.
        """
        self._extends = seq
        self._fresh = False
        self._added = []
        self._tail_kept = self._tail

    def _start(self, head: bytes) -> None:
        self._head = head
        self._added = []
        self._tail_kept = b""
        self._prefix = bytearray(head)
        self._digest = sha256(head)
        self._messages = 0
        self._extends = None

    def _add(self, piece: bytes) -> None:
        self._prefix += piece
        self._digest.update(piece)


def request_event(
    assembled: Assembled, step: int, attempt: int, segment: int, most: Cost | None = None
) -> RequestSent:
    """The event that says this body is sent. A later attempt sends the same bytes and adds nothing."""
    return RequestSent(
        step=step,
        attempt=attempt,
        segment=segment,
        head=assembled.head,
        added=assembled.added,
        tail=assembled.tail,
        sha256=assembled.body.sha256,
        size=assembled.body.size,
        extends=assembled.extends,
        most=most,
    )


def images_in(messages: Sequence[Message]) -> tuple[BlobId, ...]:
    """The pictures that these messages show."""
    return tuple(
        part.blob
        for message in messages
        if isinstance(message, UserMessage | ToolMessage)
        for part in message.parts
        if isinstance(part, Image)
    )
